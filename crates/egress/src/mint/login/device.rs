//! The device flow: a code to type in anywhere, and asking until a person did (RFC 8628).

use super::draft::{Draft, incomplete};
use super::{Invitation, LoggedIn, LoginCode, LoginError, PATIENCE};
use crate::mint::ask::{Asker, Form, Reply, ask, endpoint, fields, head};
use crate::mint::exchange::{Failure, error_of};
use crate::upstream::Upstream;
use http::{Method, StatusCode};
use serde::Deserialize;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The pause between two questions where the server names none, and what it grows by (RFC 8628, sections 3.2 and 3.5).
const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause: a server that names a longer one waits for nobody.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A login by device code that waits for a person.
pub(super) struct Device {
    code: Zeroizing<String>,
    pause: Duration,
    until: Instant,
}

/// RFC 8628, section 3.2. Some say `verification_url`.
#[derive(Deserialize)]
struct Said {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(default)]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

impl Device {
    pub(super) async fn begin(
        draft: &Draft,
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<(Self, Invitation), LoginError> {
        let missing = "the authorization server has no device authorization endpoint";
        let url = draft.course.device_authorization_endpoint.as_deref().ok_or(incomplete(missing))?;
        let mut form = Form::default();
        form.add_some("scope", draft.course.scope.as_deref());
        draft.course.resource.iter().for_each(|resource| form.add("resource", resource));
        if draft.client.says_id_only_in_header() {
            form.add("client_id", &draft.client.id);
        }
        let reply = post(url, form, draft, asker, upstream).await?;
        if reply.status() != StatusCode::OK || error_of(reply.body()).is_some() {
            return Err(draft.understand(&reply).map_or_else(LoginError::from, |_| unusable()));
        }
        let said: Said = serde_json::from_slice(reply.body()).map_err(|_| unusable())?;
        said.into_device()
    }

    pub(super) async fn poll(
        mut self,
        draft: Draft,
        asker: Asker,
        upstream: &Upstream,
    ) -> Result<LoggedIn, LoginError> {
        loop {
            if Instant::now() + self.pause > self.until {
                return Err(LoginError::EXPIRED);
            }
            tokio::time::sleep(self.pause).await;
            let form = || {
                let mut form = Form::default();
                form.add("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                form.add("device_code", &self.code);
                form
            };
            let reply = match draft.asked(form, asker, upstream).await {
                Ok(reply) => reply,
                // A connection that failed says nothing of the login (RFC 8628, section 3.5).
                Err(error) if error.code() == LoginCode::ServerUnavailable => {
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => return Err(error),
            };
            match error_of(reply.body()).as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => self.pause = (self.pause + PAUSE).min(LONGEST_PAUSE),
                Some("access_denied") => {
                    return Err(LoginError::new(LoginCode::Denied, "the person did not agree, or may not"));
                }
                Some("expired_token") => return Err(LoginError::EXPIRED),
                _ => match draft.understand(&reply) {
                    Ok(granted) => return draft.finish(granted),
                    Err(Failure::Unavailable(..)) if reply.status().is_server_error() => {
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    }
                    Err(failure) => return Err(failure.into()),
                },
            }
        }
    }
}

impl Said {
    fn into_device(self) -> Result<(Device, Invitation), LoginError> {
        // SECURITY: shown on a terminal: nothing that moves its cursor.
        let shown = |text: &str, longest| {
            (1..=longest).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        let link = |text: &str| {
            let web = text.starts_with("https://") || text.starts_with("http://");
            web && shown(text, 2048) && !text.contains(' ')
        };
        let fine = shown(&self.user_code, 64)
            && link(&self.verification_uri)
            && self.verification_uri_complete.as_deref().is_none_or(link)
            && crate::mint::recipe::printable(&self.device_code).is_some();
        if !fine {
            return Err(unusable());
        }
        let within = Duration::from_secs(self.expires_in).min(PATIENCE);
        let pause =
            self.interval.map_or(PAUSE, Duration::from_secs).clamp(Duration::from_secs(1), LONGEST_PAUSE);
        let device = Device { code: Zeroizing::new(self.device_code), pause, until: Instant::now() + within };
        let invitation = Invitation::Device {
            user_code: self.user_code,
            verification_uri: self.verification_uri,
            complete: self.verification_uri_complete,
            within,
        };
        Ok((device, invitation))
    }
}

async fn post(
    url: &str,
    mut form: Form,
    draft: &Draft,
    asker: Asker,
    upstream: &Upstream,
) -> Result<Reply, LoginError> {
    let mut fields = fields();
    draft.authenticate(&mut form, &mut fields)?;
    let body = form.finish(&mut fields);
    let (destination, path) = endpoint(url).ok_or(incomplete("an endpoint cannot be read"))?;
    let head = head(Method::POST, path, fields).map_err(incomplete)?;
    Ok(ask(upstream, asker, destination, head, body).await?)
}

fn unusable() -> LoginError {
    let reason = "the authorization server answered with something else than a device code";
    LoginError::new(LoginCode::ServerUnavailable, reason)
}
