//! Permits in, a decision out. Pure: no clock, no socket, no file, no randomness.
//!
//! ```text
//! policy file -- Policy::parse --> Policy (normal form) --> Grant -- approver signs --> row
//! rows -- PolicySet::assert_active --> snapshot
//! call -- Identified::new --> Identified -- authorize --> Authorized --> egress
//! handshake without a placeholder -- PolicySet::open_channel --> OpenChannel --> egress
//! message on a WebSocket -- MessageJudge::judge --> MessageUse --> egress
//! ```
//!
//! Reading secrets, sending calls and storing rows are left to others; this crate sees none of them.

mod allow;
mod approver;
mod authorized;
mod channel;
mod class;
mod constraint;
mod contain;
mod decide;
mod escape;
mod file;
mod github;
mod grant;
mod identified;
mod json;
mod learn;
mod lint;
mod look;
mod message;
mod misplaced;
mod number;
mod own;
mod permit;
mod phrase;
mod pointer;
mod policy;
mod question;
mod region;
mod remarks;
mod repeats;
mod replay;
mod review;
mod search;
mod session;
mod set;
mod signing_text;
pub mod sigv4;
mod spot;
mod template;
mod text;
mod tokens;
mod toml_text;

pub mod fuzz;

pub use approver::{
    ApprovalRule, ApprovalRules, Approver, Approvers, Attestation, Head, LoginTicket, PasskeyTicket, Purpose,
    RelyingParty, Tally, base64url, passkey_id,
};
pub use authorized::{Authorized, Use};
pub use channel::OpenChannel;
pub use class::Class;
pub use contain::Containment;
pub use decide::is_refresh;
pub use escape::quoted;
pub use file::Complaint;
pub use github::{Access, Narrowing};
pub use grant::Grant;
pub use identified::Identified;
pub use learn::{Busy, Lesson, Lessons, Proposed};
pub use lint::Finding;
pub use message::{MessageJudge, MessageUse};
pub use phrase::phrase;
pub use policy::Policy;
pub use region::Example;
pub use remarks::{Background, Service};
pub use repeats::{MOST_KEPT_KIB, MOST_SENDS, Repeatable, WINDOW_MINUTES};
pub use replay::{Replayed, Tuple};
pub use review::{Change, Diff, Explained, Proof, Verdict};
pub use set::{
    CapturedPlaceholder, CapturedSet, HeldPermit, Holding, Ignored, PolicySet, Recognised, Showing,
};
pub use spot::{Signature, Spot};
pub use tokens::Capture;
