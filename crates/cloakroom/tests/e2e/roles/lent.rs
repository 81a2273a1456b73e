//! Programs that insist on AWS keys of their own: they get the placeholder that they hold, in the form that they expect.

use super::{READ, Stage};
use crate::clients::run;
use cloakroom_testkit::{Workload, shaped};

#[test]
fn boto3_works_with_container_credentials_that_are_the_placeholder_it_shows() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let issued = stage.permit("one", "robot", &READ);
    let uri = format!("http://{}/.cloakroom/aws/credentials", stage.broker.listen());
    let fetched = |ticket: &str| {
        let mut command = stage.boto3(&["get one in/a", "put one in/c"]);
        stage.through(&mut command);
        command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", ticket);
        run(&stage.broker, command)
    };
    let ticket = format!("{}.{}", stage.robot.key, issued.text);
    let said = fetched(&ticket);
    assert!(said.contains("get one in/a: ok in in/a") && said.contains("put one in/c: 403"), "{said}");
    assert!(fetched("nonsense").contains("CredentialRetrievalError"));
    stage.hunt();
    // One step beside it.
    let eve = stage.broker.workload("eve");
    stage.broker.deposit("plain", "bearer", &[&stage.server.url()], &shaped("sk_live_"));
    let to = stage.server.url();
    let plain = crate::support::policy(&to, "GET /x", "header authorization bearer", "");
    let plain = stage.broker.permit("plain", "robot", &plain, &[]);
    let waiting = stage.broker.issue("one", "robot", &stage.policy(&READ), &[]);
    let asked = |ticket: &str| {
        let head = format!(
            "GET /.cloakroom/aws/credentials HTTP/1.1\r\nHost: {}\r\nAuthorization: {ticket}\r\n\r\n",
            stage.broker.listen()
        );
        let mut wire = stage.broker.wire();
        wire.send(head.as_bytes());
        wire.receive("GET").unwrap()
    };
    let good = asked(&format!("Bearer {ticket}"));
    let keys = good.json();
    assert_eq!((good.status, keys["AccessKeyId"].as_str()), (200, Some(issued.text.as_str())));
    assert_eq!(good.header("cache-control"), Some("no-store"));
    let mut altered = issued.text.clone();
    let end = if altered.pop() == Some('A') { 'B' } else { 'A' };
    altered.push(end);
    let longer = format!("{}A", issued.text);
    for (key, placeholder, code) in [
        (&eve.key, &issued.text, "wrong-workload"),
        (&"cwk_nobody".to_owned(), &issued.text, "unknown-workload"),
        (&stage.robot.key, &altered, "unknown-placeholder"),
        (&stage.robot.key, &longer, "unknown-placeholder"),
        (&stage.robot.key, &"ASIAIOSFODNN7EXAMPLE".to_owned(), "unknown-placeholder"),
        (&stage.robot.key, &plain.text, "place-not-permitted"),
        (&stage.robot.key, &waiting.text, "placeholder-pending"),
    ] {
        let refused = asked(&format!("{key}.{placeholder}"));
        assert_eq!(refused.code().as_deref(), Some(code), "{}", refused.text());
    }
    assert_eq!(asked(&issued.text).code().as_deref(), Some("unknown-workload"), "nothing says who asks");
    stage.broker.cli(&["placeholder", "revoke", &issued.id]);
    assert_eq!(asked(&ticket).code().as_deref(), Some("placeholder-revoked"));
}

#[test]
fn boto3_works_with_a_placeholder_as_web_identity_token() {
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let issued = stage.permit("one", "robot", &READ);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let with_token = |token: &str| {
        std::fs::write(&file, token).unwrap();
        let mut command = stage.boto3(&["get one in/a", "put one in/c"]);
        stage.through(&mut command);
        command
            .env("AWS_CA_BUNDLE", stage.broker.ca_file())
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
            .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/whatever")
            .env("AWS_DEFAULT_REGION", "us-east-1");
        run(&stage.broker, command)
    };
    let said = with_token(&format!("{}\n", issued.text));
    assert!(said.contains("get one in/a: ok in in/a") && said.contains("put one in/c: 403"), "{said}");
    assert_eq!(stage.asked(), 1, "the broker asked its own STS, for its own session");
    let said = with_token("ASIAIOSFODNN7EXAMPLE");
    assert!(!said.contains("in/a: ok"), "{said}");
    stage.hunt();
    // What else the token service would do is refused, and so is the tunnel of a workload that has no such placeholder.
    let sts = "sts.us-east-1.amazonaws.com:443";
    let ask = |workload: &Workload, method: &str, path: &str, body: &str| {
        let mut wire = match stage.broker.tunnel(sts, Some(workload)) {
            Ok(wire) => wire,
            Err(refused) => return refused.code(),
        };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n{body}",
            &sts[..sts.len() - 4]
        );
        wire.send(head.as_bytes());
        let answer = wire.receive(method).unwrap();
        answer.code().or(Some(answer.status.to_string()))
    };
    let action = format!("Action=AssumeRoleWithWebIdentity&WebIdentityToken={}", issued.text);
    assert_eq!(ask(&stage.robot, "POST", "/", &action).as_deref(), Some("200"));
    let twice = format!("{action}&WebIdentityToken={}", issued.text);
    for (method, path, body, code) in [
        ("POST", "/", "Action=GetCallerIdentity", "call-not-permitted"),
        ("POST", "/", twice.as_str(), "call-not-permitted"),
        ("POST", "/", "Action=AssumeRoleWithWebIdentity&WebIdentityToken=x", "unknown-placeholder"),
        ("POST", "/x", action.as_str(), "destination-not-permitted"),
        ("GET", "/", "", "unknown-placeholder"),
    ] {
        let came = ask(&stage.robot, method, path, body);
        assert_eq!(came.as_deref(), Some(code), "{method} {path} {body}");
    }
    let eve = stage.broker.workload("eve");
    assert_eq!(ask(&eve, "POST", "/", &action).as_deref(), Some("destination-not-permitted"));
}
