//! From nothing to a call and back: a person enrols, connects services, issues, approves, watches, freezes and revokes.

use super::browser::{Browser, enrolled, origin};
use crate::authorization_server::AuthorizationServer;
use crate::support::{BINARY, item, items, policy, propose};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Request, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
use serde_json::{Value, json};

/// Connects by what is pasted.
fn paste(browser: &mut Browser, name: &str, to: &str, secret: &str) -> Value {
    browser.open("/connect/by-hand");
    let form = "form[data-connect=paste]";
    browser.fill(json!({
        format!("{form} [name=name]"): name, format!("{form} [name=kind]"): "bearer",
        format!("{form} [name=to]"): to, format!("{form} [name=secret]"): secret,
    }));
    browser.press(&format!("{form} button"))
}

/// Connects by a login at a real authorization server.
fn log_in_at(browser: &mut Browser, server: &AuthorizationServer, name: &str, to: &str) {
    browser.open("/connect/by-hand");
    let form = "form[data-connect=login]";
    browser.fill(json!({
        format!("{form} [name=name]"): name, format!("{form} [name=to]"): to, format!("{form} [name=client_id]"): "app",
        format!("{form} [name=client_secret]"): shaped("client-"), format!("{form} [name=scope]"): "openid", format!("{form} [name=issuer]"): server.issuer(),
    }));
    browser.press(&format!("{form} button"));
    browser.wait("h1", "Logged in");
}

/// Issues what the editor holds; gives the placeholder's text.
fn issue(browser: &mut Browser, credential: &str, policy: &str) -> String {
    browser.open(&format!("/policies/new?credential={credential}"));
    browser.fill(json!({ "#policy": policy, "[name=workload]": "agent" }));
    let issued = browser.submit("button[formaction='/placeholders']");
    assert_eq!(issued["title"], "Placeholder issued – Cloakroom", "{issued}");
    browser.text("#issued")
}

/// The id of the placeholder in this state.
fn in_state(broker: &Broker, state: &str) -> String {
    let all = broker.cli_json(&["placeholder", "list"]);
    let one = all.as_array().unwrap().iter().find(|one| one["state"] == state);
    one.unwrap_or_else(|| panic!("none is {state}: {all}"))["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_person_enrols_connects_issues_approves_watches_freezes_and_revokes_in_a_browser() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let callback = format!("{}/oauth/callback", origin(&broker));
    let Some(server) = AuthorizationServer::start(&authority, &[("REDIRECTS", &callback)]) else { return };
    let Some(mut browser) = enrolled(&broker, &[&server.issuer()]) else { return };
    // A broker that is new says what comes first, and follows what was done.
    assert_eq!(browser.open("/inbox")["status"], 200);
    assert!(browser.text(".steps").contains("Connect a service"));

    // Connect: by a login, and by pasting; once more under the same name is refused.
    log_in_at(&mut browser, &server, "mail", &upstream.url());
    let connected = paste(&mut browser, "c", &upstream.url(), &shaped("sk_live_"));
    assert_eq!(connected["title"], "Credential c – Cloakroom", "{connected}");
    let taken = paste(&mut browser, "c", &upstream.url(), &shaped("sk_live_"));
    assert!(taken["said"].as_str().unwrap().contains("exists already"), "{taken}");
    browser.ask(json!(["trouble"]));
    let credentials = browser.open("/credentials");
    assert!(credentials["text"].as_str().unwrap().contains("mail"), "{credentials}");

    // A workload, with its key shown once.
    browser.open("/workloads");
    browser.fill(json!({ "form.inline [name=name]": "agent" }));
    browser.submit("form.inline button");
    let robot = Workload { name: "agent".into(), key: browser.text("#issued") };
    assert!(robot.key.starts_with("cwk_"));

    // The editor looks at it while it is written.
    browser.open("/policies/new?credential=mail");
    browser.fill(json!({ "#policy": "version = 1\n[[permit]]\nnane = 1\n" }));
    browser.wait("#results", "Line 3");
    let url = format!("{}/v1/items/7", upstream.url());
    browser.fill(json!({ "#policy": items(&upstream), "[name=method]": "GET", "[name=url]": url }));
    browser.wait("#results", "Allowed.");
    browser.fill(json!({ "[name=url]": format!("{}/v1/other", upstream.url()) }));
    browser.wait("#results", "Refused.");

    // Issued for what was connected by a login, approved by one key.
    let text = issue(&mut browser, "mail", &items(&upstream));
    let call = |id: &str| broker.call(Way::Absolute, Some(&robot), &item(&upstream, id, &text));
    assert_eq!(call("1").code().as_deref(), Some("placeholder-pending"));
    browser.open("/");
    browser.wait("#waiting", "1");
    browser.ask(json!(["key", "a"]));
    browser.wait("#said", "granted");
    assert_eq!(call("1").status, 200);
    // What reached the service is what the authorization server gave the broker, and nobody else.
    let sent = upstream.requests().last().unwrap().header("authorization").unwrap().to_owned();
    assert!(server.issued().iter().any(|token| sent == format!("Bearer {token}")), "{sent}");

    // What another one changes is shown, and denied by one key.
    let wider = policy(&upstream.url(), "GET /v1/{rest...}", "header authorization bearer", "");
    issue(&mut browser, "mail", &wider);
    let shown = browser.open("/inbox")["text"].as_str().unwrap().to_owned();
    for words in ["wider: it allows more than before", "Newly allowed", "/v1/{rest...}"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    browser.ask(json!(["key", "d"]));
    browser.wait("#said", "denied");

    // The call appears by itself.
    browser.open("/activity");
    call("watched");
    browser.wait("#journal", "/v1/items/watched");
    browser.wait("#journal", "200");

    // Frozen and thawed from the list, revoked from its own page.
    let id = in_state(&broker, "active");
    browser.open("/placeholders?state=active");
    browser.submit("button[formaction$='/freeze']");
    assert_eq!(call("1").code().as_deref(), Some("placeholder-frozen"));
    browser.submit("button[formaction$='/thaw']");
    assert_eq!(call("1").status, 200);
    browser.open(&format!("/placeholders/{id}"));
    browser.unfold("details.danger summary");
    browser.submit("button[formaction$='/revoke']");
    assert_eq!(call("1").code().as_deref(), Some("placeholder-revoked"));
    browser.require_quiet();
    // Logged out, nothing is shown.
    browser.submit(".corner button");
    assert!(browser.open("/inbox")["url"].as_str().unwrap().starts_with("/login"), "led to the log-in");
    server.hunt(&broker);
}

#[test]
fn a_link_opens_exactly_what_it_names_also_after_a_log_in_on_the_way() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let robot = broker.workload("robot");
    // A call that waits is the most urgent; what the links name is not.
    let each =
        policy(&upstream.url(), "POST /v1/mails", "header authorization bearer", "approve = \"each-call\"");
    let asking = broker.permit("c", "robot", &each, &[]);
    let request = Request::new("POST", &upstream.authority(), "/v1/mails")
        .with("authorization", &format!("Bearer {}", asking.text))
        .with_body("application/json", "{}");
    assert_eq!(
        broker.call(Way::Absolute, Some(&robot), &request).code().as_deref(),
        Some("approval-required")
    );
    let issued: Vec<String> =
        (0..2).map(|_| broker.issue("c", "robot", &items(&upstream), &[]).approval).collect();
    let proposal = propose(&broker, &robot, &items(&upstream), "to read the items");
    let links: Vec<String> = issued.into_iter().chain([proposal]).map(|id| format!("/inbox/{id}")).collect();
    for link in &links {
        browser.open("/inbox");
        browser.submit(".corner button");
        let led = browser.open(link);
        assert_eq!(led["url"].as_str(), Some(&*format!("/login?next={link}")), "{led}");
        browser.ask(json!(["key", "a"]));
        let entered = browser.press("button[data-act=login]");
        assert_eq!(entered["url"].as_str(), Some(link.as_str()), "{entered}");
        assert_eq!(browser.current(), *link, "what is open");
    }
    // The first page opens the call, and a link to nothing opens nothing.
    browser.open("/inbox");
    assert!(!links.contains(&browser.current()));
    let none = browser.open("/inbox/ap_01HF7YAT00QTXS9F8T1S4ZKZ8M");
    assert_eq!(none["status"], 404);
    assert!(!none["text"].as_str().unwrap().contains("Approve"), "{none}");
}

/// What became of it, as the workload hears it.
fn outcome(broker: &Broker, robot: &Workload, proposal: &str) -> String {
    let mut wire = broker.wire();
    let key = &robot.key;
    wire.send(format!("GET /.cloakroom/requests/{proposal} HTTP/1.1\r\nhost: b\r\ncloakroom-workload: {key}\r\naccept: application/json\r\n\r\n").as_bytes());
    wire.receive("GET").unwrap().json()["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_workload_asks_for_becomes_a_policy_in_the_editor_and_it_hears_what_came_of_it() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let (robot, other) = (broker.workload("robot"), broker.workload("other"));
    let mut take_up = |proposal: &str, workload: &str| {
        browser.open(&format!("/inbox/{proposal}"));
        browser.submit("a[data-key=a]");
        browser.fill(json!({ "[name=credential]": "c", "[name=workload]": workload }));
        browser.submit("button[formaction='/placeholders']")["text"].as_str().unwrap().to_owned()
    };
    let waiting = || broker.cli_json(&["proposal", "list"]).as_array().unwrap().len();
    let pending = || {
        let all = broker.cli_json(&["approval", "list"]);
        let one = all
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["state"] == "pending" && one["kind"] == "placeholder");
        one.unwrap()["id"].as_str().unwrap().to_owned()
    };
    // Issued for another workload, it waits still.
    let proposal = propose(&broker, &robot, &items(&upstream), "to read the items");
    assert!(take_up(&proposal, "other").contains("hears nothing of it"));
    assert_eq!((waiting(), outcome(&broker, &robot, &proposal)), (1, "waiting".into()));
    broker.cli(&["approval", "deny", &pending()]);
    // Issued for its own, and then what the approvers say.
    for (act, state) in [("grant", "granted"), ("deny", "denied")] {
        let proposal = propose(&broker, &robot, &items(&upstream), "to read the items");
        assert!(take_up(&proposal, "robot").contains("hears that it was taken up"));
        assert_eq!((waiting(), outcome(&broker, &robot, &proposal)), (0, "accepted".into()), "{act}");
        let approval = pending();
        let yes: &[&str] = if act == "grant" { &["--yes"] } else { &[] };
        broker.cli(&[&["approval", act, &approval], yes].concat());
        assert_eq!(outcome(&broker, &robot, &proposal), state);
        assert_eq!(outcome(&broker, &other, &proposal), "unknown");
        if act == "grant" {
            broker.cli(&["approval", "withdraw", &approval]);
            assert_eq!(outcome(&broker, &robot, &proposal), "withdrawn");
        }
    }
    // What an operator dismisses is heard as a no.
    let proposal = propose(&broker, &robot, &items(&upstream), "to read the items");
    browser.open(&format!("/inbox/{proposal}"));
    browser.submit("form button[data-key=d]");
    assert_eq!((waiting(), outcome(&broker, &robot, &proposal)), (0, "dropped".into()));
    // A workload that comes later under the same name hears nothing of it, of calls neither.
    broker.cli(&["workload", "remove", "robot"]);
    let namesake = broker.workload("robot");
    assert_eq!(outcome(&broker, &namesake, &proposal), "unknown");
}
