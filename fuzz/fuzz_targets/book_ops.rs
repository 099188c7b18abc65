//! Fuzzes the laws of the books: operations decoded from bytes against naive books and against a rebuild.
#![no_main]

#[allow(dead_code)]
#[path = "../../engine/tests/model/mod.rs"]
mod model;

use model::check::{agrees_with_the_naive_books, incremental_is_rebuild};
use model::world::World;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let world = World::decode(bytes);
    for outcome in [agrees_with_the_naive_books(&world), incremental_is_rebuild(&world)] {
        if let Err(broken) = outcome {
            panic!("{broken}");
        }
    }
});
