//! Whether there is room on the disk of the data folder, found out by writing.
//!
//! It refuses to guess from counters of the file system: quotas and limits on the size of files do not show there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

/// Room that must be there before writing goes on.
const ROOM_BYTES: u64 = 4 << 20;

/// Writes [`ROOM_BYTES`] behind the length of `file` into a file of `spool_dir` that is removed again.
///
/// # Errors
/// What the system says when they cannot be written.
pub(crate) fn probe(spool_dir: &Path, file: &Path) -> io::Result<()> {
    std::fs::create_dir_all(spool_dir)?;
    let path = spool_dir.join(format!("room-{}", Uuid::now_v7()));
    let length = std::fs::metadata(file).map_or(0, |found| found.len());
    let tried = fill(&path, length);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => tried,
    }
}

fn fill(path: &Path, from: u64) -> io::Result<()> {
    let file = File::create_new(path)?;
    // Some file systems take no room for zeros.
    let piece = [0x5a; 64 << 10];
    for offset in (from..from + ROOM_BYTES).step_by(piece.len()) {
        file.write_all_at(&piece, offset)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::probe;

    #[test]
    fn a_probe_leaves_nothing_and_needs_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        probe(&spool, &dir.path().join("none")).unwrap();
        assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
        let no_folder = dir.path().join("file");
        std::fs::write(&no_folder, "").unwrap();
        assert!(probe(&no_folder, &no_folder).is_err());
    }
}
