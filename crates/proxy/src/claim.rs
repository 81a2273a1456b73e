//! `POST /.cloakroom/claim`: a workload fetches a placeholder that was issued to be fetched; once.

use crate::canonical::read_for_policy;
use crate::desk::Desk;
use crate::reply::{AnswerBody, own_document};
use crate::wire::malformed;
use cloakroom_model::{
    ClaimRecord, Claimed, Code, EventKind, Payload, Principal, Refusal, Timestamp, unwrap_placeholder,
};
use cloakroom_store::StoreError;
use cloakroom_store::journal::Entry;
use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

/// A code is far shorter.
const LARGEST: usize = 1024;

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    code: String,
    /// Whether only to say what the code is for.
    #[serde(default)]
    lookup: bool,
}

impl Desk {
    /// Gives the placeholder of a code to its workload, or says what the code is for.
    ///
    /// # Errors
    /// `malformed-call`; `unknown-placeholder` for a code of nothing; `wrong-workload`; why the placeholder does not count;
    /// `placeholder-expired` where it was not fetched in time; `placeholder-revoked` where it was fetched before, which
    /// revokes it; `journal-unavailable`.
    pub(crate) async fn claim(
        &self,
        principal: &Principal,
        body: Payload,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let _underway = self.shared.calls.begin(principal.workload())?;
        let asked = read(body).await?;
        let proxy = &self.shared.proxy;
        let code = proxy.policies.load().lookup_key().claim_index(&asked.code);
        let unknown = || {
            Refusal::new(Code::UnknownPlaceholder, "no placeholder waits under this claim code").with(|facts| {
                facts.hint = Some("compare the code with the one that the operator was shown; a lost code is not shown again");
            })
        };
        let claim = proxy.store.claim(code).await.map_err(unreadable)?.ok_or_else(unknown)?;
        if asked.lookup {
            proxy.policies.load().may_hold(claim.placeholder, principal)?;
            return Ok(own_document(&told(&claim, principal)));
        }
        self.require_unclaimed(&claim)?;
        proxy.policies.load().may_fetch(claim.placeholder, principal, Timestamp::now())?;
        if claim.expires <= Timestamp::now() {
            return Err(about(Code::PlaceholderExpired, "the placeholder was not fetched in time", &claim));
        }
        let text = self.fetch(&asked.code, &claim, principal).await?;
        Ok(own_document(
            &json!({ "id": claim.placeholder, "placeholder": text, "workload": principal.name() }),
        ))
    }

    /// SECURITY: whoever shows a code that was used before, two have had it: the placeholder ends, whoever of them asks.
    fn require_unclaimed(&self, claim: &ClaimRecord) -> Result<(), Refusal> {
        if claim.claimed.is_none() {
            return Ok(());
        }
        let reason = "the placeholder was fetched with this claim code before, and is revoked now";
        Err(about(Code::PlaceholderRevoked, reason, claim).as_event(EventKind::SecondClaim))
    }

    /// On record first, then taken from the store, where one of many wins.
    async fn fetch(&self, code: &str, claim: &ClaimRecord, principal: &Principal) -> Result<String, Refusal> {
        let proxy = &self.shared.proxy;
        let claimed = Claimed { at: Timestamp::now(), by: principal.source().to_string() };
        let record = async |act: &str| {
            let entry = Entry::Act {
                at: claimed.at,
                act: act.into(),
                subject: claim.placeholder.to_string(),
                name: None,
                by: format!("workload {} from {}", principal.name(), claimed.by),
            };
            proxy.journal.durable(proxy.journal.append(&entry)?).await
        };
        if let Err(error) = record("placeholder claimed").await {
            tracing::error!(%error, "a claim could not be recorded");
            return Err(Refusal::new(Code::JournalUnavailable, "the claim could not be recorded"));
        }
        let taken = proxy.store.take_claim(claim.code, claimed.clone()).await;
        let sealed = match taken {
            Ok(Some(sealed)) => sealed,
            Ok(None) => {
                let lost = ClaimRecord { claimed: Some(claimed.clone()), ..claim.clone() };
                let _ = record("placeholder claimed: failed").await;
                return Err(self.require_unclaimed(&lost).err().unwrap_or_else(unopened));
            }
            Err(error) => {
                let _ = record("placeholder claimed: failed").await;
                return Err(unreadable(error));
            }
        };
        let text = unwrap_placeholder(code, claim.placeholder, &sealed).ok_or_else(unopened)?;
        Ok(text.reveal().to_owned())
    }
}

async fn read(body: Payload) -> Result<Asked, Refusal> {
    const WRONG: &str =
        "a claim is a JSON object with the string \"code\", and \"lookup\" where it only asks";
    let body = read_for_policy(body, LARGEST).await?;
    let body = body.whole().ok_or_else(|| malformed(WRONG))?;
    serde_json::from_slice(body).map_err(|_| malformed(WRONG))
}

/// What the code is for. Nothing of the placeholder's text is in the row.
fn told(claim: &ClaimRecord, principal: &Principal) -> Value {
    json!({
        "id": claim.placeholder,
        "workload": principal.name(),
        "created": claim.created.to_string(),
        "expires": claim.expires.to_string(),
        "claimed": claim.claimed.as_ref().map(|claimed| claimed.at.to_string()),
        "claimed_from": claim.claimed.as_ref().map(|claimed| claimed.by.clone()),
    })
}

fn about(code: Code, reason: &'static str, claim: &ClaimRecord) -> Refusal {
    Refusal::new(code, reason).with(|facts| facts.placeholder = Some(claim.placeholder))
}

fn unreadable(error: StoreError) -> Refusal {
    tracing::error!(%error, "a claim could not be looked up or stored");
    Refusal::new(Code::InternalFault, "the claim could not be looked up or stored")
}

fn unopened() -> Refusal {
    Refusal::new(Code::InternalFault, "what was sealed under the claim code does not open")
}
