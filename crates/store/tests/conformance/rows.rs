//! Rows for the suite: valid, distinct, and never a secret.

use cloakroom_model::placeholder::Alphabet;
use cloakroom_model::*;

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

pub(crate) fn keys() -> LookupKey {
    LookupKey::from_bytes(&[7; 32])
}

fn random(number: u64) -> [u8; 10] {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    random
}

pub(crate) fn credential(number: u64, name: &str) -> CredentialRecord {
    CredentialRecord {
        id: CredentialId::new(at(number), random(number)),
        name: Name::parse(name).unwrap(),
        kind: CredentialKind::Bearer,
        destinations: vec!["https://api.example.com".parse().unwrap(), "http://[::1]:8080".parse().unwrap()],
        shape: Shape::prefixed("sk_live_", Alphabet::Base62, 40),
        generation: 1,
        sealed: SealedSecret(format!("ciphertext-{number}-of-generation-1").into_bytes()),
        created: at(number),
        rotated: at(number),
        removed: None,
    }
}

pub(crate) fn workload(number: u64, name: &str) -> WorkloadRecord {
    WorkloadRecord {
        id: WorkloadId::new(at(number), random(number)),
        name: Name::parse(name).unwrap(),
        key: keys().workload_hash(name),
        marks: Marks {
            certificate: Some(Fingerprint::of(name.as_bytes())),
            uid: u32::try_from(number).ok(),
            guest: Some(Guest {
                cid: u32::try_from(number % 1000 + 3).unwrap().try_into().unwrap(),
                boot: keys().boot_hash(name),
            }),
            networks: vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        },
        created: at(number),
        removed: None,
    }
}

pub(crate) fn placeholder(
    number: u64,
    credential: CredentialId,
    workload: WorkloadId,
    uses: Option<u32>,
) -> (PlaceholderRecord, ApprovalRecord) {
    let id = PlaceholderId::new(at(number), random(number));
    let row = PlaceholderRecord {
        id,
        credential,
        workload,
        core: format!("{number:032x}").try_into().unwrap(),
        text: keys().placeholder_hash(&format!("placeholder {number}")),
        policy: "version = 1\n".into(),
        created: at(number),
        expires: Some(at(number + 1000)),
        daily: Some("22:00-06:00+02:00".parse().unwrap()),
        holder: "key,mtls,network".parse().unwrap(),
        uses,
        used: 0,
        state: PlaceholderState::Pending,
        on_misuse: OnMisuse::RevokeFamily,
        frozen: None,
        end: None,
        parent: None,
        not_before: None,
    };
    let approval = ApprovalRecord {
        id: ApprovalId::new(at(number), random(number)),
        placeholder: id,
        created: at(number),
        decided: None,
        signatures: Vec::new(),
        denied: false,
        requester: Some("uid 1000".into()),
        generation: Some(1),
        withdrawn: None,
        expires: None,
    };
    (row, approval)
}

pub(crate) fn signature() -> Signature {
    Signature { key: "a2V5".into(), signature: "c2lnbmF0dXJl".into() }
}

pub(crate) fn lease(number: u64) -> LeaseRecord {
    LeaseRecord {
        id: LeaseId::new(at(number), random(number)),
        credential: CredentialId::new(at(number), random(number)),
        generation: 1,
        state: LeaseState::Asked,
        sealed: SealedSecret(format!("ciphertext-{number}-of-a-lease").into_bytes()),
        asked: at(number),
        expires: None,
        attempts: 0,
        trouble: None,
    }
}

pub(crate) fn member(number: u64, name: &str, key: &str) -> MemberRecord {
    MemberRecord {
        id: MemberId::new(at(number), random(number)),
        name: Name::parse(name).unwrap(),
        roles: [Role::Operator, Role::Reader].into_iter().collect(),
        key: key.to_owned(),
        created: at(number),
        removed: None,
    }
}

pub(crate) fn session(number: u64, ends: u64) -> SessionRecord {
    SessionRecord {
        id: SessionId::new(at(number), random(number)),
        hash: keys().hash("session", &number.to_be_bytes()),
        half: keys().hash("half", &number.to_be_bytes()),
        name: "ann".into(),
        key: Some("webauthn a".into()),
        roles: Roles::default(),
        begun: at(number),
        used: at(number),
        ends: at(ends),
    }
}

pub(crate) fn session_of(number: u64, key: &str) -> SessionRecord {
    SessionRecord { key: Some(key.into()), ..session(number, 30) }
}

pub(crate) fn api_token(number: u64, name: &str) -> ApiTokenRecord {
    ApiTokenRecord {
        id: ApiTokenId::new(at(number), random(number)),
        name: Name::parse(name).unwrap(),
        hash: keys().hash("API token", &number.to_be_bytes()),
        roles: [Role::Auditor].into_iter().collect(),
        owner: "uid 0".into(),
        owner_key: None,
        created: at(number),
        expires: at(number + 5),
        revoked: None,
    }
}
