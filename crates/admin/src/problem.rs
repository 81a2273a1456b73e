//! An admin *no*: problem+json (RFC 9457) with a stable code and a hint. For operators, so it may name things.

use crate::wire::{Complaint, ProblemDocument};
use axum::response::{IntoResponse, Response};
use cloakroom_store::{StoreError, journal::JournalError};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:ident $title:literal $hint:literal;)*) => {
        /// Every reason for which the admin API says no. Closed, and never renamed: programs branch on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ProblemCode { $($(#[$doc])* $variant,)* }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it stands in the answer.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> StatusCode { match self { $(Self::$variant => StatusCode::$status,)* } }

            /// The same for each occurrence.
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }

            /// What the reader can do next, where the occurrence has nothing better to say.
            pub const fn hint(self) -> &'static str { match self { $(Self::$variant => $hint,)* } }
        }
    };
}

codes! {
    /// The request is not the JSON that the route takes.
    MalformedRequest "malformed-request" BAD_REQUEST "the request is not what this route takes"
        "compare the members with the documentation of the admin API";
    /// The policy does not parse.
    BadPolicy "bad-policy" UNPROCESSABLE_ENTITY "the policy has errors"
        "run: cloakroom policy check FILE";
    /// The policy names a destination that the credential may not go to.
    DestinationOutsideCredential "destination-outside-credential" UNPROCESSABLE_ENTITY "the policy goes where the credential may not"
        "name only destinations of the credential, or deposit the credential anew with a further --to";
    /// The secret cannot be kept.
    SecretNotAccepted "secret-not-accepted" UNPROCESSABLE_ENTITY "the secret was not accepted"
        "a secret has 8 bytes to 16 KiB and no line break or NUL";
    /// A parcel's label or secret was changed on the way.
    DropOffNotOpened "drop-off-not-opened" UNPROCESSABLE_ENTITY "the parcel does not open"
        "take it from who sealed it once more; if it is the same, somebody on the way changes parcels";
    /// A parcel for a key that there is not, or not any more.
    DropOffKeyUnknown "drop-off-key-unknown" UNPROCESSABLE_ENTITY "the parcel is sealed to another key"
        "have it sealed anew to the current key: cloakroom drop-off show";
    /// A parcel after its end, or with an end that is too far away.
    DropOffExpired "drop-off-expired" UNPROCESSABLE_ENTITY "the parcel is not good at this time"
        "have it sealed anew, with an end within 90 days: --good-for 7d";
    /// A parcel that was taken before.
    DropOffTaken "drop-off-taken" CONFLICT "the parcel was taken already"
        "each parcel is taken once; a new secret comes in a new parcel";
    /// A login could not be begun.
    LoginFailed "login-failed" UNPROCESSABLE_ENTITY "the login came to nothing"
        "see docs/oauth.md for what a login needs";
    /// Nothing has this name or id.
    NotFound "not-found" NOT_FOUND "there is no such thing"
        "list what there is with the command 'list'";
    /// No such route.
    NoSuchRoute "no-such-route" NOT_FOUND "there is no such route"
        "the routes begin with /api/v1/; the CLI and the broker may be of different versions";
    /// The route does not take this method.
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "the route does not take this method"
        "the CLI and the broker may be of different versions";
    /// The listening sockets went to another process.
    HandedOver "handed-over" CONFLICT "the listening sockets are handed over already"
        "wait until the other broker is ready, or look at its log";
    /// The name is in use.
    NameTaken "name-taken" CONFLICT "the name is in use"
        "choose another name, or remove the present holder first";
    /// What is asked does not fit the present state.
    Conflict "conflict" CONFLICT "this does not fit the present state"
        "look at the present state with the command 'show'";
    /// The state is not the one that the request is bound to.
    ChangedMeanwhile "changed-meanwhile" PRECONDITION_FAILED "it was changed meanwhile"
        "read it again, and send the entity tag that it has now";
    /// The key of a request that made something came again with another one.
    IdempotencyKeyReused "idempotency-key-reused" UNPROCESSABLE_ENTITY "the Idempotency-Key was used before"
        "choose another key for another request";
    /// The signature does not verify.
    SignatureNotValid "signature-not-valid" FORBIDDEN "the signature does not verify"
        "sign with the key of an enrolled approver: DIR/approver.key";
    /// The process at the other end of the socket belongs to another user.
    PeerNotPermitted "peer-not-permitted" FORBIDDEN "this user may not operate the broker"
        "run the command as the user that the broker runs as, or as root";
    /// Nothing in the request says who asks.
    NotAuthenticated "not-authenticated" UNAUTHORIZED "it is not known who asks"
        "log in at the console, or send an API token: cloakroom token create NAME --role ROLE";
    /// Whoever asks may not do this.
    RoleMissing "role-missing" FORBIDDEN "the caller may not do this"
        "ask an operator";
    /// A page of another site had a browser send this.
    CrossSite "cross-site" FORBIDDEN "the request does not come from the console's own pages"
        "use the console's own pages; programs use an API token";
    /// A single sign-on came to nothing.
    SignOnFailed "sign-on-failed" FORBIDDEN "the single sign-on came to nothing"
        "begin again at /login, in one browser; whoever has a passkey logs in with that";
    /// A provider vouches for somebody whom nobody here knows.
    SignOnUnknown "sign-on-unknown" FORBIDDEN "nobody here goes by this single sign-on"
        "an operator lets you in: cloakroom member add NAME --subject SUBJECT --role ROLE";
    /// The provider of the single sign-on does not answer.
    SignOnUnavailable "sign-on-unavailable" BAD_GATEWAY "the provider of the single sign-on does not answer"
        "log in with a passkey, or try again later";
    /// Too many attempts from one address.
    TooManyAttempts "too-many-attempts" TOO_MANY_REQUESTS "too many attempts"
        "wait a minute";
    /// The console was called under a name that is not its own.
    HostNotPermitted "host-not-permitted" FORBIDDEN "the console does not answer to this host name"
        "open the console as http://127.0.0.1:PORT/ or http://localhost:PORT/";
    /// The broker holds no root key, and this needs one.
    BrokerSealed "broker-sealed" SERVICE_UNAVAILABLE "the broker is sealed"
        "look at: cloakroom custody status; then run: cloakroom custody unseal";
    /// What was brought does not unseal.
    NotUnsealed "not-unsealed" FORBIDDEN "the broker was not unsealed"
        "look at: cloakroom custody status";
    /// The record cannot be written, so nothing was done.
    JournalUnavailable "journal-unavailable" SERVICE_UNAVAILABLE "the journal cannot be written"
        "nothing was changed; repair the disk below DIR/journal, then restart the broker";
    /// The change is stored but could not be put in force; the broker refuses all calls.
    NotInForce "not-in-force" INTERNAL_SERVER_ERROR "the change could not be put in force"
        "until it can, the broker refuses every call; repair the store, then restart the broker";
    /// The store failed.
    StoreFailed "store-failed" INTERNAL_SERVER_ERROR "the store failed"
        "look at the broker's log; check space and permissions of the data directory";
    /// A fault of the broker.
    InternalFault "internal-fault" INTERNAL_SERVER_ERROR "the broker failed"
        "look at the broker's log";
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One admin *no*: a code, a sentence for this occurrence, a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    hint: Option<String>,
    complaints: Vec<Complaint>,
}

impl Problem {
    /// A problem with the sentence that holds for this occurrence.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), hint: None, complaints: Vec::new() }
    }

    /// A better hint than the code's.
    #[must_use]
    pub fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The complaints about a policy file.
    #[must_use]
    pub fn complaining(mut self, complaints: Vec<Complaint>) -> Self {
        self.complaints = complaints;
        self
    }

    /// The code.
    pub fn code(&self) -> ProblemCode {
        self.code
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The document as it is sent.
    pub fn document(&self) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("urn:cloakroom:admin:{}", self.code),
            title: self.code.title().into(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().into(),
            hint: self.hint.clone().unwrap_or_else(|| self.code.hint().into()),
            complaints: self.complaints.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut answer = (self.code.status(), [(header::CONTENT_TYPE, kind)], body).into_response();
        if self.code == ProblemCode::NotAuthenticated {
            // SPEC: RFC 9110, section 15.5.2: a 401 says how one authenticates.
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Exists { .. } => Self::new(ProblemCode::NameTaken, text),
            StoreError::Missing { .. } => Self::new(ProblemCode::NotFound, text),
            StoreError::Conflict(_) => Self::new(ProblemCode::Conflict, text),
            _ => Self::new(ProblemCode::StoreFailed, text),
        }
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        Self::new(ProblemCode::JournalUnavailable, error.to_string())
    }
}

impl From<getrandom::Error> for Problem {
    fn from(_: getrandom::Error) -> Self {
        Self::new(ProblemCode::InternalFault, "the operating system gives no random bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_it_serialises() {
        for code in ProblemCode::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn a_failed_journal_is_a_503() {
        let problem = Problem::from(JournalError::Failed("disk full".into()));
        assert_eq!(problem.document().status, 503);
        assert_eq!(problem.document().code, "journal-unavailable");
    }
}
