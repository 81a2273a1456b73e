//! Signed notes against the vectors of golang.org/x/mod/sumdb/note, and checkpoints against the wording of c2sp.org/tlog-checkpoint.

use crate::journal::hash::Hash;
use crate::journal::note::{Checkpoint, PublicKey, sign};
use crate::journal::{Witness, checkpoints_in};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The verifier key, the signer key and the note of the reference implementation's tests.
const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SIGNER: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn note() -> String {
    format!("{TEXT}\n{SIGNATURE}")
}

fn peter() -> PublicKey {
    PublicKey::parse(VERIFIER).unwrap()
}

#[test]
fn the_published_note_verifies_and_the_published_key_makes_it_again() {
    assert_eq!(peter().open(&note()), Ok(TEXT));
    assert_eq!(peter().to_string(), VERIFIER);
    let seed = &STANDARD.decode(SIGNER).unwrap()[1..];
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
    assert_eq!(sign(TEXT, &pair, &peter()), note());
}

#[test]
fn a_verifier_key_is_read_in_one_spelling_only() {
    for end in 0..VERIFIER.len() {
        assert_eq!(PublicKey::parse(&VERIFIER[..end]), None);
        assert_eq!(PublicKey::parse(&VERIFIER[end + 1..]), None);
        let mut bytes = VERIFIER.as_bytes().to_vec();
        bytes[end] += 1;
        assert_eq!(PublicKey::parse(std::str::from_utf8(&bytes).unwrap()), None);
    }
    // The reference's: a key of the wrong length and an unknown algorithm, each with a fitting id.
    for other in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert_eq!(PublicKey::parse(other), None);
    }
}

/// After the reference's table of malformed notes.
#[test]
fn a_note_that_is_malformed_or_not_signed_by_this_key_is_refused() {
    let (text, signature) = (TEXT, SIGNATURE);
    let changed = note().replace("cryptography", "cryptographY");
    let others = "\u{2014} EnochRoot af4cfc97+PHO/6iIbCJg0KWu4tzKOAgyBtuIARmnJyqnMFIUtMrZsCeQyI1bNDGxrBk5hWvTEGRnE4ljqkxTDlOTnNSgPw==\n";
    for bad in [
        changed,
        text.to_owned(),
        format!("{text}\n"),
        format!("{text}{signature}"),
        format!("{text}\n{}", signature.trim_end()),
        format!("{text}\n{signature}\n"),
        format!("{text}\n{}", signature.replace('\u{2014}', "-")),
        format!("{text}\n{}", signature.replace("x08go", "x08g+")),
        format!("{text}\n{}", signature.replace("PeterNeumann", "Peter Neumann")),
        format!("{text}\n{}", signature.replace("PeterNeumann", "PeterNeumann2")),
        format!("{text}\n{}", signature.replace("JnAM=", "JnAM")),
        format!("{text}\n\u{2014} PeterNeumann \n"),
        format!("{}\n{signature}", text.replace("answer", "ans\u{1}wer")),
        format!("{text}\n{}", signature.repeat(101)),
    ] {
        assert!(peter().open(&bad).is_err(), "{bad}");
    }
    let among_others = format!("{text}\n{}{signature}", others.replace("af4cfc97+PHO", "rwz8lw+PHO0"));
    let _ = peter().open(&among_others);
    let twice = format!("{text}\n{signature}{signature}");
    assert_eq!(peter().open(&twice), Ok(TEXT), "the first one counts");
}

#[test]
fn a_checkpoint_is_origin_size_and_root_and_nothing_looser() {
    // The example of c2sp.org/tlog-checkpoint.
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let read = |text: &str| Checkpoint::parse(text, "example.com/behind-the-sofa");
    let checkpoint = read(text).unwrap();
    assert_eq!(checkpoint.size, 20_852_163);
    assert_eq!(checkpoint.text("example.com/behind-the-sofa", ""), text);
    assert_eq!(read(&format!("{text}an extension\n")), Ok(checkpoint));
    let empty = Checkpoint { size: 0, root: Hash::of(&[]) };
    assert_eq!(read(&empty.text("example.com/behind-the-sofa", "")), Ok(empty));
    for bad in [
        text.trim_end().to_owned(),
        text.replace("sofa", "sofb"),
        text.replace("208", "0208"),
        text.replace("208", "+208"),
        text.replace("20852163", ""),
        text.replace("20852163", "18446744073709551616"),
        text.replace("q2I=", "q2I"),
        text.replace("CsUY", "CsU"),
        format!("{text}\n"),
        format!("{text}one\n\ntwo\n"),
        "example.com/behind-the-sofa\n20852163\n".into(),
    ] {
        assert!(read(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_witness_file_may_hold_other_text_and_one_note_cut_short_hides_none_behind_it() {
    let bench = super::Bench::new(1 << 20, 2).filled(5);
    let lines = super::lines::exported(&bench);
    let notes: Vec<&str> = lines.iter().filter_map(|line| line["note"].as_str()).collect();
    assert_eq!(notes.len(), 2);
    let key = PublicKey::open_file(&bench.dir().join("key.pub")).unwrap();
    let cut = &notes[0][..notes[0].len() - 9];
    let text = format!("# kept by hand\n{}old 2\n\n{cut}\nFrom witness\n\n{}trailing", notes[0], notes[1]);
    let (found, unreadable) = checkpoints_in(&text, &key);
    assert_eq!((found.len(), unreadable), (2, 1), "{text}");
    assert_eq!((found[0].size, found[1].size), (2, 5));
    let verdict = crate::journal::verify_against(
        &bench.dir(),
        Witness { key: Some(key.clone()), checkpoints: found },
        &mut |_| {},
    )
    .unwrap();
    assert_eq!((verdict.ok, verdict.witnessed), (true, Some(5)));
    assert_eq!(checkpoints_in("nothing here", &key).0.len(), 0);
    assert_eq!(checkpoints_in("", &peter()).0.len(), 0);
}
