//! Tells people elsewhere that something waits for them. Nothing waits for a message to be taken: each channel is told by a task of its own,
//! no more often than its pause, of everything that came meanwhile at once.

mod channel;
mod letter;

use super::carrier::Carrier;
use crate::failure::Failure;
use crate::settings::NotifySetting;
use channel::Channel;
use cloakroom_admin::{Admin, Waiting};
use cloakroom_egress::UpstreamSettings;
use cloakroom_model::RequestId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked what waits.
const OFTEN: Duration = Duration::from_secs(1);
/// Things that one message names; the others are counted.
const NAMED: usize = 10;

/// The channels, ready to be told.
pub(super) struct Notifier {
    channels: Vec<Channel>,
    pause: Duration,
}

/// What waits, as of one look: a channel that was busy sees the latest only.
type Seen = Arc<Vec<Waiting>>;

impl Notifier {
    /// Reads secrets and opens the ways out.
    pub(super) fn open(setting: &NotifySetting, calls: &UpstreamSettings) -> Result<Self, Failure> {
        Ok(Self { channels: Channel::all(setting, calls)?, pause: setting.every })
    }

    /// Looks and tells until the broker ends.
    pub(super) async fn run(self, admin: Arc<Admin>) {
        let origin = admin.console_origin().to_owned();
        let (tell, told) = watch::channel(Seen::default());
        for channel in self.channels {
            tokio::spawn(follow(channel, told.clone(), self.pause, origin.clone()));
        }
        drop(told);
        loop {
            let waiting = Seen::new(admin.waiting());
            tell.send_if_modified(|last| {
                let changed = *last != waiting;
                *last = Arc::clone(&waiting);
                changed
            });
            tokio::time::sleep(OFTEN).await;
        }
    }
}

/// Tells one channel of what it was not told of yet. What could not be delivered is not told again: it waits in the inbox.
async fn follow(channel: Channel, mut seen: watch::Receiver<Seen>, pause: Duration, origin: String) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    while seen.changed().await.is_ok() {
        let waiting = Arc::clone(&seen.borrow_and_update());
        let fresh: Vec<&Waiting> = waiting.iter().filter(|one| !known.contains(&one.id)).collect();
        let message = Message::of(&fresh, &origin);
        known = waiting.iter().map(|one| one.id.clone()).collect();
        let Some(message) = message else { continue };
        if !channel.tell(&message).await {
            tracing::error!(
                channel = channel.name(),
                "nobody could be told that something waits; it is in the inbox"
            );
        }
        tokio::time::sleep(pause).await;
    }
}

/// One message: names that operators chose, ids and links. Nothing that a workload wrote, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    id: String,
    title: String,
    /// What waits, and where it is decided.
    items: Vec<(String, String)>,
    /// How many more.
    more: usize,
    /// Where all of it is.
    inbox: String,
}

impl Message {
    fn of(fresh: &[&Waiting], origin: &str) -> Option<Self> {
        let first = fresh.first()?;
        let id = format!("ntf_{}", RequestId::fresh().ok()?);
        let title = match fresh.len() {
            1 => first.title(),
            count => format!("{count} things wait for an approver"),
        };
        let items =
            fresh.iter().take(NAMED).map(|one| (one.title(), format!("{origin}{}", one.path()))).collect();
        Some(Self {
            id,
            title,
            items,
            more: fresh.len().saturating_sub(NAMED),
            inbox: format!("{origin}/inbox"),
        })
    }

    /// Where a click leads: to the one thing, or to all.
    fn link(&self) -> &str {
        match self.items.as_slice() {
            [(_, link)] => link,
            _ => &self.inbox,
        }
    }

    /// A line for each thing.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.items.iter().map(|(title, link)| format!("{title}\n  {link}")).collect();
        if self.more > 0 {
            lines.push(format!("and {} more\n  {}", self.more, self.inbox));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_admin::WaitingKind;
    use cloakroom_model::{Name, Timestamp};

    fn waiting(number: u8) -> Waiting {
        Waiting {
            id: format!("ap_{number}"),
            kind: WaitingKind::Policy,
            workload: Name::parse("robot").ok(),
            credential: Name::parse("stripe").ok(),
            since: Timestamp::from_millis(1),
        }
    }

    #[test]
    fn one_thing_is_linked_itself_and_many_are_named_up_to_ten() {
        let origin = "https://console.example.com";
        assert_eq!(Message::of(&[], origin), None);
        let one = Message::of(&[&waiting(1)], origin).unwrap();
        assert_eq!(
            (one.title.as_str(), one.link()),
            ("a policy waits: robot with stripe", "https://console.example.com/inbox/ap_1")
        );
        let all: Vec<Waiting> = (0..30).map(waiting).collect();
        let many = Message::of(&all.iter().collect::<Vec<_>>(), origin).unwrap();
        assert_eq!((many.items.len(), many.more, many.link()), (10, 20, "https://console.example.com/inbox"));
        assert!(many.lines().join("\n").ends_with("and 20 more\n  https://console.example.com/inbox"));
    }
}
