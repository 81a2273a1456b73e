//! Who sees the packets of a check's attempts before the lock and behind it: rules beside the lock's own, for as long as the check takes. They
//! count and change nothing.

use super::mark::Mark;
use super::model::Lock;
use super::probe::Attempt;
use super::{nft, rules};
use crate::failure::Failure;
use cloakroom_model::Name;
use std::fmt::Write;

/// Where packets are counted.
#[derive(Clone, Copy)]
enum Where {
    /// Before the lock.
    Met,
    /// Behind it, on their way through this machine.
    Handed,
    /// Behind it, on their way to a listener of this machine.
    Arrived,
}

impl Where {
    const ALL: [Self; 3] = [Self::Met, Self::Handed, Self::Arrived];

    const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Handed => "handed",
            Self::Arrived => "arrived",
        }
    }
}

/// What became of one attempt's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How many came to the lock.
    pub(super) met: u64,
    /// How many the lock let through this machine.
    pub(super) handed: u64,
    /// How many it let come to a listener of this machine.
    pub(super) arrived: u64,
    /// Over IPv6, how many questions for the next hop came to the lock, where none came out behind it: without an answer no packet leaves.
    pub(super) asked: u64,
}

/// Questions for a neighbour's hardware address (RFC 4861), before the lock and behind it.
const ASKED: &str = "asked";
const HEARD: &str = "heard";

/// The rules, which go when this does.
pub(super) struct Witness {
    table: String,
    /// Whether each attempt is over IPv6.
    over_ipv6: Vec<bool>,
}

/// Takes away what a check left that was killed.
pub(super) fn forget(name: &Name) {
    // Where there is nothing, nothing is to be done.
    let _ = nft::load(&format!("delete table inet {}\n", table(name)));
}

fn table(name: &Name) -> String {
    format!("cloakroomcheck_{name}")
}

impl Witness {
    /// Looks out for the packets of these attempts, each with its mark.
    ///
    /// # Errors
    /// Where the kernel does not take the rules.
    pub(super) fn look(lock: &Lock, attempts: &[(Attempt, Mark)]) -> Result<Self, Failure> {
        let table = table(&lock.name);
        nft::load(&text(&table, lock, attempts))?;
        Ok(Self { table, over_ipv6: attempts.iter().map(|(attempt, _)| attempt.to.is_ipv6()).collect() })
    }

    /// What was seen until now, attempt by attempt.
    pub(super) fn seen(&self) -> Result<Vec<Seen>, Failure> {
        let counted = nft::counted(&self.table)?;
        let count = |name: &str| {
            let gone = || Failure::failed("the rules of the check are gone");
            counted.get(name).copied().ok_or_else(gone)
        };
        let asked = if count(HEARD)? == 0 { count(ASKED)? } else { 0 };
        let of = |(index, over_ipv6): (usize, &bool)| {
            Ok(Seen {
                met: count(&counter(Where::Met, index))?,
                handed: count(&counter(Where::Handed, index))?,
                arrived: count(&counter(Where::Arrived, index))?,
                asked: if *over_ipv6 { asked } else { 0 },
            })
        };
        self.over_ipv6.iter().enumerate().map(of).collect()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // What stays counts, and closes and opens nothing.
        let _ = nft::load(&format!("delete table inet {}\n", self.table));
    }
}

fn counter(at: Where, index: usize) -> String {
    format!("{}{index}", at.name())
}

fn text(table: &str, lock: &Lock, attempts: &[(Attempt, Mark)]) -> String {
    let wires = rules::wires(lock);
    // One that a check left which was killed is replaced.
    let mut text = format!("table inet {table} {{ }}\ndelete table inet {table}\ntable inet {table} {{\n");
    for name in [ASKED, HEARD] {
        let _ = writeln!(text, "\tcounter {name} {{ }}");
    }
    for at in Where::ALL {
        for index in 0..attempts.len() {
            let _ = writeln!(text, "\tcounter {} {{ }}", counter(at, index));
        }
    }
    for at in Where::ALL {
        let _ = writeln!(text, "\tchain {} {{", at.name());
        let question = match at {
            Where::Met => Some(ASKED),
            Where::Arrived => Some(HEARD),
            Where::Handed => None,
        };
        if let Some(name) = question {
            let _ = writeln!(text, "\t\ticmpv6 type nd-neighbor-solicit counter name {name}");
        }
        // What came to a listener may have been led there.
        let wherever = matches!(at, Where::Arrived);
        for (index, (attempt, mark)) in attempts.iter().enumerate() {
            let matching = mark.matches(attempt, wherever);
            let _ = writeln!(text, "\t\t{matching} counter name {}", counter(at, index));
        }
        text.push_str("\t}\n");
    }
    // The lock's own chains stand between.
    for (hook, before, after) in
        [("forward", Where::Met, Where::Handed), ("input", Where::Met, Where::Arrived)]
    {
        for (at, priority) in [(before, "filter - 6"), (after, "filter - 4")] {
            let _ = writeln!(
                text,
                "\tchain {hook}_{0} {{\n\t\ttype filter hook {hook} priority {priority}; policy accept;\n\t\tiifname {wires} jump {0}\n\t}}",
                at.name()
            );
        }
    }
    text.push_str("}\n");
    text
}
