//! Access tokens that are bound to a key of the broker's: proofs at a real authorization server and at a destination that verifies them.

use super::Stage;
use crate::support::{item, items, policy};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_testkit::{Issued, Received, Reply, Request, TlsUpstream, Way};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Whose proofs were seen, and what the destination wants of the next.
#[derive(Default)]
struct Verifier {
    seen: Mutex<Vec<String>>,
    nonce: Mutex<Option<&'static str>>,
}

impl Verifier {
    /// As RFC 9449, section 7.1: the scheme, the proof's signature, what it is for, and that it is new.
    fn judge(&self, request: &Received) -> Result<(), &'static str> {
        let value = request.header("authorization").unwrap_or_default();
        let token = value.strip_prefix("DPoP ").ok_or("not DPoP")?;
        let proof = request.header("dpop").ok_or("no proof")?;
        let (message, signature) = proof.rsplit_once('.').ok_or("no JWT")?;
        let (header, claims) = message.split_once('.').ok_or("no JWT")?;
        let read =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = (read(header), read(claims));
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .map_err(|_| "a wrong signature")?;
        let path = request.target.split('?').next().unwrap();
        let url = format!("https://{}{path}", request.header("host").unwrap_or_default());
        if claims["htm"] != request.method.as_str() || claims["htu"] != url.as_str() {
            return Err("made for another request");
        }
        if claims["ath"] != URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())).as_str() {
            return Err("made for another access token");
        }
        let mut seen = self.seen.lock().unwrap();
        if seen.iter().any(|one| one == proof) {
            return Err("used before");
        }
        seen.push(proof.to_owned());
        match *self.nonce.lock().unwrap() {
            Some(nonce) if claims["nonce"] != nonce => Err("use_dpop_nonce"),
            _ => Ok(()),
        }
    }
}

/// A destination that takes bound access tokens only, and repeats what it got.
fn destination(stage: &Stage) -> (TlsUpstream, Arc<Verifier>) {
    let verifier = Arc::new(Verifier::default());
    let judge = Arc::clone(&verifier);
    let upstream = TlsUpstream::start(&stage.setup.authority, move |request| match judge.judge(request) {
        Ok(()) => Reply::ok("text/plain", format!("you sent {}", request.header("authorization").unwrap())),
        Err("use_dpop_nonce") => Reply::status("401 Unauthorized")
            .with("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
            .with("dpop-nonce", judge.nonce.lock().unwrap().unwrap())
            .with_body("again"),
        Err(why) => Reply::status("403 Forbidden").with_body(why),
    });
    (upstream, verifier)
}

fn log_in(stage: &Stage, to: &TlsUpstream) {
    let login = stage.begin("public", &["--scope", "openid", "--redirect", "loopback", "--to", &to.url()]);
    assert!(login.url().contains("dpop_jkt="), "{}", login.url());
    stage.browse(login.url());
    let ended = login.end();
    assert!(ended.status.success(), "{ended:?}\n{}", stage.broker().output());
}

fn call(stage: &Stage, request: &Request) -> (u16, String) {
    let answer = stage.broker().call(Way::Connect, Some(&stage.setup.robot), request);
    assert!(answer.header("dpop-nonce").is_none());
    (answer.status, answer.code().unwrap_or_else(|| answer.text()))
}

fn asked_with(upstream: &TlsUpstream, issued: &Issued, scheme: &str) -> Request {
    let mut request = item(upstream, "1?x=1", &issued.text);
    request.headers.retain(|(name, _)| name != "authorization");
    request.with("authorization", &format!("{scheme} {}", issued.text))
}

#[test]
fn a_bound_access_token_goes_out_with_a_proof_for_each_call() {
    for variable in ["yes", "nonce"] {
        let Some(stage) = Stage::with(&[("DPOP", variable)]) else { return };
        let (upstream, verifier) = destination(&stage);
        log_in(&stage, &upstream);
        let permits = items(&upstream) + "query = { allow = [\"x\"] }\n";
        let issued = stage.broker().permit("c", "robot", &permits, &[]);
        let fine = (200, format!("you sent DPoP {}", issued.text));
        assert_eq!(
            call(&stage, &asked_with(&upstream, &issued, "Bearer")),
            fine,
            "{}",
            stage.broker().output()
        );
        assert_eq!(call(&stage, &asked_with(&upstream, &issued, "DPoP")), fine);
        // A proof of the workload's own is dropped.
        let own = asked_with(&upstream, &issued, "DPoP").with("dpop", "eyJ.eyJ.x");
        assert_eq!(call(&stage, &own), fine);
        assert_eq!((verifier.seen.lock().unwrap().len(), upstream.requests().len()), (3, 3));
    }
}

#[test]
fn a_nonce_that_the_destination_wants_is_proved_with_at_once_where_nothing_is_sent_twice_by_that() {
    let Some(stage) = Stage::with(&[("DPOP", "yes")]) else { return };
    let (upstream, verifier) = destination(&stage);
    log_in(&stage, &upstream);
    let issued = stage.broker().permit("c", "robot", &items(&upstream), &[]);
    let request = item(&upstream, "1", &issued.text);
    *verifier.nonce.lock().unwrap() = Some("first");
    assert_eq!(call(&stage, &request).0, 200);
    assert_eq!(upstream.requests().len(), 2, "once without, once with the nonce");
    assert_eq!(call(&stage, &request).0, 200);
    assert_eq!(upstream.requests().len(), 3, "it is kept");
    *verifier.nonce.lock().unwrap() = Some("second");
    let counted = stage.broker().permit("c", "robot", &items(&upstream), &["--uses", "3"]);
    let request = item(&upstream, "1", &counted.text);
    assert_eq!(call(&stage, &request), (401, "again".into()), "a counted call goes out once");
    assert_eq!(upstream.requests().len(), 4);
    assert_eq!(call(&stage, &request).0, 200, "the next has the nonce");
    assert_eq!(upstream.requests().len(), 5);
}

#[test]
fn a_bound_access_token_goes_nowhere_else_and_an_unbound_one_is_not_called_bound() {
    let Some(stage) = Stage::with(&[("DPOP", "yes")]) else { return };
    let (upstream, _) = destination(&stage);
    log_in(&stage, &upstream);
    let permits = policy(&upstream.url(), "GET /v1/items/{id}", "header x-api-key raw", "");
    let issued = stage.broker().permit("c", "robot", &permits, &[]);
    let mut request = item(&upstream, "1", &issued.text);
    request.headers.retain(|(name, _)| name != "authorization");
    let request = request.with("x-api-key", &issued.text);
    assert_eq!(call(&stage, &request).1, "place-not-permitted");
    stage.broker().deposit("b", "bearer", &[&upstream.url()], &cloakroom_testkit::shaped("sk-"));
    let issued = stage.broker().permit("b", "robot", &items(&upstream), &[]);
    let mut request = item(&upstream, "1", &issued.text);
    request.headers.retain(|(name, _)| name != "authorization");
    let request = request.with("authorization", &format!("DPoP {}", issued.text));
    assert_eq!(call(&stage, &request).1, "place-not-permitted");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_server_that_binds_nothing_is_refused_where_that_was_asked_for() {
    let Some(stage) = Stage::new() else { return };
    let login = stage.begin("app", &["--scope", "openid", "--bound"]);
    stage.browse(login.url());
    assert_eq!(login.failure(), "reply-not-usable");
}
