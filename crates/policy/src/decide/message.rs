//! Finding the placeholder in a message of a WebSocket: exactly it, at the permit's pointer, early enough.

use super::place::{Wanted, elsewhere, in_json};
use super::{Mismatch, Stage};
use crate::json::{self, Node};
use crate::permit::Permit;
use cloakroom_model::Place;
use std::cell::OnceCell;
use std::ops::Range;

/// One text message, parsed at most once for all permits.
pub(crate) struct Message<'m> {
    text: &'m [u8],
    /// Counted from 1.
    number: u32,
    json: OnceCell<Result<Node, &'static str>>,
}

impl<'m> Message<'m> {
    pub(crate) fn new(text: &'m [u8], number: u32) -> Self {
        Self { text, number, json: OnceCell::new() }
    }

    fn json(&self) -> Result<&Node, Mismatch> {
        let parsed = self.json.get_or_init(|| json::parse(self.text));
        parsed.as_ref().map_err(|reason| Mismatch::new(Stage::Body, reason).rule("place"))
    }

    /// What stands between the quotes of a string literal.
    pub(crate) fn inside(&self, span: &Range<usize>) -> Option<&'m str> {
        let inside = self.text.get(span.start + 1..span.end.checked_sub(1)?)?;
        std::str::from_utf8(inside).ok()
    }
}

/// Where the placeholder stands, if the permit wants it in this message and it stands at its pointer.
pub(super) fn find(
    permit: &Permit,
    message: &Message<'_>,
    wanted: &Wanted<'_>,
) -> Result<Range<usize>, Mismatch> {
    let at = |mismatch: Mismatch| mismatch.rule(permit.place.to_string());
    let Place::WebSocket(pointer) = &permit.place else {
        return Err(at(elsewhere("the permit wants the placeholder in the handshake")));
    };
    if message.number > u32::from(permit.messages.unwrap_or(0)) {
        return Err(
            elsewhere("the placeholder stands in a later message than the permit allows").rule("messages")
        );
    }
    in_json(message.json()?, message.text, pointer, wanted).map_err(at)
}
