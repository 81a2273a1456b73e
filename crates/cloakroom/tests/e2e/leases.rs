//! Secrets that are made for the broker alone: real logins of a real PostgreSQL, lent by a real OpenBao, and given back.

use crate::openbao::OpenBao;
use crate::postgres::{Postgres, service};
use crate::support::{eventually, policy, setup};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{Broker, Issued, Reply, Request, Response, Setup, TlsUpstream, Way, shaped};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const CREDS: (&str, &str) = ("database/creds/reader", "read");
const REVOKE: (&str, &str) = ("sys/leases/revoke", "update");
const END_LOGIN: (&str, &str) = ("auth/token/revoke-accessor", "update");
const ALL: [(&str, &str); 3] = [CREDS, REVOKE, END_LOGIN];

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    server: OpenBao,
    database: Postgres,
    issued: Issued,
}

impl Stage {
    /// A credential `db` that is a login of the database, and a placeholder for it.
    fn new(lasts: &str, at_most: &str, more: &[&str]) -> Option<Self> {
        let setup = setup();
        let server = OpenBao::start(&setup)?;
        let database = Postgres::start();
        database.lend_through(&server, lasts, at_most);
        server.policy(&ALL);
        let upstream = TlsUpstream::start(&setup.authority, service(database.port));
        let (role, to, url) = (server.app_role("1h"), upstream.url(), server.url());
        let mut arguments =
            vec!["credential", "add", "db", "--to", &to, "--from", "vault-lease", "--server", &url];
        arguments.extend(["--login", "approle", "--login-role", &role, "--path", "database/creds/reader"]);
        arguments.extend(["--field", "password", "--user-field", "username"]);
        arguments.extend(more);
        let added = setup.broker.run_with(&arguments, &shaped("secret-id-"));
        assert!(added.status.success(), "{added:?}");
        let permits = policy(&to, "GET /rows/{id}", "header authorization basic-password", "");
        let issued = setup.broker.permit("db", "robot", &permits, &[]);
        Some(Self { setup, upstream, server, database, issued })
    }

    fn usual() -> Option<Self> {
        Self::new("1h", "24h", &[])
    }

    fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    fn call(&self) -> Response {
        // The user name that the workload writes has no meaning.
        let pair = STANDARD.encode(format!("whoever:{}", self.issued.text));
        let request = Request::new("GET", &self.upstream.authority(), "/rows/1")
            .with("authorization", &format!("Basic {pair}"));
        self.broker().call(Way::Connect, Some(&self.setup.robot), &request)
    }

    /// The user that reached the service last.
    fn user(&self) -> String {
        let requests = self.upstream.requests();
        let last = requests.last().unwrap().header("authorization").unwrap();
        let pair = STANDARD.decode(last.strip_prefix("Basic ").unwrap()).unwrap();
        String::from_utf8(pair).unwrap().split_once(':').unwrap().0.to_owned()
    }

    fn leases(&self) -> Vec<Value> {
        self.broker().cli_json(&["lease", "list"]).as_array().unwrap().clone()
    }

    /// Waits until the broker knows of no lease, and the database of no login.
    fn all_gone(&self) {
        eventually("every lease is gone", || self.leases().is_empty().then_some(()));
        // Where only its login could be ended, the lease ends with it in the server's own time.
        eventually("every login is gone", || self.database.logins().is_empty().then_some(()));
    }

    /// The acts on record that are about leases.
    fn acts(&self) -> Vec<String> {
        let records = self.broker().cli_json(&["journal", "show"]);
        let act = |record: &Value| {
            record["entry"]["act"].as_str().filter(|act| act.starts_with("lease")).map(str::to_owned)
        };
        records.as_array().unwrap().iter().filter_map(act).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.hunt(&self.setup.broker);
        }
    }
}

#[test]
fn a_database_login_exists_only_while_a_placeholder_needs_it() {
    let Some(stage) = Stage::usual() else { return };
    assert_eq!(
        (stage.database.logins().len(), stage.leases().len()),
        (0, 0),
        "nothing is leased before a call"
    );
    let answer = stage.call();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let user = stage.user();
    assert_eq!(stage.database.logins(), [user.as_str()]);
    let (placeholder, text) = (&stage.issued.text, answer.text());
    // The last symbol of base64 may belong to no whole byte.
    let sent = &STANDARD.encode(placeholder)[..placeholder.len() * 4 / 3 - 1];
    assert!(text.starts_with(&format!("hello {placeholder}\nyou sent Basic {sent}")), "{text}");
    assert!(text.ends_with(&format!(", which is {placeholder}")), "{text}");
    assert_eq!(answer.header("x-user"), Some(placeholder.as_str()));
    for _ in 0..3 {
        assert_eq!(stage.call().status, 200);
    }
    assert_eq!(stage.server.count("read database/creds/reader"), 1, "one login serves many calls");
    let leases = stage.leases();
    assert_eq!(
        (leases.len(), &leases[0]["state"], &leases[0]["credential"]),
        (1, &json!("held"), &json!("db"))
    );
    let shown = stage.broker().cli_json(&["credential", "show", "db"]);
    assert_eq!((&shown["source"]["lease"], &shown["source"]["login"]), (&leases[0]["id"], &json!("approle")));
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    eventually("the lease is gone", || stage.leases().is_empty().then_some(()));
    assert_eq!(stage.database.logins().len(), 0, "it counts as gone only when it is");
    assert_eq!(stage.acts(), ["lease taken", "lease to end", "lease ended"]);
    assert_eq!(stage.call().code().as_deref(), Some("placeholder-revoked"));
    assert_eq!(stage.database.logins().len(), 0);
}

#[test]
fn freezing_rotating_removing_and_stopping_give_a_login_back() {
    let Some(mut stage) = Stage::usual() else { return };
    assert_eq!(stage.call().status, 200);
    let first = stage.user();
    stage.broker().cli(&["placeholder", "freeze", &stage.issued.id]);
    stage.all_gone();
    stage.broker().cli(&["placeholder", "thaw", &stage.issued.id]);
    assert_eq!(stage.call().status, 200);
    assert_ne!(stage.user(), first, "what was given back is not used again");
    let rotated = stage.broker().run_with(&["credential", "rotate", "db"], &shaped("secret-id-"));
    assert!(rotated.status.success(), "{rotated:?}");
    stage.all_gone();
    assert_eq!(stage.call().status, 200);
    stage.setup.broker.stop();
    assert_eq!(stage.database.logins().len(), 0, "a broker that stops leaves nothing behind");
    stage.setup.broker.launch();
    assert_eq!(stage.call().status, 200);
    stage.broker().cli(&["credential", "remove", "db"]);
    stage.all_gone();
}

#[test]
fn a_login_that_cannot_be_ended_now_is_listed_and_ended_when_that_is_possible() {
    let Some(mut stage) = Stage::usual() else { return };
    assert_eq!(stage.call().status, 200);
    stage.database.stop();
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    let lease = eventually("the lease is listed with what is in the way", || {
        let lease = stage.leases().first().cloned().unwrap();
        (lease["attempts"].as_u64() >= Some(2)).then_some(lease)
    });
    assert_eq!(lease["state"], "ending", "{lease}");
    assert!(lease["trouble"].as_str().unwrap().contains("could not end it"), "{lease}");
    assert_eq!(stage.acts().iter().filter(|act| *act == "lease not ended yet").count(), 1);
    let records = stage.broker().cli_json(&["journal", "show"]);
    assert!(
        records.as_array().unwrap().iter().any(|record| record["entry"]["event"] == "lease-lingers"),
        "{records}"
    );
    // Neither a kill nor a removed credential makes it forgotten.
    stage.broker().cli(&["credential", "remove", "db"]);
    stage.setup.broker.kill();
    stage.setup.broker.launch();
    assert_eq!(stage.leases()[0]["id"], lease["id"]);
    stage.database.launch();
    assert_eq!(stage.database.logins().len(), 1);
    stage.all_gone();
}

/// Dies at this place during the first call, and starts again.
fn die_at(stage: &mut Stage, place: &str) {
    stage.setup.broker.stop();
    stage.setup.broker.die_at(Some(place));
    stage.setup.broker.launch();
    let call = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.call()));
    assert!(call.is_err() || call.is_ok_and(|answer| answer.status != 200));
    stage.setup.broker.wait();
    stage.setup.broker.die_at(None);
    stage.setup.broker.launch();
}

#[test]
fn t104_a_kill_between_lease_and_record_leaves_no_login_behind() {
    let Some(mut stage) = Stage::usual() else { return };
    for (place, left) in [("lease-asked", 0), ("lease-taken", 1), ("lease-kept", 1)] {
        stage.setup.broker.stop();
        stage.setup.broker.die_at(Some(place));
        stage.setup.broker.launch();
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.call()));
        assert!(!died.is_ok_and(|answer| answer.status == 200), "{place}");
        stage.setup.broker.wait();
        assert_eq!(stage.database.logins().len(), left, "{place}");
        stage.setup.broker.die_at(None);
        stage.setup.broker.launch();
        stage.all_gone();
        assert_eq!(stage.call().status, 200, "{place}");
    }
}

#[test]
fn a_lease_whose_name_was_lost_is_listed_where_the_broker_may_not_end_its_login() {
    let Some(mut stage) = Stage::usual() else { return };
    stage.server.policy(&[CREDS, REVOKE]);
    die_at(&mut stage, "lease-taken");
    let lease = eventually("it was tried", || {
        let lease = stage.leases().first().cloned().unwrap();
        (lease["attempts"].as_u64() >= Some(1)).then_some(lease)
    });
    assert_eq!(lease["state"], "asked", "{lease}");
    assert!(lease["trouble"].as_str().unwrap().contains("auth/token/revoke-accessor"), "{lease}");
    assert!(lease["expires"].is_string(), "it ends with its login at the latest: {lease}");
    assert_eq!(stage.database.logins().len(), 1);
    stage.server.policy(&ALL);
    stage.all_gone();
    // One that the operator knows to be gone is forgotten when they say so.
    stage.server.policy(&[CREDS, REVOKE]);
    die_at(&mut stage, "lease-taken");
    let id = stage.leases()[0]["id"].as_str().unwrap().to_owned();
    stage.broker().cli(&["lease", "dismiss", &id]);
    assert_eq!(stage.leases().len(), 0);
    assert_eq!(stage.broker().run(&["lease", "dismiss", &id]).status.code(), Some(1));
    assert_eq!(stage.acts().last().map(String::as_str), Some("lease dismissed"));
}

#[test]
fn a_lease_is_renewed_while_its_placeholder_lives() {
    let Some(stage) = Stage::new("4s", "1h", &[]) else { return };
    assert_eq!(stage.call().status, 200);
    let user = stage.user();
    eventually("three renewals", || {
        assert_eq!(stage.call().status, 200);
        assert_eq!(stage.user(), user);
        (stage.server.count("update sys/leases/renew") >= 3).then_some(())
    });
    assert_eq!(stage.server.count("read database/creds/reader"), 1);
}

#[test]
fn a_lease_that_cannot_go_on_is_replaced_before_it_ends() {
    let Some(stage) = Stage::new("3s", "3s", &[]) else { return };
    assert_eq!(stage.call().status, 200);
    let first = stage.user();
    eventually("another login", || {
        assert_eq!(stage.call().status, 200);
        (stage.user() != first).then_some(())
    });
    eventually("the first is gone", || (!stage.database.logins().contains(&first)).then_some(()));
}

#[test]
fn a_broker_that_may_not_end_leases_says_so_until_it_may() {
    let Some(stage) = Stage::usual() else { return };
    assert_eq!(stage.call().status, 200);
    stage.server.policy(&[CREDS]);
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    eventually("it is said", || {
        let lease = stage.leases().first().cloned().unwrap();
        lease["trouble"].as_str().is_some_and(|text| text.contains("sys/leases/revoke")).then_some(())
    });
    stage.server.policy(&ALL);
    stage.all_gone();
}

#[test]
fn what_is_no_lease_or_has_no_such_field_is_not_placed_and_nothing_is_kept() {
    let Some(stage) = Stage::usual() else { return };
    let (to, url, token) = (stage.upstream.url(), stage.server.url(), stage.server.token("login-"));
    stage.server.policy(&[CREDS, REVOKE, ("secret/data/app/api", "read")]);
    stage.server.put("app/api", "key", &shaped("value-"));
    for (name, path, field) in
        [("kv", "secret/data/app/api", "data"), ("field", "database/creds/reader", "nothing")]
    {
        let arguments = ["credential", "add", name, "--to", &to, "--from", "vault-lease", "--server", &url];
        let added =
            stage.broker().run_with(&[&arguments[..], &["--path", path, "--field", field]].concat(), &token);
        assert!(added.status.success(), "{added:?}");
        let permits = policy(&to, "GET /rows/{id}", "header authorization bearer", "");
        let issued = stage.broker().permit(name, "robot", &permits, &[]);
        let request = Request::new("GET", &stage.upstream.authority(), "/rows/1")
            .with("authorization", &format!("Bearer {}", issued.text));
        let answer = stage.broker().call(Way::Connect, Some(&stage.setup.robot), &request);
        assert_eq!(answer.code().as_deref(), Some("credential-unavailable"), "{name}: {}", answer.text());
        stage.all_gone();
    }
    assert!(stage.upstream.requests().is_empty());
}

#[test]
fn a_login_is_no_user_name() {
    let Some(stage) = Stage::usual() else { return };
    let permits = policy(&stage.upstream.url(), "GET /rows/{id}", "header authorization basic-user", "");
    let issued = stage.broker().permit("db", "robot", &permits, &[]);
    let pair = STANDARD.encode(format!("{}:x", issued.text));
    let request = Request::new("GET", &stage.upstream.authority(), "/rows/1")
        .with("authorization", &format!("Basic {pair}"));
    let answer = stage.broker().call(Way::Connect, Some(&stage.setup.robot), &request);
    assert_eq!(answer.code().as_deref(), Some("place-not-permitted"), "{}", answer.text());
}

/// A server of our own that ends leases when it likes to, as real ones may.
#[test]
fn a_lease_counts_as_gone_only_when_the_server_says_that_there_is_none() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let setup = setup();
    let json = |text: String| Reply::ok("application/json", text);
    let server = TlsUpstream::start(&setup.authority, move |request| match request.target.as_str() {
        "/v1/auth/token/lookup-self" => json("{\"data\":{\"ttl\":0}}".into()),
        "/v1/creds" => json(format!(
            "{{\"lease_id\":\"creds/1\",\"lease_duration\":3600,\"renewable\":false,\"data\":{{\"key\":\"{}\"}}}}",
            shaped("made-")
        )),
        "/v1/sys/leases/revoke" => Reply::status("204 No Content"),
        "/v1/sys/leases/lookup" => match LOOKS.fetch_add(1, Ordering::SeqCst) {
            0 => json("{\"data\":{\"id\":\"creds/1\"}}".into()),
            1 => Reply::status("400 Bad Request").with_body("{\"errors\":[\"missing client token\"]}"),
            2 => Reply::status("404 Not Found").with_body("{\"errors\":[]}"),
            _ => Reply::status("400 Bad Request").with_body("{\"errors\":[\"invalid lease\"]}"),
        },
        _ => Reply::status("404 Not Found"),
    });
    let upstream = TlsUpstream::start(&setup.authority, cloakroom_testkit::echo);
    let (to, url) = (upstream.url(), server.url());
    let arguments = [
        "credential",
        "add",
        "c",
        "--to",
        &to,
        "--from",
        "vault-lease",
        "--server",
        &url,
        "--path",
        "creds",
        "--field",
        "key",
    ];
    assert!(setup.broker.run_with(&arguments, &shaped("login-")).status.success());
    let issued = setup.broker.permit("c", "robot", &crate::support::items(&upstream), &[]);
    let answer = setup.broker.call(
        Way::Connect,
        Some(&setup.robot),
        &crate::support::item(&upstream, "1", &issued.text),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    setup.broker.cli(&["placeholder", "revoke", &issued.id]);
    let mut seen = 0;
    eventually("it is gone", || {
        let leases = setup.broker.cli_json(&["lease", "list"]);
        match leases.as_array().unwrap().first() {
            Some(lease) => {
                seen = lease["attempts"].as_u64().unwrap();
                None
            }
            None => Some(()),
        }
    });
    assert_eq!(LOOKS.load(Ordering::SeqCst), 4, "it was looked up until it was gone");
    assert!(seen >= 2, "{seen}");
}
