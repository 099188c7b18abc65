//! `nacre restore`: checks a backup, then puts it into the data folder.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use crate::backup::restore::{Rebuilt, Restored, restore};
use crate::config::Config;

/// From where.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The folder `nacre backup` made.
    backup: PathBuf,
    /// Move what the data folder holds aside, into a folder inside it.
    #[arg(long)]
    force: bool,
}

/// Restores and says what.
pub(super) fn run(config: &Config, args: &RestoreArgs) -> Result<(), Box<dyn Error>> {
    let Restored { manifest, journal_rows, rebuilt, aside } =
        restore(&args.backup, &config.data_dir, args.force, config.cache_mib)?;
    let mut out = std::io::stdout().lock();
    let (books, bytes, folder) = (manifest.books(), manifest.bytes(), config.data_dir.display());
    writeln!(out, "{folder}: restored as of {}: {books} book(s), {bytes} bytes", manifest.created_at)?;
    writeln!(out, "every file is as its SHA-256 says; {journal_rows} journal rows are as derived anew")?;
    for Rebuilt { path, problems, first } in rebuilt {
        writeln!(
            out,
            "REBUILT {path}: its derived rows were not as this version derives them from its facts, so reports may say \
             something else than before; {problems} problem(s), the first: {first}"
        )?;
    }
    if let Some(aside) = aside {
        writeln!(out, "what was there is in {}", aside.display())?;
    }
    Ok(())
}
