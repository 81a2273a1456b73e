//! `[notify]`: who is told that something waits for a human, and how, as written and as meant.

use super::unit::Span;
use super::webhook::split;
use crate::failure::Failure;
use cloakroom_egress::Security;
use cloakroom_model::Destination;
use ipnet::IpNet;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The least time between two messages on one channel, where nothing else is written.
const EVERY: Duration = Duration::from_secs(30);

/// Who is told, and how often at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotifySetting {
    /// The least time between two messages on one channel.
    pub(crate) every: Duration,
    /// Letters.
    pub(crate) email: Option<EmailSetting>,
    /// A signed webhook.
    pub(crate) webhook: Option<SignedSetting>,
    /// A webhook of Slack's, or one like it.
    pub(crate) slack: Option<SlackSetting>,
    /// A topic of ntfy.
    pub(crate) ntfy: Option<NtfySetting>,
}

impl NotifySetting {
    /// The files with its secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &PathBuf> {
        let password = self.email.iter().filter_map(|email| Some(&email.login.as_ref()?.1));
        let signing = self.webhook.iter().map(|webhook| &webhook.secret_file);
        let url = self.slack.iter().map(|slack| &slack.url_file);
        let token = self.ntfy.iter().filter_map(|ntfy| ntfy.token_file.as_ref());
        password.chain(signing).chain(url).chain(token)
    }
}

/// The mail server, and who writes to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EmailSetting {
    /// Host and port.
    pub(crate) server: Destination,
    /// When TLS begins.
    pub(crate) security: Security,
    /// User name, and the file with the password.
    pub(crate) login: Option<(String, PathBuf)>,
    /// Who sends.
    pub(crate) from: String,
    /// Who is told.
    pub(crate) to: Vec<String>,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// A webhook in the scheme of Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedSetting {
    /// Scheme, host and port; path and query.
    pub(crate) to: (Destination, String),
    /// The file with the signing secret.
    pub(crate) secret_file: PathBuf,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// A webhook whose URL is its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlackSetting {
    /// The file with the URL.
    pub(crate) url_file: PathBuf,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NtfySetting {
    /// The server.
    pub(crate) to: Destination,
    /// The topic.
    pub(crate) topic: String,
    /// The file with an access token, where the server wants one.
    pub(crate) token_file: Option<PathBuf>,
    /// Ranges that may be dialled although they are not public.
    pub(crate) allowed: Vec<IpNet>,
}

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Notify {
    every: Option<Span>,
    email: Option<Email>,
    webhook: Option<Signed>,
    slack: Option<Slack>,
    ntfy: Option<Ntfy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Email {
    server: String,
    #[serde(default)]
    starttls: bool,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: String,
    to: Vec<String>,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Signed {
    url: String,
    secret_file: PathBuf,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Slack {
    url_file: PathBuf,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ntfy {
    url: String,
    token_file: Option<PathBuf>,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

impl Notify {
    /// What is meant, where it names somebody to tell.
    pub(super) fn setting(self) -> Result<NotifySetting, Failure> {
        let Self { every, email, webhook, slack, ntfy } = self;
        if email.is_none() && webhook.is_none() && slack.is_none() && ntfy.is_none() {
            return Err(Failure::bad_input("[notify] names nobody to tell").hinting(
                "add [notify.email], [notify.webhook], [notify.slack] or [notify.ntfy]; docs/settings.md",
            ));
        }
        let signed = |one: Signed| {
            let to = split(&one.url, "[notify.webhook]", "https://hooks.example.com/cloakroom")?;
            Ok::<_, Failure>(SignedSetting { to, secret_file: one.secret_file, allowed: one.allow_address })
        };
        Ok(NotifySetting {
            every: every.map_or(EVERY, |span| span.0),
            email: email.map(Email::setting).transpose()?,
            webhook: webhook.map(signed).transpose()?,
            slack: slack.map(|one| SlackSetting { url_file: one.url_file, allowed: one.allow_address }),
            ntfy: ntfy.map(Ntfy::setting).transpose()?,
        })
    }
}

impl Email {
    fn setting(self) -> Result<EmailSetting, Failure> {
        let wrong = |why: &str, hint: &str| {
            Failure::bad_input(format!("[notify.email] {why}")).hinting(hint.to_owned())
        };
        let (default, security) =
            if self.starttls { (587, Security::StartTls) } else { (465, Security::Implicit) };
        let with_port =
            if has_port(&self.server) { self.server.clone() } else { format!("{}:{default}", self.server) };
        let server = Destination::parse(&format!("https://{with_port}"));
        let server = server
            .map_err(|error| wrong(&format!("server: {error}"), "write server = \"mail.example.com:465\""))?;
        let login = match (self.user, self.password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some((user, file)),
            _ => return Err(wrong("user and password-file go together", "name both, or neither")),
        };
        if self.to.is_empty() || !self.to.iter().chain([&self.from]).all(|one| is_address(one)) {
            return Err(wrong("from and to are not addresses of mail", "write to = [\"ann@example.com\"]"));
        }
        Ok(EmailSetting {
            server,
            security,
            login,
            from: self.from,
            to: self.to,
            allowed: self.allow_address,
        })
    }
}

fn has_port(server: &str) -> bool {
    let after_bracket = server.rfind(']').map_or(0, |at| at + 1);
    server[after_bracket..].contains(':')
}

/// SECURITY: it stands between angle brackets in a command and in the head of a letter.
fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-@".contains(&byte);
    let parts: Vec<&str> = text.split('@').collect();
    text.len() <= 254
        && text.bytes().all(plain)
        && parts.len() == 2
        && parts.iter().all(|part| !part.is_empty())
}

impl Ntfy {
    fn setting(self) -> Result<NtfySetting, Failure> {
        let (to, target) = split(&self.url, "[notify.ntfy]", "https://ntfy.sh/my-topic")?;
        let topic = target.trim_start_matches('/').to_owned();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if topic.is_empty() || topic.len() > 64 || !topic.bytes().all(plain) {
            return Err(Failure::bad_input("[notify.ntfy] url names no topic")
                .hinting("write url = \"https://ntfy.sh/my-topic\""));
        }
        Ok(NtfySetting { to, topic, token_file: self.token_file, allowed: self.allow_address })
    }
}

/// Destination and target of a URL that a file holds because it is a secret. Errors do not repeat it.
pub(crate) fn url_of_file(url: &str, section: &str) -> Result<(Destination, String), Failure> {
    split(url, section, "https://hooks.slack.com/services/…").map_err(|_| {
        Failure::bad_input(format!("{section} url-file holds no URL that can be posted to"))
            .hinting("write the incoming webhook's URL into the file, and nothing else")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(server: &str, starttls: bool, to: &str) -> Result<EmailSetting, Failure> {
        let (from, to) = ("cloakroom@example.com".to_owned(), vec![to.to_owned()]);
        Email {
            server: server.into(),
            starttls,
            user: None,
            password_file: None,
            from,
            to,
            allow_address: Vec::new(),
        }
        .setting()
    }

    #[test]
    fn a_mail_server_has_the_usual_port_of_how_it_speaks_tls() {
        let port = |server, starttls| email(server, starttls, "a@example.com").unwrap().server.to_string();
        assert_eq!(port("mail.example.com", false), "https://mail.example.com:465");
        assert_eq!(port("mail.example.com", true), "https://mail.example.com:587");
        assert_eq!(port("[::1]:2525", true), "https://[::1]:2525");
    }

    #[test]
    fn an_address_that_could_end_its_line_or_its_brackets_is_none() {
        assert!(is_address("ann+box@example.com"));
        for wrong in
            ["", "a", "a@", "@b", "a@b@c", "a b@c", "a>@c", "a@c\r\nRCPT TO:<d@e>", "\u{e9}@c", "a,b@c"]
        {
            assert!(email("mail.example.com", false, wrong).is_err(), "{wrong:?}");
        }
        assert!(email("mail example.com", false, "a@b").is_err());
    }

    #[test]
    fn a_url_that_is_a_secret_stands_in_no_message() {
        let failure =
            url_of_file("http://hooks.slack.com/services/T0/B0/secret", "[notify.slack]").unwrap_err();
        assert!(!failure.to_string().contains("secret"));
        assert!(url_of_file("https://hooks.slack.com/services/T0/B0/x", "[notify.slack]").is_ok());
    }
}
