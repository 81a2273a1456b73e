//! Calls signed by the scheme of their permit, verified by what vendors give to those who verify.

use crate::clients::{installed, script};
use crate::support::{policy, setup};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{CANARY, Received, Request, Response, Setup, TlsUpstream, Way, echo};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A credential `c`, a placeholder for it, and a destination that echoes.
struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    text: String,
}

impl Stage {
    fn new(kind: &str, key: &str, place: &str, rest: &str) -> Self {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, echo);
        setup.broker.deposit("c", kind, &[&upstream.url()], key);
        let permit = policy(&upstream.url(), "POST /hook", &place.replace('"', "\\\""), rest);
        let text = setup.broker.permit("c", "robot", &permit, &[]).text;
        Self { setup, upstream, text }
    }

    fn post(&self, fields: &[(&str, String)], body: &str) -> Response {
        let request = Request::new("POST", &self.upstream.authority(), "/hook");
        let request = fields.iter().fold(request, |request, (name, value)| request.with(name, value));
        self.setup.broker.call(
            Way::Connect,
            Some(&self.setup.robot),
            &request.with_body("application/json", body),
        )
    }

    /// What the destination got, for a verifier.
    fn sent(&self, key: &str) -> Value {
        verifiable(&self.upstream.last(), &self.upstream.url(), key)
    }
}

fn verifiable(got: &Received, url: &str, key: &str) -> Value {
    let headers: BTreeMap<&str, &str> =
        got.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    json!({ "method": got.method, "url": format!("{url}{}", got.target), "headers": headers,
        "body": STANDARD.encode(&got.body), "key": key })
}

/// Whether a vendor's own code takes what the destination got.
fn verified(program: &Path, script: &Path, call: &Value) -> String {
    let mut child =
        Command::new(program).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(call.to_string().as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_call_signed_like_stripe_verifies_with_stripes_own_library() {
    let Some(clients) = installed() else { return };
    let stage = Stage::new("hmac", CANARY, "hmac stripe", "");
    let signature = format!("t=1,v1={}", stage.text);
    let answer = stage.post(&[("stripe-signature", signature)], "{\"a\": 1}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let call = stage.sent(CANARY);
    assert_eq!(verified(&clients.join("venv/bin/python"), &script("verify_signature.py"), &call), "verified");
    // The echo shows the workload its own placeholder where the signature was.
    let made = call["headers"]["stripe-signature"].as_str().unwrap().split_once("v1=").unwrap().1.to_owned();
    assert!(!answer.text().contains(&made) && answer.text().contains(&stage.text), "{}", answer.text());
}

#[test]
fn a_call_signed_like_github_verifies_with_octokit() {
    let Some(clients) = installed() else { return };
    let stage = Stage::new("hmac", CANARY, "hmac github", "");
    let answer = stage.post(&[("x-hub-signature-256", format!("sha256={}", stage.text))], "{\"a\":\"é\"}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Node looks for modules upwards from the script.
    let directory = tempfile::tempdir_in(clients.join("node")).unwrap();
    let copy = directory.path().join("verify_signature.mjs");
    std::fs::copy(script("verify_signature.mjs"), &copy).unwrap();
    assert_eq!(verified(Path::new("node"), &copy, &stage.sent(CANARY)), "verified");
}

#[test]
fn a_call_one_step_beside_its_scheme_reaches_nothing() {
    let stage = Stage::new("hmac", CANARY, "hmac slack", "body = { type = \"json\", max_bytes = \"1KiB\" }");
    let (name, text) = ("x-slack-signature", &stage.text);
    let good = format!("v0={text}");
    for (fields, code) in [
        (vec![(name, text.clone())], "place-not-permitted"),
        (vec![(name, format!("v1={text}"))], "place-not-permitted"),
        (vec![("authorization", format!("Bearer {text}"))], "place-not-permitted"),
        (vec![(name, good.clone()), (name, good.clone())], "place-not-permitted"),
        (vec![(name, good.clone()), ("x-copy", text.clone())], "place-not-permitted"),
        (vec![(name, good.clone()), ("x-slack-request-timestamp", text.clone())], "place-not-permitted"),
        (vec![(name, "v0=0".to_owned())], "unknown-placeholder"),
    ] {
        assert_eq!(stage.post(&fields, "{}").code().as_deref(), Some(code), "{fields:?}");
    }
    let long = format!("\"{}\"", "x".repeat(1024));
    assert_eq!(stage.post(&[(name, good.clone())], &long).code().as_deref(), Some("body-not-permitted"));
    assert_eq!(stage.upstream.connections(), 0, "something went out");
    assert_eq!(stage.post(&[(name, good)], "{}").status, 200);
}

#[test]
fn a_body_that_is_signed_is_read_whole_and_one_that_is_not_streams() {
    let large = "x".repeat((1 << 20) + 1);
    let stage = Stage::new("hmac", CANARY, "hmac github", "");
    let signature = format!("sha256={}", stage.text);
    let refused = stage.post(&[("x-hub-signature-256", signature)], &large);
    assert_eq!(refused.code().as_deref(), Some("body-not-permitted"), "{refused:?}");
    assert_eq!(stage.upstream.connections(), 0);
    let place = "hmac sha256 over method path; header x-signature = hex";
    let stage = Stage::new("hmac", CANARY, place, "");
    let answer = stage.post(&[("x-signature", stage.text.clone())], &large);
    assert_eq!((answer.status, stage.upstream.last().body.len()), (200, large.len()));
}

#[test]
fn the_approval_says_what_is_signed_and_lint_what_is_not() {
    let setup = setup();
    let to = "https://api.example.com";
    setup.broker.deposit("c", "hmac", &[to], CANARY);
    let permit = policy(to, "POST /hook", "hmac sha256 over method path; header x-signature = hex", "");
    let issued = setup.broker.issue("c", "robot", &permit, &[]);
    let shown = setup.broker.cli(&["approval", "show", &issued.approval]).stdout;
    for line in [
        "with the credential in: a signature made anew; the placeholder stands in header x-signature",
        "signed with: hmac sha256, the key spelled raw",
        "signed, one after the other: method path",
        "written: header x-signature = hex",
        "! the signature does not cover the query or the body: it is good for other calls too, for whoever sees it",
    ] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    std::fs::write(&file, &permit).unwrap();
    let lint = setup.broker.cli(&["policy", "check", file.to_str().unwrap()]);
    assert!(format!("{lint:?}").contains("the signature does not cover the body"), "{lint:?}");
}

#[test]
fn a_key_signs_as_its_kind_does_and_is_never_sent() {
    let setup = setup();
    let to = "https://api.example.com";
    setup.broker.deposit("shared", "hmac", &[to], CANARY);
    setup.broker.deposit("message", "http-signature", &[to], CANARY);
    setup.broker.deposit("token", "bearer", &[to], CANARY);
    let places = ["hmac github", "http-signature hmac-sha256 over @method", "header authorization bearer"];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    for (at, place) in places.iter().enumerate() {
        std::fs::write(&file, policy(to, "POST /hook", place, "")).unwrap();
        for (of, credential) in ["shared", "message", "token"].iter().enumerate() {
            let whose = ["placeholder", "issue", "--credential", credential, "--workload", "robot"];
            let issued = setup.broker.run(&[&whose[..], &["--policy", file.to_str().unwrap()]].concat());
            assert_eq!(issued.status.success(), at == of, "{credential} at {place}: {issued:?}");
        }
    }
}

/// A key for messages: its kind, what is deposited, and what a verifier is given.
fn message_keys() -> Vec<(&'static str, String, Value)> {
    let kinds: [(&str, &'static rcgen::SignatureAlgorithm); 4] = [
        ("ed25519", &rcgen::PKCS_ED25519),
        ("ecdsa-p256-sha256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("rsa-pss-sha512", &rcgen::PKCS_RSA_SHA256),
        ("rsa-v1_5-sha256", &rcgen::PKCS_RSA_SHA256),
    ];
    let pairs = kinds.map(|(algorithm, kind)| {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let known = json!({ "alg": algorithm, "pem": pair.public_key_pem() });
        (algorithm, pair.serialize_pem(), known)
    });
    let shared = json!({ "alg": "hmac-sha256", "base64": STANDARD.encode(CANARY) });
    pairs.into_iter().chain([("hmac-sha256", CANARY.to_owned(), shared)]).collect()
}

#[test]
fn messages_that_are_signed_in_any_shape_verify_with_another_implementation() {
    let Some(clients) = installed() else { return };
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let mut keys = serde_json::Map::new();
    let targets =
        ["/", "/a%20b/c", "/x?a=1", "/%E2%82%AC?a=%26%3D&b=c%20d", "/(y)*!/~-._?b=&a=1%2F2", "//?a"];
    let bodies = ["", "{\"a\": 1}", "\u{e9}\u{20ac}\n"];
    for (algorithm, key, known) in message_keys() {
        let id = format!("the-key-for-{algorithm}");
        let add = [
            "credential",
            "add",
            algorithm,
            "--kind",
            "http-signature",
            "--key-id",
            &id,
            "--to",
            &upstream.url(),
        ];
        let added = setup.broker.run_with(&add, &key);
        assert!(added.status.success(), "{added:?}");
        keys.insert(id, known);
        let place = format!(
            "http-signature {algorithm} over @method @target-uri @authority @path @query content-digest; expires 60; nonce; alg; tag \\\"t\\\""
        );
        let permit = policy(&upstream.url(), "POST /", &place, "query = { allow = [\"a\", \"b\"] }")
            .replace("[\"POST /\"]", "[\"POST /\", \"POST /{rest...}\", \"GET /\", \"GET /{rest...}\"]");
        let text = setup.broker.permit(algorithm, "robot", &permit, &[]).text;
        for (at, target) in targets.iter().enumerate() {
            let method = if at % 2 == 0 { "POST" } else { "GET" };
            let body = if method == "GET" { "" } else { bodies[at / 2 % bodies.len()] };
            let request = Request::new(method, &upstream.authority(), target)
                .with("signature-input", &format!("sig1=(\"date\");created=1;keyid=\"{text}\""))
                .with("signature", "sig1=:AA==:")
                .with("content-digest", "sha-256=:of-the-workload:");
            let request = if body.is_empty() { request } else { request.with_body("text/plain", body) };
            let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &request);
            if *target == "//?a" {
                assert_eq!(answer.code().as_deref(), Some("ambiguous-call"), "{target}");
            } else {
                assert_eq!(answer.status, 200, "{algorithm} {target}: {}", answer.text());
            }
        }
        let unsigned = Request::new("GET", &upstream.authority(), "/")
            .with("signature-input", &format!("sig1=();keyid=\"{text}\", sig2=();keyid=\"{text}\""));
        let refused = setup.broker.call(Way::Connect, Some(&setup.robot), &unsigned);
        assert_eq!(refused.code().as_deref(), Some("place-not-permitted"));
    }
    let got: Vec<Value> =
        upstream.requests().iter().map(|got| verifiable(got, &upstream.url(), "")).collect();
    let directory = tempfile::tempdir_in(clients.join("node")).unwrap();
    let copy = directory.path().join("verify_messages.mjs");
    std::fs::copy(script("verify_messages.mjs"), &copy).unwrap();
    let told = verified(Path::new("node"), &copy, &json!({ "calls": got, "keys": keys }));
    assert_eq!(
        told,
        format!("{0} of {0} verified, {1} of {1} changed ones refused", got.len(), 3 * got.len())
    );
    assert_eq!(got.len(), 25);
}
