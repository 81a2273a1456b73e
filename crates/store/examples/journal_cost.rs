//! What a call costs in the journal: an intent that is waited for and an outcome that is not, from many tasks on one thread.
//!
//! `cargo run --release -p cloakroom-store --example journal_cost`

use cloakroom_model::{
    CredentialId, Destination, Intent, IntentUse, PlaceholderId, RequestId, Timestamp, Way, WorkloadId,
};
use cloakroom_store::journal::{Entry, Journal, JournalSettings, verify};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const CALLS: u64 = 200_000;

/// CPU time of all threads so far, in nanoseconds, as Linux counts it.
fn cpu() -> Result<u64, Box<dyn Error>> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(total)
}

fn intent(number: u64) -> Result<Intent, Box<dyn Error>> {
    let at = Timestamp::from_millis(1_700_000_000_000 + number);
    let fill = [7; 10];
    let destination: Destination = "https://api.example.com".parse()?;
    Ok(Intent {
        request: RequestId::new(at, fill),
        at,
        workload: WorkloadId::new(at, fill),
        peer: Some(cloakroom_model::Source::Address([127, 0, 0, 1].into())),
        way: Way::Connect,
        method: "GET".into(),
        destination,
        path: format!("/v1/items/{number}"),
        repeats: None,
        uses: vec![IntentUse {
            placeholder: PlaceholderId::new(at, fill),
            credential: CredentialId::new(at, fill),
            permit: "bearer at api.example.com".into(),
            counted: false,
        }],
    })
}

async fn call(journal: &Journal, number: u64) -> Result<(), Box<dyn Error>> {
    let intent = intent(number)?;
    journal.written(journal.append_intent(&intent)?).await?;
    let (request, at) = (intent.request, intent.at);
    journal.append(&Entry::Outcome { request, at, status: 200, bytes: 1024, replaced: 0, complete: true })?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "prints what it measured")]
fn main() -> Result<(), Box<dyn Error>> {
    for waiters in [1, 16] {
        let root = tempfile::tempdir()?;
        let (journal, _) = Journal::open(
            &root.path().join("journal"),
            &root.path().join("key"),
            JournalSettings::default(),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (began, cpu_before) = (Instant::now(), cpu()?);
        let tasks = tokio::task::LocalSet::new();
        for task in 0..waiters {
            let journal = Arc::clone(&journal);
            tasks.spawn_local(async move {
                for number in (task..CALLS).step_by(usize::try_from(waiters).unwrap_or(1)) {
                    if let Err(error) = call(&journal, number).await {
                        println!("{error}");
                        return;
                    }
                }
            });
        }
        runtime.block_on(tasks);
        let (cpu, wall) = (cpu()? - cpu_before, began.elapsed());
        journal.close()?;
        let verdict = verify(&root.path().join("journal"))?;
        println!(
            "{waiters} waiters: {} ns of CPU and {} ns of time a call (two records); ok {} with {} records",
            cpu / CALLS,
            wall.as_nanos() / u128::from(CALLS),
            verdict.ok,
            verdict.records
        );
    }
    Ok(())
}
