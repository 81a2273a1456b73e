//! Logins that wait for a person, and what came of the last ones: in memory, and bounded in number and time. After a restart there
//! are none: what was begun before is begun again.

use crate::peer::Peer;
use crate::wire::LoginView;
use cloakroom_egress::login::{Answer, LoginError, PATIENCE, Waiting};
use cloakroom_model::{CredentialId, Destination, LoginId, Name};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// How many may wait.
const MOST: usize = 16;

/// The logins there are.
#[derive(Debug, Default)]
pub struct Logins(Mutex<Vec<Login>>);

/// One login.
#[derive(Debug)]
struct Login {
    view: watch::Sender<LoginView>,
    /// What egress holds of it; taken once.
    open: Option<Open>,
    until: Instant,
}

/// A login under way: whose it is, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: LoginId,
    pub(crate) by: Peer,
    pub(crate) purpose: Purpose,
    pub(crate) waiting: Waiting,
}

/// What a login is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A new credential.
    Add { id: CredentialId, name: Name, destinations: Vec<Destination> },
    /// The next generation of one that there is.
    Renew { id: CredentialId },
}

/// As many wait as may.
#[derive(Debug)]
pub(crate) struct Full;

impl Logins {
    /// Keeps a login that waits for an answer.
    pub(crate) fn open(&self, open: Open, view: LoginView, now: Instant) -> Result<(), Full> {
        self.keep(Some(open), view, now)
    }

    /// Keeps a login that somebody else sees to.
    pub(crate) fn watch_over(&self, view: LoginView, now: Instant) -> Result<(), Full> {
        self.keep(None, view, now)
    }

    /// Lets go of every login that waits: what it holds is a secret.
    pub(crate) fn let_go(&self) {
        self.lock().retain(|login| login.open.is_none());
    }

    fn keep(&self, open: Option<Open>, view: LoginView, now: Instant) -> Result<(), Full> {
        let mut logins = self.lock();
        logins.retain(|login| login.until + PATIENCE > now);
        if logins.len() >= MOST {
            // What came of a login is of less use than another login.
            let over = |login: &Login| login.until <= now || login.view.borrow().state != WAITING;
            let over = logins.iter().position(over).ok_or(Full)?;
            logins.remove(over);
        }
        logins.push(Login { view: watch::Sender::new(view), open, until: now + PATIENCE });
        Ok(())
    }

    /// Takes the login that this answer is to: it is answered once, whatever comes of it.
    pub(crate) fn take(&self, answer: &Answer, now: Instant) -> Option<Open> {
        let mut logins = self.lock();
        let login = logins.iter_mut().find(|login| {
            login.until > now && login.open.as_ref().is_some_and(|open| open.waiting.is_for(answer))
        })?;
        login.open.take()
    }

    /// Follows what becomes of a login.
    pub(crate) fn follow(&self, id: LoginId, now: Instant) -> Option<watch::Receiver<LoginView>> {
        let logins = self.lock();
        let login = logins.iter().find(|login| login.view.borrow().id == id)?;
        if login.until <= now && login.view.borrow().state == WAITING {
            login.view.send_modify(|view| view.fail(LoginError::EXPIRED));
        }
        Some(login.view.subscribe())
    }

    /// Says what came of it.
    pub(crate) fn tell(&self, id: LoginId, change: impl FnOnce(&mut LoginView)) {
        if let Some(login) = self.lock().iter().find(|login| login.view.borrow().id == id) {
            login.view.send_modify(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoginView {
    /// It came to nothing.
    pub(crate) fn fail(&mut self, error: LoginError) {
        self.state = "failed".into();
        self.code = Some(error.code().as_str().into());
        self.reason = Some(error.reason().into());
        self.hint = Some(error.hint().into());
    }
}

/// The state of a login that a person has to do something for.
pub(crate) const WAITING: &str = "waiting";

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> LoginView {
        LoginView {
            id: LoginId::fresh().unwrap(),
            state: WAITING.into(),
            name: Name::parse("mail").unwrap(),
            url: None,
            user_code: None,
            verification_uri: None,
            verification_uri_complete: None,
            expires: String::new(),
            code: None,
            reason: None,
            hint: None,
            credential: None,
        }
    }

    #[test]
    fn logins_are_bounded_in_number_and_time() {
        let (logins, now) = (Logins::default(), Instant::now());
        let first = view();
        let id = first.id;
        logins.watch_over(first, now).unwrap();
        for _ in 1..MOST {
            logins.watch_over(view(), now).unwrap();
        }
        assert!(logins.watch_over(view(), now).is_err());
        assert!(logins.follow(id, now).is_some());
        logins.tell(id, |view| view.state = "failed".into());
        logins.watch_over(view(), now).unwrap();
        assert!(logins.follow(id, now).is_none(), "what came of it made room");
        assert!(logins.watch_over(view(), now).is_err());
        let second = view();
        let id = second.id;
        let later = now + PATIENCE;
        logins.watch_over(second, later).unwrap();
        assert_eq!(logins.follow(id, later).unwrap().borrow().state, "waiting");
        assert_eq!(logins.follow(id, later + PATIENCE).unwrap().borrow().code.as_deref(), Some("expired"));
    }
}
