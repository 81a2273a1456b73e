//! What reads and what writes, as far as it tells two permits apart.
//!
//! Where the kind of body and the method settle what every call does, that counts. Otherwise a permit that classifies is as
//! wide as another only where both classify alike.

use super::Part;
use super::space::Content;
use crate::class::{Class, Refuse, Speaks, by_method, says_what_is_done};
use crate::permit::Approve;
use cloakroom_model::Place;

/// Whether the part refuses every call with such a body.
pub(super) fn is_refused(part: &Part<'_>, content: Content) -> bool {
    part.permit.terms.refuse == Some(Refuse::Writes) && never_reads(part, content)
}

/// Whether no such call is known to read by the part's own terms: each writes, or its signals disagree.
fn never_reads(part: &Part<'_>, content: Content) -> bool {
    let terms = &part.permit.terms;
    let plain = terms.speaks == Speaks::Http && terms.reads.is_empty() && terms.writes.is_empty();
    let asks_in_url = matches!(part.call.method(), "GET" | "HEAD" | "OPTIONS");
    let writes = by_method(part.call.method()) == Class::Write || (asks_in_url && content != Content::Empty);
    plain && writes
}

/// Whether what `cover` allows may be taken away from what `part` allows: it refuses none of the calls for what they do, and asks
/// about none that the part does not ask about.
pub(super) fn is_kept(part: &Part<'_>, cover: &Part<'_>, content: Content) -> bool {
    if !content.may_be_in(cover) {
        return false;
    }
    // What is said on a channel is not classified.
    if matches!(cover.permit.place, Place::WebSocket(_)) {
        return true;
    }
    let always_asks = waits(part, part, content) == Some(true);
    if !cover.permit.is_classified() {
        return cover.permit.approve == Approve::Once || always_asks;
    }
    if is_refused(cover, content) {
        return false;
    }
    match (class(part, cover, content), waits(part, cover, content)) {
        (Some(Class::Write), _) if cover.permit.terms.refuse == Some(Refuse::Writes) => false,
        (Some(_), Some(asked)) => !asked || always_asks,
        _ => is_alike(part, cover),
    }
}

/// Both classify, by the same terms, and the cover neither refuses nor asks more.
fn is_alike(part: &Part<'_>, cover: &Part<'_>) -> bool {
    let (own, other) = (&part.permit.terms, &cover.permit.terms);
    let same = own.speaks == other.speaks && own.reads == other.reads && own.writes == other.writes;
    let asks_as_much = match (part.permit.approve, cover.permit.approve) {
        (_, Approve::Once) | (Approve::EachCall, _) | (Approve::Writes, Approve::Writes) => true,
        (Approve::Once | Approve::Writes, _) => false,
    };
    part.permit.is_classified()
        && same
        && asks_as_much
        && (other.refuse.is_none() || own.refuse == other.refuse)
}

/// Whether a human is asked about every such call, or about none. `None`: it depends.
fn waits(part: &Part<'_>, by: &Part<'_>, content: Content) -> Option<bool> {
    match by.permit.approve {
        Approve::Once => Some(false),
        Approve::EachCall => Some(true),
        Approve::Writes => class(part, by, content).map(|class| class == Class::Write),
    }
}

/// What every call of the part with such a body does by the other's terms, and whether no two signals can disagree.
fn class(part: &Part<'_>, by: &Part<'_>, content: Content) -> Option<Class> {
    let terms = &by.permit.terms;
    let plain = terms.speaks == Speaks::Http && terms.reads.is_empty() && terms.writes.is_empty();
    let own_key = match &part.permit.place {
        Place::Query(key) => Some(&**key),
        _ => None,
    };
    let mut keys = part.permit.query.keys().map(String::as_str).chain(own_key);
    if !plain || keys.any(says_what_is_done) {
        return None;
    }
    let method = by_method(part.call.method());
    match content {
        Content::Empty => Some(method),
        // A body that nobody can read names no method; where one has no meaning, nobody knows what it does.
        Content::Opaque => match part.call.method() {
            "GET" | "HEAD" | "OPTIONS" => Some(Class::Write),
            _ => Some(method),
        },
        Content::Form | Content::Json => None,
    }
}
