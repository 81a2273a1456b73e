//! A secret as the value of a form field. The other fields stay as they were sent.

use super::edit::{Edit, Splice};
use super::{Placing, misplaced};
use cloakroom_model::{Call, Query, Refusal, form_pairs};
use std::ops::Range;
use zeroize::Zeroizing;

/// The value of the pair at `index`.
pub(super) fn edit(placing: &Placing, call: &Call, index: usize) -> Result<Edit, Refusal> {
    let body = call.body.whole().ok_or_else(misplaced)?;
    let range = value_range(body, index).ok_or_else(misplaced)?;
    let pair = &body[pair_range(body, index).ok_or_else(misplaced)?];
    let sent = std::str::from_utf8(pair).map_err(|_| misplaced()).and_then(form_pairs)?;
    if sent.first().map(|pair| pair.value()) != Some(&*placing.text) {
        return Err(misplaced());
    }
    let encoded = Query::encode_value(placing.secret_text()?);
    Ok(Edit::Body(Splice { range, with: Zeroizing::new(encoded.into_bytes()) }))
}

fn pair_range(body: &[u8], index: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (at, pair) in body.split(|b| *b == b'&').enumerate() {
        if at == index {
            return Some(start..start + pair.len());
        }
        start += pair.len() + 1;
    }
    None
}

fn value_range(body: &[u8], index: usize) -> Option<Range<usize>> {
    let pair = pair_range(body, index)?;
    let equals = body[pair.clone()].iter().position(|b| *b == b'=')?;
    Some(pair.start + equals + 1..pair.end)
}
