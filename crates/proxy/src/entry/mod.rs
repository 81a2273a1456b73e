//! What a new connection is: who stands behind a balancer, TLS, SOCKS5 or HTTP, told by its first bytes.
//!
//! Messages are read by pure functions over the bytes so far; `early` alone touches the connection, `arrival` puts the
//! answers together.

mod arrival;
mod balancer;
mod beside;
mod boot;
mod certificate;
mod early;
mod renewed;
mod settings;
mod sniff;
mod socks;
mod steered;

pub(crate) use arrival::{Arrival, GRACE, serve, turn_away};
pub use beside::BesideTls;
pub use boot::BootNonce;
pub(crate) use certificate::EntryTls;
pub use certificate::GivenCertificate;
pub use renewed::{CHECK_PROTOCOL, Checks, RenewedCertificate, Validity};
pub use settings::{Certificate, Entrance};
pub(crate) use steered::{Steered, destined, serve as serve_steered};

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
