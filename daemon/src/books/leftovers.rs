//! What a crash left behind in the data folder, removed at the next start: books of deleted profiles, and files that
//! were not whole yet when the process died.
//!
//! It refuses to remove a book only because no profile names it: a system store that was lost or restored from an older
//! backup must not cost anyone their books. Such files are named in the log and left alone.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::store::{ReadTx, Rows, Store, StoreError, WriteTx, tables};

/// Removes what is left over. Only behind the lock of the store, and before any book is opened.
pub(crate) fn sweep(data_dir: &Path, store: &Store) -> Result<(), StoreError> {
    let books_dir = data_dir.join("books");
    let everything = || 0..=u128::MAX;
    let (removed, known) = store.read_now::<_, StoreError>(|tx: &ReadTx| {
        let removed = tx.scan(&tables::REMOVED_BOOKS, everything(), usize::MAX, |id, _| id)?;
        let all = (0, 0)..=(u128::MAX, u128::MAX);
        let known = tx.scan(&tables::PROFILES, all, usize::MAX, |(_, id), _| id)?;
        Ok((removed, known.into_iter().collect::<HashSet<_>>()))
    })?;
    let gone = |id: &u128| unlink(&books_dir.join(format!("{}.redb", Uuid::from_u128(*id))));
    let done: Vec<u128> = removed.into_iter().filter(gone).collect();
    if !done.is_empty() {
        store.write_now::<_, StoreError>(|tx: &WriteTx| {
            done.iter().try_for_each(|id| tx.remove(&tables::REMOVED_BOOKS, *id).map(drop))
        })?;
    }
    for dir in [data_dir, &books_dir] {
        if let Err(error) = sweep_folder(dir, &known) {
            tracing::warn!(%error, dir = %dir.display(), "cannot look for leftover files");
        }
    }
    Ok(())
}

fn sweep_folder(dir: &Path, known: &HashSet<u128>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_unborn(name) {
            unlink(&path);
        }
        let book = name.strip_suffix(".redb").and_then(|id| id.parse::<Uuid>().ok());
        if book.is_some_and(|id| !known.contains(&id.as_u128())) {
            tracing::warn!(path = %path.display(), "this book belongs to no profile; it is left alone");
        }
    }
    Ok(())
}

/// Whether this is the name a file has while it is made: `<name>.redb.<process>.new`.
fn is_unborn(name: &str) -> bool {
    let process = name.strip_suffix(".new").and_then(|rest| rest.rsplit_once(".redb."));
    process
        .is_some_and(|(_, process)| !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the file is gone now.
fn unlink(path: &Path) -> bool {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot remove a leftover file");
            false
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::access::tests::fresh;
    use crate::server::problem::Problem;
    use crate::workspaces::profiles;
    use crate::{AppState, Config};
    use uuid::Uuid;

    #[tokio::test]
    async fn a_start_removes_deleted_books_and_half_made_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let books = dir.path().join("books");
        let access = fresh(dir.path()).await;
        let kept = access.profile_id;
        access.prepare().await.unwrap();
        let (user, workspace) = (access.user, access.workspace);
        // The process dies between the two steps of a deletion.
        let delete = move |tx: &crate::store::WriteTx| {
            let change = crate::workspaces::settings::Change::default();
            let (id, _) = profiles::create(tx, user, workspace, ("label", "gone"), change)?;
            profiles::delete(tx, user, workspace, id)?;
            Ok(id)
        };
        let deleted = access.state.store.write::<_, Problem, _>(delete).await.unwrap();
        let stranger = Uuid::now_v7();
        let file = |id: Uuid| books.join(format!("{id}.redb"));
        let half = [books.join(format!("{kept}.redb.17.new")), dir.path().join("system.redb.17.new")];
        let mine = books.join("my.new");
        for path in half.iter().chain([&file(deleted), &file(stranger), &mine]) {
            std::fs::write(path, "").unwrap();
        }
        drop(access);

        let state = AppState::open(Config::for_data_dir(dir.path())).await.unwrap();
        assert!(!file(deleted).exists());
        assert!(half.iter().all(|path| !path.exists()));
        assert!(file(kept).exists() && file(stranger).exists() && mine.exists());
        let all = 0..=u128::MAX;
        let left = state.store.read_now::<_, crate::store::StoreError>(|tx| {
            use crate::store::Rows;
            tx.scan(&crate::store::tables::REMOVED_BOOKS, all, 9, |id, _| id)
        });
        assert!(left.unwrap().is_empty());
    }
}
