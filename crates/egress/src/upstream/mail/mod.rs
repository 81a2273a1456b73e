//! A letter of the operator's own, handed to the operator's mail server (RFC 5321): over TLS always, from the first byte or after STARTTLS
//! (RFC 3207). No call of a workload, and no secret that the broker holds for others.

mod dialogue;

use super::Upstream;
use cloakroom_model::{Destination, Refusal};
use dialogue::Dialogue;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long the connection may take.
const CONNECTING: Duration = Duration::from_secs(15);

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// With the first byte (RFC 8314).
    Implicit,
    /// After the server was asked for it.
    StartTls,
}

/// The operator's mail server.
#[derive(Clone)]
pub struct MailServer {
    /// Host and port. Its scheme says nothing.
    pub at: Destination,
    /// When TLS begins.
    pub security: Security,
    /// User name and password, where it wants them.
    pub login: Option<(String, Zeroizing<String>)>,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        f.debug_struct("MailServer")
            .field("at", &self.at)
            .field("security", &self.security)
            .field("user", &user)
            .finish()
    }
}

/// One letter: addresses without brackets, and the message with its head, in ASCII, lines ended by CRLF.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sends it.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// What they get.
    pub message: String,
}

/// Why a letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It may be taken later.
    #[error("the mail server did not take a letter: {0}")]
    Later(&'static str),
    /// It will not be taken as it is.
    #[error("the mail server takes no such letter: {0}")]
    Never(&'static str),
}

impl From<Refusal> for MailError {
    fn from(refusal: Refusal) -> Self {
        Self::Later(refusal.reason())
    }
}

impl Upstream {
    /// Hands over one letter. Under the rules of every way out: the address is checked, the certificate verified.
    ///
    /// # Errors
    /// [`MailError`]
    pub async fn mail(&self, server: &MailServer, letter: &Letter) -> Result<(), MailError> {
        let handed = tokio::time::timeout(PATIENCE, self.hand_over(server, letter)).await;
        handed.unwrap_or(Err(MailError::Later("it took too long")))
    }

    async fn hand_over(&self, server: &MailServer, letter: &Letter) -> Result<(), MailError> {
        let connect = self.pool.connect();
        let stream = connect.plainly(&server.at, CONNECTING).await?;
        let stream = match server.security {
            Security::Implicit => stream,
            Security::StartTls => {
                let mut plain = Dialogue::new(stream);
                plain.greeted().await?;
                plain.hello().await?;
                plain.start_tls().await?
            }
        };
        let mut dialogue = Dialogue::new(connect.secured(&server.at, stream).await?);
        if server.security == Security::Implicit {
            dialogue.greeted().await?;
        }
        dialogue.hello().await?;
        if let Some((user, password)) = &server.login {
            dialogue.log_in(user, password).await?;
        }
        dialogue.send(letter).await
    }
}

#[cfg(test)]
mod tests;
