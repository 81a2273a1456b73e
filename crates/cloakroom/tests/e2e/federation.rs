//! Google's workload identity federation, at a token service of our own, where Google's cannot be had: it verifies the broker's token by the key
//! set that the broker publishes.

use crate::seaweed::Ports;
use crate::support::{BINARY, item, items, settings_of};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_testkit::{
    Broker, BrokerBuilder, Received, Reply, TestAuthority, TlsUpstream, Way, Workload, shaped,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

const PROVIDER: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/cloakroom";
const SUBJECT: &str = "cloakroom:credential:sheets";

/// A document of the issuer, from where anybody gets it.
fn published(issuer: &str, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(issuer).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {issuer}\r\nConnection: close\r\n\r\n").as_bytes())
        .ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    serde_json::from_str(reply.split_once("\r\n\r\n")?.1).ok()
}

/// The claims of a token that the issuer's published keys verify.
fn verified(issuer: &str, token: &str) -> Option<Value> {
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
    let discovery = published(issuer, "/.well-known/openid-configuration")?;
    let keys =
        published(issuer, discovery["jwks_uri"].as_str()?.strip_prefix(discovery["issuer"].as_str()?)?)?;
    let key = keys["keys"].as_array()?.iter().find(|key| key["kid"] == header["kid"])?.clone();
    let part = |name: &str| decoded(key[name].as_str()?);
    let key = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decoded(signature)?).ok()?;
    let claims: Value = serde_json::from_slice(&decoded(claims)?).ok()?;
    (claims["iss"] == discovery["issuer"]).then_some(claims)
}

fn field(request: &Received, name: &str) -> Option<String> {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let value = form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(value.replace("%3A", ":").replace("%2F", "/"))
}

/// Google's two services: the token service, and the one that acts as service accounts.
fn google(issuer: &str, request: &Received) -> Reply {
    let json = |value: Value| Reply::ok("application/json", value.to_string());
    let refused =
        || Reply::status("400 Bad Request").with_body(json!({"error": "invalid_grant"}).to_string());
    match request.target.as_str() {
        "/v1/token" => {
            let claims = field(request, "subject_token").and_then(|token| verified(issuer, &token));
            let fine = claims.is_some_and(|claims| claims["aud"] == PROVIDER && claims["sub"] == SUBJECT)
                && field(request, "audience").as_deref() == Some(PROVIDER)
                && field(request, "grant_type").as_deref()
                    == Some("urn:ietf:params:oauth:grant-type:token-exchange");
            if !fine {
                return refused();
            }
            let token = format!("federated-{}", shaped("ya29."));
            json(json!({
                "access_token": token, "expires_in": 3600, "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }))
        }
        "/v1/projects/-/serviceAccounts/robot:generateAccessToken" => {
            let bearer = format!("Bearer federated-{}", shaped("ya29."));
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if request.header("authorization") != Some(&bearer)
                || asked["scope"] != json!(["sheets.read", "mail"])
            {
                return Reply::status("403 Forbidden").with_body("{}");
            }
            json(json!({ "accessToken": shaped("ya29."), "expireTime": "2100-01-01T00:00:00Z" }))
        }
        _ => Reply::status("404 Not Found").with_body("{}"),
    }
}

struct Stage {
    broker: Broker,
    robot: Workload,
    google: TlsUpstream,
    upstream: TlsUpstream,
    _authority: TestAuthority,
    _ports: Ports,
}

impl Stage {
    fn new() -> Self {
        let (authority, ports) = (TestAuthority::new(), Ports::take());
        let issuer = format!("127.0.0.1:{}", ports.numbers[4]);
        let settings = format!(
            "[issuer]\nurl = \"http://{issuer}\"\nlisten = \"{issuer}\"\naudiences = [\"{PROVIDER}\", \"another\"]\n"
        );
        std::fs::write(settings_of(&authority), settings).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority)
            .argument("--config")
            .argument(settings_of(&authority))
            .start();
        let google = TlsUpstream::start(&authority, move |request| google(&issuer, request));
        let upstream = TlsUpstream::start(&authority, |request| {
            Reply::ok(
                "text/plain",
                format!("you sent {}", request.header("authorization").unwrap_or_default()),
            )
        });
        let robot = broker.workload("robot");
        Self { broker, robot, google, upstream, _authority: authority, _ports: ports }
    }

    /// Deposits what gcloud writes.
    fn deposit(&self, name: &str, account: Option<&str>, more: &[&str]) {
        let url = account.map(|account| {
            format!("{}/v1/projects/-/serviceAccounts/{account}:generateAccessToken", self.google.url())
        });
        let file = json!({
            "type": "external_account", "audience": PROVIDER, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", self.google.url()), "service_account_impersonation_url": url,
            "credential_source": { "file": "/nowhere" },
        });
        let to = self.upstream.url();
        let arguments = [
            "credential",
            "add",
            name,
            "--to",
            &to,
            "--grant",
            "google-federation",
            "--scope",
            "sheets.read mail",
        ];
        let refused = self.broker.run_with(&[&arguments[..], more].concat(), &file.to_string());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains("to somebody else than Google"), "{refused:?}");
        let endpoint = format!("{}/v1/token", self.google.url());
        let named = [&arguments[..], more, &["--token-endpoint", &endpoint]].concat();
        let added = self.broker.run_with(&named, &file.to_string());
        assert!(added.status.success(), "{added:?}");
    }

    fn call(&self, credential: &str) -> (String, cloakroom_testkit::Response) {
        let issued = self.broker.permit(credential, "robot", &items(&self.upstream), &[]);
        let answer =
            self.broker.call(Way::Connect, Some(&self.robot), &item(&self.upstream, "1", &issued.text));
        (issued.text, answer)
    }
}

#[test]
fn the_brokers_token_becomes_an_access_token_of_a_service_account() {
    let stage = Stage::new();
    stage.deposit("sheets", Some("robot"), &[]);
    let (placeholder, answer) = stage.call("sheets");
    assert_eq!(answer.text(), format!("you sent Bearer {placeholder}"));
    assert_eq!(
        stage.upstream.last().header("authorization"),
        Some(format!("Bearer {}", shaped("ya29.")).as_str())
    );
    assert_eq!(stage.google.requests().len(), 2);
    assert_eq!(stage.call("sheets").1.status, 200);
    assert_eq!(stage.google.requests().len(), 2, "shared while it is valid");
}

#[test]
fn without_a_service_account_the_federated_access_token_is_placed() {
    let stage = Stage::new();
    stage.deposit("sheets", None, &[]);
    let (placeholder, answer) = stage.call("sheets");
    assert_eq!(answer.text(), format!("you sent Bearer {placeholder}"));
    assert_eq!(field(&stage.google.requests()[0], "scope").as_deref(), Some("sheets.read%20mail"));
}

#[test]
fn a_federation_one_step_wrong_brings_no_access_token_and_says_what_to_look_at() {
    let stage = Stage::new();
    stage.deposit("other-name", Some("robot"), &[]);
    stage.deposit("other-audience", Some("robot"), &["--audience", "another"]);
    stage.deposit("no-audience", Some("robot"), &["--audience", "a-third"]);
    for (credential, word) in
        [("other-name", "provider"), ("other-audience", "provider"), ("no-audience", "audience")]
    {
        let answer = stage.call(credential).1;
        assert_eq!(
            answer.code().as_deref(),
            Some("credential-unavailable"),
            "{credential}: {}",
            answer.text()
        );
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{credential}: {}", answer.text());
    }
    assert_eq!(
        stage.google.requests().len(),
        2,
        "for an audience that the settings do not name nothing is signed"
    );
    stage.deposit("sheets", Some("somebody"), &[]);
    let answer = stage.call("sheets").1;
    assert!(answer.json()["detail"].as_str().unwrap().contains("service account"), "{}", answer.text());
    assert!(stage.upstream.requests().is_empty());
}
