//! The placeholder: random, shaped like the credential it stands for, recognised anywhere, embedding nothing.
//!
//! Every placeholder holds a *core*, at least 128 random bits, followed by a *tag*, a keyed function of the core:
//!
//! ```text
//! sk_live_ q8Z…22 characters…Yt 7dKq2P 9xB
//! prefix   core (random)        tag    filler (random)
//! ```
//!
//! With the broker's [`LookupKey`] the tag picks placeholders out of any text at one SipHash per position, and the
//! keyed index of the core ([`CoreId`]) finds the row: no scan of a table, and retired ones are known for ever. Without
//! the key a placeholder is uniformly random text. The store keeps [`CoreId`] and [`KeyedHash`], never the text.

mod altered;
mod claim;
mod decoded;
mod key;
mod mint;
mod shape;
mod sighting;
mod stretch;

pub use claim::{ClaimCode, Wrapped, unwrap};
pub use key::{CoreId, KeyedHash, LookupKey};
pub use mint::{Minted, PlaceholderText};
pub use shape::{Alphabet, Piece, Shape};
