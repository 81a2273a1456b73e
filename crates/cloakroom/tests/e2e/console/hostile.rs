//! What workloads write, on every page that shows it: as text, or not at all.

use super::browser::enrolled;
use crate::support::{BINARY, policy};
use cloakroom_testkit::{BrokerBuilder, Request, TestAuthority, TlsUpstream, Way, echo, shaped};
use serde_json::json;

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

    let mut pages: Vec<String> = [
        "/inbox",
        "/activity",
        "/activity?what=calls",
        "/activity?what=refusals",
        "/activity?what=events&range=day",
        "/activity?what=acts",
        "/placeholders",
        "/policies",
        "/credentials",
        "/credentials/c",
        "/workloads",
        "/workloads/robot",
        "/status",
    ]
    .map(str::to_owned)
    .into();
    pages.push(format!("/placeholders/{}", issued.id));
    // Calls of each kind, each on its own page.
    let records = broker.cli_json(&["journal", "show"]);
    for kind in ["intent", "refusal", "outcome", "event"] {
        let of_kind =
            records.as_array().unwrap().iter().rev().filter(|record| record["entry"]["kind"] == kind);
        let ids = of_kind.filter_map(|record| record["entry"]["request"].as_str());
        pages.extend(ids.take(3).map(|id| format!("/activity/{id}")));
    }
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
