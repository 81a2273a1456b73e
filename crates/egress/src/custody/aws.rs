//! An AWS access key: read from what AWS hands out, kept as one line.
//!
//! ```text
//! sealed: {"id":"AKIA…","secret":"…"}        with "session":"…" where the key is temporary
//! ```

use crate::secret::Secret;
use cloakroom_model::{Code, Refusal};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// What calls are signed with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessKey {
    /// The access key id. It is sent, and kept from the workload all the same.
    pub(crate) id: String,
    /// The secret access key. It is never sent.
    pub(crate) secret: String,
    /// The session token of a temporary key. It is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
}

const FORM: &str = "an AWS access key is deposited as JSON (AccessKeyId, SecretAccessKey and, if there is one, SessionToken) or as the \
     lines of a credentials file (aws_access_key_id = …)";

impl AccessKey {
    /// Reads a deposit: the JSON that `aws iam create-access-key` and `aws sts assume-role` print, or the lines of one profile of a
    /// credentials file.
    ///
    /// # Errors
    /// One sentence, which holds nothing of the key.
    pub(crate) fn deposited(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| FORM)?;
        let key =
            if text.trim_start().starts_with('{') { of_json(text) } else { of_lines(text) }.ok_or(FORM)?;
        let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !(16..=128).contains(&key.id.len())
            || !key.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err("an access key id has 16 to 128 letters, digits and underscores");
        }
        if key.secret.len() < super::SHORTEST || !word(&key.secret) {
            return Err("a secret access key has 8 or more characters and no spaces");
        }
        if key.session.as_deref().is_some_and(|session| session.len() < super::SHORTEST || !word(session)) {
            return Err("a session token has 8 or more characters and no spaces");
        }
        Ok(key)
    }

    /// The line that is sealed.
    pub(crate) fn write(&self) -> Secret {
        // Room for all of it at once: growing would leave a copy behind. A key of printable ASCII has a JSON form.
        let parts = self.parts().iter().map(|part| 2 * part.len()).sum::<usize>();
        let mut line = Zeroizing::new(Vec::with_capacity(parts + 64));
        let _ = serde_json::to_writer(&mut *line, self);
        Secret::new(line)
    }

    /// Reads what [`AccessKey::write`] wrote.
    ///
    /// # Errors
    /// `broker-sealed` where it is none.
    pub(crate) fn read(line: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(line)
            .map_err(|_| Refusal::new(Code::BrokerSealed, "what is kept as an access key is none"))
    }

    /// Each text that must not come back.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        let session = self.session.as_deref().map(str::as_bytes);
        [self.secret.as_bytes(), self.id.as_bytes()].into_iter().chain(session).collect()
    }
}

impl Drop for AccessKey {
    fn drop(&mut self) {
        self.id.zeroize();
        self.secret.zeroize();
        self.session.zeroize();
    }
}

/// What AWS prints; commands wrap it under one of two names.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    access_key: Option<Box<Printed>>,
    credentials: Option<Box<Printed>>,
}

fn of_json(text: &str) -> Option<AccessKey> {
    let mut printed: Printed = serde_json::from_str(text).ok()?;
    if let Some(inner) = printed.access_key.take().or(printed.credentials.take()) {
        printed = *inner;
    }
    Some(AccessKey {
        id: printed.access_key_id?,
        secret: printed.secret_access_key?,
        session: printed.session_token,
    })
}

fn of_lines(text: &str) -> Option<AccessKey> {
    let (mut id, mut secret, mut session) = (None, None, None);
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['[', '#', ';'])) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let part = match name.trim() {
            "aws_access_key_id" => &mut id,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut session,
            _ => continue,
        };
        // Two profiles are two keys.
        if part.replace(value.trim().to_owned()).is_some() {
            return None;
        }
    }
    Some(AccessKey { id: id?, secret: secret?, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
    const ID: &str = "AKIAIOSFODNN7EXAMPLE";

    fn kept(text: &str) -> Result<(String, String, Option<String>), &'static str> {
        let key = AccessKey::deposited(text.as_bytes())?;
        let again = AccessKey::read(key.write().expose()).unwrap();
        assert_eq!((&again.id, &again.secret, &again.session), (&key.id, &key.secret, &key.session));
        Ok((key.id.clone(), key.secret.clone(), key.session.clone()))
    }

    #[test]
    fn a_key_is_read_as_aws_hands_it_out() {
        let json = format!(r#"{{"AccessKeyId":"{ID}","SecretAccessKey":"{CANARY}"}}"#);
        let long = (ID.to_owned(), CANARY.to_owned(), None);
        assert_eq!(kept(&json), Ok(long.clone()));
        let created =
            r#"{"AccessKey":{"UserName":"x","Status":"Active",KEY"#.replace("KEY", &json[1..]) + "}";
        assert_eq!(kept(&created), Ok(long.clone()));
        let lines = format!(
            "[default]\r\naws_access_key_id = {ID}\r\naws_secret_access_key={CANARY}\r\nregion = x\r\n"
        );
        assert_eq!(kept(&lines), Ok(long));
        let temporary = format!("{lines}aws_session_token = {CANARY}\n");
        assert_eq!(kept(&temporary), Ok((ID.to_owned(), CANARY.to_owned(), Some(CANARY.to_owned()))));
        let assumed = format!(
            r#"{{"Credentials":{{"AccessKeyId":"{ID}","SecretAccessKey":"{CANARY}","SessionToken":"{CANARY}","Expiration":"x"}}}}"#
        );
        assert_eq!(kept(&assumed).unwrap().2.as_deref(), Some(CANARY));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_in_words_that_do_not_repeat_it() {
        for text in [
            CANARY.to_owned(),
            format!("aws_secret_access_key = {CANARY}"),
            format!("aws_access_key_id = short\naws_secret_access_key = {CANARY}"),
            format!("aws_access_key_id = {ID}\naws_secret_access_key = a b c d e f g h"),
            format!("aws_access_key_id = {ID}\naws_access_key_id = {ID}\naws_secret_access_key = {CANARY}"),
            format!(r#"{{"AccessKeyId":"{ID}"}}"#),
        ] {
            let error = kept(&text).unwrap_err();
            assert!(!error.contains(CANARY) && !error.contains(ID), "{error}");
        }
    }
}
