//! WebSocket (RFC 6455) on both hops of a call: each hop is spoken on its own, and messages are handed from one to the other.
//!
//! `frame`, `decoder`, `close` and `deflate` are the codec, without any I/O; `hop` speaks it with one peer; `out` and `back` are the two
//! directions of a channel. What the messages may hold is `policy`'s decision.

mod back;
mod channel;
mod close;
mod decoder;
mod deflate;
mod ending;
mod extension;
mod frame;
mod handshake;
mod hop;
mod out;
mod state;
mod violation;

pub(crate) use channel::Io;
pub use channel::{Channel, ChannelLimits, Ended, Terms};
pub(crate) use extension::{OFFER, agreed, is_offered};
pub(crate) use handshake::accept_of;
pub use handshake::{Carrier, Greeting};
pub use state::ChannelTally;

#[cfg(test)]
mod tests;
