//! Fuzzes the decoder of stored bytes `value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nacre_engine::fuzzing::value(bytes);
});
