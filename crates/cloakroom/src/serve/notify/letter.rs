//! Word of what waits, as a letter.

use super::Message;
use crate::failure::Failure;
use crate::serve::carrier::{FIRST_PAUSE, TRIES, read_private, way_out};
use crate::settings::EmailSetting;
use cloakroom_egress::{Letter, MailError, MailServer, Upstream, UpstreamSettings};
use cloakroom_model::Timestamp;

/// The mail server, and who writes to whom.
pub(super) struct Mail {
    upstream: Upstream,
    server: MailServer,
    from: String,
    to: Vec<String>,
}

impl Mail {
    pub(super) fn open(setting: &EmailSetting, calls: &UpstreamSettings) -> Result<Self, Failure> {
        let login = match &setting.login {
            None => None,
            Some((user, file)) => {
                let password = read_private("[notify.email]", file, "the password for the mail server")?;
                Some((user.clone(), password))
            }
        };
        let server = MailServer { at: setting.server.clone(), security: setting.security, login };
        let upstream = way_out(calls, &setting.allowed)?;
        Ok(Self { upstream, server, from: setting.from.clone(), to: setting.to.clone() })
    }

    pub(super) async fn tell(&self, message: &Message) -> bool {
        let letter = Letter {
            from: self.from.clone(),
            to: self.to.clone(),
            message: written(message, &self.from, &self.to, Timestamp::now()),
        };
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            match self.upstream.mail(&self.server, &letter).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::warn!(%error, attempt, "a letter was not handed over");
                    if matches!(error, MailError::Never(_)) {
                        return false;
                    }
                }
            }
            if attempt < TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        false
    }
}

/// The message with its head (RFC 5322). Names, ids and links are ASCII, so nothing needs an encoding.
fn written(message: &Message, from: &str, to: &[String], now: Timestamp) -> String {
    let host = from.rsplit('@').next().unwrap_or("localhost");
    let date = now.http_date().replace("GMT", "+0000");
    let head = [
        format!("From: Cloakroom <{from}>"),
        format!("To: {}", to.join(", ")),
        format!("Subject: [cloakroom] {}", message.title),
        format!("Date: {date}"),
        format!("Message-ID: <{}@{host}>", message.id),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
    ];
    let body = message.lines().join("\n\n");
    let closing = "Nothing is decided by this letter. Decide in the console, with your passkey.";
    let text = format!("{body}\n\n-- \n{closing}\n");
    // SECURITY: a line break in the head would begin another field, or end it.
    let plain =
        |line: &str| line.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect::<String>();
    let lines = head.iter().map(|line| plain(line)).chain([String::new()]).chain(text.lines().map(plain));
    lines.flat_map(|line| [line, "\r\n".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_one_head_and_links() {
        let message = Message {
            id: "ntf_1".into(),
            title: "a policy waits: robot with stripe\r\nBcc: x".into(),
            items: vec![("a policy waits: robot with stripe".into(), "https://c.example/inbox/ap_1".into())],
            more: 0,
            inbox: "https://c.example/inbox".into(),
        };
        let text = written(
            &message,
            "c@example.com",
            &["a@example.com".into()],
            Timestamp::from_millis(784_111_777_123),
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 +0000\r\n"), "{head}");
        assert!(body.contains("https://c.example/inbox/ap_1"), "{body}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']) && !text.contains("\nBcc"), "{text}");
    }
}
