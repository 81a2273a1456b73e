//! Whether a call reads or writes, as far as the call itself can say it: docs/classes.md is the published rule.
//!
//! SECURITY: whatever is not known counts as a write, and a body says something only where the permit names the protocol that
//! the destination speaks there. Otherwise a workload could put `{"query":"{a}"}` into any call and have it pass as a read (T35).

mod action;
pub(crate) mod graphql;
mod multipart;
mod overrides;
pub(crate) mod rpc;
mod terms;

#[cfg(test)]
mod tests;

pub(crate) use action::name as action_name;
pub(crate) use multipart::parts as form_parts;
pub(crate) use overrides::is_method_misspelled;
pub(crate) use terms::{Known, Refuse, Speaks, Terms};

use crate::decide::body::BodyView;
use cloakroom_model::{Call, Query};
use serde::{Deserialize, Serialize};

/// What a call does at its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It is known to change nothing.
    Read,
    /// It changes something, or nobody knows.
    Write,
}

impl Class {
    /// As people read it: "this call …".
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes",
        }
    }
}

/// A class, and the signal that decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classified {
    pub(crate) class: Class,
    /// One fixed sentence.
    pub(crate) because: &'static str,
}

impl Classified {
    const fn read(because: &'static str) -> Self {
        Self { class: Class::Read, because }
    }

    const fn write(because: &'static str) -> Self {
        Self { class: Class::Write, because }
    }
}

/// Two signals of one call say different things: it is refused, not guessed. The value is one fixed sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disagreement(pub(crate) &'static str);

/// What the call does, by the terms of the permit that allows it.
pub(crate) fn classify(call: &Call, body: &BodyView<'_>, terms: &Terms) -> Result<Classified, Disagreement> {
    overrides::check(call, body)?;
    match (terms.says_read(call), terms.says_write(call)) {
        (true, true) => return Err(Disagreement("the permit lists the call both as a read and as a write")),
        (true, false) if overrides::could_be_hidden(call, body) => {
            return Ok(Classified::write("its body cannot be read, so that it could name another method"));
        }
        (true, false) => return Ok(Classified::read("the permit says that this call only reads")),
        (false, true) => return Ok(Classified::write("the permit says that this call writes")),
        (false, false) => {}
    }
    if call.upgrade.is_some() {
        return Ok(Classified::write("it opens a connection on which anything can be said"));
    }
    match terms.speaks {
        Speaks::Http => Ok(plain(call, body)),
        Speaks::GraphQl => graphql::classify(call, body),
        Speaks::JsonRpc | Speaks::Mcp => Ok(rpc::classify(call, body, terms)),
        Speaks::Aws => action::classify(call, body, terms),
    }
}

/// What the method alone says of a template: for texts that speak of calls before there are any.
pub(crate) fn by_method(method: &str) -> Class {
    // Safe by the IANA registry of methods (RFC 9110, section 9.2.1). TRACE and PRI are never forwarded.
    match method {
        "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT" | "SEARCH" => Class::Read,
        _ => Class::Write,
    }
}

/// Calls of which nothing more is known than HTTP.
fn plain(call: &Call, body: &BodyView<'_>) -> Classified {
    if by_method(call.method.as_str()) == Class::Write {
        return Classified::write("its method is none of those that only read");
    }
    if names_operation(&call.query) {
        return Classified::write("a query key names an operation, and nobody said what it does");
    }
    // PROPFIND, REPORT and SEARCH ask with a body.
    let asks_in_url = matches!(call.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    if asks_in_url && !body.is_empty() {
        return Classified::write("a body has no meaning with this method, so nobody knows what it does");
    }
    Classified::read("its method only reads")
}

/// Keys by which services choose what a GET does.
fn names_operation(query: &Query) -> bool {
    query.pairs().iter().any(|pair| is_operation(pair.key()))
}

fn is_operation(key: &str) -> bool {
    const KEYS: [&str; 10] =
        ["action", "method", "operation", "op", "cmd", "command", "do", "rpc", "function", "call"];
    KEYS.contains(&&*overrides::as_frameworks_read(key))
}

/// Whether a query key of this name can make a call a write, or let two signals disagree.
pub(crate) fn says_what_is_done(key: &str) -> bool {
    is_operation(key) || overrides::names_override(key)
}

/// Whether the name begins with this word: `getUser`, `get_user`, `get`; not `getaway`.
pub(crate) fn begins_with_word(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        let Some(rest) = name.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word)) else {
            return false;
        };
        match name[rest.len()..].chars().next() {
            None => true,
            Some(next) => !next.is_ascii_lowercase(),
        }
    })
}

/// Words that names of reading operations begin with.
pub(crate) const READING: &[&str] = &[
    "get", "list", "read", "fetch", "find", "search", "query", "show", "view", "describe", "lookup", "count",
];

/// Words that names of writing operations begin with.
pub(crate) const WRITING: &[&str] = &[
    "create", "update", "delete", "remove", "destroy", "insert", "upsert", "set", "put", "add", "send",
    "write", "post", "patch", "edit", "move", "rename", "archive", "publish", "cancel", "close", "merge",
    "approve", "revoke", "grant", "reset", "transfer", "pay", "refund", "execute", "run", "start", "stop",
    "trigger",
];
