//! Who the approvers are, and how many of them it takes. What they sign is left to `grant.rs`.

mod chain;
mod counter;
mod key;
mod passkey;
mod reader;
mod rules;
mod shortfall;
mod sshsig;

pub use chain::Head;
pub use key::Purpose;
pub use passkey::{Attestation, LoginTicket, PasskeyTicket, RelyingParty, base64url, passkey_id};
pub use rules::{ApprovalRule, ApprovalRules};

pub(crate) use counter::Backwards;

use crate::Grant;
use cloakroom_model::{CallApproval, Question, Rows, Signature, Timestamp, hexadecimal};
use key::ApproverKey;
use std::collections::BTreeSet;
use std::time::Duration;

/// One approver's key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    name: String,
    key: ApproverKey,
}

impl Approver {
    /// Whose key this is. Several keys may be one person's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `file`, `ssh` or `passkey`.
    pub fn kind(&self) -> &'static str {
        self.key.kind()
    }

    /// SHA-256 of the key's words, in hexadecimal: what the text of its enrolment says.
    pub fn digest(&self) -> String {
        chain::key_digest(&self.key.named())
    }

    /// The passkey's id at its authenticator, where it is a passkey of this relying party.
    pub fn passkey_at(&self, party: &RelyingParty) -> Option<String> {
        self.key.passkey().filter(|key| key.party() == party).map(passkey::Passkey::id)
    }

    /// The public key, as a signature names it.
    pub fn key_text(&self) -> String {
        self.key.named()
    }
}

/// The approvers' public keys, and the rules of how many have to sign.
#[derive(Clone, Debug, Default)]
pub struct Approvers {
    members: Vec<Approver>,
    rules: ApprovalRules,
    /// Where the chain of changes stands.
    head: Head,
    /// Up to where it was accepted before.
    seen: Head,
}

/// How far the signatures on an approval go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The approvers whose signatures count.
    pub signed: BTreeSet<String>,
    /// How many it takes.
    pub needed: usize,
}

impl Tally {
    /// Whether it is enough.
    pub fn is_complete(&self) -> bool {
        self.signed.len() >= self.needed
    }
}

impl Approvers {
    /// From lines: a key and, after a blank, whose it is. A key is an Ed25519 public key (32 bytes in base64) or an SSH
    /// public key as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// In words, for a line that is no key, or a key that is there twice: it would count twice.
    pub fn new(lines: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut members: Vec<Approver> = Vec::new();
        for line in lines {
            let (key, name) = ApproverKey::parse_line(&line)?;
            if members.iter().any(|member| member.key.is_same_key(&key)) {
                return Err(format!("the key of {name:?} is there twice"));
            }
            members.push(Approver { name, key });
        }
        let digest = chain::sha256(lines_of(&members).concat().as_bytes());
        Ok(Self { members, head: Head { sequence: 0, digest }, ..Self::default() })
    }

    /// Nobody, under the same rules: where it is not known who the approvers are.
    #[must_use]
    pub fn nobody(&self) -> Self {
        Self { members: Vec::new(), ..self.clone() }
    }

    /// The signature as it is kept: a passkey's with the time at which it was accepted.
    pub fn stamped(signature: Signature, now: Timestamp) -> Signature {
        passkey::stamped(signature, now)
    }

    /// The same, after all that are on record: a clock that was set back puts nothing out of order.
    pub fn stamped_after(signature: Signature, rows: &Rows, now: Timestamp) -> Signature {
        let last = counter::latest(rows, &signature.key).map(|at| at.plus(Duration::from_millis(1)));
        passkey::stamped(signature, last.map_or(now, |last| last.max(now)))
    }

    /// The approver who signed this text.
    pub fn approver_of(&self, text: &str, signature: &Signature) -> Option<&Approver> {
        self.signer(text, signature)
    }

    /// How often the passkey had signed with this signature, and how often that is on record at most; none for other keys.
    pub fn counted(signature: &Signature, rows: &Rows) -> Option<(u32, u32)> {
        let (_, count) = passkey::count(signature)?;
        Some((count, counter::highest(rows, &signature.key)))
    }

    /// The approver whose passkey of this relying party has this id.
    pub fn passkey(&self, party: &RelyingParty, id: &str) -> Option<&Approver> {
        self.members.iter().find(|member| member.passkey_at(party).as_deref() == Some(id))
    }

    /// The approver whose passkey signed a no to this text.
    pub fn denier(&self, text: &str, signature: &Signature) -> Option<&Approver> {
        let named = self.members.iter().find(|member| member.key.is_named_by(&signature.key))?;
        named.key.verifies(Purpose::Denial, text, &signature.signature).then_some(named)
    }

    /// What `ssh-keygen -Y sign` wrote, with the key that it names. Not verified: an unknown key's signature is read too.
    pub fn read_ssh_signature(armoured: &str) -> Option<Signature> {
        let key = sshsig::named_key(armoured)?;
        Some(Signature { key, signature: armoured.trim().to_owned() })
    }

    /// Whether `ssh-keygen -Y sign` made this for something else than Cloakroom: another namespace (`-n`).
    pub fn is_for_something_else(signature: &Signature) -> bool {
        sshsig::is_for_something_else(&signature.signature)
    }

    /// With these rules of how many have to sign.
    #[must_use]
    pub fn with_rules(mut self, rules: ApprovalRules) -> Self {
        self.rules = rules;
        self
    }

    /// The rules.
    pub fn rules(&self) -> &ApprovalRules {
        &self.rules
    }

    /// Every approver.
    pub fn members(&self) -> &[Approver] {
        &self.members
    }

    /// The approver who signed exactly this grant, if one did and may: not one who asked for it, where the rules say so.
    pub fn verify(&self, grant: &Grant, signature: &Signature) -> Option<&Approver> {
        let signer = self.signer(&grant.canonical_text(), signature)?;
        let asked = self.rules.not_requester && grant.requester.as_deref() == Some(signer.name());
        (!asked).then_some(signer)
    }

    /// Whether an enrolled approver signed exactly this grant, who may be the one who asked for it.
    pub fn would_verify(&self, grant: &Grant, signature: &Signature) -> bool {
        self.signer(&grant.canonical_text(), signature).is_some()
    }

    /// How far these signatures go for this grant by itself, whatever it descends from. Several keys of one person count once.
    pub fn tally<'s>(&self, grant: &Grant, signatures: impl IntoIterator<Item = &'s Signature>) -> Tally {
        let signed = signatures.into_iter().filter_map(|signature| self.verify(grant, signature));
        Tally { signed: signed.map(|by| by.name.clone()).collect(), needed: self.rules.needed(grant) }
    }

    /// How far the signatures on a call's approval go.
    pub fn tally_call(&self, question: &Question, approval: &CallApproval) -> Tally {
        let text = question.text(approval.id);
        let signed = approval.signatures.iter().filter_map(|signature| self.signer(&text, signature));
        Tally { signed: signed.map(|by| by.name.clone()).collect(), needed: question.needed }
    }

    /// The approver who signed this text.
    pub(crate) fn signer(&self, text: &str, signature: &Signature) -> Option<&Approver> {
        // The key named by the row counts only if it is enrolled.
        let named = self.members.iter().find(|member| member.key.is_named_by(&signature.key))?;
        named.key.verifies(Purpose::Approval, text, &signature.signature).then_some(named)
    }

    /// SHA-256 of the keys, their names and the rules, in hexadecimal: the same for the same approvers in any order.
    pub fn digest(&self) -> String {
        hexadecimal(&chain::sha256(&self.bytes()))
    }

    /// All that decides whose signatures count, in a fixed form.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut parts = lines_of(&self.members);
        parts.push(format!("{:?}", self.rules));
        parts.concat().into_bytes()
    }
}

/// A line for each key, in a fixed order.
fn lines_of(members: &[Approver]) -> Vec<String> {
    let line = |member: &Approver| format!("{:?} {}\n", member.name, member.key.named());
    let mut lines: Vec<String> = members.iter().map(line).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests;
