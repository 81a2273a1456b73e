//! The seeds of the fuzz targets, as ordinary tests: what once broke something stays here.

use cloakroom_policy::Policy;
use std::path::Path;

fn each(target: &str, check: impl Fn(&str, &[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seen = 0;
    for entry in std::fs::read_dir(&directory).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        check(&name, &std::fs::read(entry.path()).unwrap());
        seen += 1;
    }
    assert!(seen > 0, "{} has no seeds", directory.display());
}

#[test]
fn t36_t37_t99_request_heads_of_the_corpus_are_read_or_refused() {
    each("request_head", |_, bytes| {
        let _ = cloakroom_proxy::fuzz::request_head(bytes);
        for piece in 1..=7 {
            cloakroom_proxy::fuzz::chunked_body(bytes, piece);
        }
    });
}

#[test]
fn policy_files_of_the_corpus_are_kept_or_refused_with_a_position() {
    each("policy_file", |name, bytes| {
        cloakroom_policy::fuzz::policy_file(bytes);
        cloakroom_policy::fuzz::json_body(bytes);
        if let Err(complaints) = Policy::parse(name, &String::from_utf8_lossy(bytes)) {
            assert!(complaints.iter().all(|c| c.file == name && c.line > 0), "{name}: {complaints:?}");
        }
    });
}

#[test]
fn passkeys_of_the_corpus_are_read_or_refused() {
    each("passkey", |_, bytes| cloakroom_policy::fuzz::passkey(bytes));
}

#[test]
fn t87_sealed_blobs_of_the_corpus_are_split_or_refused() {
    each("sealed_blob", |name, bytes| {
        if let Some(parts) = cloakroom_egress::custody::SealedParts::parse(bytes) {
            let head = if bytes[0] == 1 { 3 } else { 7 };
            assert_eq!(parts.wrapped.len() + parts.ciphertext.len() + head, bytes.len(), "{name}");
        }
    });
}

#[test]
fn journal_segments_of_the_corpus_are_read_or_refused() {
    each("journal_segment", |name, bytes| {
        let (_, bad) = cloakroom_store::journal::parse(bytes);
        assert!(bad.is_none_or(|offset| offset <= bytes.len() as u64), "{name}");
    });
}
