//! The calls of one part with one kind of body, as a product of axes; and what others leave of each axis.

use super::path::Length;
use super::tree::Tree;
use super::values::Sample;
use super::{Part, body, class, fields, path};
use crate::permit::{BodyRule, RangeRule};
use cloakroom_model::Place;

/// What kind of body a call has. Every call has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Empty,
    /// A form that can be read.
    Form,
    /// JSON that can be read.
    Json,
    /// All others.
    Opaque,
}

impl Content {
    /// The kinds that the part allows and that have to be looked at one by one.
    pub(super) fn of(part: &Part<'_>, covers: &[Part<'_>]) -> Vec<Self> {
        let all = [Self::Empty, Self::Form, Self::Json, Self::Opaque];
        let any = matches!(part.permit.body, BodyRule::Any { .. });
        // Where nobody looks inside, a form is a body as every other.
        let told_apart = |content: &Self| match content {
            Self::Form | Self::Json => covers.iter().any(|cover| {
                let looks = matches!(&cover.permit.body, BodyRule::Form { .. } | BodyRule::Json { .. });
                looks || cover.permit.is_classified()
            }),
            Self::Empty | Self::Opaque => true,
        };
        let all = all.into_iter().filter(|content| content.may_be_in(part));
        all.filter(|content| (!any || told_apart(content)) && !class::is_refused(part, *content)).collect()
    }

    /// Whether a part allows such bodies at all.
    pub(super) fn may_be_in(self, part: &Part<'_>) -> bool {
        let by_place = match part.permit.place {
            Place::Form(_) => self == Self::Form,
            Place::Json(_) => self == Self::Json,
            _ => true,
        };
        let by_rule = match &part.permit.body {
            BodyRule::None => self == Self::Empty,
            BodyRule::Any { .. } => true,
            BodyRule::Form { fields, .. } => match self {
                Self::Empty => !fields.values().any(|rule| rule.constraint.required),
                other => other == Self::Form,
            },
            BodyRule::Json { fields, .. } => match self {
                Self::Empty => !fields.values().any(|rule| rule.required),
                other => other == Self::Json,
            },
        };
        by_place && by_rule
    }
}

/// What an axis is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// The segment at this index.
    Segment(usize),
    Query(String),
    Header(String),
    /// A header that some servers read as this one.
    Alias(String),
    /// Whether parts of the reply are asked for.
    Range,
    /// In which message of a WebSocket the placeholder stands.
    Message,
    /// How large the body is.
    Size,
    /// A form field.
    Field(String),
    /// Form fields that nobody names.
    OtherFields,
    /// The JSON value at this node of the tree.
    Node(usize),
    /// Members of it that nobody names.
    Others(usize),
    /// A member of it whose name differs from this one by case.
    Variant(usize, String),
}

impl Axis {
    /// Whether it is about the path, which is told of as a whole.
    pub(super) fn is_path(&self) -> bool {
        matches!(self, Self::Segment(_))
    }
}

/// One value on an axis; it stands for all that the covers do not tell from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    Absent,
    Present,
    /// A segment; `None`: one that no template names.
    Segment(Option<String>),
    Once(Sample),
    /// More than once, with all of these values.
    Repeated(Vec<String>),
    /// A header value outside ASCII.
    NotAscii,
    /// More bytes or messages than the first, at most the second.
    UpTo(u64, u64),
    /// More bytes than this.
    Beyond(u64),
    /// The placeholder.
    Placeholder,
}

/// Which atoms of an axis are meant, a bit each.
pub(super) type Mask = u128;

/// How many atoms an axis may have.
const MOST_ATOMS: usize = 128;

/// Another part, as far as it is in the space.
pub(super) struct Cover<'p> {
    pub(super) part: Part<'p>,
    pub(super) masks: Vec<Mask>,
}

/// The product.
pub(super) struct Space<'p> {
    pub(super) part: Part<'p>,
    pub(super) content: Content,
    pub(super) length: Length,
    pub(super) axes: Vec<Axis>,
    pub(super) atoms: Vec<Vec<Atom>>,
    pub(super) tree: Tree,
    pub(super) covers: Vec<Cover<'p>>,
    /// Some axis has more atoms than can be told apart.
    pub(super) overflows: bool,
}

impl<'p> Space<'p> {
    /// The product of the calls with this kind of body and length of path.
    pub(super) fn new(part: Part<'p>, others: &[Part<'p>], content: Content, length: Length) -> Self {
        let mut space = Self {
            part,
            content,
            length,
            axes: Vec::new(),
            atoms: Vec::new(),
            tree: Tree::default(),
            covers: Vec::new(),
            overflows: false,
        };
        let alive = |other: &&Part<'p>| length.is_of(other.call) && class::is_kept(&part, other, content);
        let others: Vec<Part<'p>> = others.iter().filter(alive).copied().collect();
        space.covers = others.into_iter().map(|part| Cover { part, masks: Vec::new() }).collect();
        path::add(&mut space);
        fields::add_query(&mut space);
        fields::add_headers(&mut space);
        space.add_range();
        body::add_messages(&mut space);
        body::add(&mut space);
        space
    }

    /// All parts, the one that others are taken from first.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part<'p>> {
        [&self.part].into_iter().chain(self.covers.iter().map(|cover| &cover.part))
    }

    /// Adds an axis with those of the atoms that the part allows. Of atoms that no cover tells apart, and `keep` does not
    /// either, one is enough.
    pub(super) fn add<K: PartialEq>(
        &mut self,
        axis: Axis,
        atoms: Vec<Atom>,
        allows: impl Fn(&Part<'p>, &Atom) -> bool,
        keep: impl Fn(&Atom) -> K,
    ) {
        let parts: Vec<Part<'p>> = self.parts().copied().collect();
        self.add_by_index(axis, atoms, |part, atom| allows(&parts[part], atom), keep);
    }

    /// The same, where the part is told by its index in [`Space::parts`].
    pub(super) fn add_by_index<K: PartialEq>(
        &mut self,
        axis: Axis,
        atoms: Vec<Atom>,
        allows: impl Fn(usize, &Atom) -> bool,
        keep: impl Fn(&Atom) -> K,
    ) {
        let mut kept: Vec<Atom> = Vec::new();
        let mut seen: Vec<(Vec<bool>, K)> = Vec::new();
        for atom in atoms {
            if !allows(0, &atom) {
                continue;
            }
            let by: Vec<bool> = (1..=self.covers.len()).map(|part| allows(part, &atom)).collect();
            let key = (by, keep(&atom));
            if !seen.contains(&key) {
                seen.push(key);
                kept.push(atom);
            }
        }
        self.overflows |= kept.len() > MOST_ATOMS;
        for (index, cover) in self.covers.iter_mut().enumerate() {
            let bits = seen.iter().take(MOST_ATOMS).enumerate();
            let mask = bits.filter(|(_, (by, _))| by[index]).fold(0, |mask, (bit, _)| mask | 1 << bit);
            cover.masks.push(mask);
        }
        kept.truncate(MOST_ATOMS);
        self.axes.push(axis);
        self.atoms.push(kept);
    }

    /// Every atom of every axis.
    pub(super) fn full(&self) -> Vec<Mask> {
        let all = |atoms: &Vec<Atom>| match atoms.len() {
            MOST_ATOMS => Mask::MAX,
            count => (1 << count) - 1,
        };
        self.atoms.iter().map(all).collect()
    }

    fn add_range(&mut self) {
        if self.part.permit.range == RangeRule::Drop {
            return;
        }
        let allows =
            |part: &Part<'p>, atom: &Atom| *atom == Atom::Absent || part.permit.range == RangeRule::Pass;
        self.add(Axis::Range, vec![Atom::Absent, Atom::Present], allows, |_| ());
    }
}
