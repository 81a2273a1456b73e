//! Why a login came to nothing, in words that hold nothing of what the server said.

use crate::mint::exchange::Failure;
use std::fmt;

/// One reason. Fixed words only: whoever logs in reads them, and so does the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginError {
    code: LoginCode,
    reason: &'static str,
}

/// The kinds of reasons. Closed, and never renamed: programs branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginCode {
    /// What was deposited says too little, or too much.
    NotComplete,
    /// The server does not answer, or with something that is no answer.
    ServerUnavailable,
    /// The server's metadata does not allow a login that is safe.
    MetadataNotUsable,
    /// The answer, or the metadata, comes from another server than asked (RFC 9207, RFC 8414).
    WrongIssuer,
    /// The answer is not one.
    AnswerNotValid,
    /// The person said no.
    Denied,
    /// The server says no.
    Refused,
    /// It took too long.
    Expired,
    /// What the token endpoint gave cannot be kept.
    ReplyNotUsable,
    /// What should say who somebody is does not verify.
    IdTokenNotValid,
}

impl LoginError {
    /// Nobody logged in in time.
    pub const EXPIRED: Self = Self::new(LoginCode::Expired, "nobody logged in in time");
    /// The server did not answer in time.
    pub const SILENT: Self =
        Self::new(LoginCode::ServerUnavailable, "the authorization server did not answer in time");

    pub(crate) const fn new(code: LoginCode, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// Its kind.
    pub const fn code(self) -> LoginCode {
        self.code
    }

    /// The sentence.
    pub const fn reason(self) -> &'static str {
        self.reason
    }

    /// What the reader can do.
    pub const fn hint(self) -> &'static str {
        match self.code {
            LoginCode::NotComplete => "see docs/oauth.md for what a login needs",
            LoginCode::ServerUnavailable => "look whether the server is up, and begin again",
            LoginCode::MetadataNotUsable => "name the endpoints themselves, or ask whoever runs the server",
            LoginCode::WrongIssuer => "nothing was exchanged; find out who answered before you begin again",
            LoginCode::AnswerNotValid => "begin again, and open the URL in one browser only",
            LoginCode::Denied => "begin again, and agree",
            LoginCode::Refused => {
                "compare client id, redirect URI and scope with what is registered at the server"
            }
            LoginCode::Expired => "begin again",
            LoginCode::ReplyNotUsable => "ask for a refresh token: often by a scope such as offline_access",
            LoginCode::IdTokenNotValid => {
                "nobody was let in; compare issuer, client id and clocks with those of the provider"
            }
        }
    }
}

impl LoginCode {
    /// The code's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotComplete => "not-complete",
            Self::ServerUnavailable => "server-unavailable",
            Self::MetadataNotUsable => "metadata-not-usable",
            Self::WrongIssuer => "wrong-issuer",
            Self::AnswerNotValid => "answer-not-valid",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::ReplyNotUsable => "reply-not-usable",
            Self::IdTokenNotValid => "id-token-not-valid",
        }
    }
}

impl From<Failure> for LoginError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(reason, _) | Failure::Unreached(reason) => {
                Self::new(LoginCode::ServerUnavailable, reason)
            }
            Failure::Refused(reason) | Failure::Revoked(reason) => Self::new(LoginCode::Refused, reason),
        }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for LoginError {}
