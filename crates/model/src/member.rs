//! Who uses the console and the admin API over the network, as the store keeps it: people, their sessions, and API tokens.

use crate::{ApiTokenId, KeyedHash, MemberId, Name, Roles, SessionId, Timestamp};
use std::fmt;
use std::str::FromStr;

/// A person who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id.
    pub id: MemberId,
    /// What others call that person.
    pub name: Name,
    /// What the person may do. To approve is in no row: that follows from the approvers' signed changes.
    pub roles: Roles,
    /// What the person is known by: a passkey in the words of `approver.pub`, or a [`SignOnSubject`] as it is written.
    pub key: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was taken away.
    pub removed: Option<Timestamp>,
}

/// A browser that somebody has logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id, which opens nothing.
    pub id: SessionId,
    /// Keyed hash of what the browser sends by itself.
    pub hash: KeyedHash,
    /// Keyed hash of what its pages hold, and add to what changes something.
    pub half: KeyedHash,
    /// Who logged in, as others are told.
    pub name: String,
    /// What that person is known by, as in [`MemberRecord`].
    pub key: Option<String>,
    /// The roles that a provider's groups gave to somebody who is no member. Those of members are looked up at each request.
    pub roles: Roles,
    /// When it began.
    pub begun: Timestamp,
    /// When it was used last, to the minute.
    pub used: Timestamp,
    /// When it ends, however it is used.
    pub ends: Timestamp,
}

/// Somebody as an OpenID provider knows them. Never an e-mail address: those are given to somebody else some day.
///
/// Written `oidc ISSUER SUBJECT`, and read back so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOnSubject {
    issuer: String,
    subject: String,
}

impl SignOnSubject {
    /// The word that it begins with: no passkey does.
    const WORD: &'static str = "oidc ";
    /// SPEC: OpenID Connect Core 1.0, section 2, `sub`.
    const LONGEST: usize = 255;

    /// `None` where the issuer is no word, or the subject is empty, too long or not printable ASCII.
    pub fn new(issuer: &str, subject: &str) -> Option<Self> {
        let is_word = !issuer.is_empty() && issuer.bytes().all(|byte| byte.is_ascii_graphic());
        let is_subject = (1..=Self::LONGEST).contains(&subject.len())
            && subject.bytes().all(|byte| (0x20..=0x7E).contains(&byte));
        (is_word && is_subject).then(|| Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
    }

    /// Who vouches.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom they vouch for, in their own words.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for SignOnSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", Self::WORD, self.issuer, self.subject)
    }
}

impl FromStr for SignOnSubject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = text.strip_prefix(Self::WORD).and_then(|pair| pair.split_once(' '));
        pair.and_then(|(issuer, subject)| Self::new(issuer, subject))
            .ok_or("this names no issuer and subject")
    }
}

/// What a program shows instead of a person's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenRecord {
    /// Its id, which opens nothing.
    pub id: ApiTokenId,
    /// What it is for.
    pub name: Name,
    /// Keyed hash of its text.
    pub hash: KeyedHash,
    /// What it may do.
    pub roles: Roles,
    /// Who made it.
    pub owner: String,
    /// The passkey of the person who did; absent where it was made at the broker's own machine.
    pub owner_key: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_its_issuer_s_and_is_read_as_it_is_written() {
        let one = SignOnSubject::new("https://id.example.com", "a b 1").unwrap();
        assert_eq!(one.to_string(), "oidc https://id.example.com a b 1");
        assert_eq!(one.to_string().parse(), Ok(one));
        let longest = "x".repeat(255);
        assert!(SignOnSubject::new("https://a", &longest).is_some());
        for (issuer, subject) in [
            ("", "a"),
            ("https://a b", "c"),
            ("https://a", ""),
            ("https://a", "b\n"),
            ("https://a", "\u{e4}"),
            ("https://a", &(longest + "x")),
        ] {
            assert!(SignOnSubject::new(issuer, subject).is_none(), "{issuer} {subject}");
        }
        for text in ["", "oidc ", "oidc https://a", "webauthn https://a b", "OIDC https://a b"] {
            assert!(text.parse::<SignOnSubject>().is_err(), "{text}");
        }
    }
}
