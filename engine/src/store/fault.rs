//! A disk in memory that remembers every write and sync, can fail at any of them, and can lose power at any of them.
//!
//! What was synced is there after a crash. What was not may be there, be lost or be torn at a sector, each write on
//! its own and in any order. Tests only.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Smallest unit a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// One thing the store asked of the disk.
#[derive(Clone, Debug)]
enum Access {
    Write(usize, Vec<u8>),
    Resize(usize),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    /// What was there when the disk was switched on.
    first: Vec<u8>,
    bytes: Vec<u8>,
    log: Vec<Access>,
    fails_at: Option<usize>,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk with this content; with `fails_at`, that access and all later ones fail.
    pub fn new(content: Vec<u8>, fails_at: Option<usize>) -> Self {
        Disk(Arc::new(Mutex::new(State {
            first: content.clone(),
            bytes: content,
            log: Vec::new(),
            fails_at,
        })))
    }

    /// How many writes, resizes and syncs it has done.
    pub fn accesses(&self) -> usize {
        self.state().log.len()
    }

    /// What is on the disk when the power fails before access number `at`; `seed` decides the fate of what was not
    /// synced.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn access(&self, access: Access) -> io::Result<()> {
        let mut state = self.state();
        if state.fails_at.is_some_and(|at| at <= state.log.len()) {
            return Err(io::Error::other("the disk has failed"));
        }
        carry_out(&mut state.bytes, &access);
        state.log.push(access);
        Ok(())
    }
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
        let state = self.state();
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
