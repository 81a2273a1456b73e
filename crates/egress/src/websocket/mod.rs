//! WebSocket (RFC 6455) on both hops of a call: each hop is spoken on its own, and messages are handed from one to the other.
//!
//! `frame` and `decoder` are the codec, without any I/O. What the messages may hold is `policy`'s decision.

mod close;
mod decoder;
mod deflate;
mod extension;
mod frame;
mod handshake;
mod violation;

pub use handshake::{Carrier, Greeting};

#[cfg(test)]
mod tests;
