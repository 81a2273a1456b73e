//! The running broker, as it sees itself: custody, locks, confinement.

use super::{Finding, Standing};
use crate::broker::Broker;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use cloakroom_admin::wire::{CertificateView, Health, LayerView, LockOutcome, LocksView};

pub(super) fn look(data: &DataDir) -> Vec<Finding> {
    let asked = || -> Result<(Health, LocksView), Failure> {
        let broker = Broker::of(data)?;
        Ok((broker.read("health")?, broker.read("locks")?))
    };
    let (health, locks) = match asked() {
        Ok(answers) => answers,
        Err(failure) => {
            return vec![Finding::of_failure("broker", Standing::Broken, &failure), key(data, None)];
        }
    };
    let mut findings =
        vec![rows(&health), listeners(&health), key(data, Some(&health)), memory(&health), lock(&locks)];
    findings.extend(health.certificate.iter().map(certificate));
    findings.extend(health.confinement.iter().map(layer));
    findings
}

fn rows(health: &Health) -> Finding {
    let counts = format!(
        "version {}: {} credentials, {} workloads, {} placeholders in force, {} approvals wait",
        health.version, health.credentials, health.workloads, health.active, health.pending
    );
    match health.unverified {
        0 => Finding::good("broker", counts),
        many => Finding::new(
            "broker",
            Standing::Broken,
            format!("{many} approvals on disk do not verify, and count for nothing"),
        )
        .remedied_by("see the log for their ids; issue them anew, and find out who edited the database"),
    }
}

fn listeners(health: &Health) -> Finding {
    Finding::good("listeners", format!("workloads are heard at {}", health.listeners.join(", ")))
}

/// As the running broker tells it; where none answers, by what the data directory keeps.
fn key(data: &DataDir, health: Option<&Health>) -> Finding {
    const CHECK: &str = "key-encryption key";
    let custody = health.and_then(|health| health.custody.as_ref());
    if let Some(custody) = custody.filter(|custody| custody.state == "sealed") {
        let why = custody.reason.as_deref().unwrap_or("nobody has opened it yet");
        return Finding::new(
            CHECK,
            Standing::Broken,
            format!("the broker is sealed, no secret opens: {why}"),
        )
        .remedied_by("cloakroom custody status says what it wants; docs/custody.md");
    }
    if data.key("kek").exists() {
        return Finding::new(
            CHECK,
            Standing::Weak,
            "it lies in a file beside the database: a stolen disk opens the secrets",
        )
        .remedied_by("keep it elsewhere: custody.kek in docs/settings.md");
    }
    match custody {
        Some(custody) => Finding::good(CHECK, format!("the broker is open; kek = {:?}", custody.kek)),
        None => Finding::new(CHECK, Standing::Note, "no broker answers, and no key lies beside the database"),
    }
}

fn memory(health: &Health) -> Finding {
    match health.unlocked_blocks {
        0 => Finding::good("locked memory", "every secret lies on pages that are not swapped"),
        blocks => Finding::new(
            "locked memory",
            Standing::Weak,
            format!("{blocks} blocks for secrets could not be locked and may be swapped"),
        )
        .remedied_by("raise the limit (ulimit -l, LimitMEMLOCK=), or have no swap"),
    }
}

fn lock(locks: &LocksView) -> Finding {
    const CHECK: &str = "egress lock";
    let bad: Vec<String> = locks
        .locks
        .iter()
        .filter(|lock| lock.outcome != LockOutcome::Closed)
        .map(|lock| lock.name.to_string())
        .collect();
    let missing = locks.required.iter().find(|name| locks.locks.iter().all(|lock| lock.name != **name));
    match missing {
        _ if locks.locked => {
            Finding::good(CHECK, format!("{} locks, each proved within a day", locks.locks.len()))
        }
        Some(name) => Finding::new(
            CHECK,
            Standing::Broken,
            format!("lock {name} is required and was not proved: no call goes out"),
        )
        .remedied_by(format!("as root: cloakroom lock check {name}")),
        None if locks.locks.is_empty() => Finding::new(
            CHECK,
            Standing::Note,
            "no lock was checked since the broker started: it does not call itself locked",
        )
        .remedied_by("close the workload's network (docs/lock.md), or start it with cloakroom run"),
        None if bad.is_empty() => {
            Finding::new(CHECK, Standing::Weak, "the last check is more than a day old")
                .remedied_by("as root: cloakroom lock check NAME, by a timer")
        }
        None => Finding::new(
            CHECK,
            Standing::Broken,
            format!("the last check did not prove it: {}", bad.join(", ")),
        )
        .remedied_by("as root: cloakroom lock check NAME says what is open"),
    }
}

fn certificate(certificate: &CertificateView) -> Finding {
    const CHECK: &str = "console's certificate";
    let CertificateView { ends, due, trouble, .. } = certificate;
    let until =
        ends.as_ref().map_or_else(|| "none is there yet".to_owned(), |ends| format!("good until {ends}"));
    match (trouble, due) {
        (Some(why), _) => {
            let standing = if ends.is_some() { Standing::Weak } else { Standing::Broken };
            Finding::new(CHECK, standing, format!("{until}, and not renewed: {why}"))
                .remedied_by("it is tried again by itself; what the ACME server needs: docs/access.md#tls")
        }
        (None, Some(due)) => Finding::good(CHECK, format!("{until}, renewed at {due}")),
        (None, None) => Finding::new(CHECK, Standing::Note, format!("{until}; it is being asked for")),
    }
}

fn layer(layer: &LayerView) -> Finding {
    let check = format!("confinement: {}", layer.name);
    let found = Finding::new(check, Standing::Weak, format!("{}: {}", layer.state, layer.detail));
    match (layer.state.as_str(), layer.name.as_str()) {
        ("holds", _) => Finding { standing: Standing::Good, ..found },
        ("off", name) => found.remedied_by(format!("take {name} out of [process.unconfined]")),
        (_, "privileges") => found.remedied_by("give the broker a user of its own: --user NAME"),
        _ => found.remedied_by("a newer kernel has it: docs/confinement.md"),
    }
}
