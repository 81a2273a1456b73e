//! A file system that fills up, fails and stalls when it is told to.

use crate::journal::disk::{Disk, Plain};
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stat,
    Write,
    Sync,
}

impl Step {
    pub(super) const ALL: [Self; 3] = [Self::Stat, Self::Write, Self::Sync];
}

#[derive(Default)]
struct State {
    /// What does not return until it is released.
    held: Option<Step>,
    /// How many hang there.
    hanging: u32,
    /// No file grows beyond this.
    room: Option<u64>,
    /// So many times each of these fails with EIO.
    failing: Option<(Step, u32)>,
    writes: u32,
}

#[derive(Default)]
pub(super) struct Faulty {
    state: Mutex<State>,
    changed: Condvar,
}

impl Faulty {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn hold(&self, step: Step) {
        self.state().held = Some(step);
    }

    pub(super) fn release(&self) {
        self.state().held = None;
        self.changed.notify_all();
    }

    pub(super) fn leave_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    pub(super) fn fail(&self, step: Step, times: u32) {
        self.state().failing = Some((step, times));
    }

    pub(super) fn writes(&self) -> u32 {
        self.state().writes
    }

    /// Returns when somebody hangs.
    pub(super) fn wait_until_hanging(&self) {
        drop(self.changed.wait_while(self.state(), |state| state.hanging == 0).unwrap());
    }

    fn meet(&self, step: Step) -> Result<()> {
        let mut state = self.state();
        while state.held == Some(step) {
            state.hanging += 1;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
            state.hanging -= 1;
        }
        state.writes += u32::from(step == Step::Write);
        match &mut state.failing {
            Some((failing, times)) if *failing == step && *times > 0 => {
                *times -= 1;
                Err(Error::from_raw_os_error(5))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn stat(&self, path: &Path) -> Result<Metadata> {
        self.meet(Step::Stat)?;
        Plain.stat(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> Result<usize> {
        self.meet(Step::Write)?;
        let room = self.state().room.map_or(u64::MAX, |room| room.saturating_sub(offset));
        match bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)) {
            0 => Err(ErrorKind::StorageFull.into()),
            fits => Plain.write_at(file, &bytes[..fits], offset),
        }
    }

    fn sync(&self, file: &File) -> Result<()> {
        self.meet(Step::Sync)?;
        Plain.sync(file)
    }
}
