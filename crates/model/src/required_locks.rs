//! The locks on workloads' networks without which no call goes out, and until when they are proved.

use crate::{Code, Name, Refusal, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the operator insists on. Read by every call, written when a lock was checked.
#[derive(Debug, Default)]
pub struct RequiredLocks {
    names: BTreeSet<Name>,
    /// Milliseconds; 0 is long ago: a broker that starts has proved nothing.
    until: AtomicU64,
}

impl RequiredLocks {
    /// Those of these names; none of them is proved.
    pub fn new(names: impl IntoIterator<Item = Name>) -> Self {
        Self { names: names.into_iter().collect(), until: AtomicU64::new(0) }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// Says until when all of them are proved; `None`: they are not.
    pub fn prove(&self, until: Option<Timestamp>) {
        self.until.store(until.map_or(0, Timestamp::millis), Relaxed);
    }

    /// Whether a call may go out.
    ///
    /// # Errors
    /// `not-locked` where a lock is insisted on and not proved now.
    pub fn hold(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.names.is_empty() || now.millis() < self.until.load(Relaxed) {
            return Ok(());
        }
        Err(Refusal::new(Code::NotLocked, "the operator wants the workload's network proved locked first")
            .unsent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn t112_a_call_waits_for_the_proof_of_every_lock_that_is_insisted_on() {
        let now = Timestamp::now();
        assert!(RequiredLocks::default().hold(now).is_ok(), "nothing is insisted on");
        let locks = RequiredLocks::new([Name::parse("robot").unwrap()]);
        let code = |locks: &RequiredLocks| locks.hold(now).err().map(|refusal| refusal.code());
        assert_eq!(code(&locks), Some(Code::NotLocked), "nothing is proved");
        locks.prove(Some(now.plus(Duration::from_secs(1))));
        assert_eq!(code(&locks), None);
        locks.prove(Some(now));
        assert_eq!(code(&locks), Some(Code::NotLocked), "the proof is too old");
        locks.prove(None);
        assert_eq!(code(&locks), Some(Code::NotLocked));
    }
}
