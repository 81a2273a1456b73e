//! Who wraps the root keys, as the settings say it.

use super::aws_kms::{AwsKms, AwsKmsSettings};
use super::pkcs11::Pkcs11;
use super::service::WayOut;
use super::shares::Shares;
use super::tpm::Tpm2;
use super::transit::{Transit, TransitSettings};
use super::{Local, LocalKey, Place, Provider, handed, key_file, passphrase};
use crate::Upstream;
use crate::custody::error::CustodyError;
use crate::custody::roots::RootFile;
use cloakroom_tpm::{Address, PcrSelection};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The file with the wrapped root keys, in the directory of keys.
pub(in crate::custody) const ROOTS: &str = "root.json";

/// Where the key-encryption key comes from.
pub enum KekSource {
    /// A file of 32 random bytes, made at first start.
    KeyFile(PathBuf),
    /// A file of 32 bytes that whoever starts the broker hands to it, such as a credential of systemd.
    Handed {
        /// The file.
        file: PathBuf,
        /// Where the key's verifier is kept, made at first start.
        mark: PathBuf,
    },
    /// A passphrase; its salt and parameters are kept in a file that is made at first start.
    Passphrase {
        /// The file with salt, parameters and verifier.
        salt_file: PathBuf,
        /// The passphrase.
        passphrase: Zeroizing<Vec<u8>>,
    },
    /// A key in a PKCS#11 token.
    Pkcs11 {
        /// To the process that reaches the token; keeps packets apart.
        socket: UnixStream,
        /// `root.json`.
        roots: PathBuf,
    },
    /// A key of a transit engine.
    Transit {
        /// Which, and how the broker is let in.
        settings: TransitSettings,
        /// The way there, apart from that of calls.
        way_out: Upstream,
        /// `root.json`.
        roots: PathBuf,
    },
    /// A key of AWS KMS.
    AwsKms {
        /// Which, and where the access key is.
        settings: AwsKmsSettings,
        /// The way there, apart from that of calls.
        way_out: Upstream,
        /// `root.json`.
        roots: PathBuf,
    },
    /// A TPM.
    Tpm {
        /// `root.json`.
        roots: PathBuf,
        /// Where it is.
        address: Address,
        /// What a root key is sealed to besides.
        pcrs: PcrSelection,
    },
    /// Operators with shares.
    Shares {
        /// `root.json`, which names the set.
        roots: PathBuf,
        /// Whether each share has to come from another operator.
        distinct: bool,
    },
}

impl KekSource {
    /// The file without which a key of this machine would be made anew.
    pub(in crate::custody) fn kept_in(&self) -> Option<&Path> {
        match self {
            Self::KeyFile(file)
            | Self::Handed { mark: file, .. }
            | Self::Passphrase { salt_file: file, .. } => Some(file),
            _ => None,
        }
    }

    /// The provider, and the file with the root keys that it wrapped.
    ///
    /// # Errors
    /// When a key of this machine cannot be had.
    pub(in crate::custody) fn provider(self) -> Result<(Arc<dyn Provider>, PathBuf), CustodyError> {
        match self {
            Self::KeyFile(path) => {
                let key = key_file::load(&path)?;
                Ok(local(beside(&path), Place::KeyFile(path), key))
            }
            Self::Handed { file, mark } => {
                let key = handed::load(&file, &mark)?;
                Ok(local(beside(&mark), Place::Handed(file, mark), key))
            }
            Self::Passphrase { salt_file, passphrase } => {
                let key = passphrase::load(&salt_file, &passphrase)?;
                Ok(local(beside(&salt_file), Place::Passphrase(salt_file), key))
            }
            Self::Pkcs11 { socket, roots } => Ok((Arc::new(Pkcs11::new(socket)), roots)),
            Self::Transit { settings, way_out, roots } => {
                Ok((Arc::new(Transit::new(settings, WayOut::new(way_out))), roots))
            }
            Self::AwsKms { settings, way_out, roots } => {
                Ok((Arc::new(AwsKms::new(settings, WayOut::new(way_out))), roots))
            }
            Self::Tpm { roots, address, pcrs } => Ok((Arc::new(Tpm2::new(address, pcrs)), roots)),
            Self::Shares { roots, distinct } => Ok((Arc::new(Shares::of(&roots, distinct)?), roots)),
        }
    }
}

/// With which provider a data directory was made, by its directory of keys: what the settings call it. `None` for a new one.
///
/// # Errors
/// When `root.json` cannot be read.
pub fn made_with(keys: &Path) -> Result<Option<String>, CustodyError> {
    if let Some(file) = RootFile::read(&keys.join(ROOTS))? {
        return Ok(Some(file.provider));
    }
    let local = [("kek", "file"), ("kek.salt", "passphrase"), ("kek.handed", "systemd")];
    Ok(local.iter().find(|(file, _)| keys.join(file).exists()).map(|(_, name)| (*name).to_owned()))
}

fn local(roots: PathBuf, place: Place, key: LocalKey) -> (Arc<dyn Provider>, PathBuf) {
    (Arc::new(Local::new(place, key)), roots)
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(ROOTS)
}
