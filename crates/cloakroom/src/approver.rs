//! The approver's key pair. The private half is read by the CLI process that grants, never by the broker.

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::{Signature, Timestamp};
use cloakroom_policy::Approvers;
use cloakroom_store::journal::Entry;
use std::path::Path;
use zeroize::Zeroizing;

/// What every signature begins with, so that it can mean nothing else.
const DOMAIN: &[u8] = b"cloakroom approval v1\n";

/// Whether this start made the first approver's key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    Made,
    Kept,
}

/// Makes the key pair where neither half exists: first start. Where approvals may be stored already, a lost pair is not
/// replaced: whose signatures count is decided by people, not by a start.
pub(crate) fn create_if_missing(data: &DataDir) -> Result<Pair, Failure> {
    if data.approver_keys().exists() || data.approver_key().exists() {
        return Ok(Pair::Kept);
    }
    data.require_first_start(&data.approver_keys())?;
    let failed = || Failure::failed("the approver's key could not be made");
    let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
    let document = pair.to_pkcs8().map_err(|_| failed())?;
    let private =
        Zeroizing::new(format!("{}\n", Zeroizing::new(STANDARD.encode(document.as_ref())).as_str()));
    // The public half last: with it the pair is complete.
    write_private(&data.approver_key(), private.as_bytes())?;
    write_private(&data.approver_keys(), format!("{}\n", STANDARD.encode(pair.public_key())).as_bytes())?;
    Ok(Pair::Made)
}

/// Whose signatures count: one public key a line; `#` begins a comment.
pub(crate) fn enrolled(data: &DataDir) -> Result<Approvers, Failure> {
    let path = data.approver_keys();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let hint = if data.database().exists() {
            "restore it from a backup; without it no approval can be verified"
        } else {
            "remove approver.key as well, for a new pair"
        };
        Failure::file("read", &path, &error).hinting(hint)
    })?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let keys = lines.filter(|line| !line.is_empty()).map(str::to_owned);
    Approvers::new(keys).map_err(|why| {
        Failure::failed(format!("{}: {why}", path.display())).hinting(
            "each line is a public key and a name: Ed25519, 32 bytes in base64, or an SSH public key",
        )
    })
}

/// What `ssh-keygen -Y sign` wrote. It names its key itself.
pub(crate) fn read_ssh_signature(file: &Path) -> Result<Signature, Failure> {
    let bytes = read_if_there(file)?;
    let text = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let signature = text.and_then(Approvers::read_ssh_signature);
    signature.ok_or_else(|| {
        Failure::failed(format!("{} is not a signature of ssh-keygen", file.display())).hinting(
            "make one: cloakroom approval text ID > text; ssh-keygen -Y sign -n cloakroom -f KEY text",
        )
    })
}

/// Whose signatures count from now on, as the journal keeps it.
pub(crate) fn on_record(approvers: &Approvers) -> Entry {
    let names: Vec<String> =
        approvers.members().iter().map(|member| format!("{:?}", member.name())).collect();
    Entry::Act {
        at: Timestamp::now(),
        act: "approvers in force".into(),
        subject: format!("sha256:{}", approvers.digest()),
        name: None,
        by: format!("approver.pub ({})", names.join(", ")),
    }
}

/// Signs the canonical text with the key in this file.
pub(crate) fn sign(key: &Path, text: &str) -> Result<Signature, Failure> {
    let encoded = read_if_there(key)?.ok_or_else(|| {
        Failure::failed(format!("there is no approver's key {}", key.display()))
            .hinting("grant on the machine and as the user that holds the key, or name it: --key FILE")
    })?;
    let damaged = || {
        Failure::failed(format!("{} is not an approver's key", key.display()))
            .hinting("an approver's key is PKCS #8 of an Ed25519 key, in base64")
    };
    let document = Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).map_err(|_| damaged())?);
    let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| damaged())?;
    let bytes = [DOMAIN, text.as_bytes()].concat();
    Ok(Signature { key: STANDARD.encode(pair.public_key()), signature: STANDARD.encode(pair.sign(&bytes)) })
}
