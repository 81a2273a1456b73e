//! The grammar of HTTP/1.1, strict and without I/O, for both sides of the broker.
//!
//! What a message *means*, and who is told that it is refused, is left to `proxy` and `egress`.

mod chunked;
mod fault;
mod field;
mod head_end;
mod reply_framing;
mod reply_head;

pub use chunked::{Chunked, Step};
pub use fault::Fault;
pub use field::{Field, field, is_tchar, shared_field};
pub use head_end::HeadEnd;
pub use reply_framing::ReplyFraming;
pub use reply_head::{ReplyHead, Version};
