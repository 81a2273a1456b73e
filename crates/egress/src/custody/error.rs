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
        }
    }
}
