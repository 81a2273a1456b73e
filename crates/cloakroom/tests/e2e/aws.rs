//! Calls signed with AWS Signature Version 4: Amazon's own SDK, and a server that verifies what the broker signed.

use crate::clients::{installed, run, script, surroundings};
use crate::seaweed::{ID, Ports, SeaweedFs, access_key};
use crate::support::{policy, setup};
use cloakroom_testkit::{CANARY, Request, Setup, TlsUpstream, Way, echo};
use std::path::PathBuf;
use std::process::Command;

struct Stage {
    setup: Setup,
    clients: PathBuf,
    server: SeaweedFs,
}

impl Stage {
    fn new() -> Option<Self> {
        let clients = installed()?;
        let server = SeaweedFs::start(&clients, Ports::take(), None);
        let setup = setup();
        setup.broker.deposit("s3", "aws", &[&server.url()], &access_key());
        Some(Self { setup, clients, server })
    }

    fn boto3(&self, placeholder: &str) -> Command {
        let broker = &self.setup.broker;
        let mut command = Command::new(self.clients.join("venv/bin/python"));
        command.arg(script("use_boto3.py")).arg("us-east-1");
        surroundings(&mut command, broker, &self.setup.robot);
        let proxy = format!("http://{}:{}@{}", self.setup.robot.name, self.setup.robot.key, broker.listen());
        command
            .env("HTTP_PROXY", proxy)
            .env("DESTINATION", self.server.url())
            .env("AWS_ACCESS_KEY_ID", placeholder)
            .env("AWS_SECRET_ACCESS_KEY", "whatever")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null");
        command
    }
}

#[test]
fn boto3_works_with_a_placeholder_against_a_server_that_verifies_signatures() {
    let Some(stage) = Stage::new() else { return };
    let permit = format!(
        "version = 1\n[[permit]]\nname = \"one bucket\"\nto = \"{}\"\nplace = \"sigv4 us-east-1 s3\"\n\
         call = [\"PUT /bucket\", \"HEAD /bucket\", \"GET /bucket\", \"PUT /bucket/{{key...}}\", \"GET /bucket/{{key...}}\", \
         \"HEAD /bucket/{{key...}}\", \"POST /bucket/{{key...}}\"]\n\
         query = {{ allow = [\"list-type\", \"prefix\", \"encoding-type\", \"uploads\", \"uploadId\", \"partNumber\"] }}\n",
        stage.server.url()
    );
    let issued = stage.setup.broker.permit("s3", "robot", &permit, &[]);
    assert!(issued.text.starts_with("AKIA"), "{}", issued.text);
    let told = run(&stage.setup.broker, stage.boto3(&issued.text));
    assert!(told.contains("done") && told.matches("refused: 403").count() == 2, "{told}");
    // What an error says of the key is not the real one's id.
    let authority = format!("127.0.0.1:{}", stage.server.port);
    let call = signed(&authority, "/bucket/not-there", &issued.text, "us-east-1", "s3");
    let answer = stage.setup.broker.call(Way::Absolute, Some(&stage.setup.robot), &call);
    assert_eq!(answer.status, 404, "the signature is accepted, and there is no such key: {}", answer.text());
    assert!(!answer.text().contains(ID), "{}", answer.text());
}

fn signed(authority: &str, path: &str, placeholder: &str, region: &str, service: &str) -> Request {
    dated("20200101", authority, path, placeholder, region, service)
}

fn dated(day: &str, authority: &str, path: &str, placeholder: &str, region: &str, service: &str) -> Request {
    let signature = "0".repeat(64);
    Request::new("GET", authority, path)
        .with("x-amz-date", &format!("{day}T000000Z"))
        .with(
            "authorization",
            &format!(
                "AWS4-HMAC-SHA256 Credential={placeholder}/{day}/{region}/{service}/aws4_request, SignedHeaders=host;x-amz-date, \
                 Signature={signature}"
            ),
        )
}

#[test]
fn a_signed_call_one_step_beside_its_permit_reaches_nothing() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let authority = upstream.authority();
    setup.broker.deposit("key", "aws", &[&upstream.url()], &access_key());
    let permit = policy(&upstream.url(), "GET /v1/items", "sigv4 eu-west-1 execute-api", "");
    let text = setup.broker.permit("key", "robot", &permit, &[]).text;
    let call = |path: &str, region: &str, service: &str| {
        let request = signed(&authority, path, &text, region, service);
        setup.broker.call(Way::Connect, Some(&setup.robot), &request)
    };
    let good = call("/v1/items", "eu-west-1", "execute-api");
    assert_eq!(good.status, 200, "{good:?}");
    // The echo repeats what was signed with: the workload sees its own placeholder there.
    assert!(!good.text().contains(ID) && good.text().contains(&text), "{}", good.text());
    let sent = upstream.requests();
    assert!(sent[0].header("authorization").unwrap().contains(ID));
    for (path, region, service, code) in [
        ("/v1/items", "eu-west-2", "execute-api", "place-not-permitted"),
        ("/v1/items", "eu-west-1", "s3", "place-not-permitted"),
        ("/v1/other", "eu-west-1", "execute-api", "call-not-permitted"),
        ("/v1/items?X-Amz-Expires=1", "eu-west-1", "execute-api", "place-not-permitted"),
    ] {
        assert_eq!(call(path, region, service).code().as_deref(), Some(code), "{path} {region} {service}");
    }
    let bearer =
        Request::new("GET", &authority, "/v1/items").with("authorization", &format!("Bearer {text}"));
    assert_eq!(
        setup.broker.call(Way::Connect, Some(&setup.robot), &bearer).code().as_deref(),
        Some("place-not-permitted")
    );
    let twice = signed(&authority, "/v1/items", &text, "eu-west-1", "execute-api")
        .with("x-amz-security-token", &text);
    assert_eq!(
        setup.broker.call(Way::Connect, Some(&setup.robot), &twice).code().as_deref(),
        Some("place-not-permitted")
    );
    assert_eq!(upstream.requests().len(), sent.len(), "something went out");
}

#[test]
fn an_access_key_is_issued_for_signing_alone_and_another_credential_for_being_sent() {
    let setup = setup();
    let upstream = "https://api.example.com";
    setup.broker.deposit("key", "aws", &[upstream], &access_key());
    setup.broker.deposit("token", "bearer", &[upstream], CANARY);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    for (place, credential, remedy) in [
        ("header authorization bearer", "key", "sigv4 REGION SERVICE"),
        ("sigv4 eu-west-1 execute-api", "token", "--kind aws"),
    ] {
        std::fs::write(&file, policy(upstream, "GET /v1/items", place, "")).unwrap();
        let issue = |credential| {
            let whose = ["placeholder", "issue", "--credential", credential, "--workload", "robot"];
            setup.broker.run(&[&whose[..], &["--policy", file.to_str().unwrap()]].concat())
        };
        let refused = issue(credential);
        assert!(!refused.status.success(), "{place}: {refused:?}");
        assert!(refused.stderr.contains(place) && refused.stderr.contains(remedy), "{refused:?}");
        let other = if credential == "key" { "token" } else { "key" };
        assert!(issue(other).status.success(), "{place} with {other}");
    }
}

#[test]
fn a_signed_call_that_waited_for_a_human_passes_though_it_is_dated_anew() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    setup.broker.deposit("key", "aws", &[&upstream.url()], &access_key());
    let permit =
        policy(&upstream.url(), "GET /v1/{item}", "sigv4 eu-west-1 execute-api", "approve = \"each-call\"");
    let text = setup.broker.permit("key", "robot", &permit, &[]).text;
    let call = |day: &str, path: &str| {
        let request = dated(day, &upstream.authority(), path, &text, "eu-west-1", "execute-api");
        setup.broker.call(Way::Connect, Some(&setup.robot), &request)
    };
    let asked = call("20200101", "/v1/a").json();
    assert_eq!(asked["code"], "approval-required");
    setup.broker.cli(&["approval", "grant", asked["approval"].as_str().unwrap(), "--yes"]);
    assert_eq!(call("20200102", "/v1/b").code().as_deref(), Some("approval-required"));
    assert_eq!(call("20200102", "/v1/a").status, 200);
    assert_eq!(call("20200102", "/v1/a").code().as_deref(), Some("approval-required"), "once");
}
