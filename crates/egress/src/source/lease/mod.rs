//! Leases: secrets that a source made for this broker alone, and that are given back.
//!
//! ```text
//!  row "asked", durable ──► the source lends ──► row "held", durable ──► placed into calls, renewed
//!                                                                              │ nobody needs it any more
//!        no row  ◄── the source says that it is gone ◄── row "ending" ◄────────┘
//! ```
//!
//! INVARIANT: there is a durable row before the source is asked, and until the source has said that the lease is gone.

mod book;
mod entry;
mod handle;
mod leases;

pub use book::{LeaseBook, LeaseStep};
pub(super) use handle::Handle;
pub(crate) use leases::{Leases, Task};
