//! The codec: every rule of the protocol, and the same one step wrong.

mod codec;
mod compression;
mod rules;
