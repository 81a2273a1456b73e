//! Needles of one fold side by side, in order of their bytes: one walk decides all that begin alike at once, so a position
//! costs the same however many needles there are.

use super::needle::{Fold, Needle};
use super::needles::Needles;
use std::borrow::Borrow;

/// Which needle of which secret. The earlier one wins where two are equally long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) set: u32,
    pub(super) needle: u32,
}

/// The needles of one fold. Holds their order, not their bytes.
pub(super) struct Bundle {
    fold: Fold,
    places: Box<[Place]>,
}

impl Bundle {
    pub(super) fn of<S: Borrow<Needles>>(fold: Fold, sets: &[S]) -> Self {
        let mut places = Vec::new();
        for (set, needles) in (0..).zip(sets) {
            let list = (0..).zip(&needles.borrow().list);
            let of_fold = list.filter(|(_, needle)| needle.fold == fold);
            places.extend(of_fold.map(|(needle, _)| Place { set, needle }));
        }
        places.sort_by(|a, b| bytes(sets, *a).cmp(bytes(sets, *b)).then(a.cmp(b)));
        // Of equal ones the first is taken, always.
        places.dedup_by(|later, first| bytes(sets, *later) == bytes(sets, *first));
        Self { fold, places: places.into() }
    }

    /// The bundle with the sets that it was made of.
    pub(super) fn with<'a, S: Borrow<Needles>>(&'a self, sets: &'a [S]) -> Pack<'a, S> {
        Pack { bundle: self, sets }
    }
}

/// The needle at a place.
pub(super) fn needle<S: Borrow<Needles>>(sets: &[S], place: Place) -> Option<&Needle> {
    sets.get(place.set as usize)?.borrow().list.get(place.needle as usize)
}

fn bytes<S: Borrow<Needles>>(sets: &[S], place: Place) -> &[u8] {
    needle(sets, place).map_or(&[], |needle| &needle.pattern)
}

/// A bundle and the sets that hold its needles' bytes.
pub(super) struct Pack<'a, S> {
    bundle: &'a Bundle,
    sets: &'a [S],
}

/// The needles that begin with the symbols followed so far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node {
    done: usize,
    from: usize,
    to: usize,
}

impl Node {
    pub(super) fn is_root(self) -> bool {
        self.done == 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.from == self.to
    }
}

impl<S: Borrow<Needles>> Pack<'_, S> {
    pub(super) fn fold(&self) -> Fold {
        self.bundle.fold
    }

    pub(super) fn root(&self) -> Node {
        Node { done: 0, from: 0, to: self.bundle.places.len() }
    }

    /// Those of `node` that go on with `byte`.
    pub(super) fn next(&self, node: Node, byte: u8) -> Option<Node> {
        let Node { done, from, to } = node;
        let places = self.bundle.places.get(from..to)?;
        let symbol = |place: &Place| bytes(self.sets, *place).get(done).copied();
        let (first, last) = (symbol(places.first()?), symbol(places.last()?));
        if first == Some(byte) && last == first {
            return Some(Node { done: done + 1, from, to });
        }
        // One that is complete comes before those that go on, as `None` comes before `Some`.
        if first > Some(byte) || last < Some(byte) {
            return None;
        }
        let before = places.partition_point(|place| symbol(place) < Some(byte));
        let count = places[before..].partition_point(|place| symbol(place) == Some(byte));
        (count > 0).then_some(Node { done: done + 1, from: from + before, to: from + before + count })
    }

    /// The one of `node` that is complete.
    pub(super) fn complete(&self, node: Node) -> Option<Place> {
        let first = *self.bundle.places.get(node.from)?;
        (bytes(self.sets, first).len() == node.done).then_some(first)
    }

    /// Whether any of `node` is not complete.
    pub(super) fn goes_on(&self, node: Node) -> bool {
        let last = node.to.checked_sub(1).and_then(|last| self.bundle.places.get(last));
        last.is_some_and(|last| bytes(self.sets, *last).len() > node.done)
    }
}
