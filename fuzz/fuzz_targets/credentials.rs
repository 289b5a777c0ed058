#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| unifiedai_fuzz::credentials(data));
