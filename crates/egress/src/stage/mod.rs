//! The stages that follow `Authorized`: armed, returned, answered. Each is consumed by the next; none is `Clone`.

mod accepted;
mod answer;
mod armed;
mod body;
mod charset;
mod interim;
mod messages;
mod out_body;
mod proving;
mod returned;

pub(crate) use accepted::Accepted;
pub use answer::Answer;
pub(crate) use armed::target;
pub use armed::{Arm, Armed};
pub use body::{ScrubbedBody, Tally};
pub use interim::Interim;
pub(crate) use out_body::OutBody;
pub use returned::Returned;
pub(crate) use returned::read_whole;

#[cfg(test)]
mod tests;
