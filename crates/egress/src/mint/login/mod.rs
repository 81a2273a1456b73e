//! A person logs in: the broker asks the authorization server, and what comes of it goes into custody as a grant.
//!
//! ```text
//!  document (sealed by the CLI)  ─► draft ─► browser: URL with state and PKCE challenge ─► answer ─┐
//!  or the grant that there is     │          device: code to type in               ─► polling ─────┤
//!                                 └ metadata of the issuer (RFC 8414)                              ▼
//!                                                              token endpoint ─► refresh token ─► recipe, sealed
//! ```
//!
//! The admin side holds a [`Waiting`] and cannot look into it: the PKCE verifier and the device code never leave this crate, and without
//! them the code of an answer is worth nothing. Who may begin a login, and what is stored, is left to `admin`.

mod code;
mod device;
mod discovery;
mod draft;
mod error;
mod id_token;
mod key_set;
mod sign_on;

pub use code::Answer;
pub use error::{LoginCode, LoginError};
pub use sign_on::{Provider, SignOn, SignedOn};

use super::ask::Asker;
use super::recipe::Recipe;
use crate::upstream::Upstream;
use code::Code;
use device::Device;
use draft::Draft;
pub(crate) use draft::Flow;
use std::fmt;
use std::time::Duration;

/// How long a person may take, and the longest that a device code is waited for.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What a person has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invitation {
    /// Open this URL in a browser. It holds nothing secret but what ties the answer to this login.
    Browser {
        /// The authorization request (RFC 6749, section 4.1.1).
        url: String,
    },
    /// Type a code in, anywhere (RFC 8628, section 3.3).
    Device {
        /// The code.
        user_code: String,
        /// Where.
        verification_uri: String,
        /// The same with the code in it, where the server has one.
        complete: Option<String>,
        /// Until then.
        within: Duration,
    },
}

/// A login that waits for a person. Neither `Clone` nor readable outside.
pub struct Waiting {
    draft: Draft,
    asker: Asker,
    way: Way,
}

enum Way {
    Code(Code),
    Device(Device),
}

/// What a login brought: a grant that is not sealed yet. Readable in custody only.
pub struct LoggedIn {
    pub(crate) recipe: Recipe,
}

/// Begins a login at the server that the document, or the grant that there is, names.
pub(crate) async fn begin(
    origin: Origin<'_>,
    asker: Asker,
    redirect: &str,
    upstream: &Upstream,
) -> Result<(Waiting, Invitation), LoginError> {
    let (draft, flow) = match origin {
        Origin::Document(document) => Draft::of(document, asker, upstream).await?,
        Origin::Recipe(recipe, flow) => (Draft::again(recipe)?, flow),
    };
    let (way, invitation) = match flow {
        Flow::Browser => {
            let (code, url) = Code::begin(&draft, redirect)?;
            (Way::Code(code), Invitation::Browser { url })
        }
        Flow::Device => {
            let (device, invitation) = Device::begin(&draft, asker, upstream).await?;
            (Way::Device(device), invitation)
        }
    };
    Ok((Waiting { draft, asker, way }, invitation))
}

/// What a login begins from.
pub(crate) enum Origin<'a> {
    /// What was deposited for it.
    Document(&'a [u8]),
    /// The grant that a login made before.
    Recipe(Recipe, Flow),
}

impl Waiting {
    /// Whether this answer is to this login (RFC 6749, section 10.12).
    pub fn is_for(&self, answer: &Answer) -> bool {
        matches!(&self.way, Way::Code(code) if code.is_for(answer))
    }

    /// Whether it waits for an answer through the browser.
    pub fn is_for_browsers(&self) -> bool {
        matches!(self.way, Way::Code(_))
    }

    /// Exchanges the code of the answer: once, whatever comes of it.
    pub(crate) async fn redeem(self, answer: Answer, upstream: &Upstream) -> Result<LoggedIn, LoginError> {
        match self.way {
            Way::Code(code) => code.redeem(answer, self.draft, self.asker, upstream).await,
            Way::Device(_) => {
                Err(LoginError::new(LoginCode::AnswerNotValid, "a device's login takes no answer"))
            }
        }
    }

    /// Asks again and again until the person has decided somewhere.
    pub(crate) async fn poll(self, upstream: &Upstream) -> Result<LoggedIn, LoginError> {
        match self.way {
            Way::Device(device) => device.poll(self.draft, self.asker, upstream).await,
            Way::Code(_) => {
                Err(LoginError::new(LoginCode::AnswerNotValid, "a browser's login is not asked for"))
            }
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoggedIn")
    }
}
