//! `nacre backup`: the whole data folder in a new folder with a manifest, by the server that uses it or without one.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::backup::make::{Source, make};
use crate::books::Books;
use crate::config::Config;
use crate::control::{self, Answer, Request};
use crate::store::{Store, StoreError};

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The folder to make; there must be nothing of this name. A running server writes it as its own user.
    target: PathBuf,
}

/// Makes the backup and says what is in it.
pub(super) fn run(config: &Config, args: &BackupArgs) -> Result<(), Box<dyn Error>> {
    let (data_dir, target) = (std::path::absolute(&config.data_dir)?, std::path::absolute(&args.target)?);
    let system = data_dir.join("system.redb");
    if !system.exists() {
        return Err(format!("{} is no data folder: there is no system.redb", data_dir.display()).into());
    }
    let spool_dir = data_dir.join("spool");
    let (books, bytes) = match Store::open(&system, spool_dir.clone(), config.cache_mib) {
        Ok(store) => {
            let books = Books::new(data_dir.join("books"), spool_dir, config.cache_mib);
            let manifest = make(&Source { data_dir, store, books }, &target, &|| false)?;
            (manifest.books(), manifest.bytes())
        }
        Err(StoreError::InUse(_)) => served(&data_dir, &target)?,
        Err(error) => return Err(error.into()),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: the system store and {books} book(s), {bytes} bytes", target.display())?;
    Ok(())
}

/// Has the server make it.
fn served(data_dir: &Path, target: &Path) -> Result<(usize, u64), Box<dyn Error>> {
    let answer = control::ask(data_dir, &Request::Backup { target: target.to_owned() });
    match answer {
        Ok(Answer::Backup { books, bytes }) => Ok((books, bytes)),
        Ok(Answer::Refused(why)) => Err(why.into()),
        Err(error) => {
            let dir = data_dir.display();
            Err(format!(
                "another nacre process uses {dir} and does not answer ({error}); stop it, or try again"
            )
            .into())
        }
    }
}
