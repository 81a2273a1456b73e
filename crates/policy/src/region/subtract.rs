//! Taking products away from a product: what is left is a list of smaller products.
//!
//! A call is outside a cover when it is outside on one axis at least. So what is left of a product is one product for each
//! axis: outside on that axis, inside on those before it. The next cover is taken away from each of these.

use super::body;
use super::space::{Atom, Axis, Content, Mask, Space};
use crate::permit::Permit;
use cloakroom_model::Place;

/// A product that is left: in no cover, and not empty.
pub(super) struct Left {
    /// What is left of each axis.
    pub(super) masks: Vec<Mask>,
    /// By which axis it is outside of which cover.
    pub(super) outside: Vec<(usize, usize)>,
}

/// How many products are looked at, for one kind of body of one call. Beyond, nobody reads the answer either.
const MOST_STEPS: usize = 20_000;

/// At most `most` of the products that are left. `None` where it would take too long to find them.
pub(super) fn subtract(space: &Space<'_>, most: usize) -> Option<Vec<Left>> {
    let mut work = Work { space, most, steps: 0, found: Vec::new(), outside: Vec::new() };
    let full = space.full();
    let swallows = |masks: &Vec<Mask>| masks.iter().zip(&full).all(|(mask, full)| mask & full == *full);
    if space.covers.iter().any(|cover| swallows(&cover.masks)) {
        return Some(Vec::new());
    }
    let finished = work.take_away(full, 0);
    (!space.overflows && (finished || !work.found.is_empty())).then_some(work.found)
}

struct Work<'s, 'p> {
    space: &'s Space<'p>,
    most: usize,
    steps: usize,
    found: Vec<Left>,
    outside: Vec<(usize, usize)>,
}

impl Work<'_, '_> {
    /// Whether it came to an end before the bound.
    fn take_away(&mut self, masks: Vec<Mask>, cover: usize) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return false;
        }
        if self.found.len() >= self.most || !is_possible(self.space, &masks) {
            return true;
        }
        let Some(taken) = self.space.covers.get(cover) else {
            self.found.push(Left { masks, outside: self.outside.clone() });
            return true;
        };
        if masks.iter().zip(&taken.masks).any(|(own, others)| own & others == 0) {
            self.note_why(&masks, cover);
            let finished = self.take_away(masks, cover + 1);
            self.outside.pop();
            return finished;
        }
        let mut inside = masks.clone();
        for axis in 0..masks.len() {
            let rest = masks[axis] & !taken.masks[axis];
            if rest != 0 {
                let mut left = inside.clone();
                left[axis] = rest;
                self.outside.push((axis, cover));
                let finished = self.take_away(left, cover + 1);
                self.outside.pop();
                if !finished {
                    return false;
                }
            }
            inside[axis] &= taken.masks[axis];
        }
        true
    }

    /// The product is outside of the cover already: by which axis.
    fn note_why(&mut self, masks: &[Mask], cover: usize) {
        let taken = &self.space.covers[cover].masks;
        let apart = (0..masks.len()).filter(|axis| masks[*axis] & taken[*axis] == 0);
        let known = |axis: &usize| self.outside.iter().any(|(own, _)| own == axis);
        let (axis, others): (Vec<usize>, Vec<usize>) = apart.partition(known);
        let axis = axis.into_iter().chain(others).next().unwrap_or(0);
        self.outside.push((axis, cover));
    }
}

/// Whether some call is in this product.
fn is_possible(space: &Space<'_>, masks: &[Mask]) -> bool {
    masks.iter().all(|mask| *mask != 0)
        && (space.content != Content::Form || is_form(space, masks))
        && space.tree.chosen(&space.atoms, masks).is_some()
}

/// A form is not empty, and not longer than its fields can be.
fn is_form(space: &Space<'_>, masks: &[Mask]) -> bool {
    if names_a_field(space, masks).is_none() && !has_own_field(space.part.permit) {
        return false;
    }
    let there = |axis: usize, wanted: &dyn Fn(&Atom) -> bool| {
        let atoms = space.atoms[axis].iter().enumerate();
        atoms.filter(|(bit, _)| masks[axis] >> bit & 1 == 1).any(|(_, atom)| wanted(atom))
    };
    let find = |wanted: &dyn Fn(&Axis) -> bool| space.axes.iter().position(wanted);
    let may_be = |key: Option<&str>| {
        let axis = find(&|axis| match (axis, key) {
            (Axis::Field(own), Some(key)) => own == key,
            (Axis::OtherFields, None) => true,
            _ => false,
        });
        axis.map_or((false, false), |axis| {
            let often = there(axis, &|atom| matches!(atom, Atom::Repeated(_)));
            (often || there(axis, &|atom| *atom != Atom::Absent), often)
        })
    };
    let Some(longest) = body::longest_form(&space.part, may_be) else { return true };
    find(&|axis| *axis == Axis::Size).is_none_or(|axis| {
        there(axis, &|atom| matches!(atom, Atom::UpTo(low, _) | Atom::Beyond(low) if *low < longest))
    })
}

fn has_own_field(permit: &Permit) -> bool {
    matches!(permit.place, Place::Form(_))
}

/// An axis and an atom of it by which a form has a field, so that it is not empty.
pub(super) fn names_a_field(space: &Space<'_>, masks: &[Mask]) -> Option<(usize, usize)> {
    let of_form = |axis: &usize| matches!(space.axes[*axis], Axis::Field(_) | Axis::OtherFields);
    (0..space.axes.len()).filter(of_form).find_map(|axis| {
        let there = |bit: &usize| masks[axis] >> bit & 1 == 1 && space.atoms[axis][*bit] != Atom::Absent;
        (0..space.atoms[axis].len()).find(there).map(|bit| (axis, bit))
    })
}
