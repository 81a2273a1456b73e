//! `cargo xtask coverage`: the threat model held against the tree.
//!
//! ```text
//! | T63 | C | attack | what happens | `egress` t63_one_test; `policy` t63_t64_another and 4 more |     held by tests
//! ## Without a test of their name
//! | T05 | H | attack |                                                                            held by none, and said so
//! ```

use crate::fault::Fault;
use crate::shell::root;
use crate::source::{Source, files};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const DOCUMENT: &str = "docs/threat-model.md";

/// The heading over the rows that no test holds.
const BARE: &str = "## Without a test of their name";

/// One row of the threat model.
struct Row<'a> {
    threat: u8,
    /// Stands under [`BARE`].
    is_bare: bool,
    /// The tests that its last cell names, each with its crate.
    tests: Vec<(&'a str, &'a str)>,
    /// How many more it says that there are.
    more: usize,
}

/// A test by where it stands: its crate, and its name.
type Test = (String, String);

/// Prints how many threats tests name, and by how many; holds each row of the threat model against the tests that there are.
pub(crate) fn run() -> Result<(), Fault> {
    let mut sources = files("crates", "rs")?;
    sources.extend(files("xtask", "rs")?);
    let tests: BTreeSet<Test> = sources.iter().flat_map(tests_in).collect();
    let document = fs::read_to_string(root().join(DOCUMENT))?;
    let rows: Vec<Row<'_>> = rows(&document);
    let bare: Vec<String> =
        rows.iter().filter(|row| row.is_bare).map(|row| format!("T{:02}", row.threat)).collect();
    let naming = tests.iter().filter(|(_, name)| !threats_in(name).is_empty()).count();
    println!(
        "    {} of {} threats are named by a test; {naming} tests name one",
        rows.len() - bare.len(),
        rows.len()
    );
    println!("    without a test of their name, and said so: {}", bare.join(" "));
    Fault::unless_empty(DOCUMENT, complaints(&rows, &tests))
}

/// What the document says and the tree does not.
fn complaints(rows: &[Row<'_>], tests: &BTreeSet<Test>) -> Vec<String> {
    let mut held: BTreeMap<u8, BTreeSet<&Test>> = BTreeMap::new();
    for test in tests {
        for threat in threats_in(&test.1) {
            held.entry(threat).or_default().insert(test);
        }
    }
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let id = format!("T{:02}", row.threat);
        if !seen.insert(row.threat) {
            complaints.push(format!("{id} stands twice"));
        }
        for (package, test) in &row.tests {
            if !tests.contains(&((*package).to_owned(), (*test).to_owned())) {
                complaints.push(format!("{id} names a test that there is not: `{package}` {test}"));
            } else if !threats_in(test).contains(&row.threat) {
                complaints.push(format!("{id} names a test of another threat: `{package}` {test}"));
            }
        }
        let there_are = held.get(&row.threat).map_or(0, BTreeSet::len);
        match (row.is_bare, there_are) {
            (false, 0) => complaints.push(format!("{id} has no test of its name: move it under {BARE:?}")),
            (true, 1..) => {
                complaints.push(format!("{id} has a test of its name: move it from under {BARE:?}"))
            }
            (false, _) if row.tests.is_empty() => complaints.push(format!("{id} names none of its tests")),
            (false, there_are) if row.tests.len() + row.more > there_are => complaints.push(format!(
                "{id} says that {} tests hold it, and there are {there_are}",
                row.tests.len() + row.more
            )),
            _ => {}
        }
    }
    let unknown = held.keys().filter(|threat| !seen.contains(threat));
    complaints.extend(unknown.map(|threat| format!("T{threat:02} is named by a test and has no row")));
    complaints
}

/// The rows of the document, in order.
fn rows(document: &str) -> Vec<Row<'_>> {
    let mut is_bare = false;
    let mut rows = Vec::new();
    for line in document.lines() {
        is_bare |= line == BARE;
        let Some(threat) = threat_of(line) else { continue };
        let last = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let (tests, more) = if is_bare { (Vec::new(), 0) } else { named(last) };
        rows.push(Row { threat, is_bare, tests, more });
    }
    rows
}

/// `| T63 | …`
fn threat_of(line: &str) -> Option<u8> {
    line.strip_prefix("| T")?.split(' ').next()?.parse().ok()
}

/// The tests that a cell names, and how many more it says that there are: `` `egress` t63_one; `policy` t63_two and 4 more ``.
fn named(cell: &str) -> (Vec<(&str, &str)>, usize) {
    let mut more = 0;
    let mut tests = Vec::new();
    for part in cell.split("; ") {
        let mut words = part.split_whitespace();
        let package = words.next().unwrap_or_default().trim_matches('`');
        tests.extend(words.next().map(|test| (package, test)));
        if words.next() == Some("and") {
            more += words.next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
        }
    }
    (tests, more)
}

/// The functions of a file whose names begin with a threat: `fn t28_t30_…`.
fn tests_in(source: &Source) -> Vec<Test> {
    let package = source.path.strip_prefix("crates/").unwrap_or(&source.path);
    let package = package.split('/').next().unwrap_or_default();
    let names = source.text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))
    });
    let names = names.map(|name| name.split(['(', '<']).next().unwrap_or_default());
    let named = names.filter(|name| !threats_in(name).is_empty());
    named.map(|name| (package.to_owned(), name.to_owned())).collect()
}

fn threats_in(name: &str) -> Vec<u8> {
    let word = |word: &str| word.strip_prefix('t').and_then(|digits| digits.parse().ok());
    name.split('_').map_while(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "| T01 | C | a | b | `egress` t01_t02_one; `policy` t01_two and 1 more |\n\
        | T02 | H | a `x\\|y` | b | `egress` t01_t02_one |\n\n## Without a test of their name\n| T05 | H | a |\n";

    fn found(document: &str) -> Vec<String> {
        let test = |package: &str, name: &str| (package.to_owned(), name.to_owned());
        let tests = [test("egress", "t01_t02_one"), test("policy", "t01_two"), test("store", "t01_three")];
        complaints(&rows(document), &tests.into())
    }

    #[test]
    fn threats_are_read_from_the_front_of_a_name() {
        assert_eq!(threats_in("t28_t30_a_path_t31"), [28, 30]);
        assert!(threats_in("the_t28").is_empty());
    }

    #[test]
    fn a_document_that_agrees_with_the_tree_has_no_complaints() {
        assert_eq!(found(SOUND), Vec::<String>::new());
    }

    #[test]
    fn each_disagreement_is_named() {
        let row = "| T02 | H | a | b | `egress` t01_t02_one |\n";
        for (changed, complaint) in [
            (format!("{row}{SOUND}"), "T02 stands twice"),
            (SOUND.replace("t01_two", "t01_gone"), "T01 names a test that there is not: `policy` t01_gone"),
            (
                SOUND.replace("`policy` t01_two", "`egress` t01_two"),
                "T01 names a test that there is not: `egress` t01_two",
            ),
            (SOUND.replace("T02", "T09"), "T09 names a test of another threat: `egress` t01_t02_one"),
            (SOUND.replace("T02", "T09"), "T02 is named by a test and has no row"),
            (SOUND.replace("and 1 more", "and 2 more"), "T01 says that 4 tests hold it, and there are 3"),
            (SOUND.replace(BARE, ""), "T05 has no test of its name"),
            (SOUND.replace("T05", "T02").replace(row, ""), "T02 has a test of its name"),
        ] {
            let found = found(&changed);
            assert!(found.iter().any(|found| found.starts_with(complaint)), "{complaint}: {found:?}");
        }
    }
}
