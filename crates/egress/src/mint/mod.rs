//! Access tokens that the broker has made: the workload's placeholder stands for a grant, and the grant never leaves for the destination.
//!
//! ```text
//!            sealed recipe (refresh token, OAuth client's secret, private key)
//!                 │ opened for one exchange
//!                 ▼
//!  authorization server ◄── token endpoint only ──► access token ──► in memory, shared while it is valid
//! ```
//!
//! A recipe is what custody keeps instead of a secret. One exchange at a time and credential; whoever needs the access token meanwhile waits
//! for it. A new refresh token is durable before the old one is forgotten.

mod ask;
mod dpop;
mod exchange;
mod federation;
mod health;
mod installation;
mod jwt;
mod live;
pub(crate) mod login;
mod oauth_client;
mod recipe;
mod refresh;
mod remembered;
mod revoke;
mod role;
mod token_exchange;

pub(crate) use ask::{Asker, read};
pub(crate) use dpop::{NONCE, PROOF, Prover, hash_of};
pub(crate) use exchange::{Failure, retry_after};
pub(crate) use federation::Federation;
pub use health::Health;
pub use live::{Keeper, Kept};
pub(crate) use live::{Live, Means, Mint, Stock};
pub(crate) use recipe::Recipe;
pub(crate) use remembered::Remembered;
pub use revoke::{Farewell, Revocation};
pub use role::RoleSession;
pub(crate) use role::{Asking, Role, Sessions, Whose};
