//! Whether the clock can be right. Expiry, certificates and the record all depend on it; a machine that begins in 1970, or before what its
//! own disk has seen, does not serve.

use crate::failure::Failure;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-01T00:00:00Z: before this program was written.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);
/// How far two good clocks may differ.
const SLACK: Duration = Duration::from_secs(300);

/// Holds the clock against the program's age and the youngest file of the journal.
pub(super) fn check(journal: &Path) -> Result<(), Failure> {
    let seen = std::fs::read_dir(journal).into_iter().flatten().flatten();
    let youngest = seen.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    if is_possible(SystemTime::now(), youngest) {
        return Ok(());
    }
    Err(Failure::failed("the clock of this machine is behind: it cannot be that early")
        .hinting("give the virtual machine a clock: rtc=on under QEMU, or a kernel with kvm-clock"))
}

/// Whether a clock that says `now` can be right, where the youngest file of the journal is this old.
pub(crate) fn is_possible(now: SystemTime, youngest: Option<SystemTime>) -> bool {
    now >= UNIX_EPOCH + WRITTEN && youngest.is_none_or(|youngest| now + SLACK >= youngest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_program_or_before_its_disk_cannot_be_right() {
        let now = UNIX_EPOCH + WRITTEN + Duration::from_secs(86_400);
        assert!(is_possible(now, None) && is_possible(now, Some(now)));
        assert!(is_possible(now, Some(now + SLACK)));
        assert!(!is_possible(now, Some(now + SLACK + Duration::from_secs(1))));
        assert!(!is_possible(UNIX_EPOCH, None));
    }
}
