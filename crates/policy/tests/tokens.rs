//! What permits say of tokens that replies bring.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use cloakroom_policy::{Containment, Policy, is_refresh};

const EXCHANGE: &str = r#"
[[permit]]
name = "exchange"
to = "https://as.example"
call = "POST /token"
place = "form refresh_token"
body = { type = "form" }
capture = "oauth"
"#;

const READ: &str = r#"
[[permit]]
name = "read"
to = "https://api.example"
call = "GET /items"
place = "header authorization bearer"
presents = "access-token"
"#;

fn parse(permits: &str) -> Result<Policy, String> {
    let parsed = Policy::parse("p.toml", &format!("version = 1\n{permits}"));
    parsed.map_err(|complaints| {
        complaints
            .iter()
            .map(|one| format!("{}: {}\n", one.key.as_deref().unwrap_or_default(), one.message))
            .collect()
    })
}

#[test]
fn t74_the_text_says_what_is_captured_and_what_it_is_presented_for() {
    let text = parse(&format!("{EXCHANGE}{READ}")).unwrap().canonical_text();
    for line in [
        "  capture: tokens in the reply become placeholders of this policy, for what its permits say of captured tokens; ID tokens are withheld\n",
        "  the credential is there: an access token that a permit of this policy captured\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let plain = EXCHANGE.replace("capture = \"oauth\"\n", "");
    let text = parse(&plain).unwrap().canonical_text();
    assert!(!text.contains("capture") && !text.contains("is there"), "{text}");
}

#[test]
fn what_does_not_go_together_is_complained_of() {
    let good = format!("{EXCHANGE}{READ}");
    assert!(parse(&good).is_ok());
    for (from, to, complaint) in [
        ("capture = \"oauth\"", "capture = \"oath\"", "unknown word"),
        ("capture = \"oauth\"", "", "no permit captures what is presented: access-token"),
        ("capture = \"oauth\"", "capture = \"beside\"", "no permit captures what is presented: access-token"),
        ("access-token", "id-token", "no permit captures what is presented: id-token"),
        ("access-token", "token", "unknown word"),
        ("POST /token", "GET /token", "asked with POST"),
        ("capture = \"oauth\"", "capture = \"oauth\"\nrange = \"pass\"", "capture and range"),
        ("capture = \"oauth\"", "capture = \"oauth\"\nstore = \"response\"", "capture and store"),
        ("capture = \"oauth\"", "capture = \"beside\"\nid_token = \"replace\"", "id_token goes with"),
        ("presents = \"access-token\"", "id_token = \"replace\"", "id_token goes with"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        let said = parse(&text).unwrap_err();
        assert!(said.contains(complaint), "{to}: {said}");
    }
}

#[test]
fn a_policy_that_treats_tokens_otherwise_is_not_contained() {
    let good = parse(&format!("{EXCHANGE}{READ}")).unwrap();
    assert_eq!(good.contains(&good), Containment::Contained);
    let own = parse(&format!("{EXCHANGE}{}", READ.replace("presents = \"access-token\"\n", ""))).unwrap();
    let ids = parse(&format!("{}{READ}", EXCHANGE.replace("\"oauth\"", "\"oauth\"\nid_token = \"replace\"")))
        .unwrap();
    for other in [&own, &ids] {
        assert_eq!(good.contains(other), Containment::NotProved);
        assert_eq!(other.contains(&good), Containment::NotProved);
    }
}

#[test]
fn t106_a_refresh_is_what_every_reader_takes_for_one() {
    let is = |kind: &str, query: &str, body: &str| {
        let headers = [("content-type".to_owned(), kind.to_owned())];
        let call = kit::call("POST", &format!("https://as.example/token{query}"), &headers, body.as_bytes());
        is_refresh(&call.unwrap())
    };
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let good = "grant_type=refresh_token&client_id=app&scope=a&refresh_token=x";
    assert!(is(form, "", good) && is(form, "?api-version=1", good));
    assert!(is(json, "", r#"{"grant_type":"refresh_token","refresh_token":"x","client_id":"app"}"#));
    for bad in [
        "refresh_token=x",
        "grant_type=authorization_code&code=mine&refresh_token=x",
        "grant_type=Refresh_Token&refresh_token=x",
        "grant_type=refresh_token&grant.type=authorization_code&refresh_token=x",
        "grant_type=refresh_token&grant_type%5B%5D=password&refresh_token=x",
        "grant_type=refresh_token&grant_type=refresh_token&refresh_token=x",
        "grant_type=refresh_token&refresh_token=x&refresh.token=mine",
        "grant_type=refresh_token&refresh_token=x&code=mine",
        "grant_type=refresh_token&refresh_token=x;grant_type=authorization_code",
        "grant_type=refresh_token",
    ] {
        assert!(!is(form, "", bad), "{bad}");
    }
    for query in ["?grant_type=authorization_code", "?refresh_token=mine", "?code=mine"] {
        assert!(!is(form, query, good), "{query}");
    }
    assert!(!is("text/plain", "", good));
    assert!(!is(json, "", r#"{"grant_type":"refresh_token","grant_type":"password","refresh_token":"x"}"#));
    assert!(!is(json, "", r#"{"grant_type":["refresh_token"],"refresh_token":"x"}"#));
}
