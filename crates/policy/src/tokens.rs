//! What a permit says about tokens that a token endpoint grants: that the reply is searched for them, and what may be done with them.
//!
//! A token that a reply brought becomes a placeholder of the same policy: what may be done with it stands in permits that were
//! approved before it existed.

use crate::permit::Permit;
use cloakroom_model::Token;
use serde::{Deserialize, Serialize};

/// What a permit says of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    /// What becomes of the tokens in the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) capture: Option<Capture>,
    /// What the placeholder in the call stands for; absent: the credential that it was issued for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) presents: Option<Token>,
}

/// What becomes of the tokens in the reply of a token endpoint (RFC 6749, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capture {
    /// Access and refresh tokens become placeholders of this policy; ID tokens are withheld.
    Oauth,
    /// ID tokens become placeholders too.
    OauthAndIdToken,
    /// They become placeholders of another credential's policy, whose placeholder stands in the same call.
    Beside,
}

const fn words(token: Token) -> &'static str {
    match token {
        Token::AccessToken => "an access token",
        Token::RefreshToken => "a refresh token",
        Token::IdToken => "an ID token",
    }
}

impl Capture {
    /// Whether a token of this kind becomes a placeholder.
    pub const fn takes(self, token: Token) -> bool {
        match self {
            Self::Oauth => !matches!(token, Token::IdToken),
            Self::OauthAndIdToken => true,
            Self::Beside => false,
        }
    }
}

impl Tokens {
    pub(crate) fn is_silent(&self) -> bool {
        self.capture.is_none() && self.presents.is_none()
    }

    /// COMPAT: nothing where the permit says nothing, as in texts that were signed before there was capture.
    pub(crate) fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.presents.map(|token| {
            format!("the credential is there: {} that a permit of this policy captured", words(token))
        }));
        lines.extend(self.capture.map(|capture| {
            let words = match capture {
                Capture::Oauth => {
                    "tokens in the reply become placeholders of this policy, for what its permits say of captured tokens; ID tokens are withheld"
                }
                Capture::OauthAndIdToken => {
                    "tokens in the reply, ID tokens too, become placeholders of this policy, for what its permits say of captured tokens"
                }
                Capture::Beside => {
                    "only beside a placeholder whose permit captures the tokens in the reply; they become placeholders of that one's policy"
                }
            };
            format!("capture: {words}")
        }));
        lines
    }
}

impl Permit {
    pub(crate) fn tokens_toml(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.tokens.presents.map(|token| format!("presents = \"{}\"", token.as_str())));
        match self.tokens.capture {
            None => {}
            Some(Capture::Beside) => lines.push("capture = \"beside\"".to_owned()),
            Some(Capture::Oauth) => lines.push("capture = \"oauth\"".to_owned()),
            Some(Capture::OauthAndIdToken) => {
                lines.push("capture = \"oauth\"".to_owned());
                lines.push("id_token = \"replace\"".to_owned());
            }
        }
        lines
    }
}
