//! Reads and writes against what real servers read: the reference implementation of GraphQL.

use crate::clients::{installed, script};
use cloakroom_policy::fuzz::operation_kinds;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every text that stands in the corpus as a document.
fn corpus() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/classify/graphql.toml");
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut documents = Vec::new();
    for case in table["case"].as_array().unwrap() {
        let Some(body) = case.get("body").and_then(|body| body.as_str()) else { continue };
        let parsed = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
        let all = parsed.as_array().cloned().unwrap_or_else(|| vec![parsed]);
        documents.extend(all.iter().filter_map(|one| one["query"].as_str().map(str::to_owned)));
    }
    documents
}

/// Documents of words that meet in GraphQL, always the same ones.
fn made(count: usize) -> Vec<String> {
    const WORDS: [&str; 40] = [
        "query",
        "mutation",
        "subscription",
        "fragment F on Q",
        "on",
        "{",
        "}",
        "(",
        ")",
        "a",
        "F",
        "...",
        "\"",
        "\"\"\"",
        "\\",
        "#",
        "\n",
        "\r",
        " ",
        ":",
        "1",
        "@d",
        "$x",
        "[",
        "]",
        "{a}",
        "{ b { c } }",
        "query A {a}",
        "mutation B {b}",
        "(x: \"y\")",
        "(s: \"\"\"z\"\"\")",
        "# c\n",
        "\\\"\"\"",
        ", ",
        "\u{feff}",
        "...F",
        "... on Q {d}",
        "\u{e9}",
        "-1.5e3",
        "|",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(most).unwrap()).unwrap()
    };
    let mut document = || {
        // Half of them begin as documents do, so that many parse.
        let mut text = ["", "{a} ", "query Q { a", "mutation M { a"][next(4)].to_owned();
        for _ in 0..next(9) {
            text.push_str(WORDS[next(WORDS.len())]);
        }
        text + ["", "}", " }", "} # e"][next(4)]
    };
    (0..count).map(|_| document()).collect()
}

#[test]
fn t35_no_document_that_graphql_js_takes_for_a_mutation_is_taken_for_a_query() {
    let Some(clients) = installed() else { return };
    // Node looks for packages beside the program.
    let program = clients.join("node/graphql_kinds.mjs");
    std::fs::copy(script("graphql_kinds.mjs"), &program).unwrap();
    let documents: Vec<String> = corpus().into_iter().chain(made(30_000)).collect();
    let mut node =
        Command::new("node").arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let asked = serde_json::to_vec(&documents).unwrap();
    let mut stdin = node.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&asked).unwrap());
    let output = node.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let theirs: Vec<Option<Vec<String>>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), documents.len());
    let (mut both, mut writes) = (0, 0);
    for (document, theirs) in documents.iter().zip(theirs) {
        let ours = operation_kinds(document);
        // Where only one of the two reads it, the server refuses it or the broker counts it as a write.
        let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
        assert_eq!(ours, theirs, "{document:?}");
        both += 1;
        writes += usize::from(theirs.iter().any(|kind| kind != "query"));
    }
    assert!(both > 1000 && writes > 300, "{both} documents were read by both, {writes} of them write");
}
