//! Content codings (RFC 9110, section 8.4): which can be undone, and undoing them while the body streams.

mod bounded;
mod layer;
mod zstd;

use bounded::{Bounded, Undecodable};
use bytes::Bytes;
use cloakroom_model::BodyFault;
use http::{HeaderMap, header};
use layer::Layer;

/// Coded bytes taken in one step, so that one step's output stays small.
const STEP: usize = 16 * 1024;
/// More stacked codings than this are refused.
const MOST_LAYERS: usize = 2;

/// One coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The codings of a reply in the order they were applied; `None` where one of them cannot be undone.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Vec<Self>> {
        let mut codings = Vec::new();
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                if !name.eq_ignore_ascii_case("identity") {
                    codings.push(Self::parse(name)?);
                }
            }
        }
        (codings.len() <= MOST_LAYERS).then_some(codings)
    }

    /// What to ask the upstream for: what the workload accepts and we can undo.
    ///
    /// zstd is asked for only where the workload accepts nothing else: its decoder hands out a window at a time, which
    /// would delay an event stream.
    pub(crate) fn acceptable(asked: &HeaderMap) -> &'static str {
        let mut accepted = Vec::new();
        for value in asked.get_all(header::ACCEPT_ENCODING) {
            let names = value.to_str().unwrap_or_default().split(',').filter_map(accepted_name);
            accepted.extend(names.filter_map(Self::parse));
        }
        let has = |coding| accepted.contains(&coding);
        match (has(Self::Gzip), has(Self::Deflate), has(Self::Brotli), has(Self::Zstd)) {
            (true, true, true, _) => "gzip, deflate, br",
            (true, true, false, _) => "gzip, deflate",
            (true, false, true, _) => "gzip, br",
            (true, false, false, _) => "gzip",
            (false, true, true, _) => "deflate, br",
            (false, true, false, _) => "deflate",
            (false, false, true, _) => "br",
            (false, false, false, true) => "zstd",
            (false, false, false, false) => "identity",
        }
    }
}

/// The coding's name, unless its weight is zero.
fn accepted_name(member: &str) -> Option<&str> {
    let (name, weight) = member.split_once(';').unwrap_or((member, ""));
    let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
    (!weight.trim_matches(['0', '.', ' ']).is_empty()).then_some(name.trim())
}

/// Undoes the codings of one body.
pub(crate) struct Decoder {
    layers: Vec<Layer>,
    queue: Bytes,
    budget: bounded::Budget,
}

impl Decoder {
    /// A decoder for codings in the order they were applied.
    pub(crate) fn new(codings: &[Coding]) -> Self {
        Self {
            layers: codings.iter().rev().map(|coding| Layer::new(*coding)).collect(),
            queue: Bytes::new(),
            budget: bounded::Budget::default(),
        }
    }

    /// Whether bytes of the last chunk are still to be decoded.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes a chunk, once the last one is decoded.
    pub(crate) fn take(&mut self, chunk: Bytes) {
        debug_assert!(self.is_idle(), "a chunk was taken before the last one was decoded");
        self.queue = chunk;
    }

    /// Decodes some of the chunk.
    ///
    /// # Errors
    /// When it is not of the coding its label says, or grows beyond the bounds.
    pub(crate) fn step(&mut self) -> Result<Bytes, BodyFault> {
        let mut bytes = self.queue.split_to(self.queue.len().min(STEP));
        self.budget.taken(bytes.len());
        for layer in &mut self.layers {
            bytes = layer.push(&bytes, self.budget.room()).map_err(fault)?;
        }
        self.budget.given(bytes.len());
        Ok(bytes)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When it ends before its coding does.
    pub(crate) fn finish(&mut self) -> Result<Bytes, BodyFault> {
        let mut bytes = Bytes::new();
        for layer in &mut self.layers {
            let pushed = layer.push(&bytes, self.budget.room()).map_err(fault)?;
            let rest = layer.finish(self.budget.room()).map_err(fault)?;
            bytes = if pushed.is_empty() { rest } else { [pushed, rest].concat().into() };
        }
        Ok(bytes)
    }
}

fn fault(_: Undecodable) -> BodyFault {
    BodyFault::Undecodable
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn t02_only_what_can_be_undone_is_asked_for() {
        for (workload, upstream) in [
            ("gzip, deflate, br, zstd", "gzip, deflate, br"),
            ("gzip;q=0, br", "br"),
            ("gzip; q=0.5, br;q=0.0", "gzip"),
            ("zstd", "zstd"),
            ("*", "identity"),
            ("compress, exi", "identity"),
            ("", "identity"),
        ] {
            assert_eq!(Coding::acceptable(&asked(workload)), upstream, "{workload}");
        }
        assert_eq!(Coding::acceptable(&HeaderMap::new()), "identity");
    }

    #[test]
    fn t02_codings_that_cannot_be_undone_are_told() {
        let of = |value: &'static str| {
            Coding::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert_eq!(of("gzip, BR"), Some(vec![Coding::Gzip, Coding::Brotli]));
        assert_eq!(of("identity"), Some(vec![]));
        for value in ["compress", "gzip, compress", "gzip,gzip,gzip", "aes128gcm", "gzip br"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
