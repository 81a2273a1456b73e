//! The corpus in `scenarios/classify`: calls, each with its class, or refused.

use super::{Class, Terms, classify};
use crate::decide::body::BodyView;
use bytes::Bytes;
use cloakroom_model::{Call, Destination, Path, Payload, Query, RequestId, Timestamp, Upgrade, Way};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A file of the corpus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    /// What the permit says.
    #[serde(default)]
    terms: Terms,
    call: Base,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    method: String,
    /// Path and query.
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    upgrade: Option<Upgrade>,
}

/// The call with some of it said anew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `read`, `write` or `refused`.
    expect: String,
    /// Words of the reason.
    because: Option<String>,
    terms: Option<Terms>,
    method: Option<String>,
    target: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    drop: Vec<String>,
    body: Option<String>,
    upgrade: Option<Upgrade>,
    /// Only so many bytes of the body are read.
    read: Option<usize>,
}

fn call(base: &Base, read: Option<usize>) -> Call {
    let (path, query) = base.target.split_once('?').unwrap_or((&base.target, ""));
    let mut headers = http::HeaderMap::new();
    for (name, value) in &base.headers {
        // Several values of one name, with a bar between.
        for value in value.split('|') {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
    }
    let body = Bytes::from(base.body.clone());
    let body = match read {
        None => Payload::complete(body),
        Some(read) => {
            let rest = http_body_util::Full::new(body.slice(read..));
            let rest = http_body_util::BodyExt::map_err(rest, |never| match never {});
            let length = Some(body.len() as u64);
            Payload {
                head: body.slice(..read),
                rest: Some(http_body_util::BodyExt::boxed_unsync(rest)),
                length,
                trailers: None,
            }
        }
    };
    Call {
        request: RequestId::new(Timestamp::from_millis(1), [1; 10]),
        way: Way::Connect,
        method: base.method.parse().unwrap(),
        destination: Destination::parse("https://api.example.com").unwrap(),
        path: Path::parse(path).unwrap(),
        query: Query::parse(query).unwrap(),
        headers,
        upgrade: base.upgrade,
        body,
    }
}

fn outcome(call: &Call, terms: &Terms) -> (&'static str, &'static str) {
    match classify(call, &BodyView::new(call), terms) {
        Ok(classified) => match classified.class {
            Class::Read => ("read", classified.because),
            Class::Write => ("write", classified.because),
        },
        Err(disagreement) => ("refused", disagreement.0),
    }
}

impl Case {
    fn call(&self, base: &Base) -> Call {
        let mut own = base.clone();
        own.method = self.method.clone().unwrap_or(own.method);
        own.target = self.target.clone().unwrap_or(own.target);
        own.body = self.body.clone().unwrap_or(own.body);
        own.upgrade = self.upgrade.or(own.upgrade);
        own.headers.extend(self.set.clone());
        self.drop.iter().for_each(|name| drop(own.headers.remove(name)));
        call(&own, self.read)
    }
}

fn files() -> Vec<(String, Corpus)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/classify");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        (
            path.display().to_string(),
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        )
    };
    std::fs::read_dir(directory).unwrap().map(read).collect()
}

#[test]
fn t35_every_call_of_the_corpus_has_its_class_or_is_refused() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, corpus) in files() {
        for case in &corpus.cases {
            let terms = case.terms.as_ref().unwrap_or(&corpus.terms);
            let (class, because) = outcome(&case.call(&corpus.call), terms);
            let reason_fits = case.because.as_ref().is_none_or(|words| because.contains(words.as_str()));
            if class != case.expect || !reason_fits {
                wrong.push(format!("{file}: {}: {class}, {because}; expected {}", case.name, case.expect));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "the corpus has {seen} cases");
}

#[test]
fn t35_without_a_protocol_in_the_permit_no_body_makes_a_write_a_read() {
    for (_, corpus) in files() {
        for case in &corpus.cases {
            let call = case.call(&corpus.call);
            if call.method == http::Method::POST {
                assert_ne!(outcome(&call, &Terms::default()).0, "read", "{}", case.name);
            }
        }
    }
}

/// Documents of words that meet in GraphQL.
fn documents() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("query"),
        Just("mutation"),
        Just("subscription"),
        Just("fragment"),
        Just("on"),
        Just("{"),
        Just("}"),
        Just("("),
        Just(")"),
        Just("a"),
        Just("F"),
        Just("..."),
        Just("\""),
        Just("\"\"\""),
        Just("\\"),
        Just("#"),
        Just("\n"),
        Just("\r"),
        Just(" "),
        Just(":"),
        Just("1"),
        Just("@"),
        Just("$x"),
        Just("["),
        Just("]"),
        Just("mutation{x}"),
        Just("{a}"),
        Just("fragment F on Q{b}"),
        Just("query Q"),
        Just("\u{feff}"),
        Just(","),
    ];
    prop::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_body_makes_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(--X|\r\n|:|=|\\?|=\\?utf-8\\?[qb]\\?|\"|name|[a-z ;]|\\PC){0,40}") {
        crate::fuzz::call_body(&bytes);
        crate::fuzz::call_body(text.as_bytes());
        crate::fuzz::call_body(format!("--X{text}\r\n--X--").as_bytes());
        crate::fuzz::call_body(format!("Subject: {text}\nContent-Type: multipart/mixed; boundary=X\n\n{text}").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// A reader that knows nothing but where strings and comments end sees the word at the top of what is not a read.
    #[test]
    fn t35_no_document_with_a_mutation_at_its_top_reads(text in documents()) {
        let Ok(document) = super::graphql::Document::parse(&text) else { return Ok(()) };
        let queries = document.operations.iter().all(|one| one.kind == super::graphql::Kind::Query);
        // A write that is no read is no harm: only what reads must have no such word.
        prop_assert!(!queries || !top_words(&text).iter().any(|word| word == "mutation" || word == "subscription"), "{}", text);
    }
}

/// The names at depth zero that begin a definition, found another way: everything in strings, comments and brackets is wiped out first.
fn top_words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut depth, mut plain) = (0, 0usize, String::new());
    while at < chars.len() {
        let starts =
            |word: &str| word.chars().enumerate().all(|(index, c)| chars.get(at + index) == Some(&c));
        if starts("#") {
            while at < chars.len() && !matches!(chars[at], '\n' | '\r') {
                at += 1;
            }
            plain.push(' ');
        } else if starts("\"\"\"") {
            at += 3;
            while at < chars.len() && !(chars[at..].starts_with(&['"', '"', '"']) && chars[at - 1] != '\\') {
                at += 1;
            }
            at += 3;
            plain.push(' ');
        } else if starts("\"") {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            plain.push(' ');
        } else {
            match chars[at] {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && chars[at] == '}' {
                        plain.push(';');
                    }
                }
                c if depth == 0 => plain.push(if c.is_ascii_alphanumeric() || c == '_' { c } else { ' ' }),
                _ => {}
            }
            at += 1;
        }
    }
    // The first word of each definition is its kind.
    plain
        .split(';')
        .filter_map(|definition| definition.split_whitespace().next().map(str::to_owned))
        .collect()
}
