//! One way of telling people: a signed webhook, a Slack-compatible one, ntfy, or a letter.

use super::letter::Mail;
use super::{Carrier, Message};
use crate::failure::Failure;
use crate::serve::carrier::{read_private, webhook_key};
use crate::settings::{NotifySetting, url_of_file};
use cloakroom_egress::UpstreamSettings;
use http::{HeaderValue, header};
use serde_json::json;

/// One channel.
pub(super) enum Channel {
    Webhook(Carrier),
    Slack(Carrier),
    Ntfy(Carrier, String),
    Mail(Mail),
}

impl Channel {
    /// Every channel of the settings.
    pub(super) fn all(setting: &NotifySetting, calls: &UpstreamSettings) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        if let Some(webhook) = &setting.webhook {
            let key = webhook_key("[notify.webhook]", &webhook.secret_file)?;
            all.push(Self::Webhook(
                Carrier::open(&webhook.to.0, &webhook.to.1, &webhook.allowed, calls)?.signing(key),
            ));
        }
        if let Some(slack) = &setting.slack {
            let url =
                read_private("[notify.slack]", &slack.url_file, "the webhook's URL, which is a secret")?;
            let (to, target) = url_of_file(&url, "[notify.slack]")?;
            all.push(Self::Slack(Carrier::open(&to, &target, &slack.allowed, calls)?));
        }
        if let Some(ntfy) = &setting.ntfy {
            let mut carrier = Carrier::open(&ntfy.to, "/", &ntfy.allowed, calls)?;
            if let Some(file) = &ntfy.token_file {
                let token = read_private("[notify.ntfy]", file, "an access token of ntfy")?;
                let field = HeaderValue::from_str(&format!("Bearer {}", token.as_str()));
                let mut field = field
                    .map_err(|_| Failure::bad_input("[notify.ntfy] token-file holds no access token"))?;
                field.set_sensitive(true);
                carrier = carrier.with(header::AUTHORIZATION, field);
            }
            all.push(Self::Ntfy(carrier, ntfy.topic.clone()));
        }
        if let Some(email) = &setting.email {
            all.push(Self::Mail(Mail::open(email, calls)?));
        }
        Ok(all)
    }

    /// For the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Ntfy(..) => "ntfy",
            Self::Mail(_) => "email",
        }
    }

    /// Whether it was taken, in the end.
    pub(super) async fn tell(&self, message: &Message) -> bool {
        let what = "word of what waits";
        match self {
            Self::Webhook(carrier) => carrier.deliver(what, &message.id, &event(message)).await,
            Self::Slack(carrier) => carrier.deliver(what, &message.id, &slack(message)).await,
            Self::Ntfy(carrier, topic) => carrier.deliver(what, &message.id, &ntfy(message, topic)).await,
            Self::Mail(mail) => mail.tell(message).await,
        }
    }
}

fn event(message: &Message) -> String {
    let items: Vec<_> =
        message.items.iter().map(|(title, link)| json!({ "title": title, "link": link })).collect();
    let data =
        json!({ "title": message.title, "link": message.link(), "items": items, "more": message.more });
    let at = cloakroom_model::Timestamp::now().to_string();
    json!({ "type": "cloakroom.waiting", "timestamp": at, "data": data }).to_string()
}

/// Slack's incoming webhooks, and what is compatible with them. Names and ids hold none of the three characters that Slack reads as markup.
fn slack(message: &Message) -> String {
    let mut lines: Vec<String> =
        message.items.iter().map(|(title, link)| format!("<{link}|{title}>")).collect();
    if message.more > 0 {
        lines.push(format!("<{}|and {} more>", message.inbox, message.more));
    }
    json!({ "text": lines.join("\n") }).to_string()
}

/// ntfy's publishing as JSON.
fn ntfy(message: &Message, topic: &str) -> String {
    let titles: Vec<&str> = message.items.iter().map(|(title, _)| title.as_str()).collect();
    json!({
        "topic": topic,
        "title": "Cloakroom",
        "message": if titles.len() == 1 { message.title.clone() } else { format!("{}\n{}", message.title, titles.join("\n")) },
        "click": message.link(),
        "tags": ["closed_lock_with_key"],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_links_the_one_thing_that_waits() {
        let link = "https://console.example.com/inbox/ap_1".to_owned();
        let message = Message {
            id: "ntf_1".into(),
            title: "a call waits: robot with stripe".into(),
            items: vec![("a call waits: robot with stripe".into(), link.clone())],
            more: 0,
            inbox: "https://console.example.com/inbox".into(),
        };
        let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert_eq!(read(event(&message))["data"]["link"], link);
        assert_eq!(read(slack(&message))["text"], format!("<{link}|a call waits: robot with stripe>"));
        let ntfy = read(ntfy(&message, "alerts"));
        assert_eq!(
            (&ntfy["topic"], &ntfy["click"], &ntfy["message"]),
            (&"alerts".into(), &link.into(), &"a call waits: robot with stripe".into())
        );
    }
}
