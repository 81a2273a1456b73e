//! T74, T75: what is shown is what is approved. The normal form, its text, its file and its stored form say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_policy::{Policy, Verdict};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;

/// A text for a name, a key or a value, with what could mislead an eye or a parser.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        select(vec![
            "a b",
            "a\u{202e}b",
            "p\u{430}y",
            "a\u{200b}b",
            "x\"y",
            "x\\y",
            "\\u{41}",
            "a, may repeat",
            "a: any value",
            "ä",
            "[]",
            "'",
            "#",
            "=",
            "a\" or \"b",
        ])
        .prop_map(str::to_owned),
    ]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn listed(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

fn constraint() -> impl Strategy<Value = String> {
    let rule = prop_oneof![
        Just(String::new()),
        prop::collection::vec(tricky(), 1..3).prop_map(|items| format!("in = {}", listed(&items))),
        select(vec![
            "in = [1, 2.5]",
            "in = [true]",
            "const = \"1\"",
            "const = 1",
            "min = 1",
            "max = 1",
            "min = -1.5, max = 1",
            "max_length = 1",
            "type = \"integer\"",
            "type = \"boolean\", required = true",
            "type = \"number\", max = 1",
            "required = true"
        ])
        .prop_map(str::to_owned),
    ];
    rule.prop_map(|rule| format!("{{ {rule} }}"))
}

fn fields() -> impl Strategy<Value = String> {
    prop::collection::btree_map(tricky(), constraint(), 1..4).prop_map(|map| {
        let entries: Vec<String> =
            map.iter().map(|(key, rule)| format!("{} = {rule}", quoted(key))).collect();
        format!("fields = {{ {} }}", entries.join(", "))
    })
}

fn body() -> impl Strategy<Value = String> {
    let size = select(vec!["", ", max_bytes = 5", ", max_bytes = \"2KiB\""]);
    prop_oneof![
        Just(String::new()),
        select(vec![
            "body = { type = \"none\" }",
            "body = { type = \"any\" }",
            "body = { max_bytes = 7 }",
            "body = { type = \"form\" }",
            "body = { type = \"json\" }",
            "body = { type = \"json\", only = true }",
            "body = { type = \"form\", fields = {} }"
        ])
        .prop_map(str::to_owned),
        (select(vec!["form", "json"]), size.clone(), fields())
            .prop_map(|(kind, size, fields)| format!("body = {{ type = \"{kind}\"{size}, {fields} }}")),
        (size, fields(), tricky()).prop_map(|(size, fields, key)| format!(
            "body = {{ type = \"form\"{size}, repeat = [{}], {fields} }}",
            quoted(&key)
        )),
        (fields(), any::<bool>())
            .prop_map(|(fields, only)| format!("body = {{ type = \"json\", only = {only}, {fields} }}")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        prop::collection::vec(tricky(), 1..3)
            .prop_map(|keys| format!("query = {{ allow = {} }}", listed(&keys))),
        prop::collection::vec(tricky(), 1..3)
            .prop_map(|keys| format!("query = {{ repeat = {} }}", listed(&keys))),
        fields().prop_map(|fields| format!("query = {{ {fields} }}")),
    ]
}

fn permit() -> impl Strategy<Value = String> {
    let to = select(vec![
        "https://a.example",
        "http://a.example",
        "https://a.example:8443",
        "https://bücher.example",
    ]);
    let call =
        select(vec!["GET /a/{id}", "POST /a/{id}", "GET /{id}/{rest...}", "GET /a b/{id}", "PUT /ä/{id}/"]);
    let place = select(vec![
        "header authorization bearer",
        "header authorization raw",
        "header x-key",
        "cookie c",
        "query zz",
        "path id",
        "websocket json /d/token",
    ]);
    let rest = select(vec![
        "",
        "rate = \"1/s\"",
        "rate = \"60/min\"",
        "approve = \"each-call\"",
        "approve = \"writes\"",
        "speaks = \"graphql\"\nrefuse = \"writes\"",
        "speaks = \"mcp\"\nreads = [\"tool a\", \"method b\"]\napprove = \"writes\"",
        "speaks = \"aws\"\nreads = [\"action A\"]\nwrites = [\"action B\"]",
        "reads = [\"POST /a/{id}\"]",
        "writes = [\"POST /a/{id}\"]",
        "range = \"pass\"",
        "refuse = \"writes\"",
        "upgrade = \"websocket\"",
        "messages = 7",
        "headers = { X-A = { const = \"1\" } }",
        "headers = { X-B = {} }",
        "capture = \"oauth\"\nid_token = \"replace\"\npresents = \"id-token\"",
    ]);
    (prop::option::of(tricky()), to, prop::collection::vec(call, 1..3), place, query(), body(), rest).prop_map(
        |(name, to, calls, place, query, body, rest)| {
            let name = name.map(|name| format!("name = {}", quoted(&name))).unwrap_or_default();
            let calls: Vec<String> = calls.into_iter().map(str::to_owned).collect();
            format!(
                "[[permit]]\n{name}\nto = \"{to}\"\ncall = {}\nplace = \"{place}\"\n{query}\n{body}\n{rest}\n",
                listed(&calls)
            )
        },
    )
}

fn parse(permits: &[String]) -> Option<Policy> {
    Policy::parse("p.toml", &format!("version = 1\n{}", permits.concat())).ok()
}

fn permits() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(permit(), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn t74_a_policy_survives_its_file_and_its_row(permits in permits()) {
        if let Some(policy) = parse(&permits) {
            let written = policy.to_toml();
            prop_assert_eq!(Policy::parse("n.toml", &written), Ok(policy.clone()), "{}", written);
            prop_assert_eq!(Policy::from_stored(&policy.to_stored()), Ok(policy));
        }
    }

    #[test]
    fn order_has_no_meaning(mut permits in permits()) {
        let policy = parse(&permits);
        permits.reverse();
        prop_assert_eq!(policy, parse(&permits));
    }

    #[test]
    fn t74_different_policies_have_different_texts(one in permit(), two in permit()) {
        if let (Some(one), Some(two)) = (parse(&[one]), parse(&[two])) {
            prop_assert_eq!(one == two, one.canonical_text() == two.canonical_text());
        }
    }

    #[test]
    fn t75_the_text_is_printable_ascii_and_no_value_makes_a_line(permits in permits()) {
        if let Some(policy) = parse(&permits) {
            let text = policy.canonical_text();
            prop_assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
            let heads = ["permits: ", "permit ", "  may ", "  with the credential in: ", "  messages that may carry the credential: the first ", "  protocol: ", "  capture: ", "  the credential is there: ", "  query key", "  other ", "  header", "  body: ", "  form field ", "  json ", "  rate: ", "  approve: ", "  speaks: ", "  counts as a ", "  calls that are not known to read: refused", "  range requests: ", "  ! "];
            for line in text.lines().filter(|line| !line.is_empty()) {
                prop_assert!(heads.iter().any(|head| line.starts_with(head)), "{}", line);
            }
        }
    }

    #[test]
    fn no_file_makes_the_parser_panic(text in "\\PC{0,200}") {
        cloakroom_policy::fuzz::policy_file(text.as_bytes());
    }
}

#[test]
fn most_generated_policies_parse() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let parsed = (0..200).filter(|_| {
        let tree = permit().new_tree(&mut runner).unwrap();
        parse(&[tree.current()]).is_some()
    });
    assert!(parsed.count() > 120);
}

#[test]
fn t74_every_field_is_in_the_text() {
    let text = r#"version = 1
[[permit]]
name  = "everything"
to    = "http://bücher.example:8080"
call  = ["POST /v1/{token}/charges", "PUT /v1/{token}/{rest...}"]
place = "path token"
query = { allow = ["a"], repeat = ["b"], fields = { c = { type = "integer", min = 1, max = 9, required = true } } }
headers = { X-Version = { in = ["2", "3"] } }
body  = { type = "json", max_bytes = "64KiB", only = true, fields = { amount = { max = 5000 }, "/a/b" = { max_length = 7 }, flag = { const = true }, none = { type = "null" } } }
rate  = "10/min"
approve = "each-call"
range = "pass"
"#;
    let expected = r#"permits: 1 (whatever none of them allows is refused)

permit 1 of 1: "everything"
  may POST http://xn--bcher-kva.example:8080/v1/{token}/charges
  may PUT http://xn--bcher-kva.example:8080/v1/{token}/{rest...}
  with the credential in: path segment "token"
  query key "a": any value, at most once
  query key "b": any value, may repeat
  query key "c": integer, at least 1, at most 9, required, at most once
  other query keys: none
  header "x-version": one of "2" or "3", at most one of this name
  other headers: not constrained
  body: empty or json, at most 65536 bytes
  json "/a/b": string, at most 7 characters
  json "/amount": number, at most 5000
  json "/flag": one of true
  json "/none": null
  other json members: none
  rate: 10/min (10 at once, then spread evenly: 10 in each minute)
  approve: each call waits for a human
  range requests: forwarded
  ! plain http: everyone on the way can read the credential
  ! the credential stands in the URL, where the upstream's logs keep it
  ! the host is an internationalised name (xn--): compare it letter by letter
  ! range requests can fetch an echoed credential in pieces that are not recognised
"#;
    assert_eq!(Policy::parse("p.toml", text).unwrap().canonical_text(), expected);
}

#[test]
fn t74_a_websocket_is_in_the_text_and_nothing_changes_for_other_permits() {
    let permit = |place: &str| {
        let text =
            format!("[[permit]]\nname = \"p\"\nto = \"https://a\"\ncall = \"GET /x\"\nplace = \"{place}\"\n");
        parse(&[text]).unwrap()
    };
    let expected = r#"permits: 1 (whatever none of them allows is refused)

permit 1 of 1: "p"
  may GET https://a/x
  with the credential in: websocket text message, json "/d/token"
  messages that may carry the credential: the first 1
  protocol: websocket (only calls that ask for it)
  query keys: none
  headers: not constrained
  body: none
  rate: not limited
  approve: once, with this policy
  range requests: not forwarded
  ! what is said on the websocket after the handshake is not constrained
"#;
    assert_eq!(permit("websocket json /d/token").canonical_text(), expected);
    // What was stored and signed before there were upgrades means what it meant.
    let plain = permit("header a");
    assert!(!plain.to_stored().contains("upgrade") && !plain.to_stored().contains("messages"));
    assert!(!plain.canonical_text().contains("protocol"));
}

#[test]
fn t74_what_tells_reads_from_writes_is_in_the_text_and_nothing_changes_for_other_permits() {
    let permit = |more: &str| {
        let text = format!(
            "[[permit]]\nname = \"p\"\nto = \"https://a\"\ncall = [\"GET /x\", \"POST /s\"]\nplace = \"header a\"\n{more}\n"
        );
        parse(&[text]).unwrap()
    };
    let expected = r#"permits: 1 (whatever none of them allows is refused)

permit 1 of 1: "p"
  may POST https://a/s
  may GET https://a/x
  with the credential in: header a raw
  query keys: none
  headers: not constrained
  body: any (not constrained)
  rate: not limited
  approve: once, with this policy, and each call that is not known to read waits for a human
  speaks: mcp (only its own reading methods and listed tools count as reads)
  counts as a read: the method "m"
  counts as a read: the tool "t"
  counts as a write: GET https://a/x
  calls that are not known to read: refused
  range requests: not forwarded
"#;
    let all = "approve = \"writes\"\nspeaks = \"mcp\"\nreads = [\"tool t\", \"method m\"]\nwrites = [\"GET /x\"]\nrefuse = \"writes\"";
    assert_eq!(permit(all).canonical_text(), expected);
    // What was stored and signed before there were classes means what it meant.
    assert!(!permit("").to_stored().contains("terms") && !permit("").canonical_text().contains("speaks"));
}

#[test]
fn a_wss_url_is_explained_as_one_that_asks_for_a_websocket() {
    let permit = |upgrade: &str| {
        format!("[[permit]]\nto = \"https://a\"\ncall = \"GET /x\"\nplace = \"header a\"\n{upgrade}\n")
    };
    let allowed =
        |upgrade: &str, url: &str| parse(&[permit(upgrade)]).unwrap().explain("GET", url).unwrap()[0].allowed;
    let websocket = "upgrade = \"websocket\"";
    assert!(allowed(websocket, "wss://a/x") && allowed("", "https://a/x"));
    assert!(
        !allowed(websocket, "https://a/x") && !allowed("", "wss://a/x") && !allowed(websocket, "ws://a/x")
    );
    assert!(parse(&[permit("")]).unwrap().explain("GET", "wsx://a/x").is_err());
}

#[test]
fn a_permit_without_a_name_gets_one_that_does_not_depend_on_order() {
    let permit = |rest: &str| {
        format!("[[permit]]\nto = \"https://a\"\ncall = \"GET /x\"\nplace = \"header a\"\n{rest}\n")
    };
    let (one, two) = (permit("rate = \"1/s\""), permit("rate = \"2/s\""));
    let policy = parse(&[one.clone(), two.clone()]).unwrap();
    assert_eq!(Some(&policy), parse(&[two, one.clone()]).as_ref());
    assert!(policy.canonical_text().contains("\"GET /x at https://a #2\""));
    // The same permit twice is one.
    assert_eq!(parse(&[one.clone(), one.clone()]), parse(&[one]));
}

#[test]
fn a_stored_policy_with_an_unknown_field_or_version_is_refused() {
    let stored = parse(&["[[permit]]\nto = \"https://a\"\ncall = \"GET /x\"\nplace = \"header a\"\n".into()])
        .unwrap()
        .to_stored();
    assert!(Policy::from_stored(&stored).is_ok());
    assert!(Policy::from_stored(&stored.replace("\"rate\"", "\"rates\"")).is_err());
    assert!(Policy::from_stored(&stored.replace("\"version\":1", "\"version\":2")).is_err());
    assert!(Policy::from_stored(&stored.replace("GET /x", "GET /../x")).is_err());
    assert!(Policy::from_stored("").is_err());
}

#[test]
fn t18_lint_names_what_is_wide() {
    let policy = parse(&["[[permit]]\nname = \"w\"\nto = \"http://a.example\"\ncall = [\"POST /x\", \"GET /{rest...}\"]\nplace = \"query key\"\n".into()]).unwrap();
    let lint = policy.lint().join("\n");
    for words in [
        "plain http",
        "stands in the URL",
        "does not constrain the body",
        "allows every path below",
        "rate is not limited",
        "permit \"w\"",
    ] {
        assert!(lint.contains(words), "{words}: {lint}");
    }
    let tight = parse(&["[[permit]]\nto = \"https://a.example\"\ncall = \"POST /x\"\nplace = \"header a\"\nbody = { type = \"none\" }\nrate = \"1/s\"\n".into()]).unwrap();
    assert_eq!(tight.lint(), Vec::<String>::new());
}

#[test]
fn a_diff_names_what_is_in_one_policy_only() {
    let base = "[[permit]]\nname = \"n\"\nto = \"https://a.example\"\nplace = \"header a\"\n";
    let old = parse(&[format!("{base}call = \"GET /x\"\n")]).unwrap();
    let new = parse(&[format!("{base}call = [\"GET /x\", \"GET /y\"]\n")]).unwrap();
    let diff = Policy::diff(&old, &new);
    assert_eq!((diff.allowed.len(), diff.refused.len()), (1, 0));
    assert_eq!(diff.allowed[0].call, "may GET https://a.example/y");
    assert_eq!(diff.allowed[0].rules, Vec::<String>::new());
    let example = diff.allowed[0].example.as_ref().unwrap();
    assert_eq!((&*example.method, &*example.url), ("GET", "https://a.example/y"));
    assert_eq!(example.headers, [("a".to_owned(), "PLACEHOLDER".to_owned())]);
    assert_eq!(Policy::diff(&new, &old).refused, diff.allowed);
    assert_eq!(Policy::diff(&new, &new).allowed, []);
    assert_eq!(diff.verdict, Verdict::Wider);
    assert_eq!(Policy::diff(&new, &old).verdict, Verdict::Narrower);
    assert_eq!(Policy::diff(&new, &new).verdict, Verdict::Equal);
}

#[test]
fn explain_names_the_first_mismatch_of_each_permit() {
    let one = "[[permit]]\nname = \"one\"\nto = \"https://a.example\"\nplace = \"header a\"\ncall = \"GET /x/{id}\"\n";
    let two = "[[permit]]\nname = \"two\"\nto = \"https://a.example:444\"\nplace = \"header a\"\ncall = \"GET /x\"\n";
    let policy = parse(&[one.into(), two.into()]).unwrap();
    let explain = |method: &str, url: &str| -> Vec<(bool, Option<String>)> {
        policy
            .explain(method, url)
            .unwrap()
            .into_iter()
            .map(|e| (e.allowed, e.code.map(|c| c.to_string())))
            .collect()
    };
    let (call, to) = (Some("call-not-permitted".to_owned()), Some("destination-not-permitted".to_owned()));
    assert_eq!(explain("GET", "https://a.example/x/1"), [(true, None), (false, to.clone())]);
    assert_eq!(explain("PUT", "https://a.example/x/1"), [(false, call.clone()), (false, to.clone())]);
    assert_eq!(explain("GET", "https://a.example/x/1?q=1"), [(false, call.clone()), (false, to)]);
    assert_eq!(explain("GET", "https://a.example:444/y")[1], (false, call));
    let words = policy.explain("PUT", "https://a.example/x/1").unwrap()[0].mismatch.clone().unwrap();
    assert_eq!(words, "the permit names other methods: GET");
    for url in [
        "a.example/x",
        "https://a.example/x/../y",
        "https://u@a.example/",
        "https://a.example/#f",
        "https://a.example/x?a=1;b",
    ] {
        assert!(policy.explain("GET", url).is_err(), "{url}");
    }
}
