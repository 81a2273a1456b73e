//! A token endpoint of our own, where no real one can be had: Google's and GitHub's. It verifies the assertion with the public key.

use super::*;
use crate::clients::{installed, run, script, surroundings};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::process::Command;
use std::sync::Arc;

struct Signing {
    pem: String,
    public: Vec<u8>,
}

fn signing() -> Signing {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Signing { pem, public: pair.public_key().as_ref().to_vec() }
}

/// The claims, where the signature holds.
fn verified(assertion: &str, public: &[u8]) -> Option<Value> {
    let (message, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
        .verify(message.as_bytes(), &signature)
        .ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(message.split_once('.')?.1).ok()?).ok()
}

fn bearer_of(upstream: &TlsUpstream) -> Option<String> {
    upstream.requests().last()?.header("authorization").map(str::to_owned)
}

/// A service account's credential `c`, and a placeholder for it.
fn service_account() -> (Setup, TlsUpstream, TlsUpstream, Issued) {
    let setup = setup();
    let signing = signing();
    let public = Arc::new(signing.public);
    let endpoint = TlsUpstream::start(&setup.authority, move |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let assertion = form.split('&').find_map(|pair| pair.strip_prefix("assertion=")).unwrap_or_default();
        let claims = verified(assertion, &public);
        let fine = claims.is_some_and(|claims| {
            claims["iss"] == "robot@project.iam.example"
                && claims["scope"] == "mail"
                && claims["exp"].is_u64()
        });
        let grant = form.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
        if !fine || !grant {
            return Reply::status("400 Bad Request").with_body("{\"error\":\"invalid_grant\"}");
        }
        let reply = format!(r#"{{"access_token":"{}","expires_in":3600}}"#, shaped("ya29."));
        Reply::ok("application/json", reply)
    });
    let upstream = TlsUpstream::start(&setup.authority, service);
    let file = serde_json::json!({
        "type": "service_account", "client_email": "robot@project.iam.example", "private_key": signing.pem,
        "private_key_id": "k1", "token_uri": format!("{}/token", endpoint.url()),
    });
    let to = upstream.url();
    let arguments =
        ["credential", "add", "c", "--to", &to, "--grant", "google-service-account", "--scope", "mail"];
    let added = setup.broker.run_with(&arguments, &file.to_string());
    assert!(added.status.success(), "{added:?}");
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    (setup, endpoint, upstream, issued)
}

#[test]
fn a_google_service_account_signs_for_its_access_token() {
    let (setup, _endpoint, upstream, issued) = service_account();
    let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(answer.text(), format!("you sent Bearer {}", issued.text));
    assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ya29."))));
}

/// octokit as anyone uses it, with the placeholder of an app's installation: the broker does the app's part.
#[test]
fn octokit_works_with_the_installation_of_a_github_app() {
    let Some(clients) = installed() else { return };
    let setup = setup();
    let signing = signing();
    let public = Arc::new(signing.public);
    let endpoint = TlsUpstream::start(&setup.authority, move |request| {
        let assertion =
            request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        if verified(&assertion, &public).is_none_or(|claims| claims["iss"] != "12345") {
            return Reply::status("401 Unauthorized").with_body("{}");
        }
        let reply = format!(r#"{{"token":"{}","expires_at":"2030-01-01T00:00:00Z"}}"#, shaped("ghs_"));
        Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
    });
    let upstream = TlsUpstream::start(&setup.authority, |request| {
        let presented = request.header("authorization").unwrap_or_default();
        if presented.split(' ').nth(1) != Some(shaped("ghs_").as_str()) {
            return Reply::status("401 Unauthorized")
                .with("content-type", "application/json")
                .with_body("{}");
        }
        let user = serde_json::json!({ "login": "ann", "id": 1, "bio": presented });
        Reply::ok("application/json", user.to_string())
    });
    let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
    let mut arguments =
        vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
    arguments.extend(["--installation", "7", "--token-endpoint", &url]);
    let added = setup.broker.run_with(&arguments, &signing.pem);
    assert!(added.status.success(), "{added:?}");
    let permits = crate::support::policy(&to, "GET /user", "header authorization bearer", "");
    let issued = setup.broker.permit("c", "robot", &permits, &[]);
    // Node looks for modules upwards from the script.
    let directory = tempfile::tempdir_in(clients.join("node")).unwrap();
    for file in ["common.mjs", "use_octokit.mjs"] {
        std::fs::copy(script(file), directory.path().join(file)).unwrap();
    }
    let mut command = Command::new("node");
    command.arg(directory.path().join("use_octokit.mjs")).arg("proxy");
    surroundings(&mut command, &setup.broker, &setup.robot);
    command.env("DESTINATION", &to).env("PLACEHOLDER", &issued.text);
    assert!(run(&setup.broker, command).contains(&issued.text));
}

/// google-auth with the placeholder of a service account, which the broker signs for.
#[test]
fn google_auth_works_with_a_minted_access_token() {
    let Some(clients) = installed() else { return };
    let (setup, _endpoint, upstream, issued) = service_account();
    let mut command = Command::new(clients.join("venv/bin/python"));
    command.arg(script("use_google_auth.py"));
    surroundings(&mut command, &setup.broker, &setup.robot);
    command.env("DESTINATION", upstream.url()).env("PLACEHOLDER", &issued.text);
    assert!(run(&setup.broker, command).contains(&issued.text));
    assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ya29."))));
}

/// The server takes an ID token of another issuer and says for whom the access token is.
#[test]
fn a_token_of_another_issuer_is_exchanged() {
    let setup = setup();
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let forms = Arc::clone(&seen);
    let endpoint = TlsUpstream::start(&setup.authority, move |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let has = |pair: &str| form.split('&').any(|own| own == pair);
        let subject = format!("subject_token={}", shaped("subject-"));
        let fine = has("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange")
            && has(&subject)
            && has("subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token")
            && has(&format!("actor_token={}", shaped("actor-")))
            && has("audience=billing")
            && has("resource=https%3A%2F%2Fapi.example.com%2F")
            && has("scope=read");
        forms.lock().unwrap().push(form.clone());
        if !fine {
            return Reply::status("400 Bad Request").with_body("{\"error\":\"invalid_request\"}");
        }
        let reply = serde_json::json!({
            "access_token": shaped("exchanged-"), "token_type": "Bearer", "expires_in": 60,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        });
        Reply::ok("application/json", reply.to_string())
    });
    let upstream = TlsUpstream::start(&setup.authority, service);
    let mut actor = tempfile::NamedTempFile::new().unwrap();
    actor.write_all(shaped("actor-").as_bytes()).unwrap();
    let (to, url) = (upstream.url(), format!("{}/token", endpoint.url()));
    let actor = actor.path().display().to_string();
    let mut arguments = vec!["credential", "add", "c", "--to", &to, "--grant", "token-exchange"];
    arguments.extend(["--token-endpoint", &url, "--subject-token-type", "id-token", "--scope", "read"]);
    arguments.extend(["--actor-token-file", &actor, "--audience", "billing"]);
    arguments.extend(["--resource", "https://api.example.com/"]);
    let added = setup.broker.run_with(&arguments, &shaped("subject-"));
    assert!(added.status.success(), "{added:?}");
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let call = || setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(call().text(), format!("you sent Bearer {}", issued.text));
    assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("exchanged-"))));
    assert_eq!(call().status, 200);
    assert_eq!(seen.lock().unwrap().len(), 1, "shared while it is valid");
    // Another subject is another exchange, and this server does not take it.
    let rotated = setup.broker.run_with(&["credential", "rotate", "c"], &shaped("other-"));
    assert!(rotated.status.success(), "{rotated:?}");
    assert_eq!(call().code().as_deref(), Some("credential-unavailable"));
    assert_eq!(upstream.requests().len(), 2);
}

/// Two policies for one installation: each gets an access token that is good for what it needs, and only that.
#[test]
fn an_installation_is_narrowed_to_what_each_policy_needs() {
    let setup = setup();
    let signing = signing();
    let asked: Arc<std::sync::Mutex<Vec<Value>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let endpoint = TlsUpstream::start(&setup.authority, move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        // Another access token for each request.
        let mut asked = noted.lock().unwrap();
        asked.push(body);
        let token = shaped(&format!("ghs_{}", asked.len()));
        let reply = format!(r#"{{"token":"{token}","expires_at":"2030-01-01T00:00:00Z"}}"#);
        Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
    });
    let upstream = TlsUpstream::start(&setup.authority, service);
    let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
    let mut arguments =
        vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
    arguments.extend(["--installation", "7", "--token-endpoint", &url]);
    arguments.extend(["--repository", "demo", "--repository", "other"]);
    arguments.extend(["--permission", "issues=write", "--permission", "contents=read"]);
    let added = setup.broker.run_with(&arguments, &signing.pem);
    assert!(added.status.success(), "{added:?}");
    let permit = |call: &str| {
        let permits = crate::support::policy(&to, call, "header authorization bearer", "");
        setup.broker.permit("c", "robot", &permits, &[]).text
    };
    let (issues, files, again, elsewhere) = (
        permit("GET /repos/octo/demo/issues"),
        permit("GET /repos/octo/other/contents/{path...}"),
        permit("GET /repos/octo/demo/issues/{number}"),
        permit("GET /repos/octo/secret/issues"),
    );
    let call = |path: &str, text: &str| {
        let request = cloakroom_testkit::Request::new("GET", &upstream.authority(), path)
            .with("authorization", &format!("Bearer {text}"));
        setup.broker.call(Way::Connect, Some(&setup.robot), &request)
    };
    let bearer = |number: usize| Some(format!("Bearer {}", shaped(&format!("ghs_{number}"))));
    assert_eq!(call("/repos/octo/demo/issues", &issues).text(), format!("you sent Bearer {issues}"));
    assert_eq!(bearer_of(&upstream), bearer(1));
    assert_eq!(call("/repos/octo/other/contents/a", &files).status, 200);
    assert_eq!(bearer_of(&upstream), bearer(2), "what one policy may do, the other's access token cannot");
    // The same needs share an access token while it is valid.
    assert_eq!(call("/repos/octo/demo/issues/1", &again).status, 200);
    assert_eq!(bearer_of(&upstream), bearer(1));
    // What the operator left out, no policy brings in.
    let refused = call("/repos/octo/secret/issues", &elsewhere);
    assert_eq!(refused.code().as_deref(), Some("login-required"), "{}", refused.text());
    let expected = [
        serde_json::json!({"repositories": ["demo"], "permissions": {"issues": "read"}}),
        serde_json::json!({"repositories": ["other"], "permissions": {"contents": "read"}}),
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    assert_eq!(call("/repos/octo/demo/issues", &issues).status, 200, "the others go on");
}

#[test]
fn t67_a_minted_access_token_is_used_no_more_once_its_placeholder_is_revoked() {
    let (setup, endpoint, upstream, issued) = service_account();
    let other = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let call = |text: &str| setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", text));
    assert_eq!((call(&issued.text).status, call(&other.text).status), (200, 200));
    assert_eq!(endpoint.requests().len(), 1, "one access token for both, while it is valid");
    setup.broker.cli(&["placeholder", "revoke", &issued.id]);
    assert_ne!(call(&issued.text).status, 200);
    assert_eq!(call(&other.text).status, 200);
    setup.broker.cli(&["credential", "remove", "c"]);
    assert_ne!(call(&other.text).status, 200);
    assert_eq!((endpoint.requests().len(), upstream.requests().len()), (1, 3));
}

#[test]
fn a_github_app_asks_for_no_more_than_it_was_narrowed_to() {
    let setup = setup();
    let signing = signing();
    let public = Arc::new(signing.public);
    let endpoint = TlsUpstream::start(&setup.authority, move |request| {
        let assertion =
            request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        let fine = verified(&assertion, &public).is_some_and(|claims| claims["iss"] == "12345");
        let wanted = serde_json::json!({"repositories": ["hello"], "permissions": {"contents": "read"}});
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if !fine || asked != wanted || request.target != "/app/installations/7/access_tokens" {
            return Reply::status("401 Unauthorized").with_body("{}");
        }
        let reply = format!(r#"{{"token":"{}","expires_at":"2030-01-01T00:00:00Z"}}"#, shaped("ghs_"));
        Reply::status("201 Created").with("content-type", "application/json").with_body(reply)
    });
    let upstream = TlsUpstream::start(&setup.authority, service);
    let (to, url) = (upstream.url(), format!("{}/app/installations/7/access_tokens", endpoint.url()));
    let mut arguments =
        vec!["credential", "add", "c", "--to", &to, "--grant", "github-app", "--issuer", "12345"];
    arguments.extend(["--installation", "7", "--repository", "hello", "--permission", "contents=read"]);
    arguments.extend(["--token-endpoint", &url]);
    let added = setup.broker.run_with(&arguments, &signing.pem);
    assert!(added.status.success(), "{added:?}");
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(answer.text(), format!("you sent Bearer {}", issued.text));
    assert_eq!(bearer_of(&upstream), Some(format!("Bearer {}", shaped("ghs_"))));
}
