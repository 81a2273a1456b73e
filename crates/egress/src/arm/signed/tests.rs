//! Vectors that services publish, and calls one step beside them. The keys in them are examples of those who publish, no secrets.

use super::*;
use crate::arm::outgoing::write;
use crate::custody::SigningKey;
use cloakroom_model::{Call, Code, Path, Payload, Place, Query, RequestId, Way};
use http::{HeaderMap, HeaderValue, Method};

struct Case<'c> {
    method: &'c str,
    to: &'c str,
    path: &'c str,
    query: &'c str,
    fields: &'c [(&'c str, &'c str)],
    body: Payload,
}

impl Case<'_> {
    fn call(self) -> Call {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        Call {
            request: RequestId::new(Timestamp::from_millis(1), [1; 10]),
            way: Way::Connect,
            method: Method::from_bytes(self.method.as_bytes()).unwrap(),
            destination: Destination::parse(self.to).unwrap(),
            path: Path::parse(self.path).unwrap(),
            query: Query::parse(self.query).unwrap(),
            headers: self.fields.iter().map(field).collect(),
            upgrade: None,
            body: self.body,
        }
    }
}

fn post(body: &str) -> Case<'static> {
    let body = Payload::complete(Bytes::copy_from_slice(body.as_bytes()));
    Case { method: "POST", to: "https://h.example", path: "/hook", query: "", fields: &[], body }
}

fn scheme(place: &str) -> Arc<Signing> {
    match Place::parse(place) {
        Ok(Place::Signed(scheme)) => scheme,
        other => panic!("{other:?}"),
    }
}

fn key(key: &str, id: Option<&str>) -> Secret {
    SigningKey { id: id.map(str::to_owned), key: key.to_owned() }.write()
}

fn signed(case: Case<'_>, place: &str, secret: &Secret, seconds: u64) -> Result<Outgoing, Code> {
    let call = case.call();
    let to = call.destination.clone();
    let mut outgoing = write(call, &[], false).unwrap();
    let at = Timestamp::from_millis(seconds * 1000);
    let made = sign(&mut outgoing, &to, &scheme(place), secret, at);
    made.map(|_| outgoing).map_err(|refusal| refusal.code())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let mut all = headers.get_all(name).iter();
    let value = all.next().unwrap().to_str().unwrap();
    assert!(all.next().is_none(), "{name} twice");
    value
}

#[test]
fn calls_are_signed_as_in_the_examples_of_slack_github_and_binance() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let slack = key("8f742231b10e8888abcd99yyyzzz85a5", None);
    let out = signed(post(body), "hmac slack", &slack, 1_531_420_618).unwrap();
    assert_eq!(
        text(&out.head.headers, "x-slack-signature"),
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    );
    assert_eq!(text(&out.head.headers, "x-slack-request-timestamp"), "1531420618");
    let github = key("It's a Secret to Everybody", None);
    let out = signed(post("Hello, World!"), "hmac github", &github, 1).unwrap();
    assert_eq!(
        text(&out.head.headers, "x-hub-signature-256"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
    let query = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
    let sent = format!("{query}&signature=of-the-workload");
    let binance = key(
        "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
        Some("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"),
    );
    let case = Case { path: "/api/v3/order", query: &sent, ..post("") };
    let out = signed(case, "hmac binance", &binance, 1).unwrap();
    let signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
    assert_eq!(out.head.uri.to_string(), format!("/api/v3/order?{query}&signature={signature}"));
    assert!(text(&out.head.headers, "x-mbx-apikey").starts_with("vmPUZE6"));
}

#[test]
fn every_word_of_a_scheme_is_what_it_says() {
    let place = "hmac sha512 key hex over method \"|\" host \"|\" path \"|\" query \"|\" target \"|\" url \"|\" header x-a \"|\" body \"|\" \
                 body-sha256-hex \"|\" key-id \"|\" seconds \"|\" millis \"|\" iso8601 \"|\" iso8601-millis \"|\" http-date; \
                 header x-sign = key-id \":\" base64url; header x-date = http-date; header x-hash = body-sha1-base64";
    let case = Case { path: "/a%20b", query: "k=v%20w", fields: &[("x-a", " one ")], ..post("body") };
    let out = signed(case, place, &key("00ff10AB", Some("the-id-of-it")), 784_111_777).unwrap();
    let expected = "POST|h.example|/a%20b|k=v%20w|/a%20b?k=v%20w|https://h.example/a%20b?k=v%20w|one|body|\
                    230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5|the-id-of-it|784111777|784111777000|\
                    1994-11-06T08:49:37Z|1994-11-06T08:49:37.000Z|Sun, 06 Nov 1994 08:49:37 GMT";
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, &[0, 255, 16, 171]);
    let (id, signature) = text(&out.head.headers, "x-sign").split_once(':').unwrap();
    use base64::Engine;
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(id, "the-id-of-it");
    assert!(aws_lc_rs::hmac::verify(&key, expected.as_bytes(), &signature).is_ok());
    assert_eq!(text(&out.head.headers, "x-date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(text(&out.head.headers, "x-hash"), "Agg/RXngimEkJcDBoX7ket14O5Q=");
}

#[test]
fn a_signature_is_looked_for_in_every_spelling_that_was_written() {
    let call = post("x").call();
    let to = call.destination.clone();
    let mut outgoing = write(call, &[], false).unwrap();
    let scheme = scheme("hmac sha256 over body; header x-a = hex; header x-b = \"v1,\" base64");
    let made =
        sign(&mut outgoing, &to, &scheme, &key("canary-key", None), Timestamp::from_millis(1)).unwrap();
    let written = |name| text(&outgoing.head.headers, name).trim_start_matches("v1,").as_bytes().to_vec();
    let known: Vec<Vec<u8>> = made.0.iter().map(|text| text.to_vec()).collect();
    assert_eq!(known, [written("x-a"), written("x-b")]);
    assert_eq!(made.needles().count(), 2);
}

#[test]
fn what_the_workload_wrote_of_the_signature_is_replaced() {
    let fields =
        [("x-slack-signature", "v0=PLACEHOLDER"), ("x-slack-request-timestamp", "1"), ("x-other", "kept")];
    let out =
        signed(Case { fields: &fields, ..post("x") }, "hmac slack", &key("canary-key", None), 99).unwrap();
    assert_eq!(text(&out.head.headers, "x-slack-request-timestamp"), "99");
    assert_eq!(text(&out.head.headers, "x-other"), "kept");
    assert!(!text(&out.head.headers, "x-slack-signature").contains("PLACEHOLDER"));
    assert!(out.head.headers["x-slack-signature"].is_sensitive());
}

#[test]
fn a_scheme_that_cannot_be_followed_signs_nothing() {
    let unread = || Payload {
        head: Bytes::from_static(b"head"),
        rest: Some(Payload::unread()),
        length: None,
        trailers: None,
    };
    let (plain, with_id) = (key("canary-key", None), key("canary-key", Some("id")));
    let two = [("webhook-id", "1"), ("webhook-id", "2")];
    for (case, place, key, code) in [
        (Case { body: unread(), ..post("") }, "hmac github", &plain, Code::BodyNotPermitted),
        (post(""), "hmac bybit", &plain, Code::PlaceNotPermitted),
        (post(""), "hmac bybit", &with_id, Code::PlaceNotPermitted),
        (post(""), "hmac standard-webhooks", &plain, Code::PlaceNotPermitted),
        (
            Case { fields: &two, ..post("") },
            "hmac sha256 over header webhook-id; header x = hex",
            &plain,
            Code::PlaceNotPermitted,
        ),
        (post(""), "hmac sha256 key hex over body; header x = hex", &plain, Code::PlaceNotPermitted),
        (post(""), "http-signature ed25519 over @method", &plain, Code::PlaceNotPermitted),
        (post(""), "http-signature hmac-sha256 over x-absent", &plain, Code::PlaceNotPermitted),
        (post(""), "http-signature hmac-sha256 over @query-param \"k\"", &plain, Code::PlaceNotPermitted),
        (
            Case { query: "k=1&k=2", ..post("") },
            "http-signature hmac-sha256 over @query-param \"k\"",
            &plain,
            Code::PlaceNotPermitted,
        ),
        (
            Case { body: unread(), ..post("") },
            "http-signature hmac-sha256 over content-digest",
            &plain,
            Code::BodyNotPermitted,
        ),
    ] {
        assert_eq!(signed(case, place, key, 1).err(), Some(code), "{place}");
    }
    let streams = Case { body: unread(), ..post("") };
    assert!(
        signed(streams, "http-signature hmac-sha256 over @method", &plain, 1).is_ok(),
        "what is not signed streams"
    );
}

mod rfc9421;
