//! Single sign-on at the console, against a real OpenID provider: who is let in, who is not, and every step of it that is wrong.

use crate::authorization_server::AuthorizationServer;
use crate::console::browser::{Browser, enrolled, origin};
use crate::support::{BINARY, settings_of};
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority, shaped};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// A provider, and a broker whose console knows it.
struct Stage {
    broker: Broker,
    server: AuthorizationServer,
    authority: TestAuthority,
}

/// What came back.
struct Told {
    status: String,
    /// Header and body.
    text: String,
    /// Where it leads.
    to: String,
}

impl Told {
    /// Asserts that it is a page that says no, for this reason, and begins no session.
    fn refused(&self, status: &str, words: &str) {
        assert!(self.status == status && self.text.contains(words), "{words}: {}", self.text);
        assert!(!self.logged_in(), "{}", self.text);
    }

    /// Whether a session begins.
    fn logged_in(&self) -> bool {
        self.text.lines().any(|line| {
            let line = line.to_ascii_lowercase();
            line.starts_with("set-cookie: cloakroom-") && !line.starts_with("set-cookie: cloakroom-sign-on")
        })
    }
}

/// A browser with cookies of its own that does nothing by itself.
struct Visitor<'s> {
    stage: &'s Stage,
    jar: PathBuf,
}

impl Stage {
    fn new(more: &str) -> Option<Self> {
        let authority = TestAuthority::new();
        let server = AuthorizationServer::start(&authority, &[])?;
        let file = settings_of(&authority);
        let settings = format!(
            "[console.single-sign-on]\nissuer = \"{}\"\nclient-id = \"app\"\nclient-secret = \"sso\"\n{more}\n",
            server.issuer()
        );
        std::fs::write(&file, settings).unwrap();
        let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
        broker.deposit("sso", "bearer", &[&server.issuer()], &shaped("client-"));
        let stage = Self { broker, server, authority };
        stage.introduce();
        Some(stage)
    }

    /// Tells the provider where the console is.
    fn introduce(&self) {
        let at = origin(&self.broker);
        self.server.test(&format!("console/{}", at.rsplit_once(':').unwrap().1));
    }

    fn visitor(&self, name: &str) -> Visitor<'_> {
        Visitor { stage: self, jar: self.authority.directory().join(name) }
    }

    fn add(&self, name: &str, subject: &str, role: &str) {
        self.broker.cli(&["member", "add", name, "--subject", subject, "--role", role]);
    }
}

impl Visitor<'_> {
    fn get(&self, url: &str, fields: &[&str]) -> Told {
        let mut command = Command::new("curl");
        command.args(["-sS", "-i", "--cacert"]).arg(self.stage.authority.file());
        command.arg("-b").arg(&self.jar).arg("-c").arg(&self.jar);
        for field in fields {
            command.args(["-H", field]);
        }
        let output = command.args(["-w", "\n%{http_code} %{redirect_url}", url]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.stage.broker.log().lock().unwrap().push(output.stdout.clone());
        let said = String::from_utf8(output.stdout).unwrap();
        let (text, last) = said.rsplit_once('\n').unwrap();
        let (status, to) = last.split_once(' ').unwrap();
        Told { status: status.into(), text: text.into(), to: to.into() }
    }

    /// From the console's own page.
    fn begin(&self, next: &str) -> Told {
        self.get(
            &format!("{}/sign-on?next={next}", origin(&self.stage.broker)),
            &["sec-fetch-site: same-origin"],
        )
    }

    /// Through the provider's pages, until it leads back.
    fn agree(&self, url: &str) -> String {
        let mut next = url.to_owned();
        while next.starts_with(&self.stage.server.issuer()) {
            let told = self.get(&next, &[]);
            next = told.to.clone();
            assert!(!next.is_empty(), "{}", told.text);
        }
        next
    }

    /// As far as the answer, which is not given yet.
    fn answer(&self, next: &str) -> String {
        let begun = self.begin(next);
        assert_eq!(begun.status, "303", "{}\n{}", begun.text, self.stage.broker.output());
        self.agree(&begun.to)
    }

    fn arrive(&self, url: &str) -> Told {
        self.get(url, &["sec-fetch-site: cross-site"])
    }

    fn sign_on(&self) -> Told {
        self.arrive(&self.answer("/inbox"))
    }

    fn whoami(&self) -> Value {
        let told = self.get(&format!("{}/api/v1/whoami", origin(&self.stage.broker)), &[]);
        let body = told.text.rsplit_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap()
    }
}

#[test]
fn somebody_known_logs_in_in_a_browser_somebody_unknown_is_told_why_not_and_a_passkey_works_without_the_provider()
 {
    let Some(stage) = Stage::new("") else { return };
    let Some(mut browser) = enrolled(&stage.broker, &[&stage.server.issuer()]) else { return };
    let log_out = |browser: &mut Browser| {
        browser.open("/account");
        browser.submit("form button");
    };
    log_out(&mut browser);
    let login = browser.open("/inbox");
    assert!(login["url"].as_str().unwrap().starts_with("/login?next=/inbox"), "{login}");
    let unknown = browser.submit("#sign-on");
    let said = unknown["text"].as_str().unwrap();
    assert!(
        said.contains("nobody here goes by this sign-on") && said.contains("knows you as: ann"),
        "{said}"
    );
    assert!(said.contains("cloakroom member add NAME --subject SUBJECT"), "{said}");

    stage.add("ann", "ann", "operator");
    browser.open("/inbox");
    browser.ask(json!(["click", "#sign-on"]));
    browser.wait("h1", "Inbox");
    let account = browser.open("/account")["text"].as_str().unwrap().to_owned();
    assert!(account.contains("person \"ann\"") && account.contains("operator"), "{account}");
    assert!(!account.contains("approver"), "{account}");

    // The provider is away: whoever has a passkey logs in all the same.
    log_out(&mut browser);
    let Stage { broker, server, .. } = stage;
    server.hunt(&broker);
    drop(server);
    browser.open("/inbox");
    let away = browser.submit("#sign-on");
    assert!(away["text"].as_str().unwrap().contains("log in with a passkey"), "{away}");
    browser.open("/login?next=/inbox");
    browser.ask(json!(["click", "button[data-act=login]"]));
    browser.wait("h1", "Inbox");
    assert_eq!(browser.text("h1").trim(), "Inbox");
    let acts = broker.cli(&["journal", "show"]).stdout;
    assert!(acts.contains("sign-on of nobody known") && acts.contains("signed on"), "{acts}");
}

#[test]
fn t101_an_id_token_that_is_one_step_wrong_begins_no_session() {
    let Some(stage) = Stage::new("") else { return };
    stage.add("ann", "ann", "reader");
    stage.add("eve", "eve", "operator");
    for (forgery, words) in [
        ("nonce", "of another sign-on"),
        ("aud", "for another client"),
        ("iss", "of another issuer"),
        ("exp", "has ended"),
        ("key", "not signed by the provider"),
        ("none", "not signed by an algorithm that counts"),
        ("hs256", "not signed by an algorithm that counts"),
        ("absent", "gave no ID token"),
    ] {
        stage.server.test(&format!("forge/{forgery}"));
        let told = stage.visitor(forgery).sign_on();
        told.refused("403", words);
        assert!(told.text.contains("id-token-not-valid"), "{forgery}: {}", told.text);
    }
    stage.server.test("forge/nothing");
    let ann = stage.visitor("ann");
    assert!(ann.sign_on().logged_in());
    assert_eq!(ann.whoami()["roles"], json!(["reader"]));
    stage.server.hunt(&stage.broker);
}

#[test]
fn t101_an_answer_counts_once_in_the_browser_that_began_and_from_the_provider_that_was_asked() {
    let Some(stage) = Stage::new("") else { return };
    stage.add("ann", "ann", "operator");
    let (ann, eve) = (stage.visitor("ann"), stage.visitor("eve"));
    // Eve's own answer, which she would like ann's browser to give: log-in CSRF.
    let planted = eve.answer("/inbox");
    ann.begin("/inbox");
    ann.arrive(&planted).refused("403", "this browser did not begin");
    eve.arrive(&planted).refused("403", "no single sign-on waits");
    // Without any cookie.
    stage.visitor("nobody").arrive(&eve.answer("/inbox")).refused("403", "this browser did not begin");
    // An answer of another provider, and one that does not say whose it is.
    let answer = ann.answer("/inbox");
    let (before, _) = answer.split_once("&iss=").unwrap();
    ann.arrive(&format!("{before}&iss=https%3A%2F%2Fother.example")).refused("403", "wrong-issuer");
    let answer = ann.answer("/inbox");
    ann.arrive(answer.split_once("&iss=").unwrap().0).refused("403", "wrong-issuer");
    // A state that nobody made, and the same one twice.
    let answer = ann.answer("/inbox");
    ann.arrive(&answer.replace("state=", "state=x")).refused("403", "no single sign-on waits");
    assert!(ann.arrive(&answer).logged_in());
    ann.arrive(&answer).refused("403", "no single sign-on waits");
    assert_eq!(ann.whoami()["roles"], json!(["operator"]), "the session goes on");
    assert_eq!(stage.server.requests(), 1, "no code went out but one");
    // The person says no.
    stage.server.test("deny");
    stage.visitor("bob").sign_on().refused("403", "denied");
}

#[test]
fn t82_a_sign_on_begins_a_new_session_on_the_console_s_own_pages_and_stays_there() {
    let Some(stage) = Stage::new("") else { return };
    stage.add("ann", "ann", "operator");
    let ann = stage.visitor("ann");
    for site in ["cross-site", "same-site", "none"] {
        let url = format!("{}/sign-on", origin(&stage.broker));
        ann.get(&url, &[&format!("sec-fetch-site: {site}")]).refused("403", "does not come from a page");
        ann.get(&url, &[]).refused("403", "does not come from a page");
    }
    // Under another of its names the browser is led to the one that the provider sends it back to.
    let other = format!("http://{}/sign-on?next=/inbox", stage.broker.console());
    let led = ann.get(&other, &["sec-fetch-site: same-origin"]);
    assert_eq!(led.to, format!("{}/login?next=/inbox", origin(&stage.broker)));
    for evil in ["https://evil.example", "//evil.example", "/%5Cevil.example", "/x%0d%0aset-cookie:a=b"] {
        let told = ann.arrive(&ann.answer(evil));
        assert!(told.text.contains("data-next=\"/\""), "{evil}: {}", told.text);
        assert!(!told.text.contains("evil"), "{}", told.text);
    }
    let told = ann.sign_on();
    assert!(
        told.text.contains("data-next=\"/inbox\"") && told.text.contains("data-half=\"ckh_"),
        "{}",
        told.text
    );
    let cookie = |told: &Told| {
        let line = told.text.lines().find(|line| line.contains("cks_")).unwrap().to_owned();
        assert!(line.contains("HttpOnly; SameSite=Strict"), "{line}");
        line
    };
    let first = cookie(&told);
    let sessions = || stage.broker.cli_json(&["member", "list"]);
    assert_eq!(sessions()[0]["subject"], "ann");
    let count = |ann: &Visitor<'_>| {
        let told = ann.get(&format!("{}/api/v1/sessions", origin(&stage.broker)), &[]);
        told.text.matches("\"is_this\"").count()
    };
    assert_eq!(count(&ann), 1, "each log-in ended the one before");
    assert_ne!(cookie(&ann.sign_on()), first);
    assert_eq!(count(&ann), 1);
}

#[test]
fn whoever_is_removed_is_out_at_once_and_a_group_gives_its_role_and_no_more() {
    let groups = "scopes = [\"groups\"]\ngroups = \"groups\"\nroles = { admins = [\"operator\"], staff = [\"reader\"] }";
    let Some(stage) = Stage::new(groups) else { return };
    stage.server.test("groups/staff,others");
    let bob = stage.visitor("bob");
    stage.server.test("person/bob");
    assert!(bob.sign_on().logged_in());
    let who = bob.whoami();
    assert_eq!((&who["roles"], who["session"].is_string()), (&json!(["reader"]), true));
    assert!(who["name"].as_str().unwrap().contains("bob at 127.0.0.1"), "{who}");
    assert_eq!(stage.broker.cli_json(&["member", "list"]), json!([]), "no member came of it");
    stage.server.test("groups/others");
    stage.visitor("carl").sign_on().refused("403", "nobody here goes by this sign-on");
    // Whom the table of members knows has what it says, whatever the groups are.
    stage.server.test("groups/admins");
    stage.add("ann", "ann", "auditor");
    stage.server.test("person/ann");
    let ann = stage.visitor("ann");
    assert!(ann.sign_on().logged_in());
    assert_eq!(ann.whoami()["roles"], json!(["auditor"]));
    stage.broker.cli(&["member", "remove", "ann"]);
    assert_eq!(ann.whoami()["code"], "not-authenticated");
    stage.visitor("ann-again").sign_on().refused("403", "nobody here goes by this sign-on");
}

#[test]
fn t86_the_secret_at_the_provider_goes_to_its_token_endpoint_and_nowhere_else() {
    let Some(stage) = Stage::new("") else { return };
    stage.add("ann", "ann", "operator");
    assert!(stage.visitor("ann").sign_on().logged_in());
    let form = stage.server.test("seen")["form"].as_str().unwrap().to_owned();
    assert!(form.contains("grant_type=authorization_code") && form.contains("code_verifier="), "{form}");
    // A secret that may go elsewhere only is not sent, and nothing else is.
    stage.broker.cli(&["credential", "remove", "sso"]);
    stage.visitor("bob").begin("/inbox").refused("403", "is not there");
    stage.broker.deposit("sso", "bearer", &["https://api.example.com"], &shaped("client-"));
    stage.visitor("carl").sign_on().refused("403", "may not go to the provider");
    assert_eq!(stage.server.requests(), 1);
    stage.broker.cli(&["credential", "remove", "sso"]);
    stage.broker.deposit("sso", "bearer", &[&stage.server.issuer()], &shaped("client-"));
    // A sealed broker has none; who has a passkey logs in still.
    stage.broker.cli(&["custody", "seal"]);
    stage.visitor("dora").sign_on().refused("403", "sealed");
    // The broker's end hunts the secret in every page, answer, log and file.
}
