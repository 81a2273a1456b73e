//! The approver's key pair. The private half is read by the CLI process that grants, never by the broker.

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_admin::Pin;
use cloakroom_model::{Rows, Signature, Timestamp};
use cloakroom_policy::{Approvers, Head};
use cloakroom_store::journal::Entry;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What every signature begins with, so that it can mean nothing else.
const DOMAIN: &[u8] = b"cloakroom approval v1\n";

/// How the record calls it when `approver.pub` is trusted because nothing was trusted before.
pub(crate) const ON_FIRST_USE: &str = "on first use";

/// Makes the key pair where neither half exists: first start. Where approvals may be stored already, a lost pair is not
/// replaced: whose signatures count is decided by people, not by a start.
pub(crate) fn create_if_missing(data: &DataDir) -> Result<(), Failure> {
    if data.approver_keys().exists() || data.approver_key().exists() {
        return Ok(());
    }
    data.require_first_start(&data.approver_keys())?;
    let failed = || Failure::failed("the approver's key could not be made");
    let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
    let document = pair.to_pkcs8().map_err(|_| failed())?;
    let private =
        Zeroizing::new(format!("{}\n", Zeroizing::new(STANDARD.encode(document.as_ref())).as_str()));
    // The public half last: with it the pair is complete.
    write_private(&data.approver_key(), private.as_bytes())?;
    write_private(&data.approver_keys(), format!("{} first\n", STANDARD.encode(pair.public_key())).as_bytes())
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

/// The approvers that were trusted first, and how far they have changed since.
pub(crate) struct Trusted {
    pub(crate) approvers: Approvers,
    pub(crate) pin: Pin,
    /// How the file came to be trusted with this start, where it did.
    pub(crate) anew: Option<&'static str>,
}

/// Holds `approver.pub` and the changes since against what was kept when the broker last looked. `anew`: the operator says that
/// the file is to be trusted as it is. `recorded`: how many records the journal has; first use is where it has none.
pub(crate) fn trusted(
    data: &DataDir,
    enrolled: Approvers,
    rows: &Rows,
    recorded: u64,
    anew: bool,
) -> Result<Trusted, Failure> {
    let made = rows.approver_changes.last().map_or(0, |change| change.sequence);
    let from_now = |base: u32, how: &'static str| {
        let head = Head { sequence: base, ..enrolled.head() };
        let approvers = enrolled.clone().trusted(base, head);
        Trusted { approvers, pin: Pin { base, head }, anew: Some(how) }
    };
    if anew {
        tracing::warn!(
            "approver.pub is trusted as it is, because --trust-approvers says so: nobody signed for that"
        );
        return Ok(from_now(made, "by --trust-approvers"));
    }
    let Some(pin) = Pin::read(data.path()).map_err(|error| Failure::file("read", &pin_path(data), &error))?
    else {
        if made > 0 {
            return Err(changed("keys/approvers is missing, and the approvers have changed since the first"));
        }
        // Both are asked: an empty journal is no first use where rows are left, nor are empty rows where the journal knows more.
        if recorded > 0 || in_use(rows) {
            return Err(changed("keys/approvers is missing, and this is not the first start"));
        }
        return Ok(from_now(0, ON_FIRST_USE));
    };
    let approvers = enrolled.trusted(pin.base, pin.head);
    let now = approvers.following(&rows.approver_changes, None).map_err(|why| changed(&why))?;
    let pin = Pin { head: now.head(), ..pin };
    Ok(Trusted { approvers: approvers.trusted(pin.base, pin.head), pin, anew: None })
}

/// Whether there is anything that an approver could release, or has.
fn in_use(rows: &Rows) -> bool {
    !(rows.credentials.is_empty() && rows.placeholders.is_empty() && rows.approvals.is_empty())
}

fn changed(why: &str) -> Failure {
    Failure::failed(format!("it is not known who the approvers are: {why}")).hinting(
        "restore approver.pub, keys/approvers and cloakroom.db as they were; approvers change by: cloakroom approver enrol \
         and remove. To trust approver.pub as it is, on record: --trust-approvers",
    )
}

fn pin_path(data: &DataDir) -> PathBuf {
    data.key("approvers")
}

/// Keeps how far the changes were followed.
pub(crate) fn keep(data: &DataDir, pin: Pin) -> Result<(), Failure> {
    pin.write(data.path()).map_err(|error| Failure::file("write", &pin_path(data), &error))
}

/// That the file was trusted, as the journal keeps it.
pub(crate) fn trusted_on_record(approvers: &Approvers, how: &str) -> Entry {
    Entry::Act {
        at: Timestamp::now(),
        act: "approvers trusted".into(),
        subject: format!("sha256:{}", approvers.digest()),
        name: None,
        by: format!("approver.pub, {how}"),
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
