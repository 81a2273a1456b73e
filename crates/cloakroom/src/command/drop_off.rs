//! `cloakroom drop-off …`, and parcels: sealed here for a broker elsewhere, or handed in.

use crate::Outcome;
use crate::broker::Broker;
use crate::cli::{AddCredential, DropOffCommand, ParcelArguments};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::image::evidence::Demands;
use crate::output::{Output, table};
use cloakroom_admin::wire::{
    CredentialView, DropKeyView, DropOffRotation, DropOffView, Evidence, EvidenceQuestion,
};
use cloakroom_egress::custody::{DropKey, LONGEST_PARCEL, Label, Parcel};
use cloakroom_model::{CredentialKind, Destination, Timestamp, hexadecimal};
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// More than any parcel has, in bytes.
const LONGEST: u64 = 256 * 1024;

pub(super) fn run(data: &DataDir, command: &DropOffCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        DropOffCommand::Show => show(&broker.read("drop-off")?, output),
        DropOffCommand::Evidence { nonce } => evidence(&broker, nonce.as_deref(), output),
        DropOffCommand::Rotate { overlap } => {
            show(&broker.post("drop-off/rotate", &DropOffRotation { overlap: overlap.as_secs() })?, output)
        }
    }
}

fn show(keys: &DropOffView, output: &Output) -> Outcome {
    output.data(keys, || {
        let rows: Vec<Vec<String>> = keys.keys.iter().map(row).collect();
        table(&["KEY", "MADE", "OPENS UNTIL"], &rows)
    })?;
    output.hint("seal a secret to it, anywhere: cloakroom credential add NAME … --sealed-for KEY");
    Ok(Exit::Done)
}

fn evidence(broker: &Broker, nonce: Option<&str>, output: &Output) -> Outcome {
    let nonce = match nonce {
        Some(nonce) => nonce.to_owned(),
        None => {
            let mut fresh = [0; 32];
            getrandom::fill(&mut fresh)
                .map_err(|_| Failure::failed("the operating system gives no random bytes"))?;
            hexadecimal(&fresh)
        }
    };
    let evidence: Evidence = broker.post("drop-off/evidence", &EvidenceQuestion { nonce })?;
    let fingerprint = crate::image::evidence::fingerprint(&evidence)?;
    let text = serde_json::to_string_pretty(&evidence).map_err(|error| Failure::failed(error.to_string()))?;
    output.data(&evidence, || text)?;
    output.hint(&format!("it counts for who knows this machine: --machine {fingerprint}"));
    Ok(Exit::Done)
}

fn row(key: &DropKeyView) -> Vec<String> {
    let until = key.ends.clone().unwrap_or_else(|| "current".into());
    vec![key.key.to_string(), key.made.clone(), until]
}

/// Insists, where that is asked for, that the key belongs to a machine that runs a known image.
pub(super) fn require_image(parcel: &ParcelArguments, key: &DropKey) -> Result<(), Failure> {
    let (Some(image), Some(evidence), Some(machine)) = (&parcel.image, &parcel.evidence, &parcel.machine)
    else {
        return Ok(());
    };
    let manifest = std::fs::read(image).map_err(|error| Failure::file("read", image, &error))?;
    let evidence = crate::image::evidence::read(evidence)?;
    let demands = Demands { manifest: &manifest, machine, key: Some(key), nonce: None };
    crate::image::evidence::verify(&evidence, &demands)
}

/// Seals a secret into a parcel. No broker is asked.
pub(super) fn seal(
    new: &AddCredential,
    key: &DropKey,
    (kind, destinations): (CredentialKind, Vec<Destination>),
    secret: &Zeroizing<Vec<u8>>,
    output: &Output,
) -> Outcome {
    if new.parcel.good_for > LONGEST_PARCEL {
        return Err(Failure::bad_input("a parcel is good for at most 90 days")
            .hinting("leave --good-for out for seven days"));
    }
    let expires = Timestamp::now().plus(new.parcel.good_for);
    let label = Label { name: new.name()?.clone(), kind, destinations, expires };
    let parcel = Parcel::seal(key, label, secret).map_err(|error| {
        Failure::failed(error.to_string()).hinting("is this the key that the broker shows?")
    })?;
    // A program reads it in either case.
    let text = serde_json::to_string_pretty(&parcel).map_err(|error| Failure::failed(error.to_string()))?;
    output.data(&parcel, || text)?;
    output.hint(&format!("until {expires}, where the broker is: cloakroom credential add --sealed FILE"));
    Ok(Exit::Done)
}

/// Hands in a parcel.
pub(super) fn hand_in(broker: &Broker, file: &Path) -> Result<CredentialView, Failure> {
    let fault = |error: std::io::Error| Failure::file("read", file, &error);
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(fault)?;
    } else {
        std::fs::File::open(file)
            .and_then(|open| open.take(LONGEST).read_to_string(&mut text))
            .map_err(fault)?;
    }
    // SECURITY: what is in the file is not quoted: it may be a secret that somebody forgot to seal.
    let parcel: Parcel = serde_json::from_str(&text).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        Failure::bad_input(format!("this is no parcel: it goes wrong at {at}"))
            .hinting("a parcel is what cloakroom credential add … --sealed-for KEY prints")
    })?;
    broker.post("parcels", &parcel)
}
