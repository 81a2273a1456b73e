//! Reading what a permit says about the protocol that a call asks for, and about the messages on it.

use super::complaint::Complaints;
use super::permit::word;
use super::reader::Table;
use crate::permit::{BodyRule, Permit};
use cloakroom_model::{Place, Upgrade};

/// How many messages may carry the placeholder where the permit does not say.
const DEFAULT_MESSAGES: u8 = 1;
/// The most messages that may carry it: it belongs to the greeting, not to the conversation.
const MOST_MESSAGES: u8 = 64;

/// `upgrade = "websocket"`; a place in messages implies it.
pub(super) fn read(table: &Table<'_, '_>, place: Option<&Place>, to: &mut Complaints<'_>) -> Option<Upgrade> {
    let known = [(Upgrade::WebSocket.as_str(), Upgrade::WebSocket)];
    let written = table.value("upgrade").and_then(|value| word(&value, &known, to));
    written.or_else(|| in_messages(place).then_some(Upgrade::WebSocket))
}

/// `messages = N`, for a place in messages only.
pub(super) fn messages(table: &Table<'_, '_>, place: Option<&Place>, to: &mut Complaints<'_>) -> Option<u8> {
    let Some(value) = table.value("messages") else {
        return in_messages(place).then_some(DEFAULT_MESSAGES);
    };
    if place.is_some() && !in_messages(place) {
        let hint = "write: place = \"websocket json /POINTER\", or leave messages out";
        value.complain(to, "messages goes with a place in messages", hint);
    }
    let count = value.integer().and_then(|count| u8::try_from(count).ok());
    let count = count.filter(|count| (1..=MOST_MESSAGES).contains(count));
    if count.is_none() {
        value.complain(
            to,
            "not a count of messages",
            &format!("write a whole number from 1 to {MOST_MESSAGES}"),
        );
    }
    count
}

/// A handshake is a GET without a body (RFC 6455, section 4.1).
pub(super) fn fit(permit: &Permit, table: &Table<'_, '_>, to: &mut Complaints<'_>) {
    if permit.upgrade.is_none() {
        return;
    }
    if let Some(call) = permit.calls.iter().find(|call| call.method() != "GET") {
        let message = format!("a websocket begins with GET, and the permit has {:?}", call.to_string());
        complain(table, "call", message, "write: call = \"GET /path\", or another permit for the others", to);
    }
    if permit.place.is_in_body() {
        let hint = "write: place = \"websocket json /POINTER\" for a place in messages";
        complain(table, "place", "a websocket's handshake has no body".into(), hint, to);
    }
    if permit.body != BodyRule::None {
        let hint = "leave body out, or write: body = { type = \"none\" }";
        complain(table, "body", "a websocket's handshake has no body".into(), hint, to);
    }
}

fn in_messages(place: Option<&Place>) -> bool {
    matches!(place, Some(Place::WebSocket(_)))
}

fn complain(table: &Table<'_, '_>, key: &str, message: String, hint: &str, to: &mut Complaints<'_>) {
    if let Some(value) = table.value(key) {
        value.complain(to, message, hint);
    }
}
