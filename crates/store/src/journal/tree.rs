//! The Merkle tree: its right edge, which is all that a writer needs, and its proofs. RFC 9162, section 2.1.

use super::hash::Hash;

/// How far a journal has come: whoever has the same root has the same records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many records there are.
    pub records: u64,
    /// The root of their tree.
    pub root: Hash,
}

impl Default for Head {
    fn default() -> Self {
        Frontier::default().head()
    }
}

/// The right edge of a tree: the roots of the perfect subtrees it falls into, the largest first, one for each bit set in its size.
/// A record costs one leaf and, on average, one node; nothing else of the tree is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// From its parts, where there are as many peaks as the size asks for.
    pub(super) fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = Hash::node(left, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub(super) fn root(&self) -> Hash {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| Hash::node(left, right));
        joined.unwrap_or_else(|| Hash::of(&[]))
    }

    pub(super) fn head(&self) -> Head {
        Head { records: self.size, root: self.root() }
    }

    /// The root of the leaves from `start` to `end`, if they are one of the perfect subtrees.
    fn peak(&self, start: u64, end: u64) -> Option<Hash> {
        let mut at = 0;
        let bits = (0..u64::BITS).rev().map(|bit| 1 << bit).filter(|bit| self.size & bit != 0);
        for (width, peak) in bits.zip(&self.peaks) {
            if (at, at + width) == (start, end) {
                return Some(*peak);
            }
            at += width;
        }
        None
    }
}

/// The leaves behind a frontier, kept to make proofs of.
#[derive(Default)]
pub(super) struct Tree {
    before: Frontier,
    leaves: Vec<Hash>,
}

impl Tree {
    /// What comes behind `before`, of which only the frontier is known.
    pub(super) fn after(before: Frontier) -> Self {
        Self { before, leaves: Vec::new() }
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
    }

    /// How many leaves the whole tree has.
    pub(super) fn size(&self) -> u64 {
        self.before.size() + self.leaves.len() as u64
    }

    /// The root of the first `size` leaves. `None` where that cannot be known.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        match size {
            0 => Some(Hash::of(&[])),
            _ => self.range(0, size),
        }
    }

    /// Proves that a leaf is in the tree of the first `size` leaves (RFC 9162, 2.1.3.1). `None` where that cannot be known.
    pub(super) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size {
            return None;
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Proves that the tree of the first `old` leaves is the beginning of that of the first `new` (RFC 9162, 2.1.4.1).
    pub(super) fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new {
            return None;
        }
        let mut path = Vec::new();
        if old == 0 || old == new {
            return Some(path);
        }
        let (mut start, mut end, mut whole) = (0, new, true);
        while end != old {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(start, middle)?);
                (start, whole) = (middle, false);
            }
        }
        if !whole {
            path.push(self.range(start, end)?);
        }
        path.reverse();
        Some(path)
    }

    fn range(&self, start: u64, end: u64) -> Option<Hash> {
        if end <= self.before.size()
            && let Some(peak) = self.before.peak(start, end)
        {
            return Some(peak);
        }
        if end - start == 1 {
            let index = usize::try_from(start.checked_sub(self.before.size())?).ok()?;
            return self.leaves.get(index).copied();
        }
        let middle = start + split(end - start);
        Some(Hash::node(self.range(start, middle)?, self.range(middle, end)?))
    }
}

/// The largest power of two that is smaller than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root that a tree of `size` leaves must have if `leaf` is in it at `index` (RFC 9162, 2.1.3.2).
pub(super) fn root_by_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut root) = (index, size - 1, leaf);
    for step in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = Hash::node(*step, root);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            root = Hash::node(root, *step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

/// Whether the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162, 2.1.4.2).
pub(super) fn is_consistent(old: (u64, Hash), new: (u64, Hash), path: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && old_root == Hash::of(&[]);
    }
    if old > new {
        return false;
    }
    let own = old.is_power_of_two().then_some(old_root);
    let mut steps = own.iter().chain(path).copied();
    let Some(first) = steps.next() else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut of_old, mut of_new) = (first, first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (of_old, of_new) = (Hash::node(step, of_old), Hash::node(step, of_new));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            of_new = Hash::node(of_new, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && of_old == old_root && of_new == new_root
}
