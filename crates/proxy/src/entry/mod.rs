//! What a new connection is: who stands behind a balancer, TLS, SOCKS5 or HTTP, told by its first bytes.
//!
//! Messages are read by pure functions over the bytes so far; only `early` touches the connection.

mod balancer;
mod sniff;
mod socks;

/// What bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<T> {
    /// A whole message, and how many bytes it took.
    Whole(T, usize),
    /// The beginning of one.
    Beginning,
}

/// Bytes that can begin no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

/// Reads a message from the beginning of these bytes.
type Parsed<T> = Result<Part<T>, Malformed>;
