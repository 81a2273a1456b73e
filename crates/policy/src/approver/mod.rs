//! Who the approvers are, and how many of them it takes. What they sign is left to `grant.rs`.

mod key;
mod reader;
mod rules;
mod sshsig;

pub use rules::{ApprovalRule, ApprovalRules};

use crate::Grant;
use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_model::{CallApproval, Question, Signature};
use key::ApproverKey;
use std::collections::BTreeSet;

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

    /// `file` or `ssh`.
    pub fn kind(&self) -> &'static str {
        self.key.kind()
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
            if members.iter().any(|member| member.key == key) {
                return Err(format!("the key of {name:?} is there twice"));
            }
            members.push(Approver { name, key });
        }
        Ok(Self { members, rules: ApprovalRules::default() })
    }

    /// What `ssh-keygen -Y sign` wrote, with the key that it names. Not verified: an unknown key's signature is read too.
    pub fn read_ssh_signature(armoured: &str) -> Option<Signature> {
        let key = sshsig::named_key(armoured)?;
        Some(Signature { key, signature: armoured.trim().to_owned() })
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

    /// How far these signatures go for this grant. Several keys of one person count once.
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
        named.key.verifies(text, &signature.signature).then_some(named)
    }

    /// SHA-256 of the keys, their names and the rules, in hexadecimal: the same for the same approvers in any order.
    pub fn digest(&self) -> String {
        let digest = digest(&SHA256, &self.bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// All that decides whose signatures count, in a fixed form.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut parts: Vec<String> =
            self.members.iter().map(|member| format!("{:?} {}\n", member.name, member.key.named())).collect();
        parts.sort_unstable();
        parts.push(format!("{:?}", self.rules));
        parts.concat().into_bytes()
    }
}

#[cfg(test)]
mod tests;
