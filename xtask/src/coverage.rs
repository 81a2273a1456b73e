//! `cargo xtask coverage`: threats and the tests that name them.

use crate::fault::Fault;
use crate::source::{Source, files};
use std::collections::{BTreeMap, BTreeSet};

/// The threats that the present product must withstand, by their numbers in the threat model.
const THREATS: [&[u8]; 13] = [
    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13],
    &[14, 15, 16, 17, 18, 19],
    &[20, 21, 22, 23, 24, 25, 26, 27],
    &[28, 29, 30, 31, 32, 33, 34],
    &[36, 37, 38, 39, 40, 41, 42, 43, 44, 45],
    &[46, 47, 48, 49, 50, 51, 52, 53],
    &[54, 55, 57, 58, 59, 60, 61, 62],
    &[63, 64, 65, 66, 67, 69, 70, 71, 73],
    &[74, 78, 79, 84],
    &[87, 88, 89, 90, 91, 92, 93],
    &[94, 95, 96, 97, 98, 99, 100],
    &[103, 104, 105, 107],
    &[108, 110, 111, 112],
];

/// Prints each threat's number of tests and names those without one. Reports; judges nothing.
pub(crate) fn run() -> Result<(), Fault> {
    let mut sources = files("crates", "rs")?;
    sources.extend(files("xtask", "rs")?);
    let tests: BTreeMap<u8, usize> =
        sources.iter().flat_map(named_threats).fold(BTreeMap::new(), |mut counts, threat| {
            *counts.entry(threat).or_insert(0) += 1;
            counts
        });
    let wanted: BTreeSet<u8> = THREATS.iter().flat_map(|section| section.iter().copied()).collect();
    let bare: Vec<String> =
        wanted.iter().filter(|id| !tests.contains_key(id)).map(|id| format!("T{id:02}")).collect();
    let covered = wanted.len() - bare.len();
    println!("    {covered} of {} threats are named by a test; {} tests name one", wanted.len(), {
        tests.values().sum::<usize>()
    });
    if !bare.is_empty() {
        println!("    without a test of their name: {}", bare.join(" "));
    }
    Ok(())
}

/// The threats in the names of a file's tests: `fn t28_t30_…`.
fn named_threats(source: &Source) -> Vec<u8> {
    let names = source.text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))
    });
    names.flat_map(threats_in).collect()
}

fn threats_in(name: &str) -> Vec<u8> {
    let word = |word: &str| word.strip_prefix('t').and_then(|digits| digits.parse().ok());
    name.split('_').map_while(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threats_are_read_from_the_front_of_a_name() {
        assert_eq!(threats_in("t28_t30_a_path_t31()"), [28, 30]);
        assert!(threats_in("the_t28()").is_empty());
    }
}
