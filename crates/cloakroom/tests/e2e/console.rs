//! The console, in real Chromium against the real broker: a person enrols, connects services, issues, approves, watches, freezes and
//! revokes. Each page is looked at on a desktop and a phone, in light and dark, weighed, and searched by axe-core.

use crate::authorization_server::AuthorizationServer;
use crate::clients::{installed, script};
use crate::support::{BINARY, eventually, item, items, policy};
use cloakroom_testkit::{
    Broker, BrokerBuilder, Request, TestAuthority, TlsUpstream, Way, Workload, echo, shaped,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// No page with all that it loads is heavier.
const HEAVIEST: u64 = 200 * 1024;

/// Chromium, told what to do line by line.
pub(crate) struct Browser {
    child: Child,
    says: BufReader<ChildStdout>,
    told: ChildStdin,
    log: cloakroom_testkit::Log,
}

impl Browser {
    /// At the broker's console; pages of `others` may be loaded too.
    fn start(broker: &Broker, others: &[&str]) -> Option<Self> {
        let clients = installed()?;
        let program = clients.join("node/use_console.mjs");
        std::fs::copy(script("use_console.mjs"), &program).unwrap();
        let mut child = Command::new("node")
            .arg(program)
            .arg(origin(broker))
            .args(others)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, told) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Some(Self { child, says, told, log: broker.log() })
    }

    pub(crate) fn ask(&mut self, command: Value) -> Value {
        writeln!(self.told, "{command}").unwrap();
        let mut line = String::new();
        assert_ne!(self.says.read_line(&mut line).unwrap(), 0, "the browser is gone at {command}");
        self.log.lock().unwrap().push(line.clone().into_bytes());
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(said["ok"], true, "{command}: {said}");
        said
    }

    pub(crate) fn open(&mut self, path: &str) -> Value {
        self.ask(json!(["open", path]))
    }

    /// What a page says as text.
    fn text(&mut self, selector: &str) -> String {
        self.ask(json!(["text", selector]))["text"].as_str().unwrap().to_owned()
    }

    pub(crate) fn fill(&mut self, fields: Value) {
        self.ask(json!(["fill", fields]));
    }

    fn press(&mut self, selector: &str) -> Value {
        self.ask(json!(["press", selector]))
    }

    pub(crate) fn submit(&mut self, selector: &str) -> Value {
        self.ask(json!(["submit", selector]))
    }

    fn wait(&mut self, selector: &str, text: &str) {
        self.ask(json!(["wait", selector, text]));
    }

    /// Nothing was logged as an error, no dialog came up, nothing was asked of anybody else.
    fn require_quiet(&mut self) {
        assert_eq!(self.ask(json!(["trouble"]))["trouble"], json!([]));
    }

    /// Screenshots, what axe-core finds, what it weighs.
    fn examine(&mut self, name: &str, path: &str) {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/console");
        std::fs::create_dir_all(&directory).unwrap();
        let weight = self.ask(json!(["weigh", path]))["bytes"].as_u64().unwrap();
        assert!(weight < HEAVIEST, "{name}: {weight} bytes");
        assert_eq!(self.ask(json!(["axe"]))["violations"], json!([]), "{name}");
        let looked = self.ask(json!(["look", directory, name]));
        assert_eq!(looked["wide"], json!([]), "{name} is wider than its window");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where passkeys are good.
pub(crate) fn origin(broker: &Broker) -> String {
    let port = broker.console().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    format!("http://localhost:{port}")
}

/// The link for the first person, as `serve` told it.
fn first_link(broker: &Broker) -> String {
    let output = broker.output();
    let ready: Value =
        serde_json::from_str(output.lines().find(|line| line.contains("\"ready\"")).unwrap()).unwrap();
    let link = &ready["enrol"];
    link["url"].as_str().or(link.as_str()).unwrap_or_else(|| panic!("no link in {ready}")).to_owned()
}

/// A broker whose first person has a passkey in this browser and is an approver.
pub(crate) fn enrolled(broker: &Broker, others: &[&str]) -> Option<Browser> {
    let mut browser = Browser::start(broker, others)?;
    let link = first_link(broker);
    browser.open(&link);
    assert_eq!(browser.press("button[data-act=enrol]")["outcome"], "enrolled");
    let again = browser.open(&link);
    assert_eq!(again["status"], 404, "good once: {again}");
    let waiting = broker.cli_json(&["approval", "list"]);
    let asked = waiting.as_array().unwrap().iter().find(|one| one["kind"] == "approver").unwrap().clone();
    broker.cli(&["approval", "grant", asked["id"].as_str().unwrap(), "--yes"]);
    browser.ask(json!(["trouble"]));
    Some(browser)
}

fn paste(browser: &mut Browser, name: &str, to: &str, secret: &str) -> Value {
    browser.open("/connect/by-hand");
    let form = "form[data-connect=paste]";
    browser.fill(json!({
        format!("{form} [name=name]"): name, format!("{form} [name=kind]"): "bearer",
        format!("{form} [name=to]"): to, format!("{form} [name=secret]"): secret,
    }));
    browser.press(&format!("{form} button"))
}

/// Issues what the editor holds; gives the placeholder's text.
fn issue(browser: &mut Browser, policy: &str, workload: &str) -> String {
    browser.open("/policies/new?credential=c");
    browser.fill(json!({ "#policy": policy, "[name=workload]": workload }));
    let issued = browser.submit("button[formaction='/placeholders']");
    assert_eq!(issued["title"], "Placeholder issued – Cloakroom", "{issued}");
    browser.text("#issued")
}

#[test]
fn a_person_enrols_connects_issues_approves_watches_freezes_and_revokes_in_a_browser() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let callback = format!("{}/oauth/callback", origin(&broker));
    let Some(server) = AuthorizationServer::start(&authority, &[("REDIRECTS", &callback)]) else { return };
    let Some(mut browser) = enrolled(&broker, &[&server.issuer()]) else { return };

    // Connect: pasted, and once more under the same name.
    let connected = paste(&mut browser, "c", &upstream.url(), &shaped("sk_live_"));
    assert_eq!(connected["title"], "Credential c – Cloakroom", "{connected}");
    let taken = paste(&mut browser, "c", &upstream.url(), &shaped("sk_live_"));
    assert!(taken["said"].as_str().unwrap().contains("exists already"), "{taken}");
    browser.ask(json!(["trouble"]));
    // By a login at a real authorization server.
    browser.open("/connect/by-hand");
    let form = "form[data-connect=login]";
    browser.fill(json!({
        format!("{form} [name=name]"): "mail", format!("{form} [name=to]"): upstream.url(), format!("{form} [name=client_id]"): "app",
        format!("{form} [name=client_secret]"): shaped("client-"), format!("{form} [name=scope]"): "openid", format!("{form} [name=issuer]"): server.issuer(),
    }));
    browser.press(&format!("{form} button"));
    browser.wait("h1", "Logged in");
    assert!(browser.open("/credentials")["text"].as_str().unwrap().contains("mail"));

    // A workload, with its key shown once.
    browser.open("/workloads");
    browser.fill(json!({ "form.inline [name=name]": "agent" }));
    browser.submit("form.inline button");
    let robot = Workload { name: "agent".into(), key: browser.text("#issued") };
    assert!(robot.key.starts_with("cwk_"));

    // The editor looks at it while it is written.
    browser.open("/policies/new?credential=c");
    browser.fill(json!({ "#policy": "version = 1\n[[permit]]\nnane = 1\n" }));
    browser.wait("#results", "Line 3");
    let url = format!("{}/v1/items/7", upstream.url());
    browser.fill(json!({ "#policy": items(&upstream), "[name=method]": "GET", "[name=url]": url }));
    browser.wait("#results", "Allowed.");
    browser.fill(json!({ "[name=url]": format!("{}/v1/other", upstream.url()) }));
    browser.wait("#results", "Refused.");

    // Issued, approved by one key.
    let text = issue(&mut browser, &items(&upstream), "agent");
    let call = |id: &str| broker.call(Way::Absolute, Some(&robot), &item(&upstream, id, &text));
    assert_eq!(call("1").code().as_deref(), Some("placeholder-pending"));
    browser.open("/");
    browser.wait("#waiting", "1");
    browser.ask(json!(["key", "a"]));
    browser.wait("#said", "granted");
    assert_eq!(call("1").status, 200);

    // What another one changes is shown, and denied by one key.
    let wider = policy(&upstream.url(), "GET /v1/{rest...}", "header authorization bearer", "");
    issue(&mut browser, &wider, "agent");
    let inbox = browser.open("/inbox");
    let shown = inbox["text"].as_str().unwrap();
    assert!(shown.contains("Newly allowed") && shown.contains("/v1/{rest...}"), "{shown}");
    browser.examine("inbox", "/inbox");
    browser.ask(json!(["key", "d"]));
    browser.wait("#said", "denied");

    // The call appears by itself.
    browser.open("/activity");
    call("watched");
    browser.wait("#journal", "/v1/items/watched");
    browser.wait("#journal", "200");

    let placeholders = broker.cli_json(&["placeholder", "list"]);
    let active = placeholders.as_array().unwrap().iter().find(|one| one["state"] == "active").unwrap();
    let id = active["id"].as_str().unwrap().to_owned();
    let request = eventually("the call is on record", || {
        let records = broker.cli_json(&["journal", "show"]);
        records.as_array()?.iter().find_map(|record| record["entry"]["request"].as_str().map(str::to_owned))
    });
    issue(&mut browser, &items(&upstream), "agent");
    for (name, path) in [
        ("activity", "/activity"),
        ("call", &*format!("/activity/{request}")),
        ("placeholders", "/placeholders"),
        ("placeholder", &format!("/placeholders/{id}")),
        ("policies", "/policies"),
        ("editor", &format!("/policies/new?placeholder={id}")),
        ("credentials", "/credentials"),
        ("credential", "/credentials/mail"),
        ("workloads", "/workloads"),
        ("workload", "/workloads/agent"),
        ("connect", "/connect"),
        ("connect-service", "/connect/github"),
        ("health", "/status"),
        ("refused", "/credentials/nobody"),
    ] {
        browser.examine(name, path);
    }

    // Frozen and thawed from the list, revoked from its own page.
    browser.open("/placeholders?state=active");
    browser.submit("button[formaction$='/freeze']");
    assert_eq!(call("1").code().as_deref(), Some("placeholder-frozen"));
    browser.submit("button[formaction$='/thaw']");
    assert_eq!(call("1").status, 200);
    browser.open(&format!("/placeholders/{id}"));
    browser.press_summary();
    browser.submit("button[formaction$='/revoke']");
    assert_eq!(call("1").code().as_deref(), Some("placeholder-revoked"));
    let trouble = browser.ask(json!(["trouble"]))["trouble"].clone();
    // The page that is not there is the only thing that the browser complains of.
    let others: Vec<&Value> =
        trouble.as_array().unwrap().iter().filter(|one| !one.as_str().unwrap().contains("404")).collect();
    assert!(others.is_empty(), "{others:?}");
    // Logged out, nothing is shown.
    browser.submit(".corner button");
    assert!(browser.open("/inbox")["url"].as_str().unwrap().starts_with("/login"), "led to the log-in");
    server.hunt(&broker);
}

impl Browser {
    /// Opens what is folded.
    fn press_summary(&mut self) {
        self.ask(json!(["click", "details.danger summary"]));
    }
}

/// Ways out of text, attributes, comments and elements.
const BREAKS: [&str; 14] = [
    "",
    "\">",
    "'>",
    "</pre>",
    "</code>",
    "</title>",
    "</textarea>",
    "</script>",
    "-->",
    "]]>",
    "\\\"",
    "&quot;>",
    "`>",
    "\u{2028}",
];

/// Ways to run something, or to fetch it, once out.
const ACTS: [&str; 22] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=http://127.0.0.1:9/seen>",
    "<svg/onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1) autofocus>x</a>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<math><mi xlink:href=javascript:alert(1)>x",
    "<style>@import'http://127.0.0.1:9/seen'</style>",
    "<link rel=stylesheet href=http://127.0.0.1:9/seen>",
    "<base href=http://127.0.0.1:9/>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/seen'>",
    "<object data=http://127.0.0.1:9/seen></object>",
    "<video><source onerror=alert(1)></video>",
    "<form action=http://127.0.0.1:9/seen><button autofocus>x</button></form>",
    "<template shadowrootmode=open><img src=x onerror=alert(1)></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<x onpointerenter=alert(1) style='position:fixed;inset:0'>",
    "{{constructor.constructor('alert(1)')()}}${alert(1)}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
];

/// What moves a cursor, hides, turns around or looks like another letter.
const SLY: [&str; 8] = [
    "p\u{430}ypal",
    "\u{202e}gnp.exe",
    "\u{2066}a\u{2069}",
    "a\u{200b}b",
    "\u{feff}",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "e\u{301}\u{301}\u{301}",
];

/// A few hundred texts that no page may take for anything else.
fn hostile() -> Vec<String> {
    let each = BREAKS.iter().flat_map(|out| ACTS.iter().map(move |act| format!("{out}{act}")));
    each.chain(SLY.iter().map(|text| (*text).to_owned())).collect()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || byte == b'/' {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[test]
fn t81_t75_nothing_that_a_workload_writes_runs_fetches_or_hides_on_any_page() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let upstream = TlsUpstream::start(&authority, echo);
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let robot = broker.workload("robot");
    let wide = policy(&upstream.url(), "GET /v1/{rest...}", "header authorization bearer", "");
    let issued = broker.permit("c", "robot", &wide, &[]);
    let each =
        policy(&upstream.url(), "POST /v1/mails", "header authorization bearer", "approve = \"each-call\"");
    let asking = broker.permit("c", "robot", &each, &[]);
    let all = hostile();
    assert!(all.len() > 300);

    // In paths of calls that pass, in hosts and paths of those that do not, in bodies that wait for a human, and in what is asked for.
    let mut paths = 0;
    for text in &all {
        let request = Request::new("GET", &upstream.authority(), &format!("/v1/{}", percent(text)))
            .with("authorization", &format!("Bearer {}", issued.text))
            .with("user-agent", &text.chars().filter(|c| matches!(c, ' '..='~')).collect::<String>());
        paths += u64::from(broker.call(Way::Absolute, Some(&robot), &request).status == 200);
    }
    assert!(paths > 100, "{paths} paths were let pass");
    for texts in all.chunks(80) {
        let mut request = Request::new("POST", &upstream.authority(), "/v1/mails")
            .with("authorization", &format!("Bearer {}", asking.text))
            .with("content-type", "application/json");
        request.body = json!({ "subject": texts.concat(), "to": texts[0], texts[0].as_str(): texts })
            .to_string()
            .into_bytes();
        let waits = broker.call(Way::Absolute, Some(&robot), &request);
        assert_eq!(waits.code().as_deref(), Some("approval-required"));
    }
    for texts in all.chunks(16) {
        let reason: String = texts.concat().chars().take(500).collect();
        let named = wide.replace(
            "the permit",
            &texts[0].escape_default().to_string().replace("\\'", "'").replace("\\u{", "\\\\u{"),
        );
        let wanted = json!({ "policy": named, "reason": reason }).to_string();
        let head = format!(
            "POST /.cloakroom/requests HTTP/1.1\r\nhost: b\r\ncloakroom-workload: {}\r\ncontent-length: {}\r\n\r\n{wanted}",
            robot.key,
            wanted.len()
        );
        let mut wire = broker.wire();
        wire.send(head.as_bytes());
        let answer = wire.receive("POST").unwrap();
        assert!([200, 201, 202, 400, 429].contains(&answer.status), "{}", answer.text());
    }

    let mut pages: Vec<String> =
        ["/activity", "/activity?what=calls", "/placeholders", "/policies", "/status", "/workloads/robot"]
            .map(str::to_owned)
            .into();
    let waiting = broker.cli_json(&["approval", "list"]);
    let calls = waiting
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["kind"] == "call")
        .map(|one| one["id"].as_str().unwrap());
    let proposals = broker.cli_json(&["proposal", "list"]);
    let proposals = proposals.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    let ids: Vec<String> = calls.chain(proposals).map(str::to_owned).collect();
    assert!(ids.len() > 8, "{}", ids.len());
    pages.extend(ids.iter().map(|id| format!("/inbox/{id}")));
    pages.extend(
        ids.iter()
            .filter(|id| id.starts_with("pr_"))
            .take(3)
            .map(|id| format!("/policies/new?proposal={id}")),
    );
    pages.extend(ids.iter().filter(|id| id.starts_with("ap_")).take(2).map(|id| format!("/approve/{id}")));
    let mut seen = String::new();
    for path in &pages {
        let page = browser.open(path);
        assert_eq!(page["status"], 200, "{path}");
        let text = page["text"].as_str().unwrap();
        let hidden = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}' | '\u{1b}' | '\u{430}' | '\u{9b}');
        assert!(!text.contains(hidden), "{path}: {text}");
        seen.push_str(text);
    }
    // It was there, as text.
    assert!(seen.contains("<script>alert(1)</script>") && seen.contains("%3Cscript%3E"), "not shown at all");
    browser.require_quiet();
    // And a page that does contain such a thing would have been found out.
    browser.ask(json!(["plant"]));
    let trouble = browser.ask(json!(["trouble"]))["trouble"].to_string();
    assert!(
        trouble.contains("Content Security Policy") || trouble.contains("request: http://127.0.0.1:9"),
        "{trouble}"
    );
}
