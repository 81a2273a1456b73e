//! AWS roles without keys: the broker signs its own tokens, an STS verifies them by the broker's published keys, and what calls are signed
//! with lives in the broker's memory.

mod guest;
mod lent;

use crate::clients::{installed, run, script, surroundings};
use crate::seaweed::{ID, Ports, SeaweedFs, access_key};
use crate::support::{BINARY, eventually, settings_of};
use cloakroom_testkit::{
    After, Broker, BrokerBuilder, CANARY, Issued, Received, Reply, Request, TAIL, TestAuthority, TlsUpstream,
    Way, Workload,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

const AUDIENCE: &str = "sts.amazonaws.com";

/// What went to STS, and what came back.
type Spoken = Arc<Mutex<Vec<(Received, String)>>>;

struct Stage {
    broker: Broker,
    robot: Workload,
    clients: PathBuf,
    server: SeaweedFs,
    sts: TlsUpstream,
    spoken: Spoken,
    _authority: TestAuthority,
}

fn role(name: &str, proof: &Value) -> Value {
    json!({
        "roleName": name, "roleArn": arn(name), "attachedPolicies": [name],
        "trustPolicy": { "Version": "2012-10-17", "Statement": [proof] },
    })
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::role/{name}")
}

fn by_token(subject: &str) -> Value {
    json!({
        "Effect": "Allow", "Principal": { "Federated": "cloakroom" }, "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": { "StringEquals": { "oidc:sub": subject } },
    })
}

fn may(name: &str, bucket: &str) -> Value {
    let resources = [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")];
    let statement = json!({ "Effect": "Allow", "Action": ["s3:*"], "Resource": resources });
    json!({ "name": name, "document": { "Version": "2012-10-17", "Statement": [statement] } })
}

/// Two roles for the workload `robot`, one for whoever has an access key.
fn iam(issuer: &str) -> Value {
    let by_key = json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": ["sts:AssumeRole"] });
    json!({
        "sts": {
            "tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "seaweedfs-sts",
            "signingKey": "dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc=",
        },
        "providers": [{
            "name": "cloakroom", "type": "oidc", "enabled": true,
            "config": { "issuer": issuer, "clientId": AUDIENCE, "jwksUri": format!("{issuer}/jwks.json") },
        }],
        "policy": { "defaultEffect": "Deny", "storeType": "memory" },
        "roles": [
            role("One", &by_token("cloakroom:workload:robot:credential:one")),
            role("Two", &by_token("cloakroom:workload:robot:credential:two")),
            role("Keyed", &by_key),
        ],
        "policies": [may("One", "one"), may("Two", "two"), may("Keyed", "one")],
    })
}

impl Stage {
    fn new() -> Option<Self> {
        Self::with("")
    }

    fn with(more: &str) -> Option<Self> {
        let clients = installed()?;
        let ports = Ports::take();
        let port = ports.numbers[4];
        let issuer = format!("http://127.0.0.1:{port}");
        let authority = TestAuthority::new();
        let settings = format!(
            "[issuer]\nurl = \"{issuer}\"\nlisten = \"127.0.0.1:{port}\"\naudiences = [\"{AUDIENCE}\", \"another\"]\n{more}"
        );
        let file = settings_of(&authority);
        std::fs::write(&file, settings).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
        let server = SeaweedFs::start(&clients, ports, Some(&iam(&issuer)));
        let spoken = Spoken::default();
        let (port, kept) = (server.port, Arc::clone(&spoken));
        let sts = TlsUpstream::start_with(&authority, move |request, out| {
            let reply = forward(port, request)?;
            kept.lock().unwrap().push((request.clone(), String::from_utf8_lossy(&reply).into_owned()));
            out.write_all(&reply)?;
            Ok(After::Close)
        });
        let robot = broker.workload("robot");
        Some(Self { broker, robot, clients, server, sts, spoken, _authority: authority })
    }

    /// As an administrator, without the broker.
    fn prepare(&self, told: &[&str]) {
        let said = self.directly(told, ID, CANARY, None);
        assert_eq!(said.matches(": ok").count(), told.len(), "{said}");
    }

    fn directly(&self, told: &[&str], id: &str, secret: &str, session: Option<&str>) -> String {
        let mut command = self.boto3(told);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret).env_remove("HTTPS_PROXY");
        session.map(|session| command.env("AWS_SESSION_TOKEN", session));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Deposits a role that is assumed with the broker's token.
    fn deposit(&self, name: &str, role: &str, more: &[&str]) {
        let (to, endpoint) = (self.server.url(), format!("{}/", self.sts.url()));
        let arn = arn(role);
        let mut arguments =
            vec!["credential", "add", name, "--assume-role", &arn, "--to", &to, "--sts-endpoint", &endpoint];
        arguments.extend(more);
        self.broker.cli(&arguments);
    }

    /// Permits these calls with the role.
    fn permit(&self, credential: &str, workload: &str, calls: &[&str]) -> Issued {
        self.broker.permit(credential, workload, &self.policy(calls), &[])
    }

    fn policy(&self, calls: &[&str]) -> String {
        format!(
            "version = 1\n[[permit]]\nname = \"some of it\"\nto = \"{}\"\nplace = \"sigv4 us-east-1 s3\"\ncall = {calls:?}\n\
             query = {{ allow = [\"list-type\", \"prefix\", \"encoding-type\"] }}\n",
            self.server.url()
        )
    }

    fn boto3(&self, told: &[&str]) -> Command {
        let mut command = Command::new(self.clients.join("venv/bin/python"));
        command.arg(script("use_boto3_role.py")).args(told);
        surroundings(&mut command, &self.broker, &self.robot);
        command
            .env("DESTINATION", self.server.url())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command
    }

    fn through(&self, command: &mut Command) {
        let proxy = format!("http://{}:{}@{}", self.robot.name, self.robot.key, self.broker.listen());
        command.env("HTTP_PROXY", proxy);
    }

    /// With the placeholder as access key, through the broker.
    fn with_placeholder(&self, placeholder: &str, told: &[&str]) -> String {
        let mut command = self.boto3(told);
        self.through(&mut command);
        command.env("AWS_ACCESS_KEY_ID", placeholder).env("AWS_SECRET_ACCESS_KEY", "whatever");
        run(&self.broker, command)
    }

    /// One call of the workload, with its refusal where it is refused.
    fn call(&self, workload: &Workload, placeholder: &str, path: &str) -> Value {
        let authority = format!("127.0.0.1:{}", self.server.port);
        let request = signed(&authority, path, placeholder);
        let answer = self.broker.call(Way::Absolute, Some(workload), &request);
        if answer.status == 200 {
            json!(200)
        } else {
            serde_json::from_str(&answer.text()).unwrap_or(json!(answer.status))
        }
    }

    /// How often STS was asked.
    fn asked(&self) -> usize {
        self.spoken.lock().unwrap().len()
    }

    /// A part of the last form that went to STS.
    fn last_field(&self, name: &str) -> Option<String> {
        let spoken = self.spoken.lock().unwrap();
        let (request, _) = spoken.last()?;
        let form = String::from_utf8_lossy(&request.body).into_owned();
        form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(unescaped)
    }

    /// The keys of each session that STS gave: id, secret, session token.
    fn minted(&self) -> Vec<[String; 3]> {
        let spoken = self.spoken.lock().unwrap();
        let keys = spoken.iter().filter_map(|(_, reply)| {
            let part = |name: &str| {
                let (_, rest) = reply.split_once(&format!("<{name}>"))?;
                Some(rest.split_once('<')?.0.to_owned())
            };
            Some([part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?])
        });
        keys.collect()
    }

    /// SECURITY: nothing that STS gave, and no token that the broker signed, is anywhere but at their destination.
    fn hunt(&self) {
        let mut secrets: Vec<String> = self.minted().into_iter().flatten().collect();
        assert!(!secrets.is_empty());
        for (request, _) in self.spoken.lock().unwrap().iter() {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let token =
                form.split('&').find_map(|pair| pair.strip_prefix("WebIdentityToken=")).map(unescaped);
            secrets.extend(token.and_then(|token| Some(token.rsplit_once('.')?.1.to_owned())));
        }
        let mut places = vec![self.broker.output().into_bytes()];
        places.extend(self.broker.log().lock().unwrap().iter().cloned());
        let mut directories = vec![self.broker.data().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        places.push(std::fs::read(entry.path()).unwrap_or_default())
                    }
                    _ => {}
                }
            }
        }
        for secret in &secrets {
            for place in &places {
                let found = place.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} is in {}", String::from_utf8_lossy(place));
            }
        }
    }
}

fn signed(authority: &str, path: &str, placeholder: &str) -> Request {
    let signature = "0".repeat(64);
    Request::new("GET", authority, path).with("x-amz-date", "20200101T000000Z").with(
        "authorization",
        &format!(
            "AWS4-HMAC-SHA256 Credential={placeholder}/20200101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature={signature}"
        ),
    )
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digits = |a: u8, b: u8| u8::from_str_radix(&String::from_utf8(vec![a, b]).unwrap(), 16).unwrap();
        out.push(match byte {
            b'%' => digits(bytes.next().unwrap(), bytes.next().unwrap()),
            other => other,
        });
    }
    String::from_utf8(out).unwrap()
}

/// The request as it came, over a connection of its own; the reply byte for byte.
fn forward(port: u16, request: &Received) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    stream.write_all(&request.body)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

const READ: [&str; 2] = ["GET /one", "GET /one/in/{key...}"];

#[test]
fn boto3_reads_a_bucket_by_a_role_that_is_assumed_with_the_brokers_own_token() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a", "put one out/b"]);
    stage.deposit("one", "One", &[]);
    let issued = stage.permit("one", "robot", &READ);
    assert!(issued.text.starts_with("ASIA"), "{}", issued.text);
    assert_eq!(stage.asked(), 0, "nothing is asked before a call is authorized");
    let said = stage
        .with_placeholder(&issued.text, &["get one in/a", "list one -", "get one out/b", "put one in/c"]);
    assert!(said.contains("get one in/a: ok in in/a") && said.contains("list one -: ok 2"), "{said}");
    assert!(said.contains("get one out/b: 403") && said.contains("put one in/c: 403"), "{said}");
    assert_eq!(stage.asked(), 1, "the session is shared while it lives");
    assert_eq!(stage.last_field("RoleSessionName").as_deref(), Some("robot"));
    assert_eq!(stage.last_field("DurationSeconds").as_deref(), Some("900"));
    // What STS was told of the permit, and what it makes of it.
    let policy: Value = serde_json::from_str(&stage.last_field("Policy").unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], json!(["arn:aws:s3:::one/in/*"]));
    let [id, secret, session] = &stage.minted()[0];
    let told = ["get one in/a", "put one in/c", "get one out/b", "delete one in/a"];
    let said = stage.directly(&told, id, secret, Some(session));
    assert_eq!(
        said.matches("403 AccessDenied").count(),
        3,
        "the session itself can do no more than the permit: {said}"
    );
    assert!(said.contains("get one in/a: ok"), "{said}");
    stage.hunt();
}

#[test]
fn two_roles_are_not_mixed_and_each_placeholder_has_a_session_of_its_own() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "create two -", "put one a", "put two a"]);
    stage.deposit("one", "One", &["--whole-role"]);
    stage.deposit("two", "Two", &["--whole-role"]);
    let calls = ["GET /one/{key...}", "GET /two/{key...}"];
    let (one, two) = (stage.permit("one", "robot", &calls), stage.permit("two", "robot", &calls));
    let shown = stage.broker.cli_json(&["approval", "show", &two.approval]);
    let remark = format!("calls are signed as the role \"{}\"; a session gets all of the role", arn("Two"));
    assert!(shown["remarks"].as_array().unwrap().contains(&json!(remark)), "{shown}");
    for _ in 0..2 {
        let said = stage.with_placeholder(&one.text, &["get one a", "get two a"]);
        assert!(said.contains("get one a: ok") && said.contains("get two a: 403 AccessDenied"), "{said}");
        let said = stage.with_placeholder(&two.text, &["get one a", "get two a"]);
        assert!(said.contains("get one a: 403 AccessDenied") && said.contains("get two a: ok"), "{said}");
    }
    assert_eq!(stage.asked(), 2);
    assert_eq!(stage.last_field("Policy"), None, "the operator said so");
    let again = stage.permit("one", "robot", &calls);
    assert!(stage.with_placeholder(&again.text, &["get one a"]).contains(": ok"));
    assert_eq!(stage.asked(), 3, "another placeholder has another session");
    // A revoked placeholder's session is not used any more, by nobody.
    stage.broker.cli(&["placeholder", "revoke", &one.id]);
    assert_eq!(stage.call(&stage.robot, &one.text, "/one/a")["code"], "placeholder-revoked");
    assert!(stage.with_placeholder(&again.text, &["get one a"]).contains(": ok"));
    assert_eq!(stage.asked(), 3);
    stage.hunt();
}

#[test]
fn a_role_one_step_wrong_is_not_had_and_the_refusal_says_what_to_look_at() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    let eve = stage.broker.workload("eve");
    stage.deposit("one", "One", &[]);
    stage.deposit("other-audience", "One", &["--token-audience", "another"]);
    stage.deposit("no-audience", "One", &["--token-audience", "a-third"]);
    stage.deposit("other-name", "One", &[]);
    stage.deposit("no-role", "Nobody", &[]);
    for (credential, workload, word) in [
        ("one", &eve, "trust policy"),
        ("other-name", &stage.robot, "trust policy"),
        ("other-audience", &stage.robot, "STS"),
        ("no-audience", &stage.robot, "audience"),
        ("no-role", &stage.robot, "STS"),
    ] {
        let issued = stage.permit(credential, &workload.name, &READ);
        let refused = stage.call(workload, &issued.text, "/one/in/a");
        assert_eq!(refused["code"], "credential-unavailable", "{credential}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(word), "{credential}: {refused}");
    }
    assert!(stage.minted().is_empty());
    assert_eq!(stage.asked(), 4, "for an audience that the settings do not name nothing is signed");
    let issued = stage.permit("one", "robot", &READ);
    assert_eq!(stage.call(&stage.robot, &issued.text, "/one/in/a"), json!(200));
    // A permit from which nothing follows has no session, unless the operator says what is left of the role.
    let odd = stage.permit("one", "robot", &["GET /one/in/{key...}", "PATCH /one/in/{key...}"]);
    let refused = stage.call(&stage.robot, &odd.text, "/one/in/a");
    assert_eq!(refused["code"], "credential-unavailable", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("session policy"), "{refused}");
}

#[test]
fn t103_many_calls_at_once_assume_a_role_once() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let issued = stage.permit("one", "robot", &READ);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(stage.call(&stage.robot, &issued.text, "/one/in/a"), json!(200)));
        }
    });
    assert_eq!(stage.asked(), 1);
    stage.hunt();
}

#[test]
fn a_role_is_assumed_with_an_access_key_too_and_heals_when_the_key_is_replaced() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    let (to, endpoint, arn) = (stage.server.url(), format!("{}/", stage.sts.url()), arn("Keyed"));
    let wrong = access_key().replace(CANARY, "wrong-wrong-wrong");
    let arguments = [
        "credential",
        "add",
        "keyed",
        "--assume-role",
        &arn,
        "--assume-with",
        "access-key",
        "--to",
        &to,
        "--sts-endpoint",
        &endpoint,
    ];
    let added = stage.broker.run_with(&arguments, &wrong);
    assert!(added.status.success(), "{added:?}");
    let issued = stage.permit("keyed", "robot", &READ);
    for _ in 0..2 {
        let refused = stage.call(&stage.robot, &issued.text, "/one/in/a");
        assert_eq!(refused["code"], "login-required", "{refused}");
    }
    assert_eq!(stage.asked(), 1, "a key that is worth nothing is not tried again");
    let rotated = stage.broker.run_with(&["credential", "rotate", "keyed"], &access_key());
    assert!(rotated.status.success(), "{rotated:?}");
    let said = stage.with_placeholder(&issued.text, &["get one in/a", "put one in/c"]);
    assert!(said.contains("get one in/a: ok") && said.contains("put one in/c: 403"), "{said}");
    assert_eq!(stage.last_field("Action").as_deref(), Some("AssumeRole"));
    stage.hunt();
}

#[test]
fn t105_the_keys_of_a_session_do_not_come_back_in_any_reply() {
    let authority = TestAuthority::new();
    let file = settings_of(&authority);
    std::fs::write(
        &file,
        "[issuer]\nurl = \"https://id.example.com\"\naudiences = [\"sts.amazonaws.com\"]\n",
    )
    .unwrap();
    let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
    let robot = broker.workload("robot");
    let sts = TlsUpstream::start(&authority, |_| {
        let keys = format!(
            "<AccessKeyId>ASIA{}</AccessKeyId><SecretAccessKey>{CANARY}</SecretAccessKey><SessionToken>session/{TAIL}==</SessionToken>",
            TAIL.to_uppercase()
        );
        Reply::ok(
            "text/xml",
            format!("<Credentials>{keys}<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>"),
        )
    });
    // A service that shows all that it got: the session token, and here the secret too.
    let upstream = TlsUpstream::start(&authority, |request| {
        let got = String::from_utf8_lossy(&request.head).into_owned();
        Reply::ok("text/plain", format!("{got}\nand the secret is {CANARY}\n"))
    });
    let (to, endpoint, arn) = (upstream.url(), format!("{}/", sts.url()), arn("One"));
    broker.cli(&[
        "credential",
        "add",
        "one",
        "--assume-role",
        &arn,
        "--to",
        &to,
        "--sts-endpoint",
        &endpoint,
    ]);
    let policy = format!(
        "version = 1\n[[permit]]\nname = \"x\"\nto = \"{to}\"\nplace = \"sigv4 us-east-1 s3\"\ncall = \"GET /one/{{key...}}\"\n"
    );
    let issued = broker.permit("one", "robot", &policy, &[]);
    let answer =
        broker.call(Way::Connect, Some(&robot), &signed(&upstream.authority(), "/one/a", &issued.text));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&issued.text) && !answer.text().contains(TAIL), "{}", answer.text());
    let got = upstream.last();
    assert_eq!(got.header("x-amz-security-token"), Some(format!("session/{TAIL}==").as_str()));
    assert!(got.header("authorization").unwrap().contains(&format!("ASIA{}", TAIL.to_uppercase())));
    // The next credential at the same destination does not show them either.
    broker.deposit("plain", "bearer", &[&to], &cloakroom_testkit::shaped("sk_live_"));
    let plain = crate::support::policy(&to, "GET /two", "header authorization bearer", "");
    let plain = broker.permit("plain", "robot", &plain, &[]);
    let request = Request::new("GET", &upstream.authority(), "/two")
        .with("authorization", &format!("Bearer {}", plain.text));
    let answer = broker.call(Way::Connect, Some(&robot), &request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains(TAIL), "{}", answer.text());
}

#[test]
fn a_token_counts_no_longer_than_its_key_and_its_time() {
    let Some(stage) = Stage::with("lifetime = \"10s\"\n") else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let assumed = || {
        let issued = stage.permit("one", "robot", &READ);
        assert_eq!(stage.call(&stage.robot, &issued.text, "/one/in/a"), json!(200));
        stage.spoken.lock().unwrap().last().unwrap().0.clone()
    };
    let accepted = |request: &Received| {
        let reply = forward(stage.server.port, request).unwrap();
        reply.starts_with(b"HTTP/1.1 200")
    };
    let first = assumed();
    assert!(accepted(&first), "STS takes it twice: it is no nonce");
    let edited = |from: &str, to: &str| {
        let body = String::from_utf8(first.body.clone()).unwrap();
        assert!(body.contains(from), "{body}");
        Received { body: body.replacen(from, to, 1).into_bytes(), ..first.clone() }
    };
    assert!(!accepted(&edited("role%2FOne", "role%2FTwo")), "the subject is not that role's");
    eventually("the token has ended", || (!accepted(&first)).then_some(()));
    // A new key signs; the one before verifies what it signed until that has ended.
    let before = assumed();
    stage.broker.cli(&["issuer", "rotate", "--after", "now"]);
    let after = assumed();
    assert_ne!(key_id(&before), key_id(&after));
    assert!(accepted(&after));
    // A withdrawn key verifies nothing any more, for whoever asks for keys again.
    stage.broker.cli(&["issuer", "rotate", "--withdraw"]);
    let last = assumed();
    assert_ne!(key_id(&after), key_id(&last));
    let published = stage.broker.cli_json(&["issuer", "show"]);
    let keys = published["key_set"]["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"].as_str().unwrap(), key_id(&last));
}

/// Which key signed.
fn key_id(request: &Received) -> String {
    use base64::Engine;
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let token =
        form.split('&').find_map(|pair| pair.strip_prefix("WebIdentityToken=")).map(unescaped).unwrap();
    let header =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
