//! A secret as the value of a query key.

use super::edit::Edit;
use super::{Placing, misplaced};
use cloakroom_model::{Call, Query, Refusal};
use zeroize::Zeroizing;

/// The value of the pair at `index`. Percent-encoding writes any text safely.
pub(super) fn edit(placing: &Placing, call: &Call, index: usize) -> Result<Edit, Refusal> {
    let pair = call.query.pairs().get(index).ok_or_else(misplaced)?;
    if pair.value() != &*placing.text {
        return Err(misplaced());
    }
    Ok(Edit::Query(index, Zeroizing::new(Query::encode_value(placing.secret_text()?))))
}
