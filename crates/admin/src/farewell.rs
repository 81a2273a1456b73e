//! A credential is gone: its authorization server is told (RFC 7009), again and again for a while, and what it says is on record.
//!
//! The credential is removed before that, whatever the server says. Who removed it waits a moment for the first answer.

use crate::act::Act;
use crate::admin::Admin;
use crate::peer::Peer;
use cloakroom_egress::{Farewell, Revocation};
use cloakroom_model::{CredentialId, Name};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long whoever removed it waits for the first answer.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// The pauses between attempts: doubled from the shortest to the longest; after this many it is given up, which takes an hour.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
const MOST_ATTEMPTS: u32 = 36;

/// Tells the server; gives what it said first: `revoked`, `refused`, or `tried-again`.
pub(crate) async fn say(
    admin: &Arc<Admin>,
    by: Peer,
    name: &Name,
    id: CredentialId,
    farewell: Farewell,
) -> String {
    let (tell, told) = oneshot::channel();
    let telling = Telling { admin: Arc::clone(admin), by, name: name.clone(), id };
    tokio::spawn(async move { telling.until_heard(farewell, tell).await });
    let word = tokio::time::timeout(FIRST_WORD, told).await;
    word.ok().and_then(Result::ok).unwrap_or(LATER).to_owned()
}

const LATER: &str = "tried-again";

struct Telling {
    admin: Arc<Admin>,
    by: Peer,
    name: Name,
    id: CredentialId,
}

impl Telling {
    async fn until_heard(self, farewell: Farewell, tell: oneshot::Sender<&'static str>) {
        let mut tell = Some(tell);
        let mut pause = SHORTEST_PAUSE;
        for attempt in 1..=MOST_ATTEMPTS {
            let (word, act) = match self.admin.custody.revoke(&farewell).await {
                Revocation::Revoked => ("revoked", Some("grant revoked at its server")),
                Revocation::Refused => ("refused", Some("grant not revoked: its server refuses")),
                Revocation::Unavailable(after) => {
                    pause = after.unwrap_or(pause).clamp(pause, LONGEST_PAUSE);
                    (LATER, (attempt == 1).then_some("grant not revoked yet: its server is not available"))
                }
            };
            if let Some(act) = act {
                self.record(act).await;
            }
            // Whoever waited may have gone.
            let _ = tell.take().map(|tell| tell.send(word));
            if word != LATER {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.record("grant not revoked: its server was not available").await;
    }

    async fn record(&self, act: &str) {
        let noted = match Act::begin(&self.admin, self.by.clone()).await {
            Ok(acting) => acting.note(act, &self.id.to_string(), Some(&self.name)).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = noted {
            tracing::error!(%problem, credential = %self.id, "{act}; this is not on record");
        }
    }
}
