//! Against itself, against what others wrote, and one step wrong. Against the `age` program: the end-to-end tests of backups.

use super::{AgeError, Identity, Opener, Recipient, Sealer, bech32};
use std::io::{Read, Write};

const CANARY: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

/// An identity for this secret, as `age-keygen` writes it, and its recipient.
fn pair(byte: u8) -> (Vec<Identity>, Recipient) {
    let secret = bech32::encode("age-secret-key-", &[byte; 32]).to_ascii_uppercase();
    let identities = Identity::all(format!("# created: never\n{secret}\n").as_bytes()).unwrap();
    let private =
        aws_lc_rs::agreement::PrivateKey::from_private_key(&aws_lc_rs::agreement::X25519, &[byte; 32]);
    let public = private.unwrap().compute_public_key().unwrap();
    let recipient = bech32::encode("age", public.as_ref().try_into().unwrap());
    (identities, recipient.parse().unwrap())
}

fn sealed(to: &[Recipient], text: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::begin(to, Vec::new()).unwrap();
    sealer.write_all(text).unwrap();
    sealer.finish().unwrap()
}

fn opened(identities: &[Identity], file: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut text = Vec::new();
    Opener::begin(identities, file)?.read_to_end(&mut text)?;
    Ok(text)
}

#[test]
fn a_file_of_any_length_opens_for_each_of_its_recipients_and_for_nobody_else() {
    let ((one, to_one), (two, to_two), (three, _)) = (pair(1), pair(2), pair(3));
    let chunk = 64 * 1024;
    for length in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 7] {
        let text: Vec<u8> = CANARY.iter().copied().cycle().take(length).collect();
        let file = sealed(&[to_one.clone(), to_two.clone()], &text);
        assert_eq!(opened(&one, &file).unwrap(), text, "{length}");
        assert_eq!(opened(&two, &file).unwrap(), text, "{length}");
        assert!(matches!(opened(&three, &file), Err(AgeError::NotForUs)));
        assert!(!file.windows(CANARY.len()).any(|window| window == CANARY));
    }
    assert!(matches!(Sealer::begin(&[], Vec::new()).map(|_| ()), Err(AgeError::Nobody)));
}

#[test]
fn a_file_that_was_changed_or_cut_off_anywhere_does_not_open() {
    let (identities, recipient) = pair(1);
    let file = sealed(&[recipient], CANARY);
    assert!(opened(&identities, &file).is_ok());
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(opened(&identities, &changed).is_err(), "byte {at}");
        assert!(opened(&identities, &file[..at]).is_err(), "{at} bytes");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(opened(&identities, &longer).is_err());
}

#[test]
fn chunks_that_were_left_out_or_exchanged_are_noticed() {
    let (identities, recipient) = pair(1);
    let (chunk, text) = (64 * 1024, vec![7; 3 * 64 * 1024]);
    let file = sealed(&[recipient], &text);
    let head = file.len() - 3 * (chunk + 16);
    let part = |n: usize| &file[head + n * (chunk + 16)..head + (n + 1) * (chunk + 16)];
    let of = |parts: &[usize]| {
        let body: Vec<&[u8]> = std::iter::once(&file[..head]).chain(parts.iter().map(|n| part(*n))).collect();
        opened(&identities, &body.concat())
    };
    assert_eq!(of(&[0, 1, 2]).unwrap(), text);
    for parts in [&[0, 1][..], &[0, 2], &[1, 0, 2], &[0, 1, 1], &[0, 1, 2, 2], &[2]] {
        assert!(of(parts).is_err(), "{parts:?}");
    }
}

#[test]
fn what_is_no_recipient_or_identity_is_told() {
    let (_, recipient) = pair(1);
    let good = bech32::encode("age", &[9; 32]);
    assert!(good.parse::<Recipient>().is_ok());
    for bad in [
        "",
        "age1",
        &good[1..],
        &good[..good.len() - 1],
        &good.replace("age1", "age1q"),
        &good.to_uppercase(),
    ] {
        assert!(matches!(bad.parse::<Recipient>(), Err(AgeError::Recipient)), "{bad}");
    }
    assert_ne!(good.parse::<Recipient>().unwrap(), recipient);
    let secret = bech32::encode("age-secret-key-", &[9; 32]);
    for bad in ["", "# none", &secret, &good, "AGE-SECRET-KEY-1X"] {
        assert!(matches!(Identity::all(bad.as_bytes()), Err(AgeError::Identity)), "{bad}");
    }
}
