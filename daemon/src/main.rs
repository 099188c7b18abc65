//! The `nacre` binary.
fn main() {}
