//! The page of each refusal, as `docs/refusals/` has it: what it means and what can be done, in fixed words.

use cloakroom_model::Code;

macro_rules! pages {
    ($($variant:ident $text:literal,)*) => {
        /// The page, in Markdown.
        pub(crate) const fn page(code: Code) -> &'static str {
            match code {
                $(Code::$variant => include_str!(concat!("../../../docs/refusals/", $text, ".md")),)*
            }
        }
    };
}

pages! {
    MalformedCall "malformed-call",
    AmbiguousCall "ambiguous-call",
    UnknownWorkload "unknown-workload",
    UnknownPlaceholder "unknown-placeholder",
    WrongWorkload "wrong-workload",
    PlaceholderPending "placeholder-pending",
    PlaceholderRevoked "placeholder-revoked",
    PlaceholderFrozen "placeholder-frozen",
    PlaceholderNotYet "placeholder-not-yet",
    PlaceholderExpired "placeholder-expired",
    PlaceholderSpent "placeholder-spent",
    DestinationNotPermitted "destination-not-permitted",
    CallNotPermitted "call-not-permitted",
    PlaceNotPermitted "place-not-permitted",
    BodyNotPermitted "body-not-permitted",
    RateLimited "rate-limited",
    ApprovalRequired "approval-required",
    ApprovalDenied "approval-denied",
    AddressNotPermitted "address-not-permitted",
    UpstreamUnreachable "upstream-unreachable",
    UpstreamUntrusted "upstream-untrusted",
    UpstreamTimeout "upstream-timeout",
    ResponseNotScrubbable "response-not-scrubbable",
    BrokerSealed "broker-sealed",
    CredentialUnavailable "credential-unavailable",
    LoginRequired "login-required",
    JournalUnavailable "journal-unavailable",
    NotLocked "not-locked",
    InternalFault "internal-fault",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_own_page_which_says_what_a_workload_can_do() {
        for code in Code::ALL {
            assert!(page(*code).starts_with(&format!("# `{code}`\n")), "{code}");
            assert!(page(*code).contains("\n## What the workload can do\n"), "{code}");
        }
    }
}
