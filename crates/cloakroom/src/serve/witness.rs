//! Sends the journal's checkpoints to witnesses: a file, a git repository, a C2SP witness. None of them is waited for by a call, and one that
//! is silent is said in the log, in the metrics and once as a security event.

use super::carrier::way_out;
use super::witness_git::Repository;
use crate::data_dir::write_private;
use crate::failure::Failure;
use crate::settings::WitnessSetting;
use bytes::Bytes;
use cloakroom_egress::{Upstream, UpstreamSettings};
use cloakroom_model::{Destination, EventKind, SecurityEvent};
use cloakroom_store::Events;
use cloakroom_store::journal::{self, Journal};
use http::{HeaderMap, HeaderValue, header};
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a witness may take for one checkpoint.
const PATIENCE: Duration = Duration::from_secs(15);

/// All witnesses, and what they are sent.
pub(super) struct Witnesses {
    every: Duration,
    kept: Vec<Kept>,
}

/// One witness, and how it went with it.
struct Kept {
    witness: Arc<Witness>,
    /// The last checkpoint it took.
    taken: Option<String>,
    silent: bool,
    /// What hangs, and is not tried again before it has ended.
    hanging: Option<JoinHandle<Result<(), String>>>,
}

enum Witness {
    File(PathBuf),
    Git(Repository),
    Url(Box<Submission>),
}

/// A C2SP witness (c2sp.org/tlog-witness).
struct Submission {
    upstream: Upstream,
    to: Destination,
    target: String,
    journal: PathBuf,
    /// The size it has acknowledged, in a file: it wants to be told, with a proof from there.
    acknowledged: PathBuf,
}

impl Witnesses {
    pub(super) fn open(
        setting: &WitnessSetting,
        calls: &UpstreamSettings,
        data: &crate::data_dir::DataDir,
    ) -> Result<Self, Failure> {
        let mut witnesses = Vec::new();
        witnesses.extend(setting.file.clone().map(Witness::File));
        witnesses.extend(setting.git.as_deref().map(Repository::open).transpose()?.map(Witness::Git));
        if let Some((to, target)) = &setting.url {
            let upstream = way_out(calls, &setting.allowed)?;
            witnesses.push(Witness::Url(Box::new(Submission {
                upstream,
                to: to.clone(),
                target: target.clone(),
                journal: data.journal(),
                acknowledged: data.path().join("witnessed"),
            })));
        }
        let kept = |witness| Kept { witness: Arc::new(witness), taken: None, silent: false, hanging: None };
        Ok(Self { every: setting.every, kept: witnesses.into_iter().map(kept).collect() })
    }

    /// Sends until the broker ends: at once, and then every so often if there is something new or somebody was silent.
    pub(super) async fn run(mut self, journal: Arc<Journal>, events: Arc<Events>) {
        loop {
            match journal.checkpoint().await {
                Ok(note) => self.send(&note, &events).await,
                Err(error) => tracing::warn!(%error, "there is no checkpoint for the witnesses"),
            }
            tokio::time::sleep(self.every).await;
        }
    }

    async fn send(&mut self, note: &str, events: &Events) {
        for kept in &mut self.kept {
            if kept.taken.as_deref() == Some(note) {
                continue;
            }
            let outcome = kept.offer(note).await;
            kept.tell(note, outcome, events);
        }
        let size = |kept: &Kept| kept.taken.as_deref().and_then(size_of).unwrap_or_default();
        let silent = self.kept.iter().filter(|kept| kept.silent).count();
        let witnessed = self.kept.iter().map(size).min().unwrap_or_default();
        events.meters().witnesses(silent as u64, witnessed);
    }
}

impl Kept {
    /// Offers a checkpoint, and waits no longer than a witness may take.
    async fn offer(&mut self, note: &str) -> Result<(), String> {
        if self.hanging.as_ref().is_some_and(|hanging| !hanging.is_finished()) {
            return Err("it has not answered since the last time".into());
        }
        let (witness, note) = (Arc::clone(&self.witness), note.to_owned());
        let mut offered = tokio::spawn(async move { witness.take(note).await });
        match tokio::time::timeout(PATIENCE, &mut offered).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err("it could not be asked".into())),
            Err(_) => {
                self.hanging = Some(offered);
                Err("it does not answer".into())
            }
        }
    }

    fn tell(&mut self, note: &str, outcome: Result<(), String>, events: &Events) {
        let witness = self.witness.name();
        match outcome {
            Ok(()) => {
                self.taken = Some(note.to_owned());
                if std::mem::take(&mut self.silent) {
                    tracing::info!(witness, "the journal's witness takes checkpoints again");
                }
            }
            Err(reason) => {
                tracing::warn!(witness, reason, "a witness did not take the journal's checkpoint");
                if !std::mem::replace(&mut self.silent, true) {
                    events.raise(SecurityEvent::new(EventKind::WitnessSilent));
                }
            }
        }
    }
}

impl Witness {
    fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Git(_) => "git",
            Self::Url(_) => "url",
        }
    }

    /// Gives it the checkpoint.
    async fn take(self: Arc<Self>, note: String) -> Result<(), String> {
        if let Self::Url(submission) = &*self {
            return submission.submit(&note).await;
        }
        let blocking = tokio::task::spawn_blocking(move || match &*self {
            Self::File(file) => append(file, &note).map_err(|error| error.to_string()),
            Self::Git(repository) => repository.commit(&note).map_err(|error| error.to_string()),
            Self::Url(_) => Ok(()),
        });
        blocking.await.unwrap_or_else(|_| Err("it could not be asked".into()))
    }
}

/// Adds the checkpoint at the end of a file, unless it stands there already.
fn append(file: &Path, note: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    let length = file.metadata()?.len();
    if length >= note.len() as u64 {
        file.seek(SeekFrom::End(-i64::try_from(note.len()).unwrap_or(i64::MAX)))?;
        let mut last = vec![0; note.len()];
        file.read_exact(&mut last)?;
        if last == note.as_bytes() {
            return Ok(());
        }
    }
    // On a line of its own, whatever a write cut short has left.
    file.write_all(format!("\n{note}").as_bytes())?;
    file.sync_data()
}

impl Submission {
    /// `add-checkpoint`: the size the witness knows, the proof from there, the checkpoint.
    async fn submit(&self, note: &str) -> Result<(), String> {
        let (journal, file, note) = (self.journal.clone(), self.acknowledged.clone(), note.to_owned());
        let size = size_of(&note).ok_or("the checkpoint has no size")?;
        let made = tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let old = text.trim().parse::<u64>().unwrap_or_default();
            journal::consistency(&journal, old, Some(&note)).map(|proof| proof.to_string())
        });
        let made = made.await.map_err(|_| "the proof could not be made")?;
        let body = Bytes::from(made.map_err(|error| error.to_string())?);
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static("cloakroom"));
        let status = self.upstream.notify(&self.to, &self.target, fields, body).await;
        match status.map_err(|refusal| refusal.to_string())? {
            status if status.is_success() => {
                write_private(&self.acknowledged, format!("{size}\n").as_bytes())
                    .map_err(|error| format!("what it took could not be noted: {error}"))
            }
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_appended_once_and_behind_whatever_stands_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("checkpoints");
        let read = || std::fs::read_to_string(&file).unwrap();
        append(&file, "one\n").unwrap();
        append(&file, "one\n").unwrap();
        assert_eq!(read(), "\none\n");
        std::fs::write(&file, "cut sho").unwrap();
        append(&file, "two\n").unwrap();
        assert_eq!(read(), "cut sho\ntwo\n");
        assert!(append(&dir.path().join("no/such"), "x").is_err());
    }
}
