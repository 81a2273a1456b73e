//! A secret as a path segment.

use super::edit::Edit;
use super::{Placing, misplaced, unwritable};
use cloakroom_model::{Call, Path, Refusal};
use zeroize::Zeroizing;

/// The segment at `index`.
pub(super) fn edit(placing: &Placing, call: &Call, index: usize) -> Result<Edit, Refusal> {
    let segment = call.path.segments().get(index).ok_or_else(misplaced)?;
    if segment.decoded() != &*placing.text {
        return Err(misplaced());
    }
    let encoded = Path::encode_segment(placing.secret_text()?).ok_or_else(unwritable)?;
    Ok(Edit::Path(index, Zeroizing::new(encoded)))
}
