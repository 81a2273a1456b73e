//! What a destination shows of secrets that other calls brought there, when the broker has let go of them.

use crate::authorization_server::AuthorizationServer;
use crate::support::{BINARY, eventually, item, items, settings_of};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Issued, Received, Reply, Response, TestAuthority, TlsUpstream, Way, Workload,
    shaped,
};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

/// A destination that shows in each reply what calls brought before: `last` the latest of others, `all` everything.
fn telltale(authority: &TestAuthority) -> TlsUpstream {
    let brought = Mutex::new(Vec::<String>::new());
    TlsUpstream::start(authority, move |request: &Received| {
        let mut brought = brought.lock().unwrap();
        let shown = match request.target.rsplit('/').next() {
            Some("all") => brought.join(" "),
            Some("last") => brought.last().cloned().unwrap_or_default(),
            _ => {
                brought.push(request.header("authorization").unwrap_or_default().to_owned());
                String::new()
            }
        };
        Reply::ok("text/plain", format!("shown: {shown}"))
    })
}

/// A broker that reads files, and a workload with a placeholder for a deposited secret.
struct Stage {
    broker: Broker,
    robot: Workload,
    service: TlsUpstream,
    beside: Issued,
    directory: tempfile::TempDir,
    authority: TestAuthority,
}

impl Stage {
    fn new() -> Self {
        let (authority, directory) = (TestAuthority::new(), tempfile::tempdir().unwrap());
        let settings = settings_of(&authority);
        std::fs::write(&settings, format!("[sources]\ndirectories = [{:?}]\n", directory.path())).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(settings).start();
        let robot = broker.workload("robot");
        let service = telltale(&authority);
        broker.deposit("b", "bearer", &[&service.url()], &shaped("sk_live_"));
        let beside = broker.permit("b", "robot", &items(&service), &[]);
        Self { broker, robot, service, beside, directory, authority }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// Whoever writes it puts a new file in the place of the old one.
    fn write(&self, secret: &str) {
        let fresh = self.directory.path().join("fresh");
        std::fs::write(&fresh, secret).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o440)).unwrap();
        std::fs::rename(fresh, self.file()).unwrap();
    }

    /// A credential `f` that is read from the file each second, and a placeholder for it.
    fn read_from_file(&self) -> Issued {
        let (to, path) = (self.service.url(), self.file().display().to_string());
        self.broker.cli(&[
            "credential",
            "add",
            "f",
            "--to",
            &to,
            "--from",
            "file",
            "--path",
            &path,
            "--reread",
            "1s",
        ]);
        self.broker.permit("f", "robot", &items(&self.service), &[])
    }

    fn call(&self, id: &str, issued: &Issued) -> Response {
        self.broker.call(Way::Connect, Some(&self.robot), &item(&self.service, id, &issued.text))
    }
}

const TAKEN_OUT: &str = "Bearer another-credential";

#[test]
fn t01_what_a_source_gave_is_taken_out_beside_other_placeholders_when_its_time_is_over() {
    let stage = Stage::new();
    stage.write(&shaped("first-"));
    let read = stage.read_from_file();
    assert_eq!(stage.call("1", &read).status, 200);
    stage.write(&shaped("second-"));
    eventually("the second is placed", || {
        stage.call("1", &read);
        let last = stage.service.last();
        (last.header("authorization")? == format!("Bearer {}", shaped("second-"))).then_some(())
    });
    eventually("nothing is at hand any more", || {
        let shown = stage.broker.cli_json(&["credential", "show", "f"]);
        shown["source"]["read"].is_null().then_some(())
    });
    let shown = stage.call("all", &stage.beside).text();
    assert!(shown.matches(TAKEN_OUT).count() >= 2, "{shown}");
    assert_eq!(shown.matches("Bearer").count(), shown.matches(TAKEN_OUT).count(), "{shown}");
    // A placeholder that does not count any more takes nothing of that away.
    stage.broker.cli(&["placeholder", "revoke", &read.id]);
    let shown = stage.call("all", &stage.beside).text();
    assert_eq!(shown.matches("Bearer").count(), shown.matches(TAKEN_OUT).count(), "{shown}");
}

#[test]
fn t01_after_a_start_what_a_source_holds_is_read_before_a_reply_may_show_it() {
    let mut stage = Stage::new();
    stage.write(&shaped("first-"));
    let read = stage.read_from_file();
    assert_eq!(stage.call("1", &read).status, 200);
    stage.broker.kill();
    stage.broker.launch();
    let answer = stage.call("last", &stage.beside);
    assert_eq!((answer.status, answer.text()), (200, format!("shown: {TAKEN_OUT}")));
    // One step wrong: it cannot be read.
    std::fs::remove_file(stage.file()).unwrap();
    assert_eq!(stage.call("last", &stage.beside).status, 200, "it is known");
    stage.broker.kill();
    stage.broker.launch();
    let before = stage.service.requests().len();
    for _ in 0..2 {
        let answer = stage.call("last", &stage.beside);
        let told = (answer.status, answer.code());
        assert_eq!(told, (503, Some("credential-unavailable".to_owned())), "{}", answer.text());
        assert!(answer.text().contains("\"credential\":\"f\""), "which one: {}", answer.text());
    }
    assert_eq!(stage.service.requests().len(), before, "nothing was sent");
    let elsewhere = TlsUpstream::start(&stage.authority, |_: &Received| Reply::ok("text/plain", "ok"));
    stage.broker.deposit("e", "bearer", &[&elsewhere.url()], &shaped("sk_live_"));
    let issued = stage.broker.permit("e", "robot", &items(&elsewhere), &[]);
    let request = item(&elsewhere, "1", &issued.text);
    assert_eq!(stage.broker.call(Way::Connect, Some(&stage.robot), &request).status, 200, "nor known there");
    stage.write(&shaped("first-"));
    eventually("it heals by itself", || {
        let answer = stage.call("last", &stage.beside);
        (answer.status == 200).then(|| assert_eq!(answer.text(), format!("shown: {TAKEN_OUT}")))
    });
}

#[test]
fn a_source_that_is_gone_for_good_holds_up_other_calls_until_its_credential_is_removed() {
    let stage = Stage::new();
    stage.read_from_file();
    assert_eq!(stage.call("last", &stage.beside).code().as_deref(), Some("credential-unavailable"));
    stage.broker.cli(&["credential", "remove", "f"]);
    assert_eq!(stage.call("last", &stage.beside).status, 200);
}

#[test]
fn t01_an_access_token_is_taken_out_until_its_end_also_when_nobody_may_use_it() {
    let stage = Stage::new();
    let Some(server) = AuthorizationServer::start(&stage.authority, &[]) else { return };
    let (to, endpoint) = (stage.service.url(), server.endpoint());
    let grant = ["--grant", "client-credentials", "--token-endpoint", &endpoint, "--client-id", "app"];
    let arguments = [&["credential", "add", "g", "--to", &to][..], &grant].concat();
    let added = stage.broker.run_with(&arguments, &shaped("client-"));
    assert!(added.status.success(), "{added:?}");
    let granted = stage.broker.permit("g", "robot", &items(&stage.service), &[]);
    assert_eq!(stage.call("1", &granted).status, 200);
    let token = stage.service.last().header("authorization").unwrap().to_owned();
    assert!(server.issued().iter().any(|issued| token.ends_with(issued.as_str())), "{token}");
    stage.broker.cli(&["placeholder", "revoke", &granted.id]);
    for _ in 0..2 {
        assert_eq!(stage.call("all", &stage.beside).text(), format!("shown: {TAKEN_OUT}"));
    }
    server.hunt(&stage.broker);
}
