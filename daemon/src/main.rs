//! The `nacre` binary: hand the command line to the library and turn its answer into an exit code.
//! It holds no logic of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    nacre::cli::run()
}
