//! Why the workload side cannot start.

use std::io;
use std::path::PathBuf;

/// A fault of the operator's side: files, keys, the listener. Never of a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// A file of the certificate authority cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The authority's key can be read by others.
    #[error("{} can be read by other users: run chmod 600 on it, and issue a new authority if it was read", path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate do not belong together, or one is missing.
    #[error("{} and {} do not belong together: restore both from one backup, or remove both to begin a new authority", key.display(), certificate.display())]
    Mismatch {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
    },
    /// A certificate could not be made or read.
    #[error("the certificate authority failed: {0}")]
    Certificate(String),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// The listener failed for good.
    #[error("the workload listener failed")]
    Listener(#[source] io::Error),
    /// A thread or its runtime could not be made.
    #[error("a worker thread could not be started")]
    Worker(#[source] io::Error),
}
