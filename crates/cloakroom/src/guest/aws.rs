//! A program that assumes an AWS role by a web identity: it gets the file and the variables that AWS SDKs look for, with a placeholder where
//! the cloud's token would be. Which calls the placeholder is good for, and the keys that it is exchanged for, are the broker's affair.
//!
//! ```text
//!  source (--aws-placeholder, may be replaced) ──► this process ──► DIRECTORY/token, 0400, the command's user ──► SDK
//! ```

use super::user::User;
use crate::failure::Failure;
use crate::run::environment::{AWS_TICKET, container_credentials};
use rustix::fs::{Gid, Uid, chown};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// With it set, a program wants a role.
pub(crate) const ROLE: &str = "AWS_ROLE_ARN";
const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
/// Keys that SDKs would take instead of the role.
const BEFORE_IT: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// No placeholder is longer.
const LONGEST: usize = 256;
/// How often the source is looked at. Whoever replaces a placeholder lets both count for longer than this.
const INTERVAL: Duration = Duration::from_secs(2);

/// A role, and the file that stands for the right to it.
pub(crate) struct Role {
    placeholder: String,
    /// Where a newer placeholder may come from.
    source: Option<PathBuf>,
    user: User,
    /// Removed with this.
    directory: tempfile::TempDir,
}

impl Role {
    /// The role that these variables ask for; `None` where they ask for none.
    ///
    /// # Errors
    /// Where there is no placeholder for it, or the program would take other keys.
    pub(crate) fn wanted(
        variables: &BTreeMap<OsString, OsString>,
        source: Option<&Path>,
        user: User,
    ) -> Result<Option<Self>, Failure> {
        let has = |name: &str| variables.contains_key(OsStr::new(name));
        if !has(ROLE) {
            return Ok(None);
        }
        if let Some(name) = BEFORE_IT.into_iter().find(|name| has(name)) {
            return Err(Failure::bad_input(format!(
                "{name} is set beside {ROLE}, and SDKs would use it instead"
            ))
            .hinting("take it out of the environment: the placeholder is what the command gets"));
        }
        // Alone, or behind the workload's key.
        let kept = variables.get(OsStr::new(AWS_TICKET)).and_then(|value| value.to_str()?.rsplit('.').next());
        let placeholder = match source {
            Some(source) => read(source)?,
            None => kept.and_then(valid).ok_or_else(|| {
                Failure::bad_input(format!("{ROLE} is set, and there is no placeholder for AWS")).hinting(
                    format!("name a file with one: --aws-placeholder FILE; or put it into {AWS_TICKET}"),
                )
            })?,
        };
        let role =
            Self { placeholder, source: source.map(Path::to_owned), user, directory: directory(user)? };
        role.write(&role.placeholder)?;
        Ok(Some(role))
    }

    /// What the SDKs of the command read.
    pub(crate) fn fill(&self, variables: &mut BTreeMap<OsString, OsString>, key: Option<&str>) {
        // SECURITY: one that is set already may name the cloud's own token, which is no business of the command's.
        variables.insert(FILE.into(), self.file().into());
        variables.entry(SESSION.into()).or_insert_with(|| "cloakroom".into());
        // For SDKs that have no web identity.
        container_credentials(variables, key, &self.placeholder);
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// Follows the source: whoever replaces it gives the command a newer placeholder, which its SDK reads when its keys end.
    pub(crate) async fn renew(mut self) {
        let Some(source) = self.source.clone() else {
            // The directory lives as long as this.
            return std::future::pending().await;
        };
        let mut looks = tokio::time::interval(INTERVAL);
        loop {
            looks.tick().await;
            // A source that is being replaced is whole at the next look.
            let Ok(placeholder) = read(&source) else { continue };
            if placeholder != self.placeholder && self.write(&placeholder).is_ok() {
                self.placeholder = placeholder;
                super::say("the placeholder for AWS was renewed");
            }
        }
    }

    /// All of it or nothing, whoever reads meanwhile.
    fn write(&self, placeholder: &str) -> Result<(), Failure> {
        let (file, unfinished) = (self.file(), self.directory.path().join("token.new"));
        let failed = |error: std::io::Error| Failure::file("write", &file, &error);
        let _ = std::fs::remove_file(&unfinished);
        let mut options = OpenOptions::new();
        let mut open = options.create_new(true).write(true).mode(0o400).open(&unfinished).map_err(failed)?;
        open.write_all(placeholder.as_bytes()).map_err(failed)?;
        give(&unfinished, self.user).map_err(failed)?;
        std::fs::rename(&unfinished, &file).map_err(failed)
    }
}

/// A directory in memory where there is one; others may pass through it and see nothing.
fn directory(user: User) -> Result<tempfile::TempDir, Failure> {
    let mut named = tempfile::Builder::new();
    named.prefix("cloakroom-aws-");
    let made = named.tempdir_in("/run").or_else(|_| named.tempdir())?;
    std::fs::set_permissions(
        made.path(),
        Permissions::from_mode(0o500 | if user == User::own() { 0o200 } else { 0o011 }),
    )?;
    Ok(made)
}

fn give(path: &Path, user: User) -> std::io::Result<()> {
    if user == User::own() {
        return Ok(());
    }
    Ok(chown(path, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?)
}

fn read(source: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(source).map_err(|error| Failure::file("read", source, &error))?;
    valid(text.trim()).ok_or_else(|| {
        Failure::bad_input(format!("{} holds no placeholder for AWS", source.display()))
            .hinting("it begins with AKIA or ASIA, and stands alone in the file")
    })
}

/// An access key id in its form, which is what AWS placeholders look like.
fn valid(text: &str) -> Option<String> {
    let fine = (text.starts_with("AKIA") || text.starts_with("ASIA"))
        && text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    const ARN: (&str, &str) = (ROLE, "arn:aws:iam::111122223333:role/x");

    #[test]
    fn a_role_is_a_file_and_the_variables_that_name_it() {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        std::fs::write(&source, "ASIAEXAMPLE\n").unwrap();
        let mut variables = variables(&[ARN, (FILE, "/var/run/secrets/the-clouds-own")]);
        let role = Role::wanted(&variables, Some(&source), User::own()).unwrap().unwrap();
        role.fill(&mut variables, Some("cwk_x"));
        let value = |name: &str| variables[OsStr::new(name)].to_str().unwrap();
        assert_eq!(std::fs::read_to_string(value(FILE)).unwrap(), "ASIAEXAMPLE");
        assert_eq!(std::fs::metadata(value(FILE)).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!((value(SESSION), value(AWS_TICKET)), ("cloakroom", "cwk_x.ASIAEXAMPLE"));
        let file = PathBuf::from(value(FILE));
        drop(role);
        assert!(!file.exists());
    }

    #[test]
    fn without_a_role_there_is_nothing_and_without_a_placeholder_or_beside_keys_a_refusal() {
        let wanted = |pairs: &[(&str, &str)], source: Option<&Path>| {
            Role::wanted(&variables(pairs), source, User::own()).map(|role| role.is_some())
        };
        assert!(!wanted(&[], None).unwrap());
        assert!(wanted(&[ARN, (AWS_TICKET, "ASIA2")], None).unwrap());
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        for text in ["", "ghp_x", "ASIA lower", "ASIA\nASIA"] {
            std::fs::write(&source, text).unwrap();
            assert!(wanted(&[ARN], Some(&source)).is_err(), "{text}");
        }
        assert!(wanted(&[ARN], None).is_err());
        assert!(wanted(&[ARN, (AWS_TICKET, "ASIA2"), ("AWS_SECRET_ACCESS_KEY", "x")], None).is_err());
    }
}
