//! A secret of AWS Secrets Manager, as moto plays it: it checks who signs, and what they may do.

use crate::moto::Moto;
use crate::openbao::hunt_for;
use crate::support::{eventually, item, items, presented, setup};
use cloakroom_testkit::{CANARY, Issued, Response, Setup, TlsUpstream, Way, echo, shaped};

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    service: Moto,
}

impl Stage {
    fn new() -> Option<Self> {
        let setup = setup();
        let service = Moto::start("secrets_manager.py", &setup.authority)?;
        let upstream = TlsUpstream::start(&setup.authority, echo);
        Some(Self { setup, upstream, service })
    }

    fn add(&self, name: &str, key: &str, more: &[&str]) -> Issued {
        let (to, url) = (self.upstream.url(), self.service.url());
        let mut arguments = vec!["credential", "add", name, "--to", &to, "--from", "aws-secrets-manager"];
        arguments.extend(["--aws-region", "eu-west-1", "--server", &url, "--reread", "1s"]);
        let added = self.setup.broker.run_with(&[&arguments[..], more].concat(), key);
        assert!(added.status.success(), "{added:?}");
        self.setup.broker.permit(name, "robot", &items(&self.upstream), &[])
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

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            hunt_for(&self.setup.broker, &["reader", "other"].map(|user| self.service.secret(user)));
        }
    }
}

const WHICH: [&str; 4] = ["--path", "app/api", "--field", "key"];

#[test]
fn a_secret_of_aws_is_read_with_a_signature_that_is_checked() {
    let Some(mut stage) = Stage::new() else { return };
    let issued = stage.add("c", &stage.service.access_key("reader"), &WHICH);
    assert_eq!(stage.call(&issued).status, 200);
    assert_eq!(stage.presented(), CANARY);
    stage.service.does(&shaped("second-"));
    eventually("the second version", || {
        assert_eq!(stage.call(&issued).status, 200);
        (stage.presented() == shaped("second-")).then_some(())
    });
    let before = stage.add(
        "before",
        &stage.service.access_key("reader"),
        &[&WHICH[..], &["--stage", "AWSPREVIOUS"]].concat(),
    );
    assert_eq!(stage.call(&before).status, 200);
    assert_eq!(stage.presented(), CANARY);
    let shown = stage.setup.broker.cli_json(&["credential", "show", "c"]);
    assert!(shown["source"]["place"].as_str().unwrap().ends_with("eu-west-1 app/api, field key"), "{shown}");
}

#[test]
fn one_step_wrong_at_aws_is_refused() {
    let Some(stage) = Stage::new() else { return };
    let (reader, other) = (stage.service.access_key("reader"), stage.service.access_key("other"));
    let forged = reader.replace(&stage.service.secret("reader"), &shaped("wrong-"));
    let nowhere = ["--path", "app/none", "--field", "key"];
    let no_field = ["--path", "app/api", "--field", "none"];
    for (name, key, which, code) in [
        ("forged", &forged, WHICH, "login-required"),
        ("other", &other, WHICH, "credential-unavailable"),
        ("nowhere", &reader, nowhere, "credential-unavailable"),
        ("field", &reader, no_field, "credential-unavailable"),
    ] {
        let issued = stage.add(name, key, &which);
        let answer = stage.call(&issued);
        assert_eq!(answer.code().as_deref(), Some(code), "{name}: {}", answer.text());
        if name == "forged" {
            let rotated = stage.setup.broker.run_with(&["credential", "rotate", name], &reader);
            assert!(rotated.status.success(), "{rotated:?}");
            assert_eq!(stage.call(&issued).status, 200);
        }
    }
    let (to, broker) = (stage.upstream.url(), &stage.setup.broker);
    let common = ["credential", "add", "c", "--to", &to, "--from", "aws-secrets-manager", "--path", "x"];
    let answer = broker.run_with(&common, &reader);
    assert!(answer.status.code() == Some(2) && answer.stderr.contains("--aws-region"), "{answer:?}");
    let answer = broker.run_with(&[&common[..], &["--aws-region", "eu-west-1"]].concat(), CANARY);
    assert!(!answer.status.success() && answer.stderr.contains("access key"), "{answer:?}");
}
