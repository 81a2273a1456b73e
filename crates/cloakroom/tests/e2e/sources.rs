//! Secrets that live elsewhere: the broker reads them at a real OpenBao server; the workload holds a placeholder for what it read.

use crate::openbao::OpenBao;
use crate::support::{eventually, item, items, presented, setup};
use cloakroom_testkit::{Broker, CANARY, Issued, Received, Reply, Response, Setup, TlsUpstream, Way, shaped};

/// Echoes what it got, in head and body; `/refused` calls it wrong.
fn service(request: &Received) -> Reply {
    let presented = request.header("authorization").unwrap_or_default().to_owned();
    if request.target.ends_with("/refused") {
        return Reply::status("401 Unauthorized").with_body(presented);
    }
    Reply::ok("text/plain", format!("you sent {presented}")).with("x-echo", &presented)
}

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    server: OpenBao,
    issued: Issued,
}

const READ: (&str, &str) = ("secret/data/app/*", "read");

impl Stage {
    /// A credential that is read at `app/api`, field `key`.
    fn new(more: &[&str], lets_in: impl FnOnce(&OpenBao) -> (Vec<String>, String)) -> Option<Self> {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, service);
        let server = OpenBao::start(&setup)?;
        server.policy(&[READ]);
        server.put("app/api", "key", CANARY);
        let (options, secret) = lets_in(&server);
        let (to, url) = (upstream.url(), server.url());
        let mut arguments =
            vec!["credential", "add", "c", "--to", &to, "--from", "vault-kv", "--server", &url];
        arguments.extend(["--path", "app/api", "--field", "key"]);
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend(more);
        let added = setup.broker.run_with(&arguments, &secret);
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
        Some(Self { setup, upstream, server, issued })
    }

    fn with_token(more: &[&str]) -> Option<Self> {
        Self::new(more, |server| (Vec::new(), server.token("login-")))
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    fn call_item(&self, id: &str) -> Response {
        let request = item(&self.upstream, id, &self.issued.text);
        self.broker().call(Way::Connect, Some(&self.setup.robot), &request)
    }

    fn call(&self) -> Response {
        self.call_item("1")
    }

    fn code(&self) -> Option<String> {
        self.call().code()
    }

    fn rotate(&self, secret: &str) {
        let rotated = self.broker().run_with(&["credential", "rotate", "c"], secret);
        assert!(rotated.status.success(), "{rotated:?}");
    }

    /// What reached the destination last.
    fn presented(&self) -> String {
        presented(&self.upstream)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.hunt(&self.setup.broker);
        }
    }
}

const READING: &str = "read secret/data/app/api";

#[test]
fn a_secret_is_read_where_it_lives_when_a_call_needs_it_and_the_workload_never_sees_it() {
    let Some(stage) = Stage::with_token(&[]) else { return };
    assert_eq!(stage.server.count(READING), 0, "nothing is read before a call is authorized");
    let request = item(&stage.upstream, "1", &stage.issued.text);
    let request = cloakroom_testkit::Request { method: "DELETE".into(), ..request };
    let refused = stage.broker().call(Way::Connect, Some(&stage.setup.robot), &request);
    assert_eq!(refused.code().as_deref(), Some("call-not-permitted"));
    assert_eq!(stage.server.count(READING), 0, "nor for one that is refused");
    let answer = stage.call();
    assert_eq!(answer.text(), format!("you sent Bearer {}", stage.issued.text));
    assert_eq!(stage.presented(), CANARY);
    for _ in 0..5 {
        assert_eq!(stage.call().status, 200);
    }
    assert_eq!(stage.server.count(READING), 1, "it is kept for a while");
    let of_upstream = stage.upstream.requests();
    assert!(of_upstream.iter().all(|request| request.header("x-vault-token").is_none()));
}

#[test]
fn what_is_replaced_at_the_source_is_placed_after_the_stated_time() {
    let Some(stage) = Stage::with_token(&["--reread", "1s"]) else { return };
    assert_eq!(stage.call().status, 200);
    stage.server.put("app/api", "key", &shaped("second-"));
    eventually("the second version", || {
        assert_eq!(stage.call().status, 200);
        (stage.presented() == shaped("second-")).then_some(())
    });
}

#[test]
fn a_pinned_version_stays_what_it_is_until_it_is_gone() {
    let Some(stage) = Stage::with_token(&["--reread", "1s", "--secret-version", "1"]) else { return };
    stage.server.put("app/api", "key", &shaped("second-"));
    assert_eq!(stage.call().status, 200);
    assert_eq!(stage.presented(), CANARY);
    stage.server.set("secret/destroy/app/api", serde_json::json!({ "versions": [1] }));
    eventually("the version is gone", || {
        (stage.code().as_deref() == Some("credential-unavailable")).then_some(())
    });
}

#[test]
fn a_401_of_the_destination_has_the_secret_read_again_but_not_for_each_call() {
    let Some(stage) = Stage::with_token(&[]) else { return };
    for _ in 0..3 {
        let answer = stage.call_item("refused");
        assert_eq!((answer.status, answer.text()), (401, format!("Bearer {}", stage.issued.text)));
    }
    assert_eq!(stage.server.count(READING), 1, "it was read a moment ago");
}

#[test]
fn t103_many_calls_at_once_make_one_reading() {
    let Some(stage) = Stage::with_token(&[]) else { return };
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(stage.call().status, 200));
        }
    });
    assert_eq!((stage.server.count(READING), stage.upstream.requests().len()), (1, 20));
}

#[test]
fn an_app_role_logs_in_and_a_secret_id_that_is_wrong_asks_for_another() {
    let role = |server: &OpenBao| {
        let role = server.app_role("1h");
        (["--login", "approle", "--login-role", &role].map(str::to_owned).to_vec(), shaped("secret-id-"))
    };
    let Some(stage) = Stage::new(&["--reread", "1s"], role) else { return };
    assert_eq!(stage.call().status, 200);
    assert_eq!(stage.presented(), CANARY);
    eventually("another reading", || {
        assert_eq!(stage.call().status, 200);
        (stage.server.count(READING) >= 2).then_some(())
    });
    assert_eq!(stage.server.count("update auth/approle/login"), 1, "one login serves many readings");
    stage.rotate(&shaped("wrong-"));
    for _ in 0..3 {
        assert_eq!(stage.code().as_deref(), Some("login-required"));
    }
    assert_eq!(stage.server.count("update auth/approle/login"), 2, "what lets nobody in is not tried again");
    stage.rotate(&shaped("secret-id-"));
    assert_eq!(stage.call().status, 200);
}

#[test]
fn a_login_that_was_ended_at_the_server_is_had_anew_once() {
    let role = |server: &OpenBao| {
        let role = server.app_role("1h");
        (["--login", "approle", "--login-role", &role].map(str::to_owned).to_vec(), shaped("secret-id-"))
    };
    let Some(stage) = Stage::new(&["--reread", "1s"], role) else { return };
    assert_eq!(stage.call().status, 200);
    for token in stage.server.handed_out() {
        stage.server.set("auth/token/revoke", serde_json::json!({ "token": token }));
    }
    eventually("another login", || {
        assert_eq!(stage.call().status, 200);
        (stage.server.count("update auth/approle/login") == 2).then_some(())
    });
}

#[test]
fn what_the_broker_may_not_read_is_refused_and_heals_when_it_may() {
    let Some(stage) = Stage::with_token(&[]) else { return };
    stage.server.policy(&[("secret/data/other", "read")]);
    let answer = stage.call();
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (503, Some("credential-unavailable")),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("does not permit"), "{}", answer.text());
    assert_eq!(stage.server.count(READING), 2, "with a new login, once");
    assert!(stage.upstream.requests().is_empty());
    stage.server.policy(&[READ]);
    eventually("it heals by itself", || (stage.call().status == 200).then_some(()));
}

#[test]
fn a_login_token_that_is_over_asks_for_another() {
    let Some(stage) = Stage::with_token(&[]) else { return };
    stage.server.set("auth/token/revoke", serde_json::json!({ "token": shaped("login-") }));
    assert_eq!(stage.code().as_deref(), Some("login-required"));
    stage.rotate(&stage.server.token("second-"));
    assert_eq!(stage.call().status, 200);
}

#[test]
fn t107_a_server_that_is_sealed_or_down_is_said_so_and_no_call_goes_out_without() {
    let Some(mut stage) = Stage::with_token(&[]) else { return };
    stage.server.seal();
    let answer = stage.call();
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (503, Some("credential-unavailable")),
        "{}",
        answer.text()
    );
    assert!(answer.header("retry-after").is_some() && answer.text().contains("sealed"), "{}", answer.text());
    assert!(stage.upstream.requests().is_empty());
    stage.server.unseal();
    eventually("it heals by itself", || (stage.call().status == 200).then_some(()));
    stage.server.stop();
    assert_eq!(stage.call().status, 200, "what was read is used on for its stated time");
    stage.rotate(&shaped("login-"));
    let answer = stage.call();
    assert_eq!(answer.code().as_deref(), Some("credential-unavailable"));
    assert!(answer.text().contains("could not be reached"), "{}", answer.text());
}

#[test]
fn a_source_that_is_not_complete_is_refused_before_it_is_sealed() {
    let setup = setup();
    let common = ["credential", "add", "c", "--to", "https://api.example.com"];
    for (arguments, hint) in [
        (vec!["--from", "vault-kv", "--path", "a", "--field", "f"], "--server"),
        (vec!["--from", "vault-kv", "--server", "https://v.example", "--field", "f"], "--path"),
        (vec!["--from", "vault-kv", "--server", "https://v.example", "--path", "a"], "--field"),
        (
            vec![
                "--from",
                "vault-kv",
                "--server",
                "https://v.example",
                "--path",
                "a",
                "--field",
                "f",
                "--login",
                "jwt",
            ],
            "--login-role",
        ),
        (vec!["--kind", "sourced"], "--from"),
    ] {
        let answer = setup.broker.run_with(&[&common[..], &arguments].concat(), &shaped("sk-"));
        assert_eq!(answer.status.code(), Some(2), "{answer:?}");
        assert!(answer.stderr.contains(hint), "{hint}: {answer:?}");
    }
    for (server, path) in
        [("http://v.example", "a"), ("https://v.example/base", "a"), ("https://v.example", "../a")]
    {
        let arguments = ["--from", "vault-kv", "--server", server, "--path", path, "--field", "f"];
        let answer = setup.broker.run_with(&[&common[..], &arguments].concat(), &shaped("sk-"));
        assert!(
            !answer.status.success() && answer.stderr.contains("names with slashes")
                || answer.stderr.contains("https:// URL"),
            "{answer:?}"
        );
    }
}

/// A server of our own, for answers that a real one does not give.
#[test]
fn an_answer_that_is_no_secret_is_never_placed_nor_shown() {
    let setup = setup();
    let document =
        |value: &str| format!("{{\"data\":{{\"data\":{{\"key\":{value}}},\"metadata\":{{\"version\":1}}}}}}");
    let good = document(&format!("\"{CANARY}\""));
    let odd: Vec<(&str, Reply)> = vec![
        (
            "redirect",
            Reply::status("307 Temporary Redirect")
                .with("location", "https://127.0.0.1/v1/x")
                .with_body(good.clone()),
        ),
        ("201", Reply::status("201 Created").with_body(good.clone())),
        ("page", Reply::ok("text/html", format!("<html>{CANARY}</html>"))),
        (
            "gzip",
            Reply::ok("application/json", "")
                .with("content-encoding", "gzip")
                .with_body(cloakroom_testkit::Coding::Gzip.encode(good.as_bytes())),
        ),
        (
            "error",
            Reply::status("500 Internal Server Error").with_body(format!("{{\"errors\":[\"{CANARY}\"]}}")),
        ),
        ("long", Reply::ok("application/json", format!("{}{good}", " ".repeat(2 << 20)))),
        ("number", Reply::ok("application/json", document("12345678"))),
        ("line", Reply::ok("application/json", document(&format!("\"{CANARY}\\r\\nx-evil: 1\"")))),
        ("short", Reply::ok("application/json", document("\"short\""))),
        ("nothing", Reply::ok("application/json", "{}")),
        ("null", Reply::ok("application/json", "null")),
        ("list", Reply::ok("application/json", "[]")),
    ];
    let upstream = TlsUpstream::start(&setup.authority, service);
    for (name, reply) in odd {
        let server = TlsUpstream::start(&setup.authority, move |request| match request.target.as_str() {
            "/v1/auth/token/lookup-self" => Reply::ok("application/json", "{\"data\":{\"ttl\":0}}"),
            _ => reply.clone(),
        });
        let (to, url) = (upstream.url(), server.url());
        let arguments = [
            "credential",
            "add",
            name,
            "--to",
            &to,
            "--from",
            "vault-kv",
            "--server",
            &url,
            "--path",
            "a",
            "--field",
            "key",
        ];
        let added = setup.broker.run_with(&arguments, &shaped("login-"));
        assert!(added.status.success(), "{added:?}");
        let issued = setup.broker.permit(name, "robot", &items(&upstream), &[]);
        let answer = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(answer.code().as_deref(), Some("credential-unavailable"), "{name}: {}", answer.text());
        let asked = server.requests();
        assert!(
            asked.iter().all(|request| request.header("x-vault-token") == Some(&shaped("login-"))),
            "{name}"
        );
    }
    assert!(upstream.requests().is_empty());
}

/// A login with JWTs: whoever holds the key can say who they are.
mod jwt {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    pub(super) struct Signer(RsaKeyPair);

    impl Signer {
        pub(super) fn new() -> Self {
            Self(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
        }

        pub(super) fn sign(&self, subject: &str) -> String {
            let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let now = cloakroom_model::Timestamp::now().millis() / 1000;
            let head = part(json!({ "alg": "RS256", "typ": "JWT" }));
            let claims =
                json!({ "sub": subject, "aud": "bao", "iat": now, "exp": now + 600, "jti": shaped("jti-") });
            let text = format!("{head}.{}", part(claims));
            let mut signature = vec![0; self.0.public_modulus_len()];
            self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
            format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        /// Lets the server believe what is signed with it about `robot`.
        pub(super) fn trusted_by(&self, server: &OpenBao) {
            let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
            let pem = format!(
                "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
                STANDARD.encode(der.as_ref())
            );
            server.set("sys/auth/jwt", json!({ "type": "jwt" }));
            server.set("auth/jwt/config", json!({ "jwt_validation_pubkeys": [pem] }));
            let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_subject": "robot", "bound_audiences": ["bao"],
                "token_policies": ["reader"], "token_ttl": "1h" });
            server.set("auth/jwt/role/robot", role);
        }
    }
}

fn by_jwt() -> Vec<String> {
    ["--login", "jwt", "--login-role", "robot"].map(str::to_owned).to_vec()
}

#[test]
fn a_jwt_logs_in_and_one_for_another_subject_does_not() {
    let signer = jwt::Signer::new();
    let Some(stage) = Stage::new(&[], |server| {
        signer.trusted_by(server);
        (by_jwt(), signer.sign("robot"))
    }) else {
        return;
    };
    assert_eq!(stage.call().status, 200);
    assert_eq!(stage.presented(), CANARY);
    for wrong in [signer.sign("somebody"), jwt::Signer::new().sign("robot")] {
        stage.rotate(&wrong);
        assert_eq!(stage.code().as_deref(), Some("login-required"));
    }
    stage.rotate(&signer.sign("robot"));
    assert_eq!(stage.call().status, 200);
}

#[test]
fn a_certificate_logs_in_and_one_of_another_authority_does_not() {
    let by_cert = ["--login", "cert", "--login-role", "robot"].map(str::to_owned).to_vec();
    let own = cloakroom_testkit::TestAuthority::new();
    let Some(stage) = Stage::new(&[], |server| {
        server.set("sys/auth/cert", serde_json::json!({ "type": "cert" }));
        let role = serde_json::json!({ "certificate": own.pem(), "allowed_common_names": ["robot"], "token_policies": ["reader"] });
        server.set("auth/cert/certs/robot", role);
        (by_cert, own.client_pem("robot", false))
    }) else {
        return;
    };
    let answer = stage.call();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stage.presented(), CANARY);
    for wrong in [
        own.client_pem("somebody", false),
        cloakroom_testkit::TestAuthority::new().client_pem("robot", false),
    ] {
        stage.rotate(&wrong);
        assert_eq!(stage.code().as_deref(), Some("login-required"));
    }
    let no_pem = stage.broker().run_with(&["credential", "rotate", "c"], &shaped("no-pem-"));
    assert!(!no_pem.status.success() && no_pem.stderr.contains("PEM"), "{no_pem:?}");
    stage.rotate(&own.client_pem("robot", false));
    assert_eq!(stage.call().status, 200);
}

/// A broker that may read files below a directory that looks like a volume of Kubernetes.
struct Volume {
    setup: Setup,
    upstream: TlsUpstream,
    directory: tempfile::TempDir,
}

impl Volume {
    fn new() -> Self {
        use cloakroom_testkit::{BrokerBuilder, TestAuthority};
        let (authority, directory) = (TestAuthority::new(), tempfile::tempdir().unwrap());
        let settings = crate::support::settings_of(&authority);
        std::fs::write(&settings, format!("[sources]\ndirectories = [{:?}]\n", directory.path())).unwrap();
        let broker = BrokerBuilder::new(crate::support::BINARY, &authority)
            .argument("--config")
            .argument(settings)
            .start();
        let robot = broker.workload("robot");
        let upstream = TlsUpstream::start(&authority, service);
        Self { setup: Setup { broker, authority, robot }, upstream, directory }
    }

    /// Replaces all files at once, as Kubernetes does.
    fn swap(&self, version: u32, text: &str, mode: u32) {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let at = |name: &str| self.directory.path().join(name);
        let fresh = format!("..version_{version}");
        std::fs::create_dir(at(&fresh)).unwrap();
        let file = at(&fresh).join("token");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        symlink(&fresh, at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        if version == 1 {
            symlink("..data/token", at("token")).unwrap();
        }
    }

    fn path(&self) -> String {
        self.directory.path().join("token").display().to_string()
    }

    fn add(&self, arguments: &[&str]) -> cloakroom_testkit::Answer {
        let to = self.upstream.url();
        self.setup.broker.run(&[&["credential", "add", "c", "--to", &to], arguments].concat())
    }

    fn call(&self, issued: &Issued) -> Response {
        self.setup.broker.call(
            Way::Connect,
            Some(&self.setup.robot),
            &item(&self.upstream, "1", &issued.text),
        )
    }

    fn presented(&self) -> String {
        presented(&self.upstream)
    }
}

#[test]
fn a_secret_in_a_file_is_placed_and_so_is_what_replaces_it() {
    let volume = Volume::new();
    volume.swap(1, CANARY, 0o440);
    let added = volume.add(&["--from", "file", "--path", &volume.path(), "--reread", "1s"]);
    assert!(added.status.success(), "{added:?}");
    let issued = volume.setup.broker.permit("c", "robot", &items(&volume.upstream), &[]);
    assert_eq!(volume.call(&issued).status, 200);
    assert_eq!(volume.presented(), CANARY);
    volume.swap(2, &format!("{}\n", shaped("second-")), 0o440);
    eventually("the second version", || {
        assert_eq!(volume.call(&issued).status, 200);
        (volume.presented() == shaped("second-")).then_some(())
    });
    // What everybody can read is no secret any more; what was read is used for its stated time, and no longer.
    volume.swap(3, &shaped("third-"), 0o444);
    eventually("it is refused", || {
        (volume.call(&issued).code().as_deref() == Some("credential-unavailable")).then_some(())
    });
    let shown = volume.setup.broker.cli_json(&["credential", "show", "c"]);
    assert_eq!(shown["source"]["from"], "file");
    assert!(shown["source"]["trouble"].as_str().unwrap().contains("open to others"), "{shown}");
    assert_ne!(volume.presented(), shaped("third-"));
}

#[test]
fn a_file_is_read_only_below_the_directories_that_the_settings_name() {
    let volume = Volume::new();
    for path in ["/etc/shadow", "relative", "/run/../etc/shadow"] {
        let added = volume.add(&["--from", "file", "--path", path]);
        assert!(!added.status.success(), "{path}: {added:?}");
    }
    let setup = setup();
    let (to, path) = ("https://api.example.com", "/run/secrets/x");
    let none = setup.broker.run(&["credential", "add", "c", "--to", to, "--from", "file", "--path", path]);
    assert!(!none.status.success() && none.stderr.contains("[sources] directories"), "{none:?}");
}

#[test]
fn a_jwt_in_a_file_is_read_anew_for_each_login() {
    let volume = Volume::new();
    let Some(server) = OpenBao::start(&volume.setup) else { return };
    let signer = jwt::Signer::new();
    signer.trusted_by(&server);
    server.policy(&[READ]);
    server.put("app/api", "key", CANARY);
    volume.swap(1, &signer.sign("somebody"), 0o400);
    let (url, path) = (server.url(), volume.path());
    let arguments = ["--from", "vault-kv", "--server", &url, "--path", "app/api", "--field", "key"];
    let added = volume
        .add(&[&arguments[..], &["--login", "jwt", "--login-role", "robot", "--jwt-file", &path]].concat());
    assert!(added.status.success(), "{added:?}");
    let issued = volume.setup.broker.permit("c", "robot", &items(&volume.upstream), &[]);
    let refused = volume.call(&issued);
    // The file is replaced by others: that is no case for a person who deposits something.
    assert_eq!(refused.code().as_deref(), Some("credential-unavailable"), "{}", refused.text());
    volume.swap(2, &signer.sign("robot"), 0o400);
    eventually("the next login works", || (volume.call(&issued).status == 200).then_some(()));
    assert_eq!(volume.presented(), CANARY);
    server.hunt(&volume.setup.broker);
}
