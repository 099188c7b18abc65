//! Fuzzes the keys of lots: `lots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    nacre_engine::fuzzing::lots(bytes);
});
