//! Secrets that live elsewhere: what custody keeps is where they are and how the broker is let in.
//!
//! ```text
//!            sealed source (address, path, login)
//!                 │ opened for one reading
//!                 ▼
//!  Vault, OpenBao, a file, AWS ──► the secret ──► in memory, read again after a stated time
//! ```
//!
//! One file for each source. When a reading is due, and that one reading serves all who wait, is left to `mint`.

pub(crate) mod asker;
pub(crate) mod aws;
mod desk;
mod file;
mod lease;
mod value;
pub(crate) mod vault;

pub(crate) use asker::Asker;
pub(crate) use desk::Desk;
pub use lease::{LeaseBook, LeaseStep};
pub(crate) use lease::{Leases, Task};
pub(crate) use vault::{Access, spans};

use crate::mint::Failure;
use crate::secret::Secret;
use aws::AwsSecret;
use cloakroom_model::LeaseId;
use file::SecretFile;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vault::{VaultKv, VaultLease};

/// The longest source, in bytes: addresses, names, a certificate and its key.
const LONGEST: usize = 16 * 1024;
/// How long a secret is used that does not say how long it is valid; and one in a file, which costs nothing to read.
const UNSAID: u64 = 300;
const UNSAID_OF_FILES: u64 = 10;
/// The bounds of what may be said instead, in seconds.
const SOONEST: u64 = 1;
const LATEST: u64 = 24 * 3600;

/// Where a secret is, and how the broker is let in there. JSON, sealed as a whole.
///
/// SECURITY: neither `Clone` nor `Debug`.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// How placeholders begin, where the secrets do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// After so many seconds it is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reread: Option<u64>,
    /// Where it is.
    from: Origin,
}

/// The kinds of sources.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Origin {
    /// A field of a secret in Vault's or OpenBao's key-value store, version 2.
    VaultKv(VaultKv),
    /// A secret that Vault or OpenBao makes for this broker alone.
    VaultLease(VaultLease),
    /// A file that somebody else writes.
    File(SecretFile),
    /// A secret of AWS Secrets Manager.
    AwsSecretsManager(AwsSecret),
}

/// What may be said of a source.
pub(crate) struct Described {
    pub(crate) from: &'static str,
    pub(crate) place: String,
    pub(crate) login: Option<&'static str>,
}

/// What a reading brought.
pub(crate) struct Fetched {
    pub(crate) secret: Secret,
    /// The user name that goes with it, where it is the password of a login.
    pub(crate) user: Option<Secret>,
    /// From then on it is read again before it is used.
    pub(crate) fresh_for: Duration,
    /// Until then it is used where it cannot be read again.
    pub(crate) valid_for: Duration,
    /// What must not come back in a reply either.
    pub(crate) also: Vec<Secret>,
    /// What it is lent by, where it was made for this broker alone.
    pub(crate) lease: Option<LeaseId>,
}

impl Source {
    /// Reads and checks what was deposited.
    ///
    /// # Errors
    /// One sentence, which holds nothing of the source.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > LONGEST {
            return Err("the source is longer than 16 KiB");
        }
        let source: Self =
            serde_json::from_slice(bytes).map_err(|_| "the source is not complete or not of a known form")?;
        if !source.prefix.bytes().all(|byte| byte.is_ascii_graphic()) || source.prefix.len() > 32 {
            return Err("the prefix is not that of a secret");
        }
        if source.reread.is_some_and(|seconds| !(SOONEST..=LATEST).contains(&seconds)) {
            return Err("a secret is read again after one second at the soonest and a day at the latest");
        }
        match &source.from {
            Origin::VaultKv(kv) => kv.check()?,
            Origin::VaultLease(lease) => lease.check()?,
            Origin::File(file) => file.check()?,
            Origin::AwsSecretsManager(secret) => secret.check()?,
        }
        Ok(source)
    }

    /// Whether what it reads on this machine may be read.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn allowed(&self, desk: &Desk) -> Result<(), &'static str> {
        match &self.from {
            Origin::VaultKv(kv) => kv.access.login.allowed(desk),
            Origin::VaultLease(lease) => lease.access.login.allowed(desk),
            Origin::File(file) => file.allowed(desk),
            Origin::AwsSecretsManager(_) => Ok(()),
        }
    }

    /// As it is sealed.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What placeholders for it are made like: a secret of a usual length.
    pub(crate) fn likeness(&self) -> String {
        format!("{}{}", self.prefix, "a".repeat(40))
    }

    /// The same, let in with another secret: what `credential rotate` deposits. `None` where nothing secret lets it in.
    pub(crate) fn with_secret(mut self, fresh: &str) -> Option<Self> {
        // A source that cannot be read is not mistaken for a secret; an access key may be JSON.
        if fresh.starts_with('{') && !matches!(self.from, Origin::AwsSecretsManager(_)) {
            return None;
        }
        match &mut self.from {
            Origin::VaultKv(kv) => kv.access.login.renew(fresh)?,
            Origin::VaultLease(lease) => lease.access.login.renew(fresh)?,
            // Nothing secret lets the broker in.
            Origin::File(_) => return None,
            Origin::AwsSecretsManager(secret) => secret.renew(fresh),
        }
        Some(self)
    }

    /// What may be said of it: nothing that lets anybody in.
    pub(crate) fn describe(&self) -> Described {
        let (from, place, login) = match &self.from {
            Origin::VaultKv(kv) => ("vault-kv", kv.place(), Some(kv.access.login.name())),
            Origin::VaultLease(lease) => ("vault-lease", lease.place(), Some(lease.access.login.name())),
            Origin::File(file) => ("file", file.place(), None),
            Origin::AwsSecretsManager(secret) => ("aws-secrets-manager", secret.place(), Some("access key")),
        };
        Described { from, place, login }
    }

    /// Whether what it gives was made for this process alone.
    pub(crate) fn lends(&self) -> bool {
        matches!(self.from, Origin::VaultLease(_))
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`Failure::Refused`] where the broker is not let in any more, [`Failure::Unavailable`] where there is no secret now.
    pub(crate) async fn fetch(&self, asker: &Asker<'_>, desk: &Desk) -> Result<Fetched, Failure> {
        match &self.from {
            Origin::VaultKv(kv) => Ok(self.kept(kv.fetch(asker, desk).await?)),
            Origin::VaultLease(lease) => lease.fetch(asker, desk).await,
            Origin::File(file) => Ok(self.kept(file.fetch(desk).await?)),
            Origin::AwsSecretsManager(secret) => Ok(self.kept(secret.fetch(asker).await?)),
        }
    }

    /// How the broker is let in now, where that is at the same server as `other`: a lease outlives what let it in.
    pub(crate) fn access_instead_of(self, other: &Access) -> Option<Access> {
        let access = match self.from {
            Origin::VaultKv(kv) => kv.access,
            Origin::VaultLease(lease) => lease.access,
            Origin::File(_) | Origin::AwsSecretsManager(_) => return None,
        };
        access.is_at_the_server_of(other).then_some(access)
    }

    /// A secret that says nothing of its end: used as long again where it cannot be read.
    fn kept(&self, secret: Secret) -> Fetched {
        let unsaid = if matches!(self.from, Origin::File(_)) { UNSAID_OF_FILES } else { UNSAID };
        let fresh_for = Duration::from_secs(self.reread.unwrap_or(unsaid));
        Fetched { secret, user: None, fresh_for, valid_for: fresh_for * 2, also: Vec::new(), lease: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV: &str = r#"{"reread":60,"from":{"vault-kv":{"access":{"server":"https://vault.example.com:8200","namespace":"team","login":{"app-role":{"mount":"approle","role_id":"the role","secret_id":"the-secret-id"}}},"mount":"secret","path":"app/api","field":"key","version":3}}}"#;

    #[test]
    fn a_source_is_read_and_written() {
        let source = Source::read(KV.as_bytes()).unwrap();
        assert_eq!(source.write().unwrap(), KV.as_bytes());
        let rotated = source.with_secret("another-id").unwrap().write().unwrap();
        assert_eq!(rotated, KV.replace("the-secret-id", "another-id").as_bytes());
    }

    #[test]
    fn one_step_wrong_is_refused() {
        for (good, bad) in [
            ("https://vault", "http://vault"),
            (":8200\"", ":8200/v1\""),
            (":8200\"", "@vault.example.com:8200\""),
            ("\"team\"", "\"te am\""),
            ("\"team\"", "\"a\\r\\nb\""),
            ("app-role", "userpass"),
            ("\"the role\"", "\"\""),
            ("\"the-secret-id\"", "\"a\\nb\""),
            ("app/api", "app/../api"),
            ("app/api", "/app"),
            ("\"secret\"", "\"\""),
            ("\"key\"", "\"\""),
            (":3", ":0"),
            (":60", ":0"),
            (":60", ":86401"),
            ("\"path\"", "\"extra\":1,\"path\""),
        ] {
            let text = KV.replacen(good, bad, 1);
            assert_ne!(text, KV, "{good}");
            assert!(Source::read(text.as_bytes()).is_err(), "{bad}");
        }
        assert!(Source::read(&[b' '; LONGEST + 1]).is_err());
    }
}
