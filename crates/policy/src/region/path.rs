//! Paths: how many segments there are, and what each is.
//!
//! Lengths are looked at one by one. In a path of a given length each segment can be told on its own.

use super::Part;
use super::space::{Atom, Axis, Space};
use crate::template::{Piece, Template};

/// How long a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    /// Segments that are not empty. The largest one stands for all that are longer.
    pub(super) segments: usize,
    /// Whether a slash follows.
    pub(super) slash: bool,
}

impl Length {
    /// Every length of the part's paths that somebody tells from the others.
    pub(super) fn of(part: &Part<'_>, covers: &[Part<'_>]) -> Vec<Self> {
        let longest = covers.iter().chain([part]).map(|part| part.call.length()).max().unwrap_or(0);
        let all = (0..=longest + 1).flat_map(|segments| {
            [false, true].map(|slash| Self { segments, slash }).into_iter().skip(usize::from(segments == 0))
        });
        all.filter(|length| length.is_of(part.call)).collect()
    }

    /// Whether the template has such paths.
    pub(super) fn is_of(self, call: &Template) -> bool {
        let pieces = call.length();
        if call.has_tail() {
            return self.segments >= pieces;
        }
        match literal(call, pieces - 1) {
            Some("") => self.slash && self.segments + 1 == pieces,
            _ => !self.slash && self.segments == pieces,
        }
    }

    /// Segments as a path has them: a slash at the end begins an empty one.
    fn all(self) -> usize {
        self.segments + usize::from(self.slash)
    }
}

/// Adds an axis for each segment.
pub(super) fn add(space: &mut Space<'_>) {
    let length = space.length;
    for index in 0..length.segments {
        let mut texts: Vec<Option<String>> = vec![None];
        for part in space.parts() {
            let text = literal(part.call, index).map(str::to_owned);
            if text.is_some() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        // No parameter stands for these words in some places.
        let words =
            ["graphql", "$batch", "batch", "GraphQL", "Batch", "$Batch"].map(|word| Some(word.to_owned()));
        texts.extend(words.into_iter().find(|word| !texts.contains(word)));
        let atoms = texts.into_iter().map(Atom::Segment).collect();
        space.add(Axis::Segment(index), atoms, |part, atom| has_segment(part, length, index, atom), |_| ());
    }
}

fn literal(call: &Template, index: usize) -> Option<&str> {
    match call.pieces().get(index) {
        Some(Piece::Literal(text)) => Some(text),
        _ => None,
    }
}

fn has_segment(part: &Part<'_>, length: Length, index: usize, atom: &Atom) -> bool {
    let Atom::Segment(text) = atom else { return false };
    let text = text.as_deref();
    // The placeholder is in no template.
    if part.spot() == Some(index) && text.is_some() {
        return false;
    }
    let end = length.slash.then_some("");
    let at = |at: usize| if at == length.segments { end } else { text.filter(|_| at == index) };
    if part.call.would_hide_bundle(length.all(), at) {
        return false;
    }
    literal(part.call, index).is_none_or(|own| text == Some(own))
}
