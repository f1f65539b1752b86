#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| _ = tidegate_fuzz::gate::run(bytes));
