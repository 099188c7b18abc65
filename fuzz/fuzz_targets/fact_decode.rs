//! Fuzzes the decoders of stored bytes `fact`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nacre_engine::fuzzing::fact(bytes);
});
