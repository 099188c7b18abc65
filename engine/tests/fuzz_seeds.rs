//! The committed seeds of the fuzz targets, run as tests.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod model;

use std::fs;
use std::path::Path;

use model::check::{agrees_with_the_naive_books, incremental_is_rebuild};
use model::world::World;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn imports() {
    assert!(seeds("plain_import").iter().map(|bytes| bodies::plain_import(bytes)).sum::<usize>() > 5);
}

#[test]
fn event_keys() {
    assert!(seeds("event_key").iter().map(|bytes| bodies::event_key(bytes)).sum::<usize>() > 3);
}

#[test]
fn operations_on_a_book() {
    for bytes in seeds("book_ops") {
        let world = World::decode(&bytes);
        assert_eq!(agrees_with_the_naive_books(&world), Ok(()));
        assert_eq!(incremental_is_rebuild(&world), Ok(()));
    }
}
