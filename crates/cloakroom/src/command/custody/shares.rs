//! `cloakroom custody init`: shares, to their operators and nowhere else.

use crate::Outcome;
use crate::cli::InitCustody;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::secret_input;
use cloakroom_egress::age::{Recipient, Sealer};
use cloakroom_egress::custody::{CustodyError, KekSource, Share, init_shares, made_with};
use serde_json::json;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Write, stdout};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

pub(super) fn init(data: &DataDir, options: &InitCustody, output: &Output) -> Outcome {
    let recipients = &options.recipients;
    if !recipients.is_empty() && recipients.len() != usize::from(options.shares) {
        let text = format!("{} shares and {} recipients", options.shares, recipients.len());
        return Err(Failure::bad_input(text).hinting("name one recipient for each share: --to age1…"));
    }
    if options.out.is_none() && output.is_json() {
        return Err(Failure::bad_input("shares are no part of a document")
            .hinting("encrypt them: --to age1… --out DIR; or leave --json out"));
    }
    data.create()?;
    // Two at once would make two sets, and one of them nothing.
    let _lock = data.lock()?;
    let before = before(data, options)?;
    let (old, source) = before.map_or((None, None), |(file, source)| (Some(file), Some(source)));
    let made = init_shares(&data.key(""), options.shares, options.threshold, source).map_err(of_custody)?;
    match &options.out {
        Some(directory) => hand_out(&made.shares, recipients, directory)?,
        None => print(&made.shares, output)?,
    }
    // Only now: until the shares are handed out nothing has changed, and the former key opens everything.
    made.keep().map_err(of_custody)?;
    if let Some(file) = old {
        let path = data.key(file);
        let removed = std::fs::remove_file(&path).and_then(|()| File::open(data.key(""))?.sync_all());
        removed.map_err(|error| Failure::file("remove", &path, &error))?;
    }
    let document = json!({ "shares": options.shares, "threshold": options.threshold });
    if options.out.is_some() {
        output.data(&document, || {
            format!("made {} shares; any {} unseal", options.shares, options.threshold)
        })?;
    }
    output.hint("set kek = \"shares\" in [custody]; the broker starts sealed: cloakroom custody unseal");
    if old.is_some() {
        output.hint("what was sealed before is under the former root key still: cloakroom custody rotate-kek, then rewrap");
    }
    Ok(Exit::Done)
}

/// The key of this machine that the directory was made with, where there is one, and its file.
fn before(data: &DataDir, options: &InitCustody) -> Result<Option<(&'static str, KekSource)>, Failure> {
    match made_with(&data.key("")).map_err(of_custody)?.as_deref() {
        None => {
            data.require_first_start(&data.key("kek"))?;
            Ok(None)
        }
        Some("file") => Ok(Some(("kek", KekSource::KeyFile(data.key("kek"))))),
        Some("passphrase") => {
            let file = options.passphrase_file.as_deref();
            let passphrase = secret_input::read(file, secret_input::PASSPHRASE)?;
            Ok(Some(("kek.salt", KekSource::Passphrase { salt_file: data.key("kek.salt"), passphrase })))
        }
        Some(other) => Err(Failure::failed(format!("this data directory was made with kek = {other:?}"))
            .hinting("shares are made for a new directory, or for one with a key file or a passphrase")),
    }
}

fn print(shares: &[Share], output: &Output) -> Result<(), Failure> {
    let mut out = stdout().lock();
    for share in shares {
        share.write_to(&mut out)?;
    }
    out.flush()?;
    output.warning("each share is shown this once: give each to another operator, and keep none of this");
    Ok(())
}

fn hand_out(shares: &[Share], recipients: &[Recipient], directory: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Failure::file("create", directory, &error))?;
    for (share, recipient) in shares.iter().zip(recipients) {
        let path = directory.join(format!("share-{}.age", share.number()));
        let failed = |error: &std::io::Error| Failure::file("write", &path, error);
        let mut fresh = OpenOptions::new();
        let file = fresh.write(true).create_new(true).mode(0o600).open(&path).map_err(|e| failed(&e))?;
        let sealed = Sealer::begin(std::slice::from_ref(recipient), file);
        let mut sealed = sealed.map_err(|error| Failure::failed(error.to_string()))?;
        let file = share.write_to(&mut sealed).and_then(|()| sealed.finish()).map_err(|e| failed(&e))?;
        file.sync_all().map_err(|e| failed(&e))?;
    }
    Ok(())
}

fn of_custody(error: CustodyError) -> Failure {
    Failure::failed(error.to_string()).hinting(error.hint())
}
