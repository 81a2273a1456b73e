//! The user that a command runs as.

use rustix::process::{getgid, getgroups, getuid};
use rustix::thread::set_thread_groups;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Whoever runs this process.
    pub(crate) fn own() -> Self {
        Self { uid: getuid().as_raw(), gid: getgid().as_raw() }
    }

    /// Starts something while this thread has no groups but the user's; it needs its own again to reach the broker.
    ///
    /// # Errors
    /// Where they cannot be given up. SECURITY: a group that nobody spoke of may open files that the command must not read.
    pub(crate) fn alone<T>(self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let own = getgroups()?;
        if own.iter().all(|group| group.as_raw() == self.gid) {
            return start();
        }
        set_thread_groups(&[]).map_err(|_| {
            io::Error::other("its further groups cannot be given up: start init without them")
        })?;
        let started = start();
        // With fewer than before, less can be reached: that is safe.
        let _ = set_thread_groups(&own);
        started
    }

    /// Lets this command run as the user. One that is this process's own is not changed: that takes no privilege.
    pub(crate) fn dress(self, command: &mut Command) {
        if self != Self::own() {
            command.uid(self.uid).gid(self.gid);
        }
    }
}

impl FromStr for User {
    type Err = &'static str;
    /// `UID`, or `UID:GID`; a user alone has the group of the same number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse().map_err(|_| "a user is a number, or two: 1000 or 1000:1000");
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        Ok(Self { uid: number(uid)?, gid: number(gid)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_or_two() {
        assert_eq!("7".parse(), Ok(User { uid: 7, gid: 7 }));
        assert_eq!("7:8".parse(), Ok(User { uid: 7, gid: 8 }));
        for wrong in ["", "root", "7:", ":7", "-1", "7:8:9", "4294967296"] {
            assert!(wrong.parse::<User>().is_err(), "{wrong}");
        }
    }
}
