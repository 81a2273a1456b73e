//! A root key wrapped by a key that never leaves its PKCS#11 token.
//!
//! The token is reached through a process that was started before the broker took its first call, and that knows where it is; here is
//! only the socket to it. A question costs no more than a packet each way, so nothing of the vendor's is loaded into this process.

use super::bound::{bound, unbound};
use super::provider::{Answer, Provider, ProviderError};
use crate::secret::Secret;
use cloakroom_model::pkcs11::{self, Ask, Fault, LONGEST, Question, Remedy};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longer than the other process lets a module take.
const PATIENCE: Duration = Duration::from_secs(9);
const SILENT: ProviderError =
    ProviderError::Unavailable("the process that reaches the token does not answer");
const GONE: ProviderError =
    ProviderError::Unavailable("the process that reaches the token has ended: start the broker again");

/// The token, at the other end of a socket.
pub(in crate::custody) struct Pkcs11(Arc<Mutex<Wire>>);

struct Wire {
    /// Keeps packets apart.
    socket: UnixStream,
    asked: u32,
}

impl Pkcs11 {
    /// A token that is reached through this socket of packets.
    pub(in crate::custody) fn new(socket: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Wire { socket, asked: 0 })))
    }

    async fn ask(&self, ask: Ask, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let wire = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || {
            wire.lock().unwrap_or_else(PoisonError::into_inner).ask(ask, &bytes)
        });
        asked.await.unwrap_or(Err(SILENT))
    }
}

impl Provider for Pkcs11 {
    fn name(&self) -> &'static str {
        "pkcs11"
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            let bytes = bound(context, root);
            let wrapped = self.ask(Ask::Wrap, bytes.clone()).await?;
            // What cannot be opened again is not relied upon: whoever seals with it would lose everything.
            let opened = self.ask(Ask::Unwrap, wrapped.clone()).await?;
            match bool::from(opened.ct_eq(&bytes)) {
                true => Ok(wrapped.to_vec()),
                false => Err(ProviderError::Refused("the token does not give back what it wrapped")),
            }
        })
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(async move {
            let opened = self.ask(Ask::Unwrap, Zeroizing::new(wrapped.to_vec())).await?;
            unbound(context, &opened).ok_or(of_fault(Fault::Foreign))
        })
    }
}

impl Wire {
    fn ask(&mut self, ask: Ask, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        self.asked = self.asked.wrapping_add(1);
        let question = Zeroizing::new(Question { number: self.asked, ask, bytes }.write());
        let deadline = Instant::now() + PATIENCE;
        self.socket.set_write_timeout(Some(PATIENCE)).map_err(|_| GONE)?;
        self.socket.write_all(&question).map_err(|error| of_socket(&error))?;
        let mut packet = Zeroizing::new(vec![0; LONGEST]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(SILENT);
            }
            self.socket.set_read_timeout(Some(left)).map_err(|_| GONE)?;
            let length = self.socket.read(&mut packet).map_err(|error| of_socket(&error))?;
            if length == 0 {
                return Err(GONE);
            }
            // An answer that came too late for an earlier question is none to this one.
            match pkcs11::Answer::parse(&packet[..length]) {
                Some(answer) if answer.number == self.asked => {
                    return answer.outcome.map(|bytes| Zeroizing::new(bytes.to_vec())).map_err(of_fault);
                }
                _ => {}
            }
        }
    }
}

fn of_socket(error: &std::io::Error) -> ProviderError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => SILENT,
        _ => GONE,
    }
}

fn of_fault(fault: Fault) -> ProviderError {
    match fault.remedy() {
        Remedy::Time => ProviderError::Unavailable(fault.text()),
        Remedy::Person => ProviderError::Refused(fault.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    /// A token whose other process answers each question with these packets.
    fn token(mut answer: impl FnMut(&Question<'_>) -> Vec<Vec<u8>> + Send + 'static) -> Pkcs11 {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let (here, mut there) = (UnixStream::from(pair.0), UnixStream::from(pair.1));
        std::thread::spawn(move || {
            let mut packet = vec![0; LONGEST];
            while let Ok(length) = there.read(&mut packet) {
                let Some(question) = Question::parse(&packet[..length]) else { return };
                answer(&question).iter().for_each(|packet| there.write_all(packet).unwrap());
            }
        });
        Pkcs11::new(here)
    }

    fn good(number: u32, bytes: &[u8]) -> Vec<u8> {
        pkcs11::Answer { number, outcome: Ok(bytes) }.write()
    }

    fn root() -> Secret {
        Secret::new(Zeroizing::new(vec![7; 32]))
    }

    #[tokio::test]
    async fn a_late_answer_is_not_taken_for_the_one_that_is_waited_for() {
        let honest = token(|question| {
            let late = good(question.number.wrapping_sub(1), b"late");
            vec![late, b"noise".to_vec(), good(question.number, question.bytes)]
        });
        let wrapped = honest.wrap(b"context", &root()).await.unwrap();
        assert_eq!(honest.unwrap(b"context", &wrapped).await.unwrap().expose(), root().expose());
        let other = honest.unwrap(b"other", &wrapped).await.map(drop).unwrap_err();
        assert!(matches!(other, ProviderError::Refused(reason) if reason.contains("does not open")));
    }

    #[tokio::test]
    async fn what_does_not_come_back_as_it_went_is_not_relied_upon() {
        let forgetful = token(|question| vec![good(question.number, &[0; 64])]);
        let refused = forgetful.wrap(b"context", &root()).await.unwrap_err();
        assert!(matches!(refused, ProviderError::Refused(reason) if reason.contains("give back")));
    }

    #[tokio::test]
    async fn a_token_that_is_away_is_asked_again_and_one_that_says_no_waits_for_a_person() {
        for fault in Fault::ALL {
            let answer = |question: &Question<'_>| {
                pkcs11::Answer { number: question.number, outcome: Err(*fault) }.write()
            };
            let token = token(move |question| vec![answer(question)]);
            let refused = token.unwrap(b"context", b"wrapped").await.map(drop).unwrap_err();
            assert_eq!(refused.to_string(), fault.text());
            assert_eq!(
                matches!(refused, ProviderError::Refused(_)),
                fault.remedy() == Remedy::Person,
                "{fault:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_process_that_ended_is_said_to_have_ended() {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        drop(pair.1);
        let gone =
            Pkcs11::new(UnixStream::from(pair.0)).unwrap(b"context", b"x").await.map(drop).unwrap_err();
        assert_eq!(gone, GONE);
    }
}
