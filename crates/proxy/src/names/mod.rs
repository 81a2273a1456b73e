//! Names for workloads behind a lock: an address of a pool stands for each name that a permit names, and nobody is asked for it.
//!
//! SECURITY: a question is answered from the policies and from nothing else, so no name that a workload makes up leaves the machine (T52).

mod answer;
mod meter;
mod pool;
mod serve;
mod shares;

pub(crate) use pool::Why;
pub use pool::{Pool, PoolError};
pub use serve::{NameListeners, serve_names};
