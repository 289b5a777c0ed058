#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| unifiedai_fuzz::event_stream_valid_crc(data));
