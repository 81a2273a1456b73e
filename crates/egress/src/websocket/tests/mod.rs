//! The codec: every rule of the protocol, and the same one step wrong. The relay: real policies and custody, raw peers.

mod codec;
mod compression;
mod relay;
mod rules;
