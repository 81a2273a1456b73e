//! Signatures of real `ssh-keygen`, each one step wrong, and hardware keys made here.

use super::Approvers;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::Signature;

const TEXT: &str = include_str!("vectors/text");
const KEYS: [(&str, &str); 3] = [
    (include_str!("vectors/ssh-ed25519.pub"), include_str!("vectors/ssh-ed25519.sig")),
    (include_str!("vectors/ssh-ecdsa.pub"), include_str!("vectors/ssh-ecdsa.sig")),
    (include_str!("vectors/ssh-rsa.pub"), include_str!("vectors/ssh-rsa.sig")),
];
const FOR_GIT: &str = include_str!("vectors/ssh-ed25519-namespace-git.sig");

fn approvers(line: &str) -> Approvers {
    Approvers::new([line.trim().to_owned()]).unwrap()
}

fn read(signature: &str) -> Signature {
    Approvers::read_ssh_signature(signature).unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

#[test]
fn a_signature_of_each_kind_of_ssh_key_verifies_and_names_its_signer() {
    for (public, signature) in KEYS {
        let approvers = approvers(public);
        let signer = approvers.signer(TEXT, &read(signature)).unwrap();
        assert!(signer.name().ends_with("-person"), "{}", signer.name());
    }
}

#[test]
fn t78_a_signature_over_another_text_by_another_key_or_in_another_namespace_is_none() {
    for (public, signature) in KEYS {
        let (own, signature) = (approvers(public), read(signature));
        let edited = TEXT.replace("one", "onf");
        for text in [edited.as_str(), "", &TEXT[1..], TEXT.trim_end()] {
            assert!(own.signer(text, &signature).is_none(), "{text:?}");
        }
        for (other, _) in KEYS.iter().filter(|(other, _)| *other != public) {
            assert!(approvers(other).signer(TEXT, &signature).is_none());
            // A row that says it was signed by the enrolled key.
            let words = other.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            let lie = Signature { key: words, ..signature.clone() };
            assert!(approvers(other).signer(TEXT, &lie).is_none());
        }
    }
    assert!(approvers(KEYS[0].0).signer(TEXT, &read(FOR_GIT)).is_none());
    assert!(Approvers::is_for_something_else(&read(FOR_GIT)));
    assert!(KEYS.iter().all(|(_, signature)| !Approvers::is_for_something_else(&read(signature))));
}

#[test]
fn t78_no_byte_of_a_signature_can_be_changed_or_left_out() {
    for (public, signature) in KEYS {
        let (own, good) = (approvers(public), read(signature));
        let body: String = signature.lines().filter(|line| !line.starts_with("-----")).collect();
        let bytes = STANDARD.decode(body).unwrap();
        let verifies = |bytes: &[u8]| {
            let signature = Signature { key: good.key.clone(), signature: STANDARD.encode(bytes) };
            own.signer(TEXT, &signature).is_some()
        };
        assert!(verifies(&bytes));
        for at in 0..bytes.len() {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            assert!(!verifies(&edited), "byte {at}");
            assert!(!verifies(&bytes[..at]), "cut at {at}");
        }
        assert!(!verifies(&[&bytes[..], &[0]].concat()));
    }
}

#[test]
fn t78_rsa_with_sha_1_is_a_downgrade_and_no_signature() {
    let (public, signature) = KEYS[2];
    let body: String = signature.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = STANDARD.decode(body).unwrap();
    let (from, to) = (string(b"rsa-sha2-512"), string(b"ssh-rsa"));
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    let mut edited = [&bytes[..at], &to, &bytes[at + from.len()..]].concat();
    let outer = at - 4;
    let length = u32::from_be_bytes(edited[outer..at].try_into().unwrap()) - 5;
    edited[outer..at].copy_from_slice(&length.to_be_bytes());
    let edited = Signature { key: read(signature).key, signature: STANDARD.encode(edited) };
    assert!(approvers(public).signer(TEXT, &edited).is_none());
}

/// A hardware key of OpenSSH, in software.
fn touched(pair: &Ed25519KeyPair, flags: u8, application: &[u8]) -> (String, Signature) {
    let word = b"sk-ssh-ed25519@openssh.com";
    let blob = [string(word), string(pair.public_key().as_ref()), string(b"ssh:")].concat();
    let head = |magic: &[u8]| [magic, &string(b"cloakroom"), &string(b""), &string(b"sha512")].concat();
    let signed = [head(b"SSHSIG"), string(digest(&SHA512, TEXT.as_bytes()).as_ref())].concat();
    let state = [flags, 0, 0, 0, 9];
    let message = [digest(&SHA256, application).as_ref(), &state, digest(&SHA256, &signed).as_ref()].concat();
    let proof = [string(word), string(pair.sign(&message).as_ref()), state.to_vec()].concat();
    let magic = [&b"SSHSIG"[..], &1u32.to_be_bytes(), &string(&blob)].concat();
    let signature = [head(&magic), string(&proof)].concat();
    let line = format!("sk-ssh-ed25519@openssh.com {} alice", STANDARD.encode(&blob));
    (line, read(&STANDARD.encode(signature)))
}

#[test]
fn t78_a_hardware_key_counts_where_somebody_touched_it_and_for_its_own_application() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let (line, signature) = touched(&pair, 1, b"ssh:");
    assert_eq!(approvers(&line).signer(TEXT, &signature).unwrap().name(), "alice");
    for (flags, application) in [(0, &b"ssh:"[..]), (4, b"ssh:"), (1, b"ssh:other")] {
        let (_, signature) = touched(&pair, flags, application);
        assert!(approvers(&line).signer(TEXT, &signature).is_none(), "{flags}");
    }
}

#[test]
fn a_line_that_is_no_key_or_is_there_twice_is_refused() {
    for (public, _) in KEYS {
        assert!(Approvers::new([public.to_owned(), format!("{public} again")]).is_err());
        let cut: String = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        assert!(Approvers::new([cut[..cut.len() - 8].to_owned()]).is_err());
    }
    for line in ["", "ssh-dss AAAA", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa !", "short"] {
        assert!(Approvers::new([line.to_owned()]).is_err(), "{line}");
    }
}
