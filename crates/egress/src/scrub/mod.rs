//! Taking secrets out of replies: headers, trailers and bodies, in every common encoding, while they stream.
//!
//! What is looked for, and what is not, is in `docs/scrubbing.md`.

mod cache;
mod finder;
mod form;
mod needle;
mod needles;
mod scrubber;
mod spelling;

pub(crate) use cache::NeedleCache;
pub(crate) use finder::{Finder, Target};
pub(crate) use needles::{BasicHalf, Needles};
pub(crate) use scrubber::Scrubber;
