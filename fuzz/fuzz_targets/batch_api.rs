#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| unifiedai_fuzz::batch_api(data));
