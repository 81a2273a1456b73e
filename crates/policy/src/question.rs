//! What an approver is asked about one call: the canonical request, decoded, as a text that is signed.
//!
//! One fact in a line, as in the text of a placeholder. Everything that the workload wrote stands in quotes with all but
//! printable ASCII escaped, in short pieces, so that it cannot look like a line of its own or move a cursor (T75). The last
//! line is the SHA-256 of exactly what goes out but the secret.

use crate::authorized::Use;
use crate::escape::quoted;
use crate::json::{self, Json, Node};
use crate::{Spot, pointer, sigv4};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use cloakroom_model::{Call, HeaderForm, Name, Pair, Principal, Question, form_pairs};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use std::fmt::Write;

/// How much of a workload's text stands in one line.
const PIECE: usize = 96;

/// The question about this call, where it exchanges anything.
pub(crate) fn about(
    call: &Call,
    body: &Bytes,
    principal: &Principal,
    uses: &[(Use, Option<Name>)],
    needed: usize,
) -> Option<Question> {
    let (first, credential) = uses.first()?;
    let hash = request_hash(call, body, principal, uses);
    let mut text = format!("workload: {} ({})\n", principal.name(), principal.workload());
    for (used, credential) in uses {
        let name = credential.as_ref().map_or("removed", Name::as_str);
        line(
            &mut text,
            &format!(
                "exchanges: {} (credential {name}), permit {}",
                used.placeholder(),
                quoted(used.permit())
            ),
        );
    }
    let shown = Shown { uses };
    line(&mut text, &format!("asks for: {} {}", quoted(call.method.as_str()), call.destination));
    shown.pieces(&mut text, "path", &call.path.encoded_with(|index| shown.at(&Spot::Path(index))));
    let own_keys = |pair: &Pair| shown.is_signed() && sigv4::PRESIGNED.contains(&pair.key());
    for (index, pair) in call.query.pairs().iter().enumerate().filter(|(_, pair)| !own_keys(pair)) {
        let value = shown.at(&Spot::Query(index)).unwrap_or_else(|| pair.value().to_owned());
        shown.pieces(&mut text, &format!("query {}", quoted(&shown.without(pair.key()))), &value);
    }
    shown.headers(&mut text, call);
    shown.body(&mut text, call, body);
    line(&mut text, &format!("request (SHA-256): {}", hexadecimal(&hash)));
    Some(Question {
        digest: hash,
        body: text,
        placeholders: uses.iter().map(|(used, _)| used.placeholder()).collect(),
        workload: principal.name().clone(),
        credential: credential.clone().or_else(|| Name::parse(&first.credential().to_string()).ok())?,
        needed,
    })
}

/// What the approver reads of a call that carries these placeholders, whose texts are not shown.
struct Shown<'u> {
    uses: &'u [(Use, Option<Name>)],
}

impl Shown<'_> {
    fn at(&self, spot: &Spot) -> Option<String> {
        let found = self.uses.iter().find(|(used, _)| used.spot() == spot);
        found.map(|(used, _)| format!("{{{}}}", used.placeholder()))
    }

    /// A text without the placeholders' texts.
    fn without(&self, text: &str) -> String {
        let replace = |text: String, (used, _): &(Use, _)| {
            text.replace(used.text(), &format!("{{{}}}", used.placeholder()))
        };
        self.uses.iter().fold(text.to_owned(), replace)
    }

    /// `label: "…"`, in as many lines as it takes.
    fn pieces(&self, text: &mut String, label: &str, value: &str) {
        let value: Vec<char> = self.without(value).chars().collect();
        let mut pieces = value.chunks(PIECE).map(|piece| quoted(&piece.iter().collect::<String>()));
        line(text, &format!("{label}: {}", pieces.next().unwrap_or_else(|| quoted(""))));
        pieces.for_each(|piece| line(text, &format!("  | {piece}")));
    }

    /// Whether the broker makes the call's signature: what the workload signed with is not what goes out.
    fn is_signed(&self) -> bool {
        self.uses.iter().any(|(used, _)| matches!(used.spot(), Spot::SigV4(_)))
    }

    fn headers(&self, text: &mut String, call: &Call) {
        if self.is_signed() {
            line(text, "signature: made by the broker when the call goes out");
        }
        let mut fields: Vec<(&str, String)> = call
            .headers
            .iter()
            .filter(|(name, _)| !(self.is_signed() && sigv4::REPLACED.contains(&name.as_str())))
            .map(|(name, value)| {
                let hidden = [HeaderForm::BasicUser, HeaderForm::BasicPassword]
                    .into_iter()
                    .find_map(|form| self.at(&Spot::Header(name.clone(), form)));
                (
                    name.as_str(),
                    hidden.unwrap_or_else(|| String::from_utf8_lossy(value.as_bytes()).into_owned()),
                )
            })
            .collect();
        fields.sort();
        for (name, value) in fields {
            self.pieces(text, &format!("header {}", quoted(name)), &value);
        }
    }

    fn body(&self, text: &mut String, call: &Call, body: &Bytes) {
        line(text, &format!("body: {} bytes", body.len()));
        if body.is_empty() {
            return;
        }
        let words = |name| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = words(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Ok(plain) = std::str::from_utf8(body) else {
            line(text, "  ! the body is not text; only its hash can be compared");
            return self.pieces(text, "  body as it is", &String::from_utf8_lossy(body));
        };
        if !words(CONTENT_ENCODING).is_empty() {
            line(text, "  ! the body is compressed; only its hash can be compared");
        }
        if kind == "application/x-www-form-urlencoded" {
            match form_pairs(plain) {
                Ok(pairs) => pairs.iter().for_each(|pair| {
                    let label = format!("  form field {}", quoted(&self.without(pair.key())));
                    self.pieces(text, &label, pair.value());
                }),
                Err(_) => line(text, "  ! the form can be read in more than one way"),
            }
        } else if kind == "application/json" || kind.ends_with("+json") {
            match json::parse(body) {
                Ok(node) => self.json(text, &node),
                Err(why) => line(text, &format!("  ! {why}")),
            }
        }
        self.pieces(text, "  body as it is", plain);
    }

    fn json(&self, text: &mut String, node: &Node) {
        if let Some(method) = member(node, "method").filter(|_| member(node, "jsonrpc").is_some()) {
            self.pieces(text, "  calls the method (JSON-RPC)", method);
        }
        self.leaves(text, "", node);
    }

    fn leaves(&self, text: &mut String, at: &str, node: &Node) {
        let label = format!("  json {}", quoted(&self.without(at)));
        match &node.value {
            Json::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(key, value)| {
                    self.leaves(text, &format!("{at}/{}", pointer::escaped(key)), value);
                });
            }
            Json::Array(items) if !items.is_empty() => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| self.leaves(text, &format!("{at}/{index}"), value));
            }
            Json::Object(_) => line(text, &format!("{label}: {{}}")),
            Json::Array(_) => line(text, &format!("{label}: []")),
            Json::Null => line(text, &format!("{label}: null")),
            Json::Boolean(value) => line(text, &format!("{label}: {value}")),
            Json::Number(number) => line(text, &format!("{label}: {number}")),
            Json::Text(value) => {
                self.pieces(text, &label, value);
                if at == "/raw" || at.ends_with("/raw") {
                    self.mail(text, value);
                }
            }
        }
    }

    /// A whole message in base64, as Gmail's API takes it: recipients and subject are its first lines.
    fn mail(&self, text: &mut String, value: &str) {
        let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).unwrap_or_default();
        let Ok(message) = String::from_utf8(bytes) else { return };
        for part in message.lines() {
            self.pieces(text, "    mail", part);
        }
    }
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let Json::Object(members) = &node.value else { return None };
    let found = members.iter().find(|(key, _)| key == name);
    found.and_then(|(_, node)| if let Json::Text(text) = &node.value { Some(text.as_str()) } else { None })
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Over everything that is sent, and who sends it. Each part with its length: no two requests hash alike.
fn request_hash(call: &Call, body: &Bytes, principal: &Principal, uses: &[(Use, Option<Name>)]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    };
    add(principal.workload().to_string().as_bytes());
    for (used, _) in uses {
        add(used.placeholder().to_string().as_bytes());
        add(used.permit().as_bytes());
    }
    add(b"");
    add(call.method.as_str().as_bytes());
    add(call.destination.to_string().as_bytes());
    add(call.path.encoded().as_bytes());
    // What a signature says of itself is replaced, and differs with each second.
    let signed = Shown { uses }.is_signed();
    let stays = |name: &str| !(signed && sigv4::REPLACED.contains(&name));
    let pairs = call.query.pairs().iter().filter(|pair| !(signed && sigv4::PRESIGNED.contains(&pair.key())));
    add(Pair::join(&pairs.cloned().collect::<Vec<_>>(), |_| None).as_bytes());
    let fields = call.headers.iter().filter(|(name, _)| stays(name.as_str()));
    let mut fields: Vec<(&str, &[u8])> =
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    fields.sort_unstable();
    for (name, value) in fields {
        add(name.as_bytes());
        add(value);
    }
    add(b"");
    add(body);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
