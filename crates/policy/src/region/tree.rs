//! JSON bodies: a tree of every member that some policy names.
//!
//! The state of each node is an axis: absent, a value that stands for others, an array or an object. Not every combination is
//! a JSON text; `Tree::chosen` finds one that is.

use super::Part;
use super::space::{Atom, Axis, Mask, Space};
use super::values::{Sample, typed};
use crate::constraint::Constraint;
use crate::decide::json_body::{folded, index};
use crate::permit::BodyRule;
use crate::pointer::Pointer;
use cloakroom_model::Place;
use std::collections::BTreeSet;

/// Every node, the root first.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

pub(super) struct Node {
    /// From the root.
    pub(super) tokens: Vec<String>,
    pub(super) children: Vec<usize>,
    /// The axis of its state, of members that nobody names, and of those that differ by case from a named one.
    state: usize,
    others: Option<usize>,
    variants: Vec<usize>,
}

impl Node {
    /// The pointer, for people.
    pub(super) fn pointer(&self) -> String {
        self.tokens.iter().map(|token| format!("/{}", crate::pointer::escaped(token))).collect()
    }
}

/// What one part says about JSON: the tokens of each pointer, with its rule; the place has none.
struct View<'p> {
    entries: Vec<(Vec<String>, Option<&'p Constraint>)>,
    place: Option<Vec<String>>,
    only: bool,
}

impl<'p> View<'p> {
    fn of(part: &Part<'p>) -> Self {
        let tokens = |text: &str| Pointer::parse(text).map(|pointer| pointer.tokens().to_vec());
        let BodyRule::Json { only, fields, .. } = &part.permit.body else {
            return Self { entries: Vec::new(), place: None, only: false };
        };
        let place = match &part.permit.place {
            Place::Json(pointer) => tokens(pointer),
            _ => None,
        };
        let named = fields.iter().filter_map(|(key, rule)| Some((tokens(key)?, Some(rule))));
        let entries = named.chain(place.clone().map(|tokens| (tokens, None))).collect();
        Self { entries, place, only: *only }
    }

    fn own(&self, at: &[String]) -> Option<&'p Constraint> {
        self.entries.iter().find(|(tokens, _)| tokens == at).and_then(|(_, rule)| *rule)
    }

    fn names(&self, at: &[String]) -> bool {
        self.entries.iter().any(|(tokens, _)| tokens.starts_with(at))
    }

    /// The members that are named right below.
    fn members(&self, at: &[String]) -> impl Iterator<Item = &str> {
        let below = |tokens: &Vec<String>| tokens.len() > at.len() && tokens.starts_with(at);
        let below: Vec<&str> = self
            .entries
            .iter()
            .filter(|(tokens, _)| below(tokens))
            .map(|(tokens, _)| tokens[at.len()].as_str())
            .collect();
        below.into_iter()
    }

    /// Whether it says something about the members of this value.
    fn looks_below(&self, at: &[String]) -> bool {
        self.members(at).next().is_some() || (at.is_empty() && self.only)
    }

    fn allows_state(&self, at: &[String], atom: &Atom) -> bool {
        if let Some((last, parent)) = at.split_last()
            && !self.names(at)
        {
            let alike = || self.members(parent).any(|name| folded(name) == folded(last));
            return *atom == Atom::Absent || !self.looks_below(parent) || !(self.only || alike());
        }
        if self.place.as_deref() == Some(at) {
            return *atom == Atom::Placeholder;
        }
        let kept = match (self.own(at), atom) {
            (None, _) => true,
            (Some(rule), Atom::Absent) => !rule.required,
            (Some(rule), Atom::Once(value)) => rule.broken_by(value.given()).is_none(),
            (Some(_), _) => false,
        };
        let members = self.members(at).next().is_some();
        let fits = match atom {
            Atom::Absent | Atom::Once(Sample::Object) => true,
            Atom::Once(Sample::Array) => members && self.members(at).all(|name| index(name).is_some()),
            _ => false,
        };
        kept && (!self.looks_below(at) || fits)
    }

    fn allows_others(&self, at: &[String], atom: &Atom) -> bool {
        *atom == Atom::Absent || !self.only || !self.looks_below(at)
    }

    fn allows_variant(&self, at: &[String], of: &str, atom: &Atom) -> bool {
        let alike = || self.members(at).any(|name| folded(name) == of);
        *atom == Atom::Absent || !self.looks_below(at) || !(self.only || alike())
    }
}

/// Adds the axes of all nodes.
pub(super) fn add(space: &mut Space<'_>) {
    let views: Vec<View<'_>> = space.parts().map(View::of).collect();
    let mut paths: BTreeSet<Vec<String>> = [Vec::new()].into();
    for (tokens, _) in views.iter().flat_map(|view| &view.entries) {
        paths.extend((1..=tokens.len()).map(|length| tokens[..length].to_vec()));
    }
    let paths: Vec<Vec<String>> = paths.into_iter().collect();
    for (index, tokens) in paths.iter().enumerate() {
        let below =
            |other: &usize| paths[*other].len() == tokens.len() + 1 && paths[*other].starts_with(tokens);
        let children = (0..paths.len()).filter(below).collect();
        let state = add_state(space, &views, index, tokens);
        let mut node = Node { tokens: tokens.clone(), children, state, others: None, variants: Vec::new() };
        if views.iter().any(|view| view.looks_below(tokens)) {
            add_members(space, &views, index, &mut node, &paths);
        }
        space.tree.nodes.push(node);
    }
}

fn add_state(space: &mut Space<'_>, views: &[View<'_>], index: usize, at: &[String]) -> usize {
    let constraints: Vec<&Constraint> = views.iter().filter_map(|view| view.own(at)).collect();
    let mut atoms: Vec<Atom> = if at.is_empty() { Vec::new() } else { vec![Atom::Absent] };
    if views.iter().any(|view| view.place.as_deref() == Some(at)) {
        atoms = vec![Atom::Placeholder];
    } else {
        atoms.extend(typed(&constraints).into_iter().map(Atom::Once));
    }
    let shape = |atom: &Atom| match atom {
        Atom::Absent => 0,
        Atom::Once(Sample::Object) => 1,
        Atom::Once(Sample::Array) => 2,
        _ => 3,
    };
    space.add_by_index(Axis::Node(index), atoms, |part, atom| views[part].allows_state(at, atom), shape);
    space.axes.len() - 1
}

/// Where members of a node are named: the axes of the others.
fn add_members(
    space: &mut Space<'_>,
    views: &[View<'_>],
    index: usize,
    node: &mut Node,
    paths: &[Vec<String>],
) {
    let at = &node.tokens;
    let two = || vec![Atom::Absent, Atom::Present];
    let absent = |atom: &Atom| *atom == Atom::Absent;
    space.add_by_index(Axis::Others(index), two(), |part, atom| views[part].allows_others(at, atom), absent);
    node.others = Some(space.axes.len() - 1);
    let names = node.children.iter().filter_map(|child| paths[*child].last());
    let names: Vec<&str> = names.map(String::as_str).collect();
    // SECURITY: of letters outside ASCII there may be more forms than are known here.
    let exists = |name: &&&str| other_case(name, &names).is_some() || !name.is_ascii();
    let alike: BTreeSet<String> = names.iter().filter(exists).map(|name| folded(name)).collect();
    for name in alike {
        let allows = |part: usize, atom: &Atom| views[part].allows_variant(at, &name, atom);
        space.add_by_index(Axis::Variant(index, name.clone()), two(), allows, absent);
        node.variants.push(space.axes.len() - 1);
    }
}

/// The atom of each axis of the tree, in a combination that is a JSON text.
pub(super) type Choice = Vec<(usize, usize)>;

impl Tree {
    /// Chooses an atom for each axis from those that are left. `None`: nothing that is left is JSON.
    pub(super) fn chosen(&self, atoms: &[Vec<Atom>], left: &[Mask]) -> Option<Choice> {
        let mut choice = Vec::new();
        if !self.nodes.is_empty() {
            self.choose(0, atoms, left, &mut choice)?;
        }
        Some(choice)
    }

    fn choose(&self, index: usize, atoms: &[Vec<Atom>], left: &[Mask], choice: &mut Choice) -> Option<()> {
        let node = &self.nodes[index];
        let states = &atoms[node.state];
        for (bit, state) in states.iter().enumerate().filter(|(bit, _)| left[node.state] >> bit & 1 == 1) {
            let before = choice.len();
            choice.push((node.state, bit));
            let found = match state {
                Atom::Once(Sample::Object) => self.object(node, atoms, left, choice),
                Atom::Once(Sample::Array) => self.array(node, atoms, left, choice),
                _ => self.nothing_below(node, atoms, left, choice),
            };
            if found.is_some() {
                return Some(());
            }
            choice.truncate(before);
        }
        None
    }

    fn object(&self, node: &Node, atoms: &[Vec<Atom>], left: &[Mask], choice: &mut Choice) -> Option<()> {
        for child in &node.children {
            self.choose(*child, atoms, left, choice)?;
        }
        for axis in node.others.iter().chain(&node.variants) {
            choice.push((*axis, first(left[*axis])?));
        }
        Some(())
    }

    /// Items have no gaps: what is named up to the last item is there, and so are those in between that nobody names.
    fn array(&self, node: &Node, atoms: &[Vec<Atom>], left: &[Mask], choice: &mut Choice) -> Option<()> {
        let Some(others) = node.others else { return Some(()) };
        let named = |child: &usize| self.nodes[*child].tokens.last().and_then(|token| index(token));
        let mut places: Vec<usize> = node.children.iter().filter_map(named).collect();
        places.sort_unstable();
        let absent = |axis: usize| atoms[axis].iter().position(|atom| *atom == Atom::Absent);
        let lengths =
            [0].into_iter().chain(places.iter().flat_map(|place| [*place, place.saturating_add(1)]));
        for length in lengths.collect::<BTreeSet<usize>>() {
            let before = choice.len();
            let mut fits = || {
                for child in &node.children {
                    match named(child).filter(|place| *place < length) {
                        Some(_) => {
                            let state = self.nodes[*child].state;
                            let gone = absent(state).map_or(0, |bit| 1 << bit);
                            let mut there = left.to_vec();
                            there[state] &= !gone;
                            self.choose(*child, atoms, &there, choice)?;
                        }
                        None => self.gone(*child, atoms, left, choice)?,
                    }
                }
                for axis in &node.variants {
                    choice.push((*axis, absent(*axis).filter(|bit| left[*axis] >> bit & 1 == 1)?));
                }
                let gaps = places.iter().filter(|place| **place < length).count() < length;
                let axis = others;
                let wanted = if gaps { Atom::Present } else { Atom::Absent };
                let there = |wanted: &Atom| {
                    let bit = atoms[axis].iter().position(|atom| atom == wanted)?;
                    (left[axis] >> bit & 1 == 1).then_some(bit)
                };
                // Items beyond those that are named are no gap, and may be there too.
                let beyond =
                    || (!gaps && places.iter().all(|place| *place < length)).then_some(Atom::Present);
                choice.push((axis, there(&wanted).or_else(|| there(&beyond()?))?));
                Some(())
            };
            if fits().is_some() {
                return Some(());
            }
            choice.truncate(before);
        }
        None
    }

    fn nothing_below(
        &self,
        node: &Node,
        atoms: &[Vec<Atom>],
        left: &[Mask],
        choice: &mut Choice,
    ) -> Option<()> {
        for child in &node.children {
            self.gone(*child, atoms, left, choice)?;
        }
        for axis in node.others.iter().chain(&node.variants) {
            let bit = atoms[*axis].iter().position(|atom| *atom == Atom::Absent)?;
            (left[*axis] >> bit & 1 == 1).then(|| choice.push((*axis, bit)))?;
        }
        Some(())
    }

    fn gone(&self, index: usize, atoms: &[Vec<Atom>], left: &[Mask], choice: &mut Choice) -> Option<()> {
        let node = &self.nodes[index];
        let bit = atoms[node.state].iter().position(|atom| *atom == Atom::Absent)?;
        (left[node.state] >> bit & 1 == 1).then(|| choice.push((node.state, bit)))?;
        self.nothing_below(node, atoms, left, choice)
    }
}

/// A name that differs from this one by case only, and is not among those that are named.
pub(super) fn other_case(name: &str, named: &[&str]) -> Option<String> {
    let forms = |letter: char| -> Vec<char> {
        let strange = match letter.to_ascii_lowercase() {
            's' => Some('\u{17f}'),
            'k' => Some('\u{212a}'),
            _ => None,
        };
        letter.to_lowercase().chain(letter.to_uppercase()).chain(strange).collect()
    };
    let of = folded(name);
    // Each name that is there rules one spelling out.
    let mut spellings = vec![String::new()];
    for letter in name.chars() {
        let longer = spellings
            .iter()
            .flat_map(|start| forms(letter).into_iter().map(move |form| format!("{start}{form}")));
        spellings = longer.collect::<BTreeSet<String>>().into_iter().take(2 * named.len() + 2).collect();
    }
    spellings.into_iter().find(|spelling| folded(spelling) == of && !named.contains(&spelling.as_str()))
}

fn first(mask: Mask) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}
