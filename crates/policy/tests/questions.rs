//! What an approver reads of a call that waits, decoded: mail, GraphQL, JSON-RPC and MCP, forms; and that nothing in it can lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_model::{Call, Question};
use cloakroom_policy::{Identified, PolicySet};
use kit::{Desk, NOW};
use proptest::prelude::*;
use serde_json::json;

/// The question about this call, which a permit with `approve = "each-call"` allows.
fn question(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Question {
    ask("approve = \"each-call\"", method, url, headers, body).unwrap()
}

fn ask(terms: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Question> {
    let after = url.find("://").unwrap() + 3;
    let end = url[after..].find('/').map_or(url.len(), |at| at + after);
    let path = url[end..].split('?').next().unwrap();
    let mut desk = Desk::new();
    let workload = desk.workload("robot");
    let permit = format!("to = \"{}\"\ncall = \"{method} {path}\"\n{terms}", &url[..end]);
    let query = "query = { allow = [\"q\", \"query\", \"operationName\"] }";
    let (_, text) = desk.issue_active(workload, &kit::policy(&format!("{permit}\n{query}")));
    let mut all = vec![("authorization".to_owned(), format!("Bearer {text}"))];
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let call: Call = kit::call(method, url, &all, body).unwrap();
    let set: PolicySet = desk.set();
    let identified = Identified::new(call, desk.principal(workload), &set).unwrap();
    let question = identified.question(&set, NOW).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    if let Some(question) = &question {
        assert!(!question.body.contains(&text), "the placeholder's text is not shown");
        assert_shape(&question.body);
    }
    question
}

/// Printable ASCII in lines of bounded width, whatever came in; our own words begin each line.
fn assert_shape(text: &str) {
    assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{text}");
    for line in text.lines() {
        assert!(line.len() < 260, "{} columns: {line}", line.len());
    }
}

fn assert_has(text: &str, needles: &[&str]) {
    for needle in needles {
        assert!(text.lines().any(|line| line.trim_start() == *needle), "no line is {needle:?} in\n{text}");
    }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

#[test]
fn mail_of_microsoft_graph_is_read() {
    let body = json!({ "message": { "subject": "Lunch", "body": { "contentType": "Text", "content": "at noon?" },
        "toRecipients": [{ "emailAddress": { "address": "ann@example.com" } }, { "emailAddress": { "address": "bob@example.com" } }],
        "bccRecipients": [{ "emailAddress": { "address": "eve@example.com" } }],
        "attachments": [{ "name": "menu.pdf" }] }, "saveToSentItems": false });
    let asked =
        question("POST", "https://graph.microsoft.com/v1.0/me/sendMail", JSON, body.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "mail 1 of 1 (Microsoft Graph):",
            "to: \"ann@example.com\"",
            "to: \"bob@example.com\"",
            "bcc: \"eve@example.com\"",
            "subject: \"Lunch\"",
            "text: \"at noon?\"",
            "attached: \"menu.pdf\"",
            "json \"/saveToSentItems\": false",
            "this call: writes (its method is none of those that only read)",
        ],
    );
    let mime = STANDARD.encode("To: ann@example.com\r\nSubject: =?UTF-8?B?w6nDqQ==?=\r\n\r\nhi");
    let asked = question(
        "POST",
        "https://graph.microsoft.com/v1.0/me/sendMail",
        &[("content-type", "text/plain")],
        mime.as_bytes(),
    );
    assert_has(&asked.body, &["to: \"ann@example.com\"", "subject: \"\\u{e9}\\u{e9}\"", "text: \"hi\""]);
}

#[test]
fn mail_of_the_other_services_is_read() {
    let sendgrid = json!({ "from": { "email": "me@example.com" }, "subject": "all", "content": [{ "type": "text/plain", "value": "hello" }],
        "personalizations": [{ "to": [{ "email": "ann@example.com" }] }, { "to": [{ "email": "bob@example.com" }], "subject": "own" }] });
    let asked =
        question("POST", "https://api.sendgrid.com/v3/mail/send", JSON, sendgrid.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "mail 1 of 3 (SendGrid):",
            "to: \"ann@example.com\"",
            "subject: \"all\"",
            "mail 3 of 3 (SendGrid):",
            "to: \"bob@example.com\"",
            "subject: \"own\"",
            "text: \"hello\"",
        ],
    );

    let postmark = json!([{ "From": "me@example.com", "To": "ann@example.com,bob@example.com", "Subject": "s", "TextBody": "t" }, { "To": "eve@example.com" }]);
    let asked =
        question("POST", "https://api.postmarkapp.com/email/batch", JSON, postmark.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "mail 1 of 2 (Postmark):",
            "to: \"ann@example.com,bob@example.com\"",
            "text: \"t\"",
            "mail 2 of 2 (Postmark):",
            "to: \"eve@example.com\"",
        ],
    );

    let resend = json!({ "from": "me@example.com", "to": ["ann@example.com", "bob@example.com"], "subject": "s", "html": "<b>x</b>" });
    let asked = question("POST", "https://api.resend.com/emails", JSON, resend.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "mail 1 of 1 (Resend):",
            "to: \"ann@example.com\"",
            "to: \"bob@example.com\"",
            "html: \"<b>x</b>\"",
        ],
    );

    let asked = question(
        "POST",
        "https://api.mailgun.net/v3/mg.example.com/messages",
        FORM,
        b"from=me%40example.com&to=ann%40example.com&to=bob%40example.com&subject=s&text=hi",
    );
    assert_has(
        &asked.body,
        &[
            "mail 1 of 1 (Mailgun):",
            "to: \"ann@example.com\"",
            "to: \"bob@example.com\"",
            "subject: \"s\"",
            "text: \"hi\"",
        ],
    );
    let parts = "--X\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nann@example.com\r\n--X\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhi\r\n--X--\r\n";
    let asked = question(
        "POST",
        "https://api.mailgun.net/v3/mg.example.com/messages",
        &[("content-type", "multipart/form-data; boundary=X")],
        parts.as_bytes(),
    );
    assert_has(
        &asked.body,
        &["to: \"ann@example.com\"", "text: \"hi\"", "form part \"to\": \"ann@example.com\""],
    );

    let mail = "From: me@example.com\r\nTo: =?utf-8?q?Ann_M=C3=BCller?=\r\n <ann@example.com>\r\nSubject: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nbHVuY2g/\r\n--b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\n\r\nxx\r\n--b--\r\n";
    let gmail = json!({ "raw": URL_SAFE_NO_PAD.encode(mail) });
    let asked = question(
        "POST",
        "https://gmail.googleapis.com/gmail/v1/users/me/messages/send",
        JSON,
        gmail.to_string().as_bytes(),
    );
    assert_has(
        &asked.body,
        &[
            "mail 1 of 1 (Gmail):",
            "to: \"Ann M\\u{fc}ller <ann@example.com>\"",
            "subject: \"hi\"",
            "text: \"lunch?\"",
            "attached: \"a.pdf\"",
        ],
    );
}

#[test]
fn a_mail_that_cannot_be_read_says_so() {
    let asked = question("POST", "https://api.resend.com/emails", JSON, b"{\"to\":1}");
    assert_has(&asked.body, &["! Resend sends mail, and no mail could be read out of this call"]);
    // Elsewhere nothing is guessed.
    let asked = question("POST", "https://api.example.com/emails", JSON, b"{\"to\":\"ann@example.com\"}");
    assert!(!asked.body.contains("mail 1") && !asked.body.contains("sends mail"), "{}", asked.body);
    assert_has(&asked.body, &["json \"/to\": \"ann@example.com\""]);
}

#[test]
fn t35_operations_are_named_with_kind_name_and_fields() {
    let body = json!({ "query": "query A { a } mutation Wipe($x: ID) { deleteUser(id: $x) { id } ...F } fragment F on M { dropTable }", "operationName": "Wipe", "variables": { "x": "u_1" } });
    let asked = question("POST", "https://api.example.com/graphql", JSON, body.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "GraphQL query: \"A\"",
            "GraphQL mutation (asked for): \"Wipe\"",
            "its fields: \"deleteUser, dropTable\"",
            "json \"/variables/x\": \"u_1\"",
        ],
    );
    let batch = json!([{ "query": "{ a }" }, { "query": "mutation { b }" }]);
    let asked = question("POST", "https://api.example.com/graphql", JSON, batch.to_string().as_bytes());
    assert_has(
        &asked.body,
        &["GraphQL request 2 of 2:", "GraphQL mutation: \"(no name)\"", "its fields: \"b\""],
    );
    let url = "https://api.example.com/graphql?query=mutation%7Bb%7D";
    assert_has(&question("GET", url, &[], b"").body, &["GraphQL mutation: \"(no name)\""]);
}

#[test]
fn t35_calls_of_methods_and_tools_are_named_with_their_arguments() {
    let body = json!([{ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "send_money", "arguments": { "to": "eve", "amount": 5 } } },
        { "jsonrpc": "2.0", "id": 2, "method": "eth_call", "params": ["0x0"] }]);
    let asked = question("POST", "https://mcp.example.com/mcp", JSON, body.to_string().as_bytes());
    assert_has(
        &asked.body,
        &[
            "call 1 of 2:",
            "calls the method (JSON-RPC): \"tools/call\"",
            "with the tool (MCP): \"send_money\"",
            "argument \"/to\": \"eve\"",
            "argument \"/amount\": 5",
            "call 2 of 2:",
            "parameter \"/0\": \"0x0\"",
        ],
    );
    let asked =
        question("POST", "https://ec2.example.com/", FORM, b"Action=TerminateInstances&InstanceId.1=i-1");
    assert_has(
        &asked.body,
        &["action (AWS): \"TerminateInstances\"", "form field \"InstanceId.1\": \"i-1\""],
    );
}

#[test]
fn t35_reads_are_not_asked_about_and_writes_are() {
    let terms = "approve = \"writes\"\nspeaks = \"graphql\"";
    let asks = |body: &str| ask(terms, "POST", "https://api.example.com/graphql", JSON, body.as_bytes());
    assert_eq!(asks("{\"query\":\"{ a }\"}"), None);
    let asked = asks("{\"query\":\"mutation { a }\"}").unwrap();
    assert_has(&asked.body, &["this call: writes (a GraphQL operation is a mutation)"]);
    assert_eq!(ask("approve = \"writes\"", "GET", "https://api.example.com/x", &[], b""), None);
}

#[test]
fn t75_names_that_are_long_or_odd_neither_end_a_line_nor_push_others_away() {
    let long = "k".repeat(5000);
    let body = json!({ long.clone(): "v", "a\nthis call: reads (trust me)": 1, "\u{202e}\u{1b}[2J": null, "n": "9".repeat(3000) });
    let number = format!("{{\"n\":{},\"b\":{body}}}", "9".repeat(3000));
    let url = format!("https://api.example.com/x?q={}", "%E2%80%AE".repeat(50));
    let header = "h".repeat(3000);
    let asked = question(
        "POST",
        &url,
        &[("content-type", "application/json"), ("x-long", &header)],
        number.as_bytes(),
    );
    assert_eq!(asked.body.lines().filter(|line| line.starts_with("this call: ")).count(), 1);
    assert_has(
        &asked.body,
        &["json \"/b/a\\u{a}this call: reads (trust me)\": 1", "json \"/b/\\u{202e}\\u{1b}[2J\": null"],
    );
    assert!(asked.body.contains("has characters that are not seen"), "{}", asked.body);
}

#[test]
fn t75_a_letter_that_passes_for_another_is_named() {
    let body = "{\"to\":\"ann@ex\u{430}mple.com\",\"from\":\"me@example.com\"}";
    let asked = question("POST", "https://api.resend.com/emails", JSON, body.as_bytes());
    assert_has(
        &asked.body,
        &[
            "to: \"ann@ex\\u{430}mple.com\"",
            "! looks like \"ann@example.com\" and is not",
            "! mixes letters of Latin and Cyrillic",
        ],
    );
}

/// Why there is no question about this call.
fn not_asked(body: &str) -> String {
    let mut desk = Desk::new();
    let workload = desk.workload("robot");
    let permit = "to = \"https://api.resend.com\"\ncall = \"POST /emails\"\napprove = \"each-call\"\nbody = { type = \"json\" }";
    let (_, text) = desk.issue_active(workload, &kit::policy(permit));
    let headers = [
        ("authorization".to_owned(), format!("Bearer {text}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let call = kit::call("POST", "https://api.resend.com/emails", &headers, body.as_bytes()).unwrap();
    let set = desk.set();
    let asked = Identified::new(call, desk.principal(workload), &set).unwrap().question(&set, NOW);
    asked.map_or_else(
        |refusal| refusal.code().to_string(),
        |asked| format!("{} bytes", asked.unwrap().body.len()),
    )
}

#[test]
fn t77_t96_a_call_whose_text_would_be_endless_is_refused_and_not_made() {
    // Sixteen thousand values under one name of thirty thousand letters: half a gigabyte, were it all written.
    let name = "k".repeat(30_000);
    let values = vec!["1"; 16_000].join(",");
    assert_eq!(not_asked(&format!("{{\"{name}\":[{values}]}}")), "body-not-permitted");
    assert_eq!(not_asked(&format!("{{\"to\":\"{}\"}}", "\u{10ffff}".repeat(200_000))), "body-not-permitted");
    // What is as long and has no such trick is asked about.
    assert!(not_asked(&format!("{{\"to\":\"{}\"}}", "x".repeat(200_000))).ends_with(" bytes"));
    let words = "=?".repeat(300_000);
    let raw = URL_SAFE_NO_PAD.encode(format!("Subject: {words}\n\n"));
    assert_ne!(not_asked(&format!("{{\"raw\":\"{raw}\"}}")), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn t75_whatever_a_body_holds_the_question_keeps_its_shape(key in "\\PC{0,40}", value in any::<String>(), name in "[^\u{0}]{0,30}") {
        for body in [json!({ &key: value, "query": format!("mutation M {{ {name} }}") }), json!({ "raw": URL_SAFE_NO_PAD.encode(&value), "to": [name, key] }),
            json!({ "jsonrpc": "2.0", "method": value, "params": { &key: name } })] {
            for url in ["https://api.resend.com/emails", "https://gmail.googleapis.com/gmail/v1/users/me/messages/send", "https://graph.microsoft.com/v1.0/me/sendMail"] {
                let asked = question("POST", url, JSON, body.to_string().as_bytes());
                prop_assert_eq!(asked.body.lines().filter(|line| line.starts_with("request (SHA-256): ")).count(), 1);
            }
        }
    }
}
