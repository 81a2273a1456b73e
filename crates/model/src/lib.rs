//! The nouns of Cloakroom: what a call, a destination, a placeholder, a principal and a refusal *are*.
//!
//! Pure: nothing here opens a socket, a file or a secret. What to do with the nouns is left to `policy`
//! (decide), `egress` (arm and send), `store` (remember) and `proxy` (listen).

mod call;
mod cid;
mod destination;
mod event;
mod fields;
mod hexadecimal;
mod histogram;
mod hours;
mod id;
mod id_map;
mod lease;
mod ledger;
mod life;
mod member;
mod meters;
mod name;
mod path;
mod place;
mod principal;
mod proof;
mod query;
mod question;
mod record;
mod refusal;
mod required_locks;
mod role;
mod step;
mod timestamp;
mod token;

pub mod pkcs11;
pub mod placeholder;
pub mod signing;

pub use call::{BodyFault, Call, Payload, Rest, Upgrade, Way};
pub use cid::{Cid, CidError};
pub use destination::{Destination, DestinationError, Host, Scheme};
pub use event::{EventKind, SecurityEvent, Severity};
pub use fields::{ends_here, overrides_method, same_variable};
pub use hexadecimal::hexadecimal;
pub use histogram::{CLASSES, Histogram, Spread};
pub use hours::{Hours, HoursError};
pub use id::{
    ApiTokenId, ApprovalId, CredentialId, IdError, LeaseId, LoginId, MemberId, PlaceholderId, ProposalId,
    RequestId, SessionId, WorkloadId,
};
pub use id_map::{IdHasher, IdMap};
pub use lease::{LeaseRecord, LeaseState};
pub use ledger::{Intent, IntentUse, Ledger};
pub use life::{Change, End, Life, Stage};
pub use member::{ApiTokenRecord, MemberRecord, SessionRecord, SignOnSubject};
pub use meters::{Meters, Reading};
pub use name::{Name, NameError};
pub use path::{Path, Segment};
pub use place::{HeaderForm, Place, PlaceError};
pub use placeholder::unwrap as unwrap_placeholder;
pub use placeholder::{CoreId, KeyedHash, LookupKey, PlaceholderText, Shape};
pub use principal::Principal;
pub use proof::{Fingerprint, Guest, Marks, Proof, Proofs, ProofsError, Source};
pub use query::{Pair, Query, form_pairs};
pub use question::{CallApproval, Question};
pub use record::{
    ApprovalRecord, ApproverAct, ApproverChange, ClaimRecord, Claimed, CredentialKind, CredentialRecord,
    OnMisuse, PlaceholderRecord, PlaceholderState, Rows, SealedSecret, Signature, WorkloadRecord,
};
pub use refusal::{Code, Facts, LastUse, Refusal};
pub use required_locks::RequiredLocks;
pub use role::{Role, Roles};
pub use signing::Signing;
pub use step::Step;
pub use timestamp::Timestamp;
pub use token::{CapturedRecord, Token};
