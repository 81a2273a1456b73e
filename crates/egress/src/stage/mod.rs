//! The stages that follow `Authorized`: armed, returned, answered. Each is consumed by the next; none is `Clone`.

mod answer;
mod armed;
mod out_body;
mod returned;

pub use answer::{Answer, ScrubbedBody, Tally};
pub use armed::{Arm, Armed};
pub(crate) use out_body::OutBody;
pub use returned::Returned;
