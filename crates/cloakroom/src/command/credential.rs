//! `cloakroom credential …`

use crate::broker::{Broker, segment};
use crate::cli::{AddCredential, CredentialCommand, GrantKind};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use crate::{Outcome, catalogue, secret_input};
use cloakroom_admin::wire::{CredentialView, NewCredential, RenewalView, Rotation, SourceView};
use cloakroom_egress::custody::{DropKey, DropOff, Intake};
use cloakroom_model::{CredentialKind, Destination, Name};
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

pub(super) fn run(data: &DataDir, command: CredentialCommand, output: &Output) -> Outcome {
    if let CredentialCommand::Add(new) = &command
        && let Some(key) = &new.parcel.sealed_for
    {
        return seal_elsewhere(new, key, output);
    }
    let broker = Broker::of(data)?;
    match command {
        CredentialCommand::Add(new) => add(&broker, &new, output),
        CredentialCommand::List => list(&broker, output),
        CredentialCommand::Show { name } => {
            show(&broker.read(&format!("credentials/{}", segment(&name)?))?, output)
        }
        CredentialCommand::Rotate { name, grace, secret_file } => {
            rotate(&broker, &name, grace, secret_file.as_deref(), output)
        }
        CredentialCommand::Login(arguments) => {
            show(&super::login::again(&broker, &arguments, output)?, output)
        }
        CredentialCommand::Remove { name } => {
            let removed: CredentialView = broker.remove(&format!("credentials/{}", segment(&name)?))?;
            output.data(&removed, || format!("removed credential {} ({})", removed.name, removed.id))?;
            match removed.revocation.as_deref() {
                Some("revoked") => output.talk("its grant is revoked at the authorization server"),
                Some("refused") => output.warning(
                    "the authorization server refuses to revoke its grant: end it there, in the account's settings",
                ),
                Some(_) => output.warning(
                    "its grant is not revoked yet: the authorization server is not available, and is asked again for an hour; the journal says what came of it",
                ),
                None => {}
            }
            Ok(Exit::Done)
        }
    }
}

fn add(broker: &Broker, new: &AddCredential, output: &Output) -> Outcome {
    if let Some(file) = &new.parcel.sealed {
        return finish(&super::drop_off::hand_in(broker, file)?, output);
    }
    let preset = new.preset.as_deref().map(catalogue::service).transpose()?;
    let (kind, destinations) = kind_and_destinations(new, preset.as_ref())?;
    let added = match super::login::flow(new) {
        Some(flow) => super::login::add(broker, new, flow, preset.as_ref(), destinations, output)?,
        None => {
            // Asked first, so that nobody types a secret for a broker that is not there.
            let intake: Intake = broker.read("intake")?;
            let name = new.name()?.clone();
            let secret = seal(&intake, document(new, preset.as_ref())?, &name)?;
            let request = NewCredential { name, kind, destinations, secret };
            broker.post("credentials", &request)?
        }
    };
    // The place fits the preset's kind, not another that was asked for.
    let fits = |preset: &catalogue::Service| preset.kind == kind || is_made(kind);
    if let Some(place) = preset.filter(fits).map(|preset| preset.place) {
        // A scheme has texts in quotes.
        let quote = if place.to_string().contains('"') { '\'' } else { '"' };
        output.hint(&format!("in its policies: place = {quote}{place}{quote}"));
    }
    finish(&added, output)
}

/// Seals it for a broker elsewhere: none is asked.
fn seal_elsewhere(new: &AddCredential, key: &DropKey, output: &Output) -> Outcome {
    if super::login::flow(new).is_some() {
        return Err(Failure::bad_input("a login is made by the broker, and cannot be sealed")
            .hinting("leave --sealed-for out, where the broker is"));
    }
    // SECURITY: before the secret is read.
    super::drop_off::require_image(&new.parcel, key)?;
    let preset = new.preset.as_deref().map(catalogue::service).transpose()?;
    let what = kind_and_destinations(new, preset.as_ref())?;
    let secret = document(new, preset.as_ref())?;
    super::drop_off::seal(new, key, what, &secret, output)
}

fn finish(added: &CredentialView, output: &Output) -> Outcome {
    show(added, output)?;
    output.hint(&format!(
        "next: cloakroom placeholder issue --credential {} --workload NAME --policy FILE.toml",
        added.name
    ));
    Ok(Exit::Done)
}

/// Whether what is placed is made by the broker, whatever the service calls it.
fn is_made(kind: CredentialKind) -> bool {
    matches!(kind, CredentialKind::Oauth | CredentialKind::Sourced)
}

/// What is written on the command line wins over the preset.
fn kind_and_destinations(
    new: &AddCredential,
    known: Option<&catalogue::Service>,
) -> Result<(CredentialKind, Vec<Destination>), Failure> {
    let is_granted = new.grant.grant.is_some() || super::login::flow(new).is_some();
    let kind = match (is_granted, &new.source.from, &new.role.assume_role) {
        (true, _, _) => Some(CredentialKind::Oauth),
        (false, Some(_), _) => Some(CredentialKind::Sourced),
        (false, None, Some(_)) => Some(CredentialKind::AwsRole),
        (false, None, None) => new.kind.or(known.map(|preset| preset.kind)),
    };
    if kind == Some(CredentialKind::Sourced) && new.source.from.is_none() {
        return Err(Failure::bad_input("the source is missing")
            .hinting("add --from vault-kv, or another: see --help"));
    }
    if kind == Some(CredentialKind::Oauth) && !is_granted {
        return Err(Failure::bad_input("the grant is missing")
            .hinting("add --grant refresh-token, or another: see --help"));
    }
    if kind == Some(CredentialKind::AwsRole) && new.role.assume_role.is_none() {
        return Err(Failure::bad_input("the role is missing")
            .hinting("add --assume-role arn:aws:iam::ACCOUNT:role/NAME"));
    }
    let signs = matches!(kind, Some(CredentialKind::Hmac | CredentialKind::HttpSignature));
    if new.grant.key_id.is_some() && !is_granted && !signs {
        return Err(Failure::bad_input("only a key that signs has an id")
            .hinting("leave --key-id out, or add --kind hmac or --kind http-signature"));
    }
    let kind = kind.ok_or_else(|| Failure::bad_input("the kind is missing").hinting("add --kind bearer"))?;
    let destinations = match known {
        Some(preset) if new.to.is_empty() => preset.destinations.clone(),
        _ => new.to.clone(),
    };
    if destinations.is_empty() {
        return Err(Failure::bad_input("the destination is missing")
            .hinting("name where it may go: --to https://api.example.com"));
    }
    Ok((kind, destinations))
}

/// What is sealed: the secret, or a document with it and what it is for.
fn document(new: &AddCredential, known: Option<&catalogue::Service>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if let Some(role) = &new.role.assume_role {
        return super::role::document(&new.role, role, new.secret_file.as_deref());
    }
    // A client that signs with a key of its own has no other secret.
    let is_key = new.grant.grant == Some(GrantKind::ClientCredentials) && new.grant.client_key_file.is_some();
    let secret = if is_key || !new.source.takes_a_secret() {
        Zeroizing::default()
    } else {
        secret_input::read(new.secret_file.as_deref(), &format!("secret for {}", new.name()?))?
    };
    match (new.grant.grant, new.source.from) {
        (Some(kind), _) => super::grant::document(new, kind, known, &secret),
        (None, Some(kind)) => super::source::document(&new.source, kind, known, &secret),
        (None, None) if new.grant.key_id.is_some() => with_id(new.grant.key_id.as_deref(), &secret),
        (None, None) => Ok(secret),
    }
}

/// A key that signs with its id, as the broker's custody reads it.
fn with_id(id: Option<&str>, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let id = id.unwrap_or_default();
    let key = std::str::from_utf8(key).map_err(|_| {
        Failure::bad_input("the key is not text")
            .hinting("deposit it in the encoding that the service gives it in")
    })?;
    // Room for all of it at once: growing would leave a copy behind. An escape is at most six times as long.
    let mut document = Zeroizing::new(Vec::with_capacity(6 * (id.len() + key.len()) + 64));
    serde_json::to_writer(&mut *document, &KeyWithId { key_id: id, key })
        .map_err(|_| Failure::failed("the key cannot be written down"))?;
    Ok(document)
}

#[derive(serde::Serialize)]
struct KeyWithId<'a> {
    key_id: &'a str,
    key: &'a str,
}

/// Seals it to the broker's intake key: from here on only the broker's custody opens it.
pub(super) fn seal(intake: &Intake, secret: Zeroizing<Vec<u8>>, name: &Name) -> Result<DropOff, Failure> {
    intake.seal(secret, name).map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))
}

fn rotate(
    broker: &Broker,
    name: &str,
    grace: Option<Duration>,
    file: Option<&Path>,
    output: &Output,
) -> Outcome {
    let path = format!("credentials/{}", segment(name)?);
    let present: CredentialView = broker.read(&path)?;
    let intake: Intake = broker.read("intake")?;
    let secret = secret_input::read(file, &format!("secret for {}", present.name))?;
    let secret = seal(&intake, secret, &present.name)?;
    let rotation = Rotation { secret, grace: grace.map(|grace| grace.as_secs()) };
    let rotated: CredentialView = broker.post(&format!("credentials/{}/rotate", present.id), &rotation)?;
    show(&rotated, output)
}

fn list(broker: &Broker, output: &Output) -> Outcome {
    let credentials: Vec<CredentialView> = broker.read("credentials")?;
    output.data(&credentials, || {
        let rows: Vec<Vec<String>> = credentials.iter().map(row).collect();
        table(&["NAME", "KIND", "GENERATION", "PLACEHOLDERS", "CREATED", "DESTINATIONS"], &rows)
    })?;
    Ok(Exit::Done)
}

fn row(one: &CredentialView) -> Vec<String> {
    vec![
        one.name.to_string(),
        one.kind.to_string(),
        one.generation.to_string(),
        one.placeholders.to_string(),
        one.created.clone(),
        joined(&one.destinations),
    ]
}

pub(super) fn joined(destinations: &[Destination]) -> String {
    destinations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn show(one: &CredentialView, output: &Output) -> Outcome {
    output.data(one, || {
        let mut pairs = vec![
            ("id", one.id.to_string()),
            ("name", one.name.to_string()),
            ("kind", one.kind.to_string()),
            ("destinations", joined(&one.destinations)),
            ("generation", one.generation.to_string()),
            ("created", one.created.clone()),
            ("rotated", one.rotated.clone()),
            ("placeholders", one.placeholders.to_string()),
        ];
        pairs.extend(one.certificate_expires.clone().map(|at| ("certificate expires", at)));
        pairs.extend(one.renewal.as_ref().map(renewal).into_iter().flatten());
        pairs.extend(one.source.iter().flat_map(of_source));
        fields(&pairs)
    })?;
    Ok(Exit::Done)
}

/// How the making of access tokens goes.
fn renewal(renewal: &RenewalView) -> Vec<(&'static str, String)> {
    let code = renewal.code.map(|code| code.to_string());
    let some = |name, value: &Option<String>| value.clone().map(|value| (name, value));
    let state = ("renewal", renewal.state.clone());
    let rest = [
        some("last made", &renewal.last),
        some("next due", &renewal.next),
        some("good until", &renewal.ends),
        some("calls get", &code),
        some("because", &renewal.reason),
    ];
    [state].into_iter().chain(rest.into_iter().flatten()).collect()
}

fn of_source(source: &SourceView) -> Vec<(&'static str, String)> {
    let login = source.login.as_deref().map(|login| format!(", logged in by {login}")).unwrap_or_default();
    let mut rows = vec![("from", format!("{}: {}{login}", source.from, source.place))];
    rows.push(("read", source.read.clone().unwrap_or_else(|| "nothing is at hand".into())));
    rows.extend(source.lease.map(|lease| ("lease", lease.to_string())));
    rows.extend(source.trouble.clone().map(|trouble| ("trouble", trouble)));
    rows
}
