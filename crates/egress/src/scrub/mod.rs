//! Taking secrets out of replies: headers, trailers and bodies, in every common encoding, while they stream.
//!
//! What is looked for, and what is not, is in `docs/scrubbing.md`.

mod bundle;
mod cache;
mod coding;
mod finder;
mod fit;
mod form;
#[cfg(any(test, feature = "fuzz"))]
#[cfg_attr(not(feature = "fuzz"), expect(unreachable_pub, reason = "public for fuzz targets only"))]
pub mod fuzz;
#[cfg(feature = "fuzz")]
pub mod gauge;
mod head;
mod index;
mod needle;
mod needles;
#[cfg(any(test, feature = "fuzz"))]
mod reference;
mod scrubber;
mod sieve;
mod spelling;
mod walk;

pub(crate) use cache::NeedleCache;
pub(crate) use coding::{Coding, Decoder};
pub(crate) use finder::{Finder, Target};
pub(crate) use fit::Fit;
pub(crate) use head::scrub_fields;
pub(crate) use needles::{BasicHalf, Needles};
pub(crate) use scrubber::Scrubber;

#[cfg(test)]
pub(crate) mod tests;
