//! What a reply may show of credentials that are not in the call: it has to be known before the call goes out.

use super::{Custody, Held};
use crate::mint::Stock;
use cloakroom_model::{Code, CredentialId, CredentialKind, Refusal};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a call waits for the reading of secrets that it does not need itself.
const PATIENCE: Duration = Duration::from_secs(5);

impl Custody {
    /// Sees to it that what the destination may show of these credentials can be looked for: where a secret lives elsewhere and was not
    /// read since the start, it is read.
    ///
    /// SECURITY: a process before this one may have brought it to the destination. Where it cannot be read, nothing is known of what to
    /// take out of the reply, so there is no call.
    ///
    /// # Errors
    /// `credential-unavailable`; `broker-sealed` where the source does not open.
    pub(crate) async fn ready_beside(&self, beside: &[CredentialId]) -> Result<(), Refusal> {
        self.require_unsealed()?;
        let unread = self.unread(beside)?;
        if unread.is_empty() {
            return Ok(());
        }
        Box::pin(self.read_all(unread)).await
    }

    async fn read_all(&self, unread: Vec<Held>) -> Result<(), Refusal> {
        let deadline = Instant::now() + PATIENCE;
        for held in unread {
            // Who waits no longer leaves the reading under way: the next call finds what it brought.
            let read = timeout_at(deadline, self.read_beside(&held)).await;
            let after = match read {
                Ok(Ok(())) => continue,
                Ok(Err(refusal)) => refusal.facts().retry_after,
                Err(_) => None,
            };
            let reason = "the reply may show a secret of this workload that cannot be read at its source now, so it could not be scrubbed";
            return Err(Refusal::new(Code::CredentialUnavailable, reason).with(|facts| {
                facts.credential = Some(held.record.name.clone());
                facts.retry_after = after;
            }));
        }
        Ok(())
    }

    async fn read_beside(&self, held: &Held) -> Result<(), Refusal> {
        let faulty = || Refusal::new(Code::InternalFault, "nothing can be read elsewhere in this process");
        let (means, mint) = (self.means.get().ok_or_else(faulty)?, held.mint.as_ref().ok_or_else(faulty)?);
        mint.ready(means, || self.source(held).map(Stock::Source)).await
    }

    /// Those of which nothing was read in this process. What was lent is not among them: each process has leases of its own.
    fn unread(&self, beside: &[CredentialId]) -> Result<Vec<Held>, Refusal> {
        let held = self.held.load();
        let mut unread = Vec::new();
        for held in beside.iter().filter_map(|id| held.get(id)) {
            let is_sourced = held.record.kind == CredentialKind::Sourced && held.remembered.is_empty();
            let Some(mint) = held.mint.as_ref().filter(|_| is_sourced) else { continue };
            let is_lent = match mint.is_lent.get() {
                Some(known) => *known,
                None => {
                    let known = self.source(held)?.lends();
                    *mint.is_lent.get_or_init(|| known)
                }
            };
            if !is_lent {
                unread.push(held.clone());
            }
        }
        Ok(unread)
    }
}
