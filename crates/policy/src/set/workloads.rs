//! The workloads in force, and what each is recognised by.

use cloakroom_model::{
    Cid, Fingerprint, Guest, KeyedHash, Marks, Name, Proof, Proofs, Rows, Source, WorkloadId,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What somebody shows to prove who they are.
#[derive(Clone, Copy, Debug)]
pub struct Showing<'a> {
    /// A workload key.
    pub key: Option<&'a str>,
    /// The certificate of the TLS handshake, which proved that its private key is there.
    pub certificate: Option<Fingerprint>,
    /// The nonce of a guest's boot, as its hash.
    pub boot: Option<KeyedHash>,
    /// Where the connection comes from.
    pub source: Source,
}

/// A workload that showed who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Its id.
    pub workload: WorkloadId,
    /// Its name.
    pub name: Name,
    /// All that it showed and that holds.
    pub proofs: Proofs,
}

struct Known {
    id: WorkloadId,
    name: Name,
    key: KeyedHash,
    marks: Marks,
}

/// The workloads that were not removed.
#[derive(Default)]
pub(super) struct Workloads {
    by_key: HashMap<KeyedHash, Arc<Known>>,
    by_certificate: HashMap<Fingerprint, Arc<Known>>,
    by_uid: HashMap<u32, Arc<Known>>,
    by_cid: HashMap<Cid, Arc<Known>>,
    /// Those whose networks are known.
    located: Vec<Arc<Known>>,
}

impl Workloads {
    pub(super) fn of(rows: &Rows) -> Self {
        let mut known = Self::default();
        for row in rows.workloads.iter().filter(|row| row.removed.is_none()) {
            let (id, name, key, marks) = (row.id, row.name.clone(), row.key, row.marks.clone());
            let one = Arc::new(Known { id, name, key, marks });
            known.by_certificate.extend(one.marks.certificate.map(|print| (print, Arc::clone(&one))));
            known.by_uid.extend(one.marks.uid.map(|uid| (uid, Arc::clone(&one))));
            known.by_cid.extend(one.marks.guest.map(|guest| (guest.cid, Arc::clone(&one))));
            if !one.marks.networks.is_empty() {
                known.located.push(Arc::clone(&one));
            }
            known.by_key.insert(key, one);
        }
        known
    }

    /// The only one that has this address in its networks. SECURITY: an address that two could have is nobody's.
    pub(super) fn resident(&self, address: IpAddr) -> Option<Recognised> {
        let has = |one: &&Arc<Known>| one.marks.networks.iter().any(|range| range.contains(&address));
        let mut having = self.located.iter().filter(has);
        let one = having.next().filter(|_| having.next().is_none())?;
        let proofs = Proofs::default().and(Proof::Network);
        Some(Recognised { workload: one.id, name: one.name.clone(), proofs })
    }

    /// SECURITY: a key that is wrong is never made good by another proof, and a certificate of one workload beside the key of
    /// another is nobody: somebody holds what is not theirs. What comes from a guest is of that guest's workload or nobody's.
    pub(super) fn recognise(
        &self,
        showing: &Showing<'_>,
        hash: impl Fn(&str) -> KeyedHash,
    ) -> Option<Recognised> {
        let key = showing.key.map(hash);
        let guest = match showing.source {
            Source::Guest(number) => Some(self.guest(number, showing.boot)?),
            Source::User(_) | Source::Address(_) => None,
        };
        let one = match (key, showing.certificate, showing.source) {
            (Some(key), ..) => self.by_key.get(&key),
            (None, Some(print), _) => self.by_certificate.get(&print),
            (None, None, Source::User(uid)) => self.by_uid.get(&uid),
            // By its number alone a guest is nobody.
            (None, None, Source::Guest(_)) => guest.filter(|_| showing.boot.is_some()),
            // A network says where somebody is, not who.
            (None, None, Source::Address(_)) => None,
        }?;
        if guest.is_some_and(|guest| guest.id != one.id) {
            return None;
        }
        let other = showing.certificate.filter(|print| one.marks.certificate != Some(*print));
        if other.is_some_and(|print| self.by_certificate.contains_key(&print)) {
            return None;
        }
        let within = |source: Source| match source {
            Source::User(uid) => (one.marks.uid == Some(uid)).then_some(Proof::Uid),
            Source::Guest(_) => showing.boot.map(|_| Proof::Cid),
            Source::Address(address) => {
                let inside = one.marks.networks.iter().any(|range| range.contains(&address));
                inside.then_some(Proof::Network)
            }
        };
        let proofs = [
            (key == Some(one.key)).then_some(Proof::Key),
            (showing.certificate.is_some() && other.is_none()).then_some(Proof::Mtls),
            within(showing.source),
        ];
        let (workload, name) = (one.id, one.name.clone());
        Some(Recognised { workload, name, proofs: proofs.into_iter().flatten().collect() })
    }

    /// Whose guest has this number; `None` where it is nobody's, or another boot is shown than that workload's.
    ///
    /// SECURITY: a CID is lent. The machine that has it now is the workload's only if it also has the nonce of this boot, and where it shows
    /// another, a key does not make that good (T93).
    fn guest(&self, number: u32, shown: Option<KeyedHash>) -> Option<&Arc<Known>> {
        let one = self.by_cid.get(&Cid::try_from(number).ok()?)?;
        let Guest { boot, .. } = one.marks.guest?;
        shown.is_none_or(|shown| shown == boot).then_some(one)
    }
}
