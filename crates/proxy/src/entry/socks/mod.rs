//! SOCKS5 (RFC 1928) with user name and password (RFC 1929): the workload's name and key, and CONNECT.
//!
//! What follows is a tunnel as CONNECT opens one: TLS to intercept, or HTTP in the clear whose calls are upgraded.

mod message;
mod session;

pub(super) use message::NONE_ACCEPTABLE;
pub(super) use session::serve;
