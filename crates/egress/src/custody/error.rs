//! What can go wrong with keys and deposits, in words for the operator.

use std::path::PathBuf;

/// Why custody could not be unlocked, or a deposit was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// A key file that others can read or write.
    #[error("the key file {} is open to others (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file that is not a key.
    #[error("the key file {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A key that whoever starts the broker should have handed to it.
    #[error("no key-encryption key was handed to the broker: there is no file {}", path.display())]
    NotHanded {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another key than the one this data directory was made with.
    #[error("{} is not the key that this data directory was made with", path.display())]
    AnotherKey {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Not the passphrase this data directory was made with.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// A new passphrase that is too short.
    #[error("a passphrase has at least 12 characters")]
    ShortPassphrase,
    /// The drop-off was sealed to another process, under another name, or was changed.
    #[error("the drop-off does not open")]
    DropOff,
    /// Fewer than 8 bytes.
    #[error("the secret is shorter than 8 bytes")]
    TooShort,
    /// More than 16 KiB.
    #[error("the secret is longer than 16 KiB")]
    TooLong,
    /// Not a grant that access tokens can be made of, not an access key, or not a source.
    #[error("{0}")]
    Grant(&'static str),
    /// A line break, a NUL or another control character.
    #[error("the secret has a line break or another control character in it")]
    ControlCharacter,
    /// Not UTF-8.
    #[error("the secret is not text (UTF-8)")]
    NotText,
    /// Other than ASCII, where a header or cookie will carry it.
    #[error("the secret has a character outside ASCII, which a header cannot carry")]
    NotAscii,
    /// The operating system or the cryptography library failed.
    #[error("the cryptography library failed to {0}")]
    Cryptography(&'static str),
    /// No root key is held.
    #[error("the broker is sealed")]
    Sealed,
    /// Whoever wraps the root keys does not answer.
    #[error("the provider of the root key does not answer: {0}")]
    Provider(&'static str),
    /// Whoever wraps the root keys says no.
    #[error("the provider of the root key says no: {0}")]
    Refused(&'static str),
    /// Something sealed does not open.
    #[error("something sealed does not open: the broker's log says why")]
    DoesNotOpen,
    /// Shares that cannot be made.
    #[error("the threshold is at least 2 and at most the number of shares")]
    Threshold,
    /// There is no set of shares.
    #[error("no shares were made for this data directory: {}", path.display())]
    NoShares {
        /// Where the set was looked for.
        path: PathBuf,
    },
    /// The root keys were wrapped by another provider than the settings name.
    #[error("the root keys of this data directory were wrapped by {wrapped:?}")]
    AnotherProvider {
        /// Who wrapped them.
        wrapped: String,
    },
}

/// Why the broker was not unsealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It is not sealed.
    #[error("the broker is not sealed")]
    NotSealed,
    /// The provider wants nothing from operators.
    #[error("the provider of the root key takes nothing from operators")]
    NothingWanted,
    /// The provider wants something from operators.
    #[error("the provider of the root key waits for what an operator brings")]
    Wanted,
    /// Not the passphrase this data directory was made with.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The provider does not unwrap.
    #[error("the provider of the root key does not unwrap: {0}")]
    Provider(&'static str),
    /// It was sealed to another process, before the last seal or opening, or changed on its way.
    #[error("what was brought does not open")]
    DropOff,
    /// Not the text of a share, or a slip of the hand.
    #[error("this is no share, or a character of it is wrong")]
    NoShare,
    /// A share of another set.
    #[error("this share belongs to another set")]
    ForeignShare,
    /// A share with a right checksum that was never made.
    #[error("this share was not made with its set")]
    WrongShare,
    /// A share that was given already.
    #[error("this share was given already")]
    SameShare,
    /// A second share of one operator.
    #[error("this operator has given a share already")]
    SameOperator,
}

impl CustodyError {
    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Exposed { path, .. } => {
                format!("run: chmod 600 {}; and rotate the credentials if others had access", path.display())
            }
            Self::Damaged { .. } => "restore the file from a backup: without it no credential opens".into(),
            Self::NotHanded { .. } => {
                "start the broker by systemd, with LoadCredentialEncrypted=cloakroom-kek:FILE in its unit".into()
            }
            Self::AnotherKey { .. } => "hand the broker the key of this data directory, or begin with an empty one".into(),
            Self::File { .. } => "check that the directory exists and belongs to the broker's user".into(),
            Self::WrongPassphrase => "try again: there is no way around a lost passphrase".into(),
            Self::ShortPassphrase => "use several words".into(),
            Self::DropOff => "the broker was restarted in between: run the command again".into(),
            Self::TooShort | Self::TooLong => {
                "check what was piped in: a secret has 8 bytes to 16 KiB".into()
            }
            Self::Grant(_) => {
                "see docs/oauth.md for what a grant needs, docs/aws.md for an access key, docs/sources.md for a source".into()
            }
            Self::ControlCharacter => {
                "pipe in exactly the secret; one line break at its end is dropped".into()
            }
            Self::NotText => {
                "deposit binary secrets in the encoding that the service takes, such as base64".into()
            }
            Self::NotAscii => "check for a quotation mark or dash that was changed when it was copied".into(),
            Self::Cryptography(_) => "tell the operator; nothing was stored".into(),
            Self::Sealed => "look at: cloakroom custody status; then run: cloakroom custody unseal".into(),
            Self::Provider(_) => "see to it that the provider runs and can be reached: [custody] in docs/settings.md".into(),
            Self::Refused(_) => "see docs/custody.md for what the provider needs".into(),
            Self::DoesNotOpen => "deposit it anew, or remove it; the older root keys are kept until then".into(),
            Self::Threshold => "such as: --shares 5 --threshold 3".into(),
            Self::NoShares { .. } => "make them first: cloakroom custody init --shares 5 --threshold 3".into(),
            Self::AnotherProvider { wrapped } => format!("set kek = {wrapped:?} in [custody]"),
        }
    }
}

impl UnsealError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotSealed => "nothing has to be done: secrets open",
            Self::NothingWanted => "run without a share: cloakroom custody unseal",
            Self::Wanted => "bring it: cloakroom custody unseal asks for it",
            Self::WrongPassphrase => "try again: there is no way around a lost passphrase",
            Self::Provider(_) => "see to the provider; docs/custody.md has what each one needs",
            Self::DropOff => "the broker was restarted or sealed in between: run the command again",
            Self::NoShare => "a share is one line: cloakroom-share-1-…; nothing that was given is lost",
            Self::ForeignShare | Self::WrongShare => {
                "look for the share of this broker; nothing that was given is lost"
            }
            Self::SameShare => "another holder has to bring the next one",
            Self::SameOperator => {
                "[custody] distinct-operators is set: another operator has to bring the next one"
            }
        }
    }
}
