//! The search without anything that makes it fast, to compare with: each needle alone, at each position, over the whole text.

use super::finder::{Finder, Target};
use super::form::Form;
use super::needle::Needle;
use super::needles::Needles;
use std::sync::Arc;

/// The needles of some secrets, each by itself.
pub(super) struct Reference(Vec<Finder>);

impl Reference {
    pub(super) fn new(secrets: &[(&str, &str)]) -> Self {
        let alone = |needle: Needle, placeholder: &str| {
            let needles = Arc::new(Needles::unasked(vec![needle]));
            Finder::alone(vec![Target { needles, placeholder: placeholder.into() }])
        };
        let all = |(secret, placeholder): &(&str, &str)| {
            let forms = Form::all(secret.as_bytes()).into_iter();
            forms.map(|form| alone(form.needle(secret.as_bytes()), placeholder)).collect::<Vec<_>>()
        };
        Self(secrets.iter().flat_map(all).collect())
    }

    /// Leftmost, and there longest, and there first: no table, no holding back.
    pub(super) fn scrub(&self, text: &[u8]) -> Vec<u8> {
        let mut clean = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let finds = self.0.iter().filter_map(|finder| finder.stands_at(text, at));
            match finds.rev().max_by_key(|find| find.end) {
                Some(find) => {
                    clean.extend_from_slice(&find.replacement);
                    at = find.end;
                }
                None => {
                    clean.push(text[at]);
                    at += 1;
                }
            }
        }
        clean
    }
}
