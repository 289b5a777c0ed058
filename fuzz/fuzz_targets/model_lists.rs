#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| unifiedai_fuzz::model_lists(data));
