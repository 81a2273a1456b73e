//! The ways in which an OAuth client says who it is, at a real server.

use super::Stage;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_testkit::shaped;
use std::io::Write;

/// A key pair: the private half as PEM in a file, the public half as a JWK.
fn key() -> (tempfile::NamedTempFile, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let point = pair.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    (file, format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","x":"{x}","y":"{y}"}}"#))
}

#[test]
fn an_oauth_client_signs_who_it_is() {
    let (file, jwk) = key();
    let Some(stage) = Stage::with(&[("CLIENT_JWK", &jwk)]) else { return };
    let path = file.path().display().to_string();
    let with_key = ["--scope", "openid", "--client-key-file", &path, "--algorithm", "ES256"];
    let login = stage.begin("keyed", &with_key);
    stage.browse(login.url());
    let ended = login.end();
    assert!(ended.status.success(), "{ended:?}\n{}", stage.broker().output());
    let issued = stage.permit();
    assert_eq!(stage.call(&issued).status, 200);
    let form = stage.server.test("seen")["form"].as_str().unwrap().to_owned();
    assert!(form.contains("client_assertion=") && form.contains("grant_type=refresh_token"), "{form}");
    assert_eq!(stage.server.test("seen")["refused"], 0);

    // Client credentials with the same key: no secret is read.
    let (to, endpoint) = (stage.upstream.url(), stage.server.endpoint());
    let mut arguments = vec!["credential", "add", "machine", "--to", &to, "--grant", "client-credentials"];
    arguments.extend([
        "--token-endpoint",
        &endpoint,
        "--client-id",
        "keyed",
        "--client-key-file",
        &path,
        "--algorithm",
        "ES256",
    ]);
    stage.broker().cli(&arguments);
    let permits = crate::support::items(&stage.upstream);
    let issued = stage.broker().permit("machine", "robot", &permits, &[]);
    assert_eq!(stage.call(&issued).status, 200, "{}", stage.broker().output());
}

#[test]
fn another_key_and_another_secret_are_refused() {
    let (_, jwk) = key();
    let (other, _) = key();
    let Some(stage) = Stage::with(&[("CLIENT_JWK", &jwk)]) else { return };
    let path = other.path().display().to_string();
    let login =
        stage.begin("keyed", &["--scope", "openid", "--client-key-file", &path, "--algorithm", "ES256"]);
    stage.browse(login.url());
    assert_eq!(login.failure(), "refused");
    let mut wrong = tempfile::NamedTempFile::new().unwrap();
    wrong.write_all(shaped("another-").as_bytes()).unwrap();
    let path = wrong.path().display().to_string();
    let login = stage
        .begin("public", &["--scope", "openid", "--client-secret-file", &path, "--redirect", "loopback"]);
    stage.browse(login.url());
    assert_eq!(login.failure(), "refused");
}
