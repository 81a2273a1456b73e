//! How the approvers change: by signed changes, each bound to all before it, from the approvers that were trusted first.
//!
//! ```text
//! head 0   SHA-256 of the keys and names that were trusted first
//! head n   SHA-256 of head n-1 and of the text of change n, which names head n-1
//! ```

use super::key::ApproverKey;
use super::{Approver, Approvers};
use crate::escape::quoted;
use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_model::{ApproverAct, ApproverChange, Signature, hexadecimal};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How much of a key stands in one line.
const PIECE: usize = 96;

/// Where the chain stands: how many changes, and a digest of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of the last change.
    pub sequence: u32,
    /// Of the approvers that were trusted first, and of every change since.
    pub digest: [u8; 32],
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sha256:{}", self.sequence, hexadecimal(&self.digest))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unreadable = || "not a number and a SHA-256".to_owned();
        let (sequence, digest) = text.split_once(" sha256:").ok_or_else(unreadable)?;
        let mut head = Self { sequence: sequence.parse().map_err(|_| unreadable())?, digest: [0; 32] };
        if digest.len() != 64 || !digest.is_ascii() {
            return Err(unreadable());
        }
        for (index, byte) in head.digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digest[index * 2..index * 2 + 2], 16).map_err(|_| unreadable())?;
        }
        if head.to_string() == text { Ok(head) } else { Err(unreadable()) }
    }
}

impl Approvers {
    /// As they were trusted when the chain stood at `base`, and were changed up to `seen`, which was accepted under the rules of
    /// its time. Whatever is after that is judged by the rules as they are.
    #[must_use]
    pub fn trusted(mut self, base: u32, seen: Head) -> Self {
        (self.head.sequence, self.seen) = (base, seen);
        self
    }

    /// Where the chain of changes stands.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The next change, without signatures.
    ///
    /// # Errors
    /// In words, where it would change nothing, or leave nobody.
    pub fn next_change(&self, act: ApproverAct, name: &str, key: &str) -> Result<ApproverChange, String> {
        let change = ApproverChange {
            sequence: self.head.sequence.saturating_add(1),
            act,
            name: name.to_owned(),
            key: key.to_owned(),
            needed: self.needed_for_change(),
            signatures: Vec::new(),
        };
        self.changed_by(&change).map(|_| change)
    }

    /// The text of a change that is made next: what is shown, and what is signed.
    pub fn change_text(&self, change: &ApproverChange) -> String {
        let ApproverChange { sequence, act, name, key, needed, signatures: _ } = change;
        let parsed = ApproverKey::parse_line(&format!("{key} x")).map(|(key, _)| key);
        let kind = parsed.as_ref().map_or_else(|_| "unreadable".into(), ApproverKey::described);
        let mut lines = vec![
            format!("approver change: {sequence} ({act} an approver)"),
            format!("name: {}", quoted(name)),
            format!("kind of key: {kind}"),
        ];
        let shown: Vec<char> = key.chars().collect();
        let mut pieces = shown.chunks(PIECE).map(|piece| quoted(&piece.iter().collect::<String>()));
        lines.push(format!("key: {}", pieces.next().unwrap_or_else(|| quoted(""))));
        lines.extend(pieces.map(|piece| format!("  | {piece}")));
        lines.push(format!("key (SHA-256): {}", key_digest(key)));
        let present: Vec<String> = self.names().into_iter().map(quoted).collect();
        lines.push(format!("approvers before: {}", present.join(", ")));
        lines.push(format!("signatures needed: {needed}"));
        lines.push(format!("after (SHA-256): {}", hexadecimal(&self.head.digest)));
        lines.push(String::new());
        lines.join("\n")
    }

    /// Who signed this change, of the approvers there are, and how many have to.
    pub fn tally_change(&self, change: &ApproverChange) -> super::Tally {
        let text = self.change_text(change);
        let signed = change.signatures.iter().filter_map(|signature| self.signer(&text, signature));
        let needed = usize::try_from(change.needed).unwrap_or(usize::MAX).max(1);
        super::Tally { signed: signed.map(|by| by.name.clone()).collect(), needed }
    }

    /// Whether an approver signed the text of this change.
    pub fn signs_change(&self, change: &ApproverChange, signature: &Signature) -> Option<&Approver> {
        self.signer(&self.change_text(change), signature)
    }

    /// The approvers after these changes. `last`: where the chain stood when somebody looked last.
    ///
    /// # Errors
    /// In words, where a change is not signed by enough of the approvers before it, does not follow on the one before,
    /// or where changes that were there are gone.
    pub fn following(&self, changes: &[ApproverChange], last: Option<Head>) -> Result<Self, String> {
        let marks =
            [Some(self.seen), last].into_iter().flatten().filter(|mark| mark.sequence >= self.head.sequence);
        let marks: Vec<Head> = marks.filter(|mark| *mark != Head::default()).collect();
        let mut now = self.clone();
        now.require_on_the_way(&marks)?;
        for change in changes.iter().filter(|change| change.sequence > self.head.sequence) {
            now = now.after(change)?;
            now.require_on_the_way(&marks)?;
        }
        match marks.iter().find(|mark| mark.sequence > now.head.sequence) {
            Some(mark) => Err(format!("change {} of the approvers is gone", mark.sequence)),
            None => Ok(now),
        }
    }

    fn require_on_the_way(&self, marks: &[Head]) -> Result<(), String> {
        match marks.iter().find(|mark| mark.sequence == self.head.sequence && **mark != self.head) {
            Some(_) if self.head.sequence == 0 => {
                Err("the approvers are not those that were trusted first".to_owned())
            }
            Some(mark) => {
                Err(format!("change {} of the approvers is not the one that was made", mark.sequence))
            }
            None => Ok(()),
        }
    }

    fn after(&self, change: &ApproverChange) -> Result<Self, String> {
        let number = change.sequence;
        if Some(number) != self.head.sequence.checked_add(1) {
            return Err(format!(
                "change {number} of the approvers does not follow on {}",
                self.head.sequence
            ));
        }
        // SECURITY: a change says itself how many signatures it needed; one that nobody has seen yet may not ask for less
        // than the rules do.
        if number > self.seen.sequence && change.needed < self.needed_for_change() {
            return Err(format!("change {number} of the approvers asks for too few signatures"));
        }
        let tally = self.tally_change(change);
        if !tally.is_complete() {
            let (signed, needed) = (tally.signed.len(), tally.needed);
            return Err(format!("change {number} of the approvers has {signed} of {needed} signatures"));
        }
        self.changed_by(change)
    }

    fn changed_by(&self, change: &ApproverChange) -> Result<Self, String> {
        let mut changed = self.clone();
        let (key, name) = ApproverKey::parse_line(&format!("{} {}", change.key, change.name))?;
        if key.named() != change.key || name != change.name {
            return Err("the key or the name is not written as it is read".to_owned());
        }
        match change.act {
            ApproverAct::Enrol if self.members.iter().any(|member| member.key.is_same_key(&key)) => {
                return Err("the key is enrolled already".to_owned());
            }
            ApproverAct::Enrol => changed.members.push(Approver { name, key }),
            ApproverAct::Remove => {
                changed.members.retain(|member| member.name != name || member.key != key);
                if changed.members.len() == self.members.len() {
                    return Err("there is no such approver".to_owned());
                }
                if changed.members.is_empty() {
                    return Err("nobody would be left".to_owned());
                }
            }
        }
        let linked = [&self.head.digest[..], self.change_text(change).as_bytes()].concat();
        changed.head = Head { sequence: change.sequence, digest: sha256(&linked) };
        Ok(changed)
    }

    /// As many as anything takes, and never more than there are: whoever is alone enrols the second.
    fn needed_for_change(&self) -> u32 {
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        count(self.rules.most()).min(count(self.names().len()).max(1))
    }

    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.members.iter().map(Approver::name).collect()
    }
}

/// SHA-256 of a key's words, in hexadecimal.
pub(super) fn key_digest(key: &str) -> String {
    hexadecimal(&sha256(key.as_bytes()))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}
