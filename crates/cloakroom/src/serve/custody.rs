//! The provider of the root key, and a watch over it: one that goes away seals the broker until it is back.

use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::secret_input;
use crate::settings::KekSetting;
use cloakroom_admin::Admin;
use cloakroom_egress::custody::{Custody, KekSource, Turned, made_with};
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{EventKind, SecurityEvent};
use ipnet::IpNet;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What an exchange brings that was under way when the broker was sealed is in memory for so long at most.
const TICK: Duration = Duration::from_secs(1);

/// A data directory belongs to the kind of key that it was made with.
pub(super) fn open(
    data: &DataDir,
    setting: &KekSetting,
    token: Option<UnixStream>,
    calls: &UpstreamSettings,
) -> Result<Custody, Failure> {
    let of_custody = |error: cloakroom_egress::custody::CustodyError| {
        Failure::failed(error.to_string()).hinting(error.hint())
    };
    let made = made_with(&data.key("")).map_err(of_custody)?;
    match &made {
        Some(made) if made != setting.name() => {
            return Err(made_otherwise(made));
        }
        Some(_) => {}
        None => data.require_first_start(&data.key(setting.file()))?,
    }
    let source = match setting {
        KekSetting::File => KekSource::KeyFile(data.key(setting.file())),
        KekSetting::Passphrase(file) => {
            let read = if made.is_some() { secret_input::read } else { secret_input::read_new };
            let passphrase = read(file.as_deref(), secret_input::PASSPHRASE)?;
            KekSource::Passphrase { salt_file: data.key(setting.file()), passphrase }
        }
        KekSetting::Tpm { address, pcrs } => {
            KekSource::Tpm { roots: data.key(setting.file()), address: address.clone(), pcrs: *pcrs }
        }
        KekSetting::Systemd => {
            KekSource::Handed { file: handed_by_systemd("cloakroom-kek")?, mark: data.key(setting.file()) }
        }
        KekSetting::Pkcs11(_) => {
            let socket =
                token.ok_or_else(|| Failure::failed("nothing was started that reaches the token"))?;
            KekSource::Pkcs11 { socket, roots: data.key(setting.file()) }
        }
        KekSetting::Transit(transit, allowed) => KekSource::Transit {
            settings: transit.clone(),
            way_out: way_out(calls, allowed)?,
            roots: data.key(setting.file()),
        },
        KekSetting::AwsKms(kms, allowed) => KekSource::AwsKms {
            settings: kms.clone(),
            way_out: way_out(calls, allowed)?,
            roots: data.key(setting.file()),
        },
        KekSetting::Shares(distinct) => {
            for path in left_over(&data.key("")) {
                let path = path.display();
                tracing::warn!(%path, "the key from before the shares is there still: remove it, rotate-kek and rewrap");
            }
            KekSource::Shares { roots: data.key(setting.file()), distinct: *distinct }
        }
    };
    Custody::assert_unlocked(source).map_err(of_custody)
}

/// What a `custody init` that was cut off left of the key that the shares took the place of.
fn left_over(keys: &Path) -> Vec<PathBuf> {
    ["kek", "kek.salt"].map(|file| keys.join(file)).into_iter().filter(|path| path.exists()).collect()
}

fn made_otherwise(made: &str) -> Failure {
    let with = match made {
        "file" => "a key file".into(),
        "passphrase" => "a passphrase".into(),
        "systemd" => "a key from systemd".into(),
        other => format!("kek = {other:?}"),
    };
    let hint = match made {
        "passphrase" => {
            "set kek = \"passphrase\" in [custody], or name the file: --passphrase-file FILE".into()
        }
        made => format!("set kek = {made:?} in [custody], or begin with an empty data directory"),
    };
    Failure::bad_input(format!("this data directory was made with {with}")).hinting(hint)
}

/// Asks a provider elsewhere. Where it does not answer the broker starts sealed; a first start needs it.
pub(super) async fn begin(custody: &Custody) -> Result<(), Failure> {
    custody.begin().await.map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))?;
    if let Some(why) = custody.standing().sealed {
        tracing::warn!(why = why.reason(), "the broker starts sealed: no secret opens");
    }
    Ok(())
}

/// The way out to a service that wraps root keys: under the rules of every destination, with the ranges that are allowed there.
fn way_out(calls: &UpstreamSettings, allowed: &[IpNet]) -> Result<Upstream, Failure> {
    let settings = UpstreamSettings { allowed: allowed.to_vec(), ..calls.clone() };
    Upstream::assert_opened(settings)
        .map_err(|error| Failure::failed(error.to_string()).hinting(error.hint()))
}

/// Where systemd shows this service a credential (systemd.exec(5)).
pub(super) fn handed_by_systemd(credential: &str) -> Result<PathBuf, Failure> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let directory = directory.filter(|directory| directory.is_absolute()).ok_or_else(|| {
        Failure::failed("systemd has handed no credentials to the broker").hinting(format!(
            "start it by systemd, with LoadCredentialEncrypted={credential}:FILE in its unit"
        ))
    })?;
    Ok(directory.join(credential))
}

/// Looks at the provider, until the broker stops.
pub(super) async fn watch(admin: Arc<Admin>, every: Duration, mut stopped: watch::Receiver<bool>) {
    let mut looked = Instant::now();
    while tokio::time::timeout(TICK.min(every), stopped.wait_for(|stop| *stop)).await.is_err() {
        admin.custody.wipe_again();
        admin.resume_rewrap();
        if looked.elapsed() < every {
            continue;
        }
        looked = Instant::now();
        match admin.custody.look().await {
            Turned::Same => {}
            Turned::Sealed(why) => {
                tracing::error!(
                    why,
                    "the provider of the root key is away: the broker is sealed until it is back"
                );
                admin.events.raise(SecurityEvent::new(EventKind::CustodySealed));
            }
            Turned::Opened => {
                tracing::info!("the provider of the root key answers: the broker opens secrets again");
                admin.events.raise(SecurityEvent::new(EventKind::CustodyUnsealed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_shares_took_the_place_of_is_found_where_it_was_left() {
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("root.json"), "{}").unwrap();
        assert!(left_over(keys.path()).is_empty());
        for file in ["kek", "kek.salt"] {
            std::fs::write(keys.path().join(file), "").unwrap();
        }
        assert_eq!(left_over(keys.path()), ["kek", "kek.salt"].map(|file| keys.path().join(file)));
    }
}
