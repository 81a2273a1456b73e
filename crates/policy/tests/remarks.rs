//! What stands beside an approval: the same facts in words, and what looks like something else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_model::Destination;
use cloakroom_policy::{Background, Policy, Service};

fn policy(permit: &str) -> Policy {
    let text = format!("version = 1\n[[permit]]\nplace = \"header authorization bearer\"\n{permit}\n");
    Policy::parse("p.toml", &text).unwrap_or_else(|complaints| panic!("{complaints:?}"))
}

fn remarks(permit: &str) -> String {
    let lines = policy(permit).remarks(&Background::none());
    assert!(lines.iter().all(|line| line.bytes().all(|b| (b' '..=b'~').contains(&b))), "{lines:?}");
    lines.join("\n")
}

#[test]
fn t74_tails_and_parameters_are_spelled_out_with_the_class_of_each_call() {
    let permit = "name = \"n\"\nto = \"https://api.example.com\"\ncall = [\"GET /v1/{rest...}\", \"POST /v1/a/{id}/b/{x}\", \"DELETE /{all...}\", \"GET /x\"]";
    assert_eq!(
        remarks(permit),
        "permit 1 of 1: \"n\"\n  \
         writes: POST https://api.example.com/v1/a/{id}/b/{x}; any one segment stands for {id} and for {x}\n  \
         reads: GET https://api.example.com/v1/{rest...}; every path below /v1/, of one segment or more\n  \
         reads: GET https://api.example.com/x\n  \
         writes: DELETE https://api.example.com/{all...}; every path below /, of one segment or more"
    );
}

#[test]
fn t74_what_a_permit_says_of_reads_and_writes_is_in_the_words() {
    let permit =
        "to = \"https://api.example.com\"\ncall = [\"POST /graphql\", \"DELETE /x\"]\nspeaks = \"graphql\"\n";
    let waits = remarks(&format!("{permit}approve = \"writes\""));
    assert!(
        waits.contains("reads or writes, as its body says; what is not known to read waits: POST "),
        "{waits}"
    );
    let refused = remarks(&format!("{permit}refuse = \"writes\""));
    assert!(
        refused.contains("reads (what is not known to read is refused): POST ")
            && refused.contains("refused, for it writes: DELETE "),
        "{refused}"
    );
    let listed = remarks(
        "to = \"https://api.example.com\"\ncall = [\"GET /v1/{rest...}\", \"POST /s\"]\nreads = [\"POST /s\"]\nwrites = [\"GET /v1/trigger\"]",
    );
    assert!(
        listed.contains("reads: POST https://api.example.com/s")
            && listed.contains("; but \"GET /v1/trigger\" writes"),
        "{listed}"
    );
}

#[test]
fn t74_a_websocket_is_no_read_though_it_begins_with_get() {
    let of = remarks("to = \"https://api.example.com\"\ncall = \"GET /s\"\nupgrade = \"websocket\"");
    assert!(
        of.contains("counts as a write: GET https://api.example.com/s") && !of.contains("reads: "),
        "{of}"
    );
}

#[test]
fn t75_hosts_and_names_that_look_like_others_are_flagged() {
    let of = remarks(
        "name = \"p\u{430}y\"\nto = \"https://xn--pypal-4ve.com\"\ncall = \"GET /ch\u{430}rges\"\nquery = { allow = [\"\u{440}\u{430}ge\"] }",
    );
    for needle in [
        "! the label xn--pypal-4ve is written \"p\\u{430}ypal\"; it looks like \"paypal\" and is not",
        "! the name \"p\\u{430}y\" looks like \"pay\" and is not",
        "! a path \"/ch\\u{430}rges\" looks like \"/charges\" and is not",
        "! a query key \"\\u{440}\\u{430}ge\" looks like \"page\" and is not",
    ] {
        assert!(of.contains(needle), "{needle}\n{of}");
    }
    assert!(
        remarks("to = \"https://paypa1.com\"\ncall = \"GET /x\"")
            .contains("! the host has digits among letters: it is not \"paypal.com\"")
    );
    assert!(!remarks("to = \"https://api.example.com\"\ncall = \"GET /x\"").contains('!'));
}

#[test]
fn what_the_credential_could_do_beyond_is_said_where_it_is_known() {
    let known = |to: &Destination| {
        (to.to_string() == "https://api0.example.com").then(|| Service {
            title: "Example".into(),
            power: Some("a key can delete everything".into()),
            reads: vec!["POST /v1/search".into(), "POST /v1/other".into()],
            speaks: vec![("POST /graphql".into(), "graphql".into())],
            grants: vec!["POST /oauth/token".into()],
        })
    };
    let to = |text: &str| text.parse::<Destination>().unwrap();
    let background = Background {
        destinations: vec![to("https://api0.example.com"), to("https://files.example.com")],
        service: &known,
    };
    let permit =
        "name = \"n\"\nto = \"https://api0.example.com\"\ncall = [\"POST /v1/search\", \"POST /graphql\"]\n";
    let all = policy(&format!("{permit}approve = \"writes\"")).remarks(&background).join("\n");
    for needle in [
        "the catalogue (Example) says that \"POST /v1/search\" only reads; the policy does not: reads = [\"POST /v1/search\"]",
        "the catalogue (Example) says that \"POST /graphql\" speaks graphql; the policy does not: speaks = \"graphql\"",
        "beyond this: the credential may also go to https://files.example.com, which no permit here names",
        "beyond this: Example: a key can delete everything",
    ] {
        assert!(all.contains(needle), "{needle}\n{all}");
    }
    assert!(!all.contains("/v1/other") && !all.contains("digits among"), "{all}");
    // Where nothing turns on it, nothing is proposed; and what is said already is not said again.
    assert!(!policy(permit).remarks(&background).join("\n").contains("the catalogue"));
    let said = format!("{permit}approve = \"writes\"\nspeaks = \"graphql\"\nreads = [\"POST /v1/search\"]");
    assert!(!policy(&said).remarks(&background).join("\n").contains("the catalogue"));
    // A token endpoint without capture.
    let exchange = "name = \"n\"\nto = \"https://api0.example.com\"\ncall = \"POST /oauth/{what}\"\n";
    let of =
        |text: &str| (policy(text).remarks(&background).join("\n"), policy(text).uncaptured(&known).len());
    let (remarks, findings) = of(exchange);
    assert!(remarks.contains("says that the reply to \"POST /oauth/token\" grants tokens"), "{remarks}");
    let (captured, none) = of(&format!("{exchange}capture = \"oauth\""));
    assert!(!captured.contains("grants tokens"), "{captured}");
    assert_eq!((findings, none), (1, 0));
}
