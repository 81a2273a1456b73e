//! HTTP/2 with workloads (RFC 9113): each stream is a request of its own, heard at the same desk as any other.
//!
//! Frames, HPACK and the states of streams are the `h2` crate's; what it leaves open is decided here: floods (`guard`),
//! the one reading of a head (`head`), flow control end to end (`upload`, `answer`), tunnels in streams (`pipe`).
//! Why not hyper's server: `docs/decisions/0015-http2.md`.

mod answer;
mod connection;
mod flood;
mod frames;
mod guard;
mod head;
mod pipe;
mod stream;
mod upload;

pub(crate) use connection::serve;
