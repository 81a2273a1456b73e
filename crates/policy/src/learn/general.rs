//! Paths made general: segments that look like identifiers, and places where many different ones stood.

use super::place::PARAMETER;
use super::shape::Step;
use crate::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// One segment of a template to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    Literal(String),
    Parameter(Why),
    Credential,
}

/// Why a segment was made a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Identifier(&'static str),
    Many,
    /// No template can have it as it was.
    Unwritable,
}

impl Why {
    pub(super) fn words(self) -> String {
        match self {
            Self::Identifier(kind) => format!("each looks like {kind}"),
            Self::Many => format!("{MANY} or more different ones"),
            Self::Unwritable => "too long, or not to be written in a policy".to_owned(),
        }
    }
}

/// So many different segments at one place are taken for values.
const MANY: usize = 5;

/// The pieces of a path on its own.
pub(super) fn pieces(path: &[Step]) -> Vec<Piece> {
    let piece = |(index, step): (usize, &Step)| match step {
        Step::Credential => Piece::Credential,
        Step::Long => Piece::Parameter(Why::Unwritable),
        Step::Text(text) if text.is_empty() && index + 1 == path.len() => Piece::Literal(String::new()),
        Step::Text(text) => match identifier(text) {
            Some(kind) => Piece::Parameter(Why::Identifier(kind)),
            None if Template::parse(&format!("GET /{text}")).is_err() => Piece::Parameter(Why::Unwritable),
            None => Piece::Literal(text.clone()),
        },
    };
    path.iter().enumerate().map(piece).collect()
}

/// Makes parameters of places where many different segments stand and all else is the same. Answers, for each path in the order
/// given, what became of it.
pub(super) fn widened(mut paths: Vec<Vec<Piece>>) -> Vec<Vec<Piece>> {
    let longest = paths.iter().map(Vec::len).max().unwrap_or(0);
    for index in 0..longest {
        let mut others: BTreeMap<Vec<Piece>, BTreeSet<String>> = BTreeMap::new();
        for path in &paths {
            if let Some(Piece::Literal(text)) = path.get(index).filter(|piece| !is_end(piece)) {
                others.entry(without(path, index)).or_default().insert(text.clone());
            }
        }
        for path in &mut paths {
            let literal =
                path.get(index).is_some_and(|piece| matches!(piece, Piece::Literal(_)) && !is_end(piece));
            let many = others.get(&without(path, index)).is_some_and(|texts| texts.len() >= MANY);
            if literal && many {
                path[index] = Piece::Parameter(Why::Many);
            }
        }
    }
    paths
}

fn is_end(piece: &Piece) -> bool {
    matches!(piece, Piece::Literal(text) if text.is_empty())
}

fn without(path: &[Piece], index: usize) -> Vec<Piece> {
    path.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, piece)| piece.clone()).collect()
}

/// The path as a policy writes it, and its parameters.
pub(super) fn written(path: &[Piece]) -> (String, Vec<(String, Why)>) {
    let mut text = String::new();
    let mut parameters = Vec::new();
    for piece in path {
        text.push('/');
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Credential => text.push_str(&format!("{{{PARAMETER}}}")),
            Piece::Parameter(why) => {
                let base = if matches!(why, Why::Many) { "value" } else { "id" };
                let taken = |name: &String| parameters.iter().any(|(known, _)| known == name);
                let mut name = base.to_owned();
                let mut number = 1;
                while taken(&name) {
                    number += 1;
                    name = format!("{base}{number}");
                }
                text.push_str(&format!("{{{name}}}"));
                parameters.push((name, *why));
            }
        }
    }
    (text, parameters)
}

/// What kind of identifier a segment looks like.
fn identifier(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let all = |test: fn(&u8) -> bool| bytes.iter().all(test);
    if !bytes.is_empty() && digits == bytes.len() {
        return Some("a number");
    }
    if is_uuid(text) {
        return Some("a UUID");
    }
    if digits == 8 && bytes.len() == 10 && text.split('-').map(str::len).eq([4, 2, 2]) {
        return Some("a date");
    }
    if bytes.len() == 26 && digits > 0 && all(u8::is_ascii_alphanumeric) {
        return Some("a ULID");
    }
    if bytes.len() >= 8 && digits > 0 && all(u8::is_ascii_hexdigit) {
        return Some("a hexadecimal number");
    }
    if let Some((prefix, rest)) = text.rsplit_once('_') {
        let random = rest.bytes().any(|byte| byte.is_ascii_digit())
            && rest.len() >= 4
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if random
            && !prefix.is_empty()
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            return Some("an identifier with a prefix");
        }
    }
    let token = all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (bytes.len() >= 16 && digits >= 3 && token).then_some("a long random word")
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
