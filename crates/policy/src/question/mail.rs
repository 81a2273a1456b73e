//! Mails that known services send for a call: from whom, to whom, about what.
//!
//! Which destinations these are is fixed here, as their data files in the catalogue say; for all others nothing is guessed.

use super::mime::Message;
use super::page::Page;
use crate::class::form_parts;
use crate::decide::body::BodyView;
use crate::json::{Json, Node};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom_model::Call;

/// A service, and how its calls hold a mail.
struct Service {
    title: &'static str,
    host: &'static str,
    /// Whether the call at this path (decoded, from the first slash on) sends or keeps a mail.
    speaks: fn(&str) -> bool,
    read: fn(&Letterbox<'_>) -> Vec<Letter>,
}

const SERVICES: &[Service] = &[
    Service { title: "Gmail", host: "gmail.googleapis.com", speaks: of_gmail, read: gmail },
    Service { title: "Gmail", host: "www.googleapis.com", speaks: of_gmail, read: gmail },
    Service { title: "Microsoft Graph", host: "graph.microsoft.com", speaks: of_graph, read: graph },
    Service {
        title: "SendGrid",
        host: "api.sendgrid.com",
        speaks: |path| path == "/v3/mail/send",
        read: sendgrid,
    },
    Service {
        title: "SendGrid",
        host: "api.eu.sendgrid.com",
        speaks: |path| path == "/v3/mail/send",
        read: sendgrid,
    },
    Service {
        title: "Postmark",
        host: "api.postmarkapp.com",
        speaks: |path| path.starts_with("/email"),
        read: postmark,
    },
    Service { title: "Mailgun", host: "api.mailgun.net", speaks: of_mailgun, read: mailgun },
    Service { title: "Mailgun", host: "api.eu.mailgun.net", speaks: of_mailgun, read: mailgun },
    Service {
        title: "Resend",
        host: "api.resend.com",
        speaks: |path| path.starts_with("/emails"),
        read: resend,
    },
];

fn of_gmail(path: &str) -> bool {
    ["/messages/send", "/messages", "/messages/import", "/drafts", "/drafts/send"]
        .iter()
        .any(|end| path.ends_with(end))
        || path.contains("/drafts/")
}

fn of_graph(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    ["sendMail", "messages", "reply", "replyAll", "forward", "createReply", "createReplyAll", "createForward"]
        .contains(&last)
        || path.contains("/messages/")
}

fn of_mailgun(path: &str) -> bool {
    path.ends_with("/messages") || path.ends_with("/messages.mime")
}

/// What a call holds.
struct Letterbox<'b> {
    json: Option<&'b Node>,
    /// Fields of a form, of either kind.
    form: Vec<(String, String)>,
    text: Option<&'b str>,
}

/// One mail: labels and values, in the order in which they are shown.
#[derive(Default)]
struct Letter(Vec<(&'static str, String)>);

/// Shows the mails that this call holds, where its destination is known to send them.
pub(super) fn show(page: &mut Page<'_>, call: &Call, body: &BodyView<'_>) {
    let host = call.destination.host().to_string();
    let path: String = call.path.segments().iter().map(|segment| format!("/{}", segment.decoded())).collect();
    let writes = matches!(call.method.as_str(), "POST" | "PUT" | "PATCH");
    let known = |service: &&Service| writes && service.host == host && (service.speaks)(&path);
    let Some(service) = SERVICES.iter().find(known) else { return };
    let form = body
        .form_if_it_is_one()
        .map(|pairs| pairs.iter().map(|pair| (pair.key().to_owned(), pair.value().to_owned())).collect());
    let form = form
        .unwrap_or_else(|| form_parts(&call.headers, body.bytes().unwrap_or_default()).unwrap_or_default());
    let letters = (service.read)(&Letterbox { json: body.json_if_it_is_one(), form, text: body.text() });
    if letters.is_empty() {
        page.line(&format!("! {} sends mail, and no mail could be read out of this call", service.title));
    }
    page.tells_mail = !letters.is_empty();
    for (index, letter) in letters.iter().enumerate() {
        page.line(&format!("mail {} of {} ({}):", index + 1, letters.len(), service.title));
        for (label, value) in &letter.0 {
            page.pieces(&format!("  {label}"), value);
        }
    }
}

impl Letter {
    fn add(&mut self, label: &'static str, value: Option<String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push((label, value));
        }
    }

    fn of_message(bytes: &[u8]) -> Option<Self> {
        let message = Message::read(bytes);
        let letter = Self(message.fields.into_iter().chain(message.parts).collect());
        (!letter.0.is_empty()).then_some(letter)
    }

    /// From members by their names, addresses as they are.
    fn of_members(node: &Node, names: &[(&'static str, &str)]) -> Self {
        let mut letter = Self::default();
        for (label, name) in names {
            for value in member(node, name).map(texts).unwrap_or_default() {
                letter.add(label, Some(value));
            }
        }
        letter
    }
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Json::Object(members) = &node.value else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

fn text(node: &Node) -> Option<String> {
    if let Json::Text(text) = &node.value { Some(text.clone()) } else { None }
}

fn texts(node: &Node) -> Vec<String> {
    items(node).into_iter().filter_map(text).collect()
}

/// The items of a list, or the thing itself.
fn items(node: &Node) -> Vec<&Node> {
    if let Json::Array(items) = &node.value { items.iter().collect() } else { vec![node] }
}

/// A whole message in base64, as the member `raw`, with or without a message around it.
fn gmail(of: &Letterbox<'_>) -> Vec<Letter> {
    let Some(root) = of.json else { return Vec::new() };
    let holder = member(root, "message").unwrap_or(root);
    let raw = member(holder, "raw").and_then(text);
    raw.and_then(|raw| message_in(&raw)).into_iter().collect()
}

pub(super) fn decode(raw: &str) -> Option<Vec<u8>> {
    let raw = raw.trim().trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(raw.replace('+', "-").replace('/', "_")).ok()
}

fn message_in(raw: &str) -> Option<Letter> {
    Letter::of_message(&decode(raw)?)
}

fn graph(of: &Letterbox<'_>) -> Vec<Letter> {
    // A message in MIME comes as base64 text.
    let in_mime = || STANDARD.decode(of.text?.trim()).ok().and_then(|bytes| Letter::of_message(&bytes));
    let Some(root) = of.json else { return in_mime().into_iter().collect() };
    let message = member(root, "message").or_else(|| member(root, "Message")).unwrap_or(root);
    let mut letter = Letter::default();
    let address =
        |node: &Node| member(node, "emailAddress").and_then(|it| member(it, "address")).and_then(text);
    for (label, name) in [
        ("from", "from"),
        ("sender", "sender"),
        ("to", "toRecipients"),
        ("cc", "ccRecipients"),
        ("bcc", "bccRecipients"),
        ("reply-to", "replyTo"),
    ] {
        for holder in [message, root].into_iter().take(if std::ptr::eq(message, root) { 1 } else { 2 }) {
            let all = member(holder, name).map(items).unwrap_or_default();
            all.into_iter().for_each(|one| letter.add(label, address(one)));
        }
    }
    letter.add("subject", member(message, "subject").and_then(text));
    letter.add("text", member(message, "body").and_then(|body| member(body, "content")).and_then(text));
    letter.add("text", member(root, "comment").or_else(|| member(root, "Comment")).and_then(text));
    for attached in member(message, "attachments").map(items).unwrap_or_default() {
        letter.add("attached", member(attached, "name").and_then(text));
    }
    if letter.0.is_empty() { Vec::new() } else { vec![letter] }
}

fn sendgrid(of: &Letterbox<'_>) -> Vec<Letter> {
    let Some(root) = of.json else { return Vec::new() };
    let email = |node: &Node| member(node, "email").and_then(text);
    let people = |letter: &mut Letter, label, node: &Node, name: &str| {
        member(node, name)
            .map(items)
            .unwrap_or_default()
            .into_iter()
            .for_each(|one| letter.add(label, email(one)));
    };
    // What all of them have in common is said once: a body may list thousands of recipients.
    let mut common = Letter::default();
    people(&mut common, "from", root, "from");
    people(&mut common, "reply-to", root, "reply_to");
    people(&mut common, "reply-to", root, "reply_to_list");
    common.add("subject", member(root, "subject").and_then(text));
    common.add("template", member(root, "template_id").and_then(text));
    for content in member(root, "content").map(items).unwrap_or_default() {
        common.add("text", member(content, "value").and_then(text));
    }
    for attached in member(root, "attachments").map(items).unwrap_or_default() {
        common.add("attached", member(attached, "filename").and_then(text));
    }
    let to = |to: &Node| {
        let mut letter = Letter::default();
        for name in ["to", "cc", "bcc"] {
            people(&mut letter, name, to, name);
        }
        letter.add("subject", member(to, "subject").and_then(text));
        letter
    };
    let all = member(root, "personalizations").map(items).unwrap_or_default();
    let mut letters: Vec<Letter> = all.into_iter().map(to).filter(|letter| !letter.0.is_empty()).collect();
    match letters.as_mut_slice() {
        [] => Vec::new(),
        [only] => {
            only.0.extend(common.0);
            letters
        }
        _ => std::iter::once(common).chain(letters).collect(),
    }
}

fn postmark(of: &Letterbox<'_>) -> Vec<Letter> {
    let names = [
        ("from", "From"),
        ("to", "To"),
        ("cc", "Cc"),
        ("bcc", "Bcc"),
        ("reply-to", "ReplyTo"),
        ("subject", "Subject"),
        ("template", "TemplateAlias"),
        ("text", "TextBody"),
        ("html", "HtmlBody"),
    ];
    let Some(root) = of.json else { return Vec::new() };
    let holder = member(root, "Messages").unwrap_or(root);
    letters(holder, &names)
}

fn resend(of: &Letterbox<'_>) -> Vec<Letter> {
    let names = [
        ("from", "from"),
        ("to", "to"),
        ("cc", "cc"),
        ("bcc", "bcc"),
        ("reply-to", "reply_to"),
        ("reply-to", "replyTo"),
        ("subject", "subject"),
        ("text", "text"),
        ("html", "html"),
    ];
    of.json.map(|root| letters(root, &names)).unwrap_or_default()
}

fn letters(node: &Node, names: &[(&'static str, &str)]) -> Vec<Letter> {
    let all = items(node).into_iter().map(|one| Letter::of_members(one, names));
    all.filter(|letter| !letter.0.is_empty()).collect()
}

fn mailgun(of: &Letterbox<'_>) -> Vec<Letter> {
    const NAMES: [&str; 9] = ["from", "to", "cc", "bcc", "h:Reply-To", "subject", "template", "text", "html"];
    let mut letter = Letter::default();
    for name in NAMES {
        of.form
            .iter()
            .filter(|(key, _)| key == name)
            .for_each(|(_, value)| letter.add(name, Some(value.clone())));
    }
    if let Some((_, message)) = of.form.iter().find(|(key, _)| key == "message") {
        let inner = Letter::of_message(message.as_bytes());
        letter.0.extend(inner.unwrap_or_default().0);
    }
    if letter.0.is_empty() { Vec::new() } else { vec![letter] }
}
