//! placeholder
use crate::fault::Fault;
pub(crate) fn run(_s: u64) -> Result<(), Fault> {
    Ok(())
}
