//! A rule that cannot be evaluated refuses: it is never skipped, whatever kind of rule it is (T79).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use bytes::Bytes;
use cloakroom_model::{BodyFault, Payload};
use http_body_util::{BodyExt, Full};
use kit::{Desk, NOW, code, decide};

/// What becomes of this call; the body is cut after so many bytes, and the rest is still to come.
fn judged(permit: &str, headers: &[(&str, &[u8])], body: &[u8], read: Option<usize>) -> String {
    let mut desk = Desk::new();
    let workload = desk.workload("robot");
    let text = format!("to = \"https://api.example.com\"\ncall = \"POST /x\"\n{permit}");
    let (_, text) = desk.issue_active(workload, &kit::policy(&text));
    let bearer = [("authorization".to_owned(), format!("Bearer {text}"))];
    let mut call = kit::call("POST", "https://api.example.com/x", &bearer, body).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        call.headers.append(name, http::HeaderValue::from_bytes(value).unwrap());
    }
    if let Some(read) = read {
        let body = Bytes::copy_from_slice(body);
        let rest = Full::new(body.slice(read..)).map_err(|never| -> BodyFault { match never {} });
        let length = Some(body.len() as u64);
        call.body =
            Payload { head: body.slice(..read), rest: Some(rest.boxed_unsync()), length, trailers: None };
    }
    let set = desk.set();
    code(decide(call, desk.principal(workload), &set, NOW))
}

const JSON: (&str, &[u8]) = ("content-type", b"application/json");
const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");

#[test]
fn t79_a_rule_that_cannot_be_evaluated_refuses_the_call() {
    let json = "body = { type = \"json\", fields = { n = { max = 5 } } }";
    let form = "body = { type = \"form\", fields = { n = { max = 5 } } }";
    let header = "headers = { x-n = { max = 5 } }";
    let look = "speaks = \"graphql\"\nrefuse = \"writes\"";
    let refused = "body-not-permitted";
    let gzip: (&str, &[u8]) = ("content-encoding", b"gzip");
    let query = b"{\"query\":\"{a}\"}";
    for (permit, headers, body, read, expected) in [
        (json, &[JSON][..], &b"{\"n\":5}"[..], None, "allowed"),
        (json, &[JSON], b"{\"n\":5", None, refused),
        (json, &[JSON], b"{\"n\":5,\"n\":5}", None, refused),
        (json, &[JSON], b"{\"n\":5e0}", None, refused),
        (json, &[JSON], b"{\"n\":\xff}", None, refused),
        (json, &[JSON], b"{\"n\":5}", Some(3), refused),
        (json, &[JSON, gzip], b"{\"n\":5}", None, refused),
        (json, &[], b"{\"n\":5}", None, refused),
        (json, &[JSON, JSON], b"{\"n\":5}", None, refused),
        (form, &[FORM], b"n=5", None, "allowed"),
        (form, &[FORM], b"n=5;n=6", None, refused),
        (form, &[FORM], b"n=%", None, refused),
        (form, &[FORM], b"n=five", None, refused),
        (form, &[FORM], b"n=5", Some(1), refused),
        (header, &[("x-n", b"5")], b"", None, "allowed"),
        (header, &[("x-n", b"\xff")], b"", None, "call-not-permitted"),
        (header, &[("x-n", b"five")], b"", None, "call-not-permitted"),
        (header, &[("x-n", b"5"), ("x-n", b"5")], b"", None, "call-not-permitted"),
        (look, &[JSON], query, None, "allowed"),
        (look, &[JSON], query, Some(4), "call-not-permitted"),
        (look, &[JSON, gzip], query, None, "call-not-permitted"),
        (look, &[JSON], b"{\"query\":\"{a\"}", None, "call-not-permitted"),
        ("approve = \"writes\"\nspeaks = \"graphql\"", &[JSON], query, None, "allowed"),
        ("approve = \"writes\"\nspeaks = \"graphql\"", &[JSON, gzip], query, None, "approval-required"),
        (
            "approve = \"writes\"\nspeaks = \"graphql\"",
            &[JSON],
            b"{\"query\":\"{a\"}",
            None,
            "approval-required",
        ),
        (
            "approve = \"writes\"\nreads = [\"POST /x\"]\nwrites = [\"POST /x\"]",
            &[JSON],
            query,
            None,
            "call-not-permitted",
        ),
    ] {
        assert_eq!(
            judged(permit, headers, body, read),
            expected,
            "{permit}: {} {read:?}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn t79_a_stored_rule_that_does_not_parse_is_not_left_out_of_its_policy() {
    let mut desk = Desk::new();
    let workload = desk.workload("robot");
    let text =
        "to = \"https://api.example.com\"\ncall = \"GET /x\"\napprove = \"writes\"\nwrites = [\"GET /x\"]";
    let (id, placeholder) = desk.issue_active(workload, &kit::policy(text));
    let call = || kit::bearer("GET", "https://api.example.com/x", &placeholder);
    assert_eq!(code(decide(call(), desk.principal(workload), &desk.set(), NOW)), "approval-required");
    for (from, to) in [("\"writes\"", "\"wirtes\""), ("GET /x\"]", "GET\"]"), ("\"terms\"", "\"therms\"")] {
        let good = desk.row(id).policy.clone();
        assert!(good.contains(from), "{good}");
        desk.row(id).policy = good.replacen(from, to, 1);
        let (set, ignored) = desk.activate(None);
        assert_eq!(ignored.len(), 1, "{to}");
        assert_eq!(code(decide(call(), desk.principal(workload), &set, NOW)), "placeholder-revoked", "{to}");
        desk.row(id).policy = good;
    }
}
