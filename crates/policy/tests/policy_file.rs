//! Every mistake in a policy file names line, column, key and a remedy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_policy::{Complaint, Policy};

const WHOLE: &str = r#"version = 1
[[permit]]
name  = "create a small charge"
to    = "https://api.stripe.com"
call  = ["POST /v1/charges", "GET /v1/charges/{id}"]
place = "header authorization bearer"
query = { allow = ["expand[]"] }
body  = { type = "form", max_bytes = "64KiB", fields = { amount = { max = 5000 }, currency = { in = ["usd", "eur"] } } }
rate  = "10/min"
approve = "once"
"#;

fn complaints(text: &str) -> Vec<Complaint> {
    Policy::parse("policy.toml", text).expect_err(text)
}

/// The whole file with one line replaced.
fn with(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = WHOLE.lines().collect();
    lines[line - 1] = text;
    lines.join("\n")
}

/// A permit for a WebSocket, with other lines for its call, place and the rest.
fn websocket(call: &str, place: &str, rest: &str) -> String {
    format!(
        "version = 1\n[[permit]]\nto = \"https://ws.example\"\ncall = \"{call}\"\nplace = \"{place}\"\n{rest}\n"
    )
}

#[test]
fn a_permit_for_a_websocket_says_so_in_its_text() {
    let text =
        |place, rest| Policy::parse("p.toml", &websocket("GET /s", place, rest)).unwrap().canonical_text();
    let plain = text("header authorization bearer", "");
    assert!(!plain.contains("websocket") && !plain.contains("messages"), "{plain}");
    let handshake = text("header authorization bearer", "upgrade = \"websocket\"");
    assert!(handshake.contains("protocol: websocket (only calls that ask for it)\n"), "{handshake}");
    assert!(handshake.contains("body: none\n") && !handshake.contains("messages that"), "{handshake}");
    let message = text("websocket json /d/token", "messages = 3");
    assert!(message.contains("in: websocket text message, json \"/d/token\"\n"), "{message}");
    assert!(message.contains("messages that may carry the credential: the first 3\n"), "{message}");
    assert_eq!(
        text("websocket json /d/token", ""),
        text("websocket json /d/token", "messages = 1\nupgrade = \"websocket\"\nbody = { type = \"none\" }")
    );
}

#[test]
fn a_mistake_about_websockets_is_named() {
    let header = "header authorization bearer";
    let message = "websocket json /d/token";
    let upgrade = "upgrade = \"websocket\"";
    for (call, place, rest, key, what) in [
        ("POST /s", header, upgrade, "call", "begins with GET"),
        ("POST /s", message, "", "call", "begins with GET"),
        ("GET /s", header, "upgrade = \"h2c\"", "upgrade", "unknown word"),
        ("GET /s", header, "upgrade = true", "upgrade", "expected a string"),
        ("GET /s", header, "messages = 1", "messages", "goes with a place in messages"),
        (
            "GET /s",
            header,
            "upgrade = \"websocket\"\nmessages = 1",
            "messages",
            "goes with a place in messages",
        ),
        ("GET /s", message, "messages = 0", "messages", "not a count of messages"),
        ("GET /s", message, "messages = 65", "messages", "not a count of messages"),
        ("GET /s", message, "messages = \"1\"", "messages", "not a count of messages"),
        ("GET /s", "websocket json d", "", "place", "begins with '/'"),
        ("GET /s", "websocket json /~2", "", "place", "not a JSON pointer"),
        ("GET /s", "websocket text", "", "place", "a place is one of"),
        ("GET /s", "json /d/token", upgrade, "place", "handshake has no body"),
        ("GET /s", "form token", upgrade, "place", "handshake has no body"),
        (
            "GET /s",
            header,
            "upgrade = \"websocket\"\nbody = { type = \"json\" }",
            "body",
            "handshake has no body",
        ),
    ] {
        let text = websocket(call, place, rest);
        let all = complaints(&text);
        let key = format!("permit[1].{key}");
        let named = |c: &Complaint| c.key.as_deref() == Some(&*key) && c.message.contains(what);
        assert!(all.iter().any(named), "{text}\n{all:?}");
    }
}

#[test]
fn the_example_of_the_design_parses() {
    let policy = Policy::parse("policy.toml", WHOLE).unwrap();
    assert_eq!(policy.destinations().len(), 1);
}

#[test]
fn a_mistake_is_named_with_place_key_and_remedy() {
    for (line, text, column, key, message, hint) in [
        (1, "version = 2", 11, "version", "unknown version", "version = 1"),
        (1, "verison = 1", 1, "verison", "unknown key \"verison\"", "did you mean \"version\"?"),
        (3, "nmae = \"x\"", 1, "permit[1].nmae", "unknown key", "did you mean \"name\"?"),
        (3, "name = \"\"", 8, "permit[1].name", "not a name", "1 to 100 characters"),
        (4, "to = \"api.stripe.com\"", 6, "permit[1].to", "begins with https://", "https://api.example.com"),
        (
            4,
            "to = \"https://*.stripe.com\"",
            6,
            "permit[1].to",
            "wildcards are not supported",
            "one permit for each host",
        ),
        (
            4,
            "to = \"https://api.stripe.com/v1\"",
            6,
            "permit[1].to",
            "no user, path",
            "the path goes into call",
        ),
        (4, "to = 5", 6, "permit[1].to", "expected a string", ""),
        (
            5,
            "call = [\"POST /v1\", \"GET /v1/*\"]",
            21,
            "permit[1].call",
            "wildcards are not supported",
            "{id}",
        ),
        (5, "call = []", 8, "permit[1].call", "an empty list", "leave the key out"),
        (5, "call = \"get /v1\"", 8, "permit[1].call", "is not a method", "GET /v1/things"),
        (5, "call = \"GET /v1?x=1\"", 8, "permit[1].call", "query keys go into query", "GET"),
        (
            6,
            "place = \"header host\"",
            9,
            "permit[1].place",
            "is not a header",
            "header authorization bearer",
        ),
        (6, "place = \"path token\"", 9, "permit[1].place", "has no segment {token}", "each call"),
        (6, "place = \"json /a\"", 9, "permit[1].place", "needs a json body", "type = \"json\""),
        (6, "place = \"form amount\"", 9, "permit[1].place", "placeholder's own field", "leave it out"),
        (6, "place = \"json a\"", 9, "permit[1].place", "begins with '/'", "header authorization"),
        (7, "query = {}", 9, "permit[1].query", "an empty table", "leave the key out"),
        (7, "query = { allow = [] }", 19, "permit[1].query.allow", "an empty list", "leave the key out"),
        (
            7,
            "query = { alow = [\"a\"] }",
            11,
            "permit[1].query.alow",
            "unknown key",
            "did you mean \"allow\"?",
        ),
        (
            8,
            "body = { type = \"from\" }",
            17,
            "permit[1].body.type",
            "unknown body type",
            "did you mean \"form\"?",
        ),
        (
            8,
            "body = { type = \"form\", max_bytes = \"64KB\" }",
            37,
            "permit[1].body.max_bytes",
            "not a size",
            "64KiB",
        ),
        (8, "body = { type = \"form\", max_bytes = 0 }", 37, "permit[1].body.max_bytes", "no byte", "none"),
        (
            8,
            "body = { type = \"form\", max_bytes = \"65MiB\" }",
            37,
            "permit[1].body.max_bytes",
            "more than 64 MiB",
            "memory",
        ),
        (
            8,
            "body = { fields = { a = {} } }",
            19,
            "permit[1].body.fields",
            "does not go with",
            "type = \"form\"",
        ),
        (
            8,
            "body = { type = \"json\", repeat = [\"a\"] }",
            34,
            "permit[1].body.repeat",
            "does not go with",
            "json",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { min = 5, max = 1 } } }",
            40,
            "permit[1].body.fields.a",
            "min is greater",
            "swap",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { maximum = 1 } } }",
            42,
            "permit[1].body.fields.a.maximum",
            "unknown key",
            "did you mean \"max\"?",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { in = [] } } }",
            47,
            "permit[1].body.fields.a.in",
            "an empty list",
            "",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { in = [1], const = 1 } } }",
            40,
            "permit[1].body.fields.a",
            "both in and const",
            "keep one",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { in = [1], max = 1 } } }",
            40,
            "permit[1].body.fields.a",
            "a list and a bound",
            "not both",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { max = 1e3 } } }",
            48,
            "permit[1].body.fields.a.max",
            "not a number",
            "no exponent",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { type = \"object\" } } }",
            49,
            "permit[1].body.fields.a.type",
            "unknown type",
            "types here",
        ),
        (
            8,
            "body = { type = \"form\", fields = { a = { type = \"string\", max = 3 } } }",
            40,
            "permit[1].body.fields.a",
            "for numbers",
            "leave type out",
        ),
        (
            8,
            "body = { type = \"json\", fields = { \"/a~2\" = {} } }",
            45,
            "permit[1].body.fields.\"/a~2\"",
            "not a JSON pointer",
            "~0",
        ),
        (
            8,
            "headers = { \"content-length\" = {} }",
            32,
            "permit[1].headers.content-length",
            "never forwarded",
            "constrain",
        ),
        (
            8,
            "headers = { authorization = {} }",
            0,
            "permit[1].place",
            "placeholder's own header",
            "leave it out",
        ),
        (9, "rate = \"10/week\"", 8, "permit[1].rate", "is not a rate", "10/min"),
        (10, "approve = \"never\"", 11, "permit[1].approve", "unknown word", "once, writes, each-call"),
        (10, "speaks = \"rest\"", 10, "permit[1].speaks", "unknown word", "graphql, json-rpc, mcp, aws"),
        (10, "reads = [\"tool x\"]", 10, "permit[1].reads", "means nothing", "speaks = "),
        (10, "reads = [\"tool\"]", 10, "permit[1].reads", "is not a name", "tool NAME"),
        (10, "reads = []", 9, "permit[1].reads", "an empty list", "leave the key out"),
        (
            10,
            "writes = [\"GET /v1/tigger\"]",
            10,
            "permit[1].writes",
            "is no call that the permit allows",
            "compare",
        ),
        (10, "refuse = \"reads\"", 10, "permit[1].refuse", "unknown word", "writes"),
        (10, "range = \"pas\"", 9, "permit[1].range", "unknown word", "did you mean \"pass\"?"),
        (10, "approve = ", 0, "", "", ""),
        (10, "rate = \"1/s\"", 0, "", "duplicate key", ""),
    ] {
        let list = complaints(&with(line, text));
        let found =
            list.iter().find(|c| c.message.contains(message)).unwrap_or_else(|| panic!("{text}: {list:?}"));
        assert_eq!(found.key.as_deref().unwrap_or(""), key, "{text}");
        if column > 0 {
            assert_eq!((found.line, found.column), (line, column), "{text}: {found:?}");
        }
        assert!(found.hint.as_deref().unwrap_or("").contains(hint), "{text}: {found:?}");
        assert_eq!(found.file, "policy.toml");
        assert!(!found.message.is_empty() && !found.message.contains('\n'), "{found:?}");
    }
}

#[test]
fn several_mistakes_are_named_in_one_go_and_in_order() {
    let text =
        WHOLE.replace("https://api", "api").replace("10/min", "10").replace("[\"usd\", \"eur\"]", "[]");
    let lines: Vec<usize> = complaints(&text).iter().map(|c| c.line).collect();
    assert_eq!(lines, [4, 8, 9]);
}

#[test]
fn what_is_missing_is_named() {
    let missing = |text: &str| complaints(text).into_iter().map(|c| c.message).collect::<Vec<_>>().join("; ");
    assert!(missing("").contains("the file says no version"));
    assert!(missing("version = 1").contains("no permit"));
    assert!(missing("version = 1\npermit = []").contains("an empty list"));
    assert!(missing("version = 1\n[permit]\nto = \"x\"").contains("a single table"));
    let bare = missing("version = 1\n[[permit]]\nname = \"x\"\n");
    for key in ["\"to\"", "\"call\"", "\"place\""] {
        assert!(bare.contains(key), "{bare}");
    }
}

#[test]
fn two_permits_of_one_name_are_refused() {
    let permit = WHOLE.split_once('\n').unwrap().1;
    let list = complaints(&format!("version = 1\n{permit}{permit}"));
    assert_eq!((list.len(), list[0].line), (1, 12));
    assert!(list[0].message.contains("another permit is called"));
    assert_eq!(list[0].key.as_deref(), Some("permit[2].name"));
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    assert!(complaints(&"#".repeat(300 << 10))[0].message.contains("256 KiB"));
    let many: String = (0..300)
        .map(|i| format!("[[permit]]\nto = \"https://a\"\ncall = \"GET /{i}\"\nplace = \"header a\"\n"))
        .collect();
    assert!(complaints(&format!("version = 1\n{many}"))[0].message.contains("more than 256 permits"));
}

#[test]
fn a_complaint_reads_as_file_line_column_then_hint() {
    let list = complaints(&with(9, "rate = \"fast\""));
    assert_eq!(
        list[0].to_string(),
        "policy.toml:9:8: permit[1].rate: \"fast\" is not a rate\n\
         hint: write a count from 1 to 100000, a slash and s, min, h or d: \"10/min\""
    );
}

#[test]
fn columns_count_characters() {
    let list = complaints(
        "version = 1\n[[permit]]\nname = \"äöü\"\nto = \"https://a\"\ncall = [\"GET /ä\", \"get /\"]\nplace = \"header a\"",
    );
    assert_eq!((list[0].line, list[0].column), (5, 19));
}
