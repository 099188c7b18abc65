//! A disk in memory that remembers every write and sync, can fail, fill up or lose power at any of them.
//!
//! What was synced is there after a crash. What was not may be there, be lost or be torn at a sector, each write on
//! its own and in any order. A failed write may have left a part of itself. For tests and the fuzz targets only.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Smallest unit a disk writes whole.
const SECTOR_BYTES: usize = 512;
/// Smallest unit of room.
const PAGE_BYTES: usize = 4096;

/// What goes wrong, counted from the moment it is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power fails after this many writes, resizes and syncs; then nothing answers any more.
    PowerLoss {
        /// Accesses that are still carried out.
        after: usize,
    },
    /// After `after` calls of any kind, reads too, the next `count` fail.
    Errors {
        /// Calls that still succeed.
        after: usize,
        /// Calls that fail then.
        count: usize,
    },
    /// After this many writes, resizes and syncs there is no more room.
    Full {
        /// Accesses that are still carried out.
        after: usize,
        /// Whether the file may be made longer all the same, and writing fails where nothing was written yet: a file
        /// with holes. Otherwise it cannot be made longer.
        holes: bool,
    },
}

/// One thing the store asked of the disk.
#[derive(Clone, Debug)]
enum Access {
    Write(usize, Vec<u8>),
    Resize(usize),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    /// What was there when the disk was switched on, or when [`Disk::forget_synced`] was called.
    first: Vec<u8>,
    bytes: Vec<u8>,
    log: Vec<Access>,
    fault: Option<Fault>,
    /// Whether the fault has shown itself.
    struck: bool,
    /// Whether syncs are answered and not done.
    lies: bool,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk with this content; with `fails_at`, that access and all later ones fail.
    #[must_use]
    pub fn new(content: Vec<u8>, fails_at: Option<usize>) -> Self {
        Disk(Arc::new(Mutex::new(State {
            first: content.clone(),
            bytes: content,
            fault: fails_at.map(|after| Fault::PowerLoss { after }),
            ..State::default()
        })))
    }

    /// From now on syncs are acknowledged and not done: a disk that loses what it promised.
    pub fn lie_about_syncs(&self) {
        self.state().lies = true;
    }

    /// Plans a fault, or ends the one there is.
    pub fn plan(&self, fault: Option<Fault>) {
        let mut state = self.state();
        (state.fault, state.struck) = (fault, false);
    }

    /// Whether the planned fault has failed something.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.state().struck
    }

    /// How many writes, resizes and syncs it has done.
    #[must_use]
    pub fn accesses(&self) -> usize {
        self.state().log.len()
    }

    /// What is on the disk when the power fails before access number `at`; `seed` decides the fate of what was not
    /// synced.
    #[must_use]
    pub fn after_power_loss(&self, at: usize, seed: u64) -> Vec<u8> {
        let state = self.state();
        let log = &state.log[..at];
        let synced = log.iter().rposition(|access| matches!(access, Access::Sync)).unwrap_or(0);
        let mut bytes = state.first.clone();
        log[..synced].iter().for_each(|access| carry_out(&mut bytes, access));
        let mut dice = seed;
        for access in &log[synced..] {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (access, dice >> 62) {
                (_, 0) => {}
                (Access::Write(offset, data), 1) => {
                    let kept = (dice as usize >> 8) % (data.len() / SECTOR_BYTES + 1) * SECTOR_BYTES;
                    carry_out(&mut bytes, &Access::Write(*offset, data[..kept].to_vec()));
                }
                _ => carry_out(&mut bytes, access),
            }
        }
        bytes
    }

    /// Switched on again after the power failed now.
    #[must_use]
    pub fn restarted(&self, seed: u64) -> Self {
        let next = Disk::new(self.after_power_loss(self.accesses(), seed), None);
        next.state().lies = self.state().lies;
        next
    }

    /// Forgets how what is synced came to be; [`Disk::accesses`] starts anew.
    pub fn forget_synced(&self) {
        let mut state = self.state();
        let synced =
            state.log.iter().rposition(|access| matches!(access, Access::Sync)).map_or(0, |at| at + 1);
        let done: Vec<Access> = state.log.drain(..synced).collect();
        done.iter().for_each(|access| carry_out(&mut state.first, access));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn access(&self, access: Access) -> io::Result<()> {
        let mut state = self.state();
        if let Err(error) = state.admits(Some(&access)) {
            if let (Access::Write(offset, data), true) =
                (&access, matches!(state.fault, Some(Fault::Errors { .. })))
            {
                // A part of what was refused may be there.
                let kept = data.len() / 2 / SECTOR_BYTES * SECTOR_BYTES;
                state.done(Access::Write(*offset, data[..kept].to_vec()));
            }
            return Err(error);
        }
        if !(state.lies && matches!(access, Access::Sync)) {
            state.done(access);
        }
        Ok(())
    }
}

impl State {
    fn done(&mut self, access: Access) {
        carry_out(&mut self.bytes, &access);
        self.log.push(access);
    }

    /// Whether the fault lets this call through; `None` is a read.
    fn admits(&mut self, access: Option<&Access>) -> io::Result<()> {
        let refused = match (&mut self.fault, access) {
            (None, _) => None,
            (Some(Fault::PowerLoss { after: 0 }), _) => Some(io::Error::other("the disk has failed")),
            (Some(Fault::PowerLoss { after }), Some(_)) => {
                *after -= 1;
                None
            }
            (Some(Fault::Errors { after: 0, count: 0 }), _) => None,
            (Some(Fault::Errors { after: 0, count }), _) => {
                *count -= 1;
                Some(io::Error::other("an error of the disk"))
            }
            (Some(Fault::Errors { after, .. }), _) => {
                *after -= 1;
                None
            }
            (Some(Fault::Full { after: 0, holes }), Some(access)) => {
                let room = match access {
                    Access::Write(offset, data) => !*holes || !has_hole(&self.bytes, *offset, data.len()),
                    Access::Resize(len) => *holes || *len <= self.bytes.len(),
                    Access::Sync => true,
                };
                (!room).then(|| io::Error::from(io::ErrorKind::StorageFull))
            }
            (Some(Fault::Full { after, .. }), Some(_)) => {
                *after -= 1;
                None
            }
            (Some(_), None) => None,
        };
        self.struck |= refused.is_some();
        refused.map_or(Ok(()), Err)
    }
}

/// Whether a part of this range takes no room on the disk yet.
fn has_hole(bytes: &[u8], offset: usize, length: usize) -> bool {
    let first = offset / PAGE_BYTES * PAGE_BYTES;
    (first..offset + length).step_by(PAGE_BYTES).any(|page| {
        let there = bytes.get(page..bytes.len().min(page + PAGE_BYTES)).unwrap_or_default();
        there.iter().all(|byte| *byte == 0)
    })
}

fn carry_out(bytes: &mut Vec<u8>, access: &Access) {
    match access {
        Access::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Access::Resize(len) => bytes.resize(*len, 0),
        Access::Sync => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.admits(None)?;
        let found = state.bytes.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.access(Access::Resize(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.access(Access::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.access(Access::Write(offset as usize, data.to_vec()))
    }
}
