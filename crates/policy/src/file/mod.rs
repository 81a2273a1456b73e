//! Reading a policy file: TOML in, normal form or complaints out.

mod body;
mod class;
mod complaint;
mod constraint;
mod permit;
mod reader;
mod size;
mod tokens;
mod upgrade;

pub use complaint::Complaint;

use crate::Policy;
use crate::permit::Permit;
use crate::text;
use complaint::Complaints;
use reader::{Table, Value};
use std::collections::{BTreeSet, HashSet};
use toml::de::{DeTable, DeValue};

/// The largest policy file.
const MOST_BYTES: usize = 256 << 10;
/// The most permits in one file.
const MOST_PERMITS: usize = 256;

impl Policy {
    /// Parses a policy file (TOML). `file` is what complaints call it.
    ///
    /// # Errors
    /// Every complaint that could be found in one go, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::new(file, text);
        if text.len() > MOST_BYTES {
            let message = format!("a policy file has at most {} KiB", MOST_BYTES >> 10);
            complaints.add(0..0, "", message, "split it: one policy for each placeholder");
            return Err(complaints.into_list());
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            complaints.add(error.span().unwrap_or(0..0), "", error.message().replace('\n', " "), "");
        }
        if !complaints.is_empty() {
            return Err(complaints.into_list());
        }
        let permits = read_document(&Table::root(&root), &mut complaints);
        if complaints.is_empty() { Ok(Self::new(with_names(permits))) } else { Err(complaints.into_list()) }
    }
}

fn read_document(root: &Table<'_, '_>, to: &mut Complaints<'_>) -> Vec<Permit> {
    root.refuse_unknown(&["version", "permit"], to);
    match root.value("version") {
        None => to.add(0..0, "version", "the file says no version", "begin the file with: version = 1"),
        Some(value) if value.integer() == Some(1) => {}
        Some(value) => value.complain(to, "unknown version", "this broker reads: version = 1"),
    }
    let Some(list) = root.value("permit") else {
        to.add(0..0, "permit", "the file has no permit", "add a [[permit]] with to, call and place");
        return Vec::new();
    };
    read_permits(&list, to)
}

fn read_permits(list: &Value<'_, '_>, to: &mut Complaints<'_>) -> Vec<Permit> {
    if matches!(list.value, DeValue::Table(_)) {
        list.complain(to, "a single table", "write [[permit]] with two brackets");
        return Vec::new();
    }
    let mut permits = Vec::new();
    let mut names = HashSet::new();
    for (index, mut item) in list.items(to).into_iter().enumerate() {
        item.key = format!("permit[{}]", index + 1);
        if index == MOST_PERMITS {
            item.complain(
                to,
                format!("more than {MOST_PERMITS} permits"),
                "split the policy over several placeholders",
            );
            break;
        }
        let Some(read) = item.table(to).and_then(|table| permit::read(&table, to)) else { continue };
        if let Some(span) = read.named
            && !names.insert(read.permit.name.clone())
        {
            let message = format!("another permit is called {:?}", read.permit.name);
            to.add(span, &format!("{}.name", item.key), message, "give each permit its own name");
        }
        permits.push(read.permit);
    }
    tokens::fit_policy(&permits, list, to);
    permits
}

/// Gives permits without a name one that follows from what they say, whatever their order in the file.
fn with_names(permits: Vec<Permit>) -> Vec<Permit> {
    let (mut named, mut unnamed): (Vec<Permit>, Vec<Permit>) =
        permits.into_iter().partition(|permit| !permit.name.is_empty());
    unnamed.sort_by_cached_key(text::facts);
    unnamed.dedup();
    let mut taken: BTreeSet<String> = named.iter().map(|permit| permit.name.clone()).collect();
    for mut permit in unnamed {
        let call = permit.calls.first().map(ToString::to_string).unwrap_or_default();
        let base: String = format!("{call} at {}", permit.to);
        let mut name = base.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base} #{number}");
            number += 1;
        }
        permit.name = name;
        named.push(permit);
    }
    named
}
