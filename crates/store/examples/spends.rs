//! How fast single uses are taken so that they survive a power cut: from 64 at once, and alone against the disk's own `fdatasync`.
//!
//! `cargo run --release -p cloakroom-store --example spends -- DIRECTORY`: the disk of that directory counts. A line for each figure:
//! its name and its value.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a broken bench must stop")]

#[path = "../tests/conformance/rows.rs"]
#[expect(dead_code, reason = "the conformance suite needs more of it")]
mod rows;

use cloakroom_model::{CredentialId, Intent, IntentUse, PlaceholderRecord, RequestId, Way, WorkloadId};
use cloakroom_store::journal::{Journal, JournalSettings};
use cloakroom_store::{Recounted, Uses};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Who wait at once.
const WAITERS: usize = 64;
/// Placeholders with one use each.
const STOCK: usize = 1_500_000;
/// How long uses are taken by all.
const TOGETHER: Duration = Duration::from_secs(4);
/// How long alone, and how long the disk is asked by itself; so often in turn.
const ALONE: Duration = Duration::from_millis(400);
const ROUNDS: usize = 5;

struct Desk {
    journal: Arc<Journal>,
    uses: Arc<Uses>,
    stock: Vec<PlaceholderRecord>,
    next: AtomicUsize,
}

impl Desk {
    fn new(directory: &Path) -> Arc<Self> {
        let (journal, _) =
            Journal::open(&directory.join("journal"), &directory.join("key"), JournalSettings::default())
                .unwrap();
        let (credential, workload) =
            (CredentialId::new(rows::at(1), [1; 10]), WorkloadId::new(rows::at(1), [1; 10]));
        let stock: Vec<_> = (0..STOCK as u64)
            .map(|number| rows::placeholder(number, credential, workload, Some(1)).0)
            .collect();
        let uses = Uses::new(Arc::clone(&journal), Recounted::default(), None);
        uses.hold(&stock).unwrap();
        Arc::new(Self { journal, uses, stock, next: AtomicUsize::new(0) })
    }

    fn intent(&self) -> Option<Intent> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let row = self.stock.get(number)?;
        let at = rows::at(number as u64);
        Some(Intent {
            request: RequestId::new(at, [7; 10]),
            at,
            workload: row.workload,
            peer: Some(cloakroom_model::Source::Address([127, 0, 0, 1].into())),
            way: Way::Connect,
            destination: "https://api.example.com".parse().unwrap(),
            method: "POST".into(),
            path: format!("/v1/charges/{number}"),
            uses: vec![IntentUse {
                placeholder: row.id,
                credential: row.credential,
                permit: "create a small charge".into(),
                counted: true,
            }],
            repeats: None,
        })
    }

    /// Takes one use after another for a time, as long as there are some; how long each took.
    async fn spend(&self, time: Duration) -> Vec<Duration> {
        let (end, mut took) = (Instant::now() + time, Vec::new());
        while Instant::now() < end {
            let Some(intent) = self.intent() else { break };
            let begun = Instant::now();
            let spent = self.uses.spend(&intent).expect("a use that was never taken");
            self.uses.durable(spent).await.expect("the disk takes it");
            took.push(begun.elapsed());
        }
        took
    }
}

/// The disk alone: as many bytes behind a file as one use writes, and `fdatasync`.
fn fdatasync(file: &File, at: &mut u64, time: Duration) -> Vec<Duration> {
    let (end, mut took) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        let begun = Instant::now();
        file.write_all_at(&[7; 512], *at).unwrap();
        file.sync_data().unwrap();
        *at += 512;
        took.push(begun.elapsed());
    }
    took
}

fn micros(took: &mut [Duration], percent: usize) -> f64 {
    took.sort_unstable();
    took.get(took.len() * percent / 100).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
}

fn main() {
    let directory = std::env::args().nth(1).map(PathBuf::from).expect("usage: spends DIRECTORY");
    let root = tempfile::tempdir_in(directory).unwrap();
    let desk = Desk::new(root.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let flushed = desk.journal.flushes().unwrap();
    let begun = Instant::now();
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let desk = Arc::clone(&desk);
            runtime.spawn(async move { desk.spend(TOGETHER).await })
        })
        .collect();
    let mut took: Vec<Duration> =
        waiters.into_iter().flat_map(|waiter| runtime.block_on(waiter).unwrap()).collect();
    let (elapsed, flushes) = (begun.elapsed(), desk.journal.flushes().unwrap() - flushed);
    println!("spends {}", took.len());
    println!("per_second {:.0}", took.len() as f64 / elapsed.as_secs_f64());
    println!("p50_us {:.0}", micros(&mut took, 50));
    println!("p99_us {:.0}", micros(&mut took, 99));
    println!("flushes {flushes}");
    println!("per_flush {:.1}", took.len() as f64 / flushes.max(1) as f64);

    let file =
        File::options().write(true).create(true).truncate(true).open(root.path().join("alone")).unwrap();
    let (mut alone, mut disk, mut at) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        disk.extend(fdatasync(&file, &mut at, ALONE));
        alone.extend(runtime.block_on(desk.spend(ALONE)));
    }
    let (alone, disk) = (micros(&mut alone, 50), micros(&mut disk, 50));
    println!("alone_p50_us {alone:.0}");
    println!("fdatasync_p50_us {disk:.0}");
    println!("alone_to_fdatasync {:.2}", alone / disk);
}
