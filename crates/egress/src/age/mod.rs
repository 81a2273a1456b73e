//! Files encrypted to recipients (the age format, C2SP `age.md`, version 1, X25519 recipients): shares on their way to operators, and backups.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 EPHEMERAL        a stanza for each recipient: the file key, wrapped to it
//! WRAPPED
//! --- MAC                    over all of the above, under the file key
//! nonce 16 | chunk | …       64 KiB each, ChaCha20-Poly1305, the last one marked
//! ```
//!
//! What the format is good for here: whoever holds an identity opens it with `age` or `rage`, without any program of ours.

mod bech32;
mod header;
mod stream;
mod x25519;

pub use stream::{Opener, Sealer};
pub use x25519::{Identity, Recipient};

/// Why a file, a recipient or an identity is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// Not `age1…`.
    #[error("this is no age recipient: age1 and 58 characters")]
    Recipient,
    /// No line with `AGE-SECRET-KEY-1…`.
    #[error("there is no age identity in it: a line AGE-SECRET-KEY-1 and 58 characters")]
    Identity,
    /// Nobody to encrypt to.
    #[error("there is no recipient")]
    Nobody,
    /// Not a file of this format, or its head was changed.
    #[error("this is no file in the age format, or its head was changed")]
    Head,
    /// None of the identities is among its recipients.
    #[error("none of the identities opens it")]
    NotForUs,
    /// The operating system or the cryptography library failed.
    #[error("the cryptography library failed")]
    Cryptography,
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
