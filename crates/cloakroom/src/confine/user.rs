//! Users of this machine by name, from its own files: `/etc/passwd` and `/etc/group` (passwd(5), group(5)). Users of a directory service are
//! named by their number.

use crate::failure::Failure;
use rustix::process::{Gid, Uid};

/// A user, with all its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) id: Uid,
    pub(super) group: Gid,
    pub(super) groups: Vec<Gid>,
}

impl User {
    /// By name, by number, or `NUMBER:GROUP`.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub(super) fn find(wanted: &str) -> Result<Self, Failure> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::among(wanted, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| {
            Failure::bad_input(format!("this machine has no user {wanted}")).hinting(
                "make one: useradd --system --shell /usr/sbin/nologin cloakroom; or write NUMBER:GROUP",
            )
        })
    }

    fn among(wanted: &str, passwd: &str, group: &str) -> Option<Self> {
        let rows = |text: &str| {
            text.lines()
                .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        if let Some((id, group)) = wanted.split_once(':') {
            let (id, group) = (Uid::from_raw(number(id)?), Gid::from_raw(number(group)?));
            return Some(Self { name: wanted.to_owned(), id, group, groups: vec![group] });
        }
        let is_it = |row: &Vec<String>| {
            row.first().is_some_and(|name| name == wanted) || row.get(2).is_some_and(|id| id == wanted)
        };
        let row = rows(passwd).into_iter().find(is_it)?;
        let (name, id, own) =
            (row.first()?.clone(), number(row.get(2)?)?, Gid::from_raw(number(row.get(3)?)?));
        let has = |row: &&Vec<String>| {
            row.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
        };
        let others = rows(group);
        let others = others.iter().filter(has).filter_map(|row| number(row.get(2)?)).map(Gid::from_raw);
        let groups = std::iter::once(own).chain(others.filter(|group| *group != own)).collect();
        Some(Self { name, id: Uid::from_raw(id), group: own, groups })
    }
}

/// SECURITY: the kernel takes the number of all ones for "leave it as it is".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nbroker:x:990:980::/:/bin/false\nbroken:x::\n";
    const GROUP: &str = "root:x:0:\nbroker:x:980:broker\ntss:x:59:other,broker\nalike:x:60:brokers\n";

    #[test]
    fn a_user_is_found_by_name_or_number_with_its_groups() {
        let broker = User::among("broker", PASSWD, GROUP).unwrap();
        assert_eq!((broker.id.as_raw(), broker.group.as_raw()), (990, 980));
        assert_eq!(broker.groups.iter().map(|group| group.as_raw()).collect::<Vec<_>>(), [980, 59]);
        assert_eq!(User::among("990", PASSWD, GROUP), Some(broker));
        let bare = User::among("5000:6000", PASSWD, GROUP).unwrap();
        assert_eq!((bare.id.as_raw(), bare.group.as_raw(), bare.groups.len()), (5000, 6000, 1));
    }

    #[test]
    fn who_is_not_there_is_nobody_and_the_number_that_means_no_change_is_no_user() {
        for wanted in ["", "nobody-here", "broken", "4294967295:1", "1:4294967295", "x:1", "-1"] {
            assert_eq!(User::among(wanted, PASSWD, GROUP), None, "{wanted:?}");
        }
    }
}
