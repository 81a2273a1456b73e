//! `Sec-WebSocket-Extensions` (RFC 6455, section 9.1): permessage-deflate and nothing else, agreed on each hop for itself.

use http::{HeaderMap, header::SEC_WEBSOCKET_EXTENSIONS};

const DEFLATE: &str = "permessage-deflate";

/// What we offer an upstream. We can keep to any window, and keep nothing between messages.
pub(crate) const OFFER: &str =
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits";

/// Compression as agreed on one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The window of what we send, as a power of two.
    pub(crate) bits: u8,
    /// Whether the workload asked for that window, and so has to be told.
    told: bool,
}

impl Agreed {
    /// Our answer to the offer of a workload.
    pub(crate) fn answer(self) -> String {
        let base = format!("{DEFLATE}; server_no_context_takeover; client_no_context_takeover");
        if self.told { format!("{base}; server_max_window_bits={}", self.bits) } else { base }
    }
}

/// Whether there is an offer of compression at all.
pub(crate) fn is_offered(fields: &HeaderMap) -> bool {
    offered(fields).is_some()
}

/// The first offer of a workload that we can keep. One that we cannot is declined (RFC 7692, section 7.1), and where all
/// are, the hop is not compressed.
pub(crate) fn offered(fields: &HeaderMap) -> Option<Agreed> {
    let values = fields.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).find_map(offer)
}

fn offer(text: &str) -> Option<Agreed> {
    let mut agreed = Agreed { bits: 15, told: false };
    for (name, value) in parameters(text)? {
        match (name, value) {
            (
                "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits",
                None,
            ) => {}
            // What the workload would keep to at most; what it sends may look back less.
            ("client_max_window_bits", Some(value)) => drop(bits(value)?),
            ("server_max_window_bits", Some(value)) => agreed = Agreed { bits: bits(value)?, told: true },
            _ => return None,
        }
    }
    Some(agreed)
}

/// What an upstream made of [`OFFER`].
///
/// # Errors
/// One sentence, where the answer is none to what was offered (RFC 7692, section 7.1).
pub(crate) fn agreed(answer: &str) -> Result<Agreed, &'static str> {
    const NOT_OFFERED: &str = "the destination chose a WebSocket extension that was not offered";
    let parameters = parameters(answer).ok_or(NOT_OFFERED)?;
    let mut agreed = Agreed { bits: 15, told: false };
    let mut takes_over = true;
    for (name, value) in parameters {
        match (name, value) {
            ("server_no_context_takeover", None) => takes_over = false,
            ("client_no_context_takeover", None) => {}
            // Whatever window the upstream keeps to, ours is large enough.
            ("server_max_window_bits", Some(value)) => drop(bits(value).ok_or(NOT_OFFERED)?),
            ("client_max_window_bits", Some(value)) => agreed.bits = bits(value).ok_or(NOT_OFFERED)?,
            _ => return Err(NOT_OFFERED),
        }
    }
    if takes_over { Err("the destination keeps its compression between messages") } else { Ok(agreed) }
}

/// The parameters of one element, each at most once; `None` where it is another extension or none.
fn parameters(element: &str) -> Option<Vec<(&str, Option<&str>)>> {
    let mut parts = element.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(DEFLATE) {
        return None;
    }
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
            None => (part, None),
        };
        if seen.iter().any(|(other, _)| *other == name) {
            return None;
        }
        seen.push((name, value));
    }
    Some(seen)
}

fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// 8 to 15, without leading zeros (RFC 7692, section 7.1.2.1).
fn bits(text: &str) -> Option<u8> {
    let bits = text.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (u8::to_string(&bits) == text).then_some(bits)
}
