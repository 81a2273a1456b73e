//! The life of one counted placeholder as a model: every order of steps is tried, and the invariants hold in each state. Then
//! walks through the model are gone again with the real counter, journal and database, which have to come to the same.
//!
//! Model steps are as large as what the code does in one piece: what happens under one lock, or in one write.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "conformance/rows.rs"]
#[expect(dead_code, reason = "the conformance suite needs more of it")]
mod rows;

use cloakroom_model::{
    Intent, IntentUse, PlaceholderId, PlaceholderRecord, PlaceholderState, RequestId, Way,
};
use cloakroom_store::journal::{Journal, JournalSettings};
use cloakroom_store::{Spent, SqliteStore, Store, Uses, recount};
use stateright::{Checker, Model, Property};
use std::path::PathBuf;
use std::sync::Arc;

const CALLS: usize = 3;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    Intent(usize),
    Returned(usize),
    /// A repeat takes nothing.
    Repeat(usize),
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    /// Not begun.
    Idle,
    /// Permitted by the snapshot of that time.
    Authorized,
    /// Its use is taken in memory and its intent appended.
    Taken,
    /// Its intent is on the disk.
    Durable,
    /// Some of it may have reached the destination.
    Sent,
    /// Its answer reached the workload.
    Answered,
    /// It ended: refused, given back, or with its process.
    Over,
}

/// How far a revocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Revoking {
    No,
    Recorded,
    Stored,
    /// The operator was told that it is done.
    Acknowledged,
}

/// Everything that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// Survives a power cut.
    disk: Vec<Record>,
    /// Written, and not flushed: survives the end of the process.
    written: Vec<Record>,
    /// Appended, in memory.
    queue: Vec<Record>,
    /// Which broker runs; the lock on the directory is its own.
    up: Option<u8>,
    /// Its count, and what its snapshot says.
    used: u8,
    live: bool,
    expired: bool,
    revoking: Revoking,
    /// What the row says.
    row_revoked: bool,
    /// Who fetched the placeholder with its code, and how often it was given out.
    claimed: u8,
    calls: [Call; CALLS],
    /// Sends of each call, and those under another's use.
    sends: [u8; CALLS],
    resends: u8,
    /// Calls whose use was taken after somebody was told that it is revoked.
    late: u8,
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Claim,
    Authorize(usize),
    Take(usize),
    Write,
    Flush,
    Send(usize),
    /// There is no connection: proof that nothing was sent.
    Unsent(usize),
    Answer(usize),
    /// The same request again, under the use of a call that was sent.
    Repeat(usize),
    Revoke,
    Expire,
    Kill,
    PowerCut,
    Start(u8),
}

/// The rules, and which of them are left out to see what they are for.
#[derive(Clone, Copy)]
struct Rules {
    uses: u8,
    retry: bool,
    /// A second broker finds the directory locked.
    lock: bool,
    /// A call goes out when its intent is on the disk, and not before.
    durable_first: bool,
    /// What was authorized is looked at once more when its use is taken.
    look_again: bool,
    /// A use comes back only where nothing was sent.
    proof: bool,
}

const RULES: Rules =
    Rules { uses: 1, retry: false, lock: true, durable_first: true, look_again: true, proof: true };

fn counted(records: impl Iterator<Item = Record>) -> u8 {
    let mut used: u8 = 0;
    for record in records {
        match record {
            Record::Intent(_) => used += 1,
            Record::Returned(_) => used = used.saturating_sub(1),
            Record::Repeat(_) => {}
        }
    }
    used
}

impl World {
    fn recorded(&self) -> impl Iterator<Item = Record> + '_ {
        self.disk.iter().chain(&self.written).copied()
    }

    fn end_process(&mut self) {
        self.up = None;
        self.queue.clear();
        self.crashes += 1;
        for call in &mut self.calls {
            if !matches!(call, Call::Idle | Call::Answered) {
                *call = Call::Over;
            }
        }
        if self.revoking != Revoking::Acknowledged {
            self.revoking = if self.row_revoked { Revoking::Acknowledged } else { Revoking::No };
        }
    }
}

impl Model for Rules {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            disk: Vec::new(),
            written: Vec::new(),
            queue: Vec::new(),
            up: Some(0),
            used: 0,
            live: true,
            expired: false,
            revoking: Revoking::No,
            row_revoked: false,
            claimed: 0,
            calls: [Call::Idle; CALLS],
            sends: [0; CALLS],
            resends: 0,
            late: 0,
            crashes: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let running = world.up.is_some();
        for broker in 0..2 {
            let free = world.up.is_none() || (!self.lock && world.up != Some(broker));
            if free {
                steps.push(Step::Start(broker));
            }
        }
        if !running {
            return;
        }
        if world.crashes < 2 {
            steps.extend([Step::Kill, Step::PowerCut]);
        }
        if world.claimed < 2 {
            steps.push(Step::Claim);
        }
        steps.extend((world.revoking < Revoking::Acknowledged).then_some(Step::Revoke));
        steps.extend((!world.expired).then_some(Step::Expire));
        steps.extend((!world.queue.is_empty()).then_some(Step::Write));
        steps.extend((!world.written.is_empty() || !world.queue.is_empty()).then_some(Step::Flush));
        for (index, call) in world.calls.iter().enumerate() {
            // Calls are alike: they begin in order.
            let is_next = world.calls.iter().position(|call| *call == Call::Idle) == Some(index);
            match call {
                Call::Idle if is_next && world.claimed > 0 => steps.push(Step::Authorize(index)),
                Call::Authorized => steps.push(Step::Take(index)),
                Call::Taken if !self.durable_first => steps.push(Step::Send(index)),
                Call::Durable => steps.extend([Step::Send(index), Step::Unsent(index)]),
                Call::Sent => {
                    steps.push(Step::Answer(index));
                    steps.extend((!self.proof).then_some(Step::Unsent(index)));
                    steps.extend((self.retry && world.resends < 2).then_some(Step::Repeat(index)));
                }
                _ => {}
            }
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Claim => {
                world.claimed += 1;
                if world.claimed > 1 {
                    // A second claim gives nothing out, and revokes.
                    world.claimed = 2;
                    world.row_revoked = true;
                    world.live = false;
                    world.revoking = Revoking::Acknowledged;
                }
            }
            Step::Authorize(index) => {
                let counts = world.live && !world.expired;
                world.calls[index] = if counts { Call::Authorized } else { Call::Over };
            }
            Step::Take(index) => {
                let counts = world.live || !self.look_again;
                if counts && world.used < self.uses {
                    world.used += 1;
                    world.queue.push(Record::Intent(index));
                    world.calls[index] = Call::Taken;
                    world.late += u8::from(world.revoking == Revoking::Acknowledged);
                } else {
                    world.calls[index] = Call::Over;
                }
            }
            Step::Write => world.written.append(&mut world.queue),
            Step::Flush => {
                world.written.append(&mut world.queue);
                world.disk.append(&mut world.written);
                for call in &mut world.calls {
                    if *call == Call::Taken {
                        *call = Call::Durable;
                    }
                }
            }
            Step::Send(index) => {
                world.calls[index] = Call::Sent;
                world.sends[index] += 1;
            }
            Step::Unsent(index) => {
                world.used = world.used.saturating_sub(1);
                world.queue.push(Record::Returned(index));
                world.calls[index] = Call::Over;
            }
            Step::Answer(index) => world.calls[index] = Call::Answered,
            Step::Repeat(index) => {
                world.queue.push(Record::Repeat(index));
                world.resends += 1;
            }
            Step::Revoke => match world.revoking {
                Revoking::No => world.revoking = Revoking::Recorded,
                Revoking::Recorded => {
                    world.row_revoked = true;
                    world.revoking = Revoking::Stored;
                }
                Revoking::Stored => {
                    world.live = false;
                    world.revoking = Revoking::Acknowledged;
                }
                Revoking::Acknowledged => return None,
            },
            Step::Expire => world.expired = true,
            Step::Kill => world.end_process(),
            Step::PowerCut => {
                world.written.clear();
                world.end_process();
            }
            Step::Start(broker) => {
                world.up = Some(broker);
                world.used = counted(world.recorded());
                world.live = !world.row_revoked;
                let mut written = std::mem::take(&mut world.written);
                world.disk.append(&mut written);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "a use reaches a destination at most once (invariant 7)",
                |rules: &Rules, world: &World| world.sends.iter().sum::<u8>() <= rules.uses,
            ),
            Property::always("after a revocation no use is taken (invariant 8)", |_, world: &World| {
                world.late == 0
            }),
            Property::always("what was sent is on record, whatever crashes", |_, world: &World| {
                let recorded = |index| world.disk.contains(&Record::Intent(index));
                (0..CALLS).all(|index| world.sends[index] == 0 || recorded(index))
            }),
            Property::always("what was answered counts", |_, world: &World| {
                let answered = world.calls.iter().filter(|call| **call == Call::Answered).count();
                world.up.is_none() || usize::from(world.used) >= answered
            }),
            Property::always("a claim gives the placeholder out once", |_, world: &World| {
                world.claimed < 2 || !world.live
            }),
            Property::sometimes("a use that came back is used", |_, world: &World| {
                world.disk.iter().any(|record| matches!(record, Record::Returned(_)))
                    && world.sends.iter().sum::<u8>() == 1
            }),
            Property::sometimes("a killed broker goes on", |_, world: &World| {
                world.crashes == 2 && world.up.is_some() && world.calls.contains(&Call::Answered)
            }),
            Property::sometimes("a repeat goes out", |rules: &Rules, world: &World| {
                !rules.retry || world.resends > 0
            }),
        ]
    }
}

#[test]
fn t63_t64_every_order_of_steps_keeps_the_invariants() {
    for rules in [RULES, Rules { uses: 2, ..RULES }, Rules { retry: true, ..RULES }] {
        let checked = rules.checker().threads(2).spawn_bfs().join();
        eprintln!("{} states, {} of them different", checked.state_count(), checked.unique_state_count());
        checked.assert_properties();
    }
}

/// A rule that is left out is missed: what the checker would say of code without it.
#[test]
fn each_rule_is_needed() {
    let use_once = "a use reaches a destination at most once (invariant 7)";
    let no_late = "after a revocation no use is taken (invariant 8)";
    for (rules, broken) in [
        (Rules { lock: false, ..RULES }, use_once),
        (Rules { durable_first: false, ..RULES }, use_once),
        (Rules { proof: false, ..RULES }, use_once),
        (Rules { look_again: false, ..RULES }, no_late),
    ] {
        let checked = rules.checker().threads(2).spawn_bfs().join();
        assert!(checked.discovery(broken).is_some(), "{broken}");
    }
}

/// The real thing, led by the model.
struct Real {
    dir: tempfile::TempDir,
    broker: Option<(Arc<Journal>, Arc<Uses>, SqliteStore)>,
    spent: [Option<Spent>; CALLS],
    number: u64,
    /// How long the journal was when it was last written, and last flushed.
    written: u64,
    flushed: u64,
}

impl Real {
    async fn new(uses: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("cloakroom.db")).unwrap();
        let (credential, workload) = (rows::credential(1, "c"), rows::workload(1, "w"));
        let (row, approval) = rows::placeholder(1, credential.id, workload.id, Some(uses.into()));
        store.add_credential(credential).await.unwrap();
        store.add_workload(workload).await.unwrap();
        store
            .add_placeholder(PlaceholderRecord { state: PlaceholderState::Active, ..row }, approval)
            .await
            .unwrap();
        drop(store);
        let mut real =
            Self { dir, broker: None, spent: [const { None }; CALLS], number: 0, written: 0, flushed: 0 };
        real.start().await;
        real
    }

    fn segment(&self) -> PathBuf {
        self.dir.path().join("journal/00000001.seg")
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.segment()).unwrap().len()
    }

    async fn start(&mut self) {
        let (files, key) = (self.dir.path().join("journal"), self.dir.path().join("key"));
        let (journal, _) = Journal::open(&files, &key, JournalSettings::default()).unwrap();
        let store = SqliteStore::open(&self.dir.path().join("cloakroom.db")).unwrap();
        let placeholders = store.load().await.unwrap().placeholders;
        let books = store.books().await.unwrap();
        let recounted = recount(&files, journal.head().unwrap().records, books, &placeholders).unwrap();
        assert_eq!(recounted.disagreements, [], "a crash explains everything");
        let uses = Uses::new(Arc::clone(&journal), recounted, None);
        uses.copy_to(&store).await.unwrap();
        uses.hold(&placeholders).unwrap();
        self.broker = Some((journal, uses, store));
        self.written = self.length();
        self.flushed = self.written;
    }

    /// Ends the process: of the journal stays what a crash of this kind leaves.
    fn end(&mut self, left: u64) {
        drop(self.broker.take());
        self.spent = [const { None }; CALLS];
        // The files are closed in order here, which a crash does not do.
        let file = std::fs::OpenOptions::new().write(true).open(self.segment()).unwrap();
        file.set_len(left).unwrap();
    }

    fn intent(&mut self, placeholder: PlaceholderId) -> Intent {
        self.number += 1;
        let (credential, workload) = (rows::credential(1, "c"), rows::workload(1, "w"));
        Intent {
            request: RequestId::new(rows::at(self.number), [7; 10]),
            at: rows::at(self.number),
            workload: workload.id,
            peer: None,
            way: Way::Connect,
            destination: "https://api.example.com".parse().unwrap(),
            method: "GET".into(),
            path: "/".into(),
            uses: vec![IntentUse {
                placeholder,
                credential: credential.id,
                permit: "one".into(),
                counted: true,
            }],
            repeats: None,
        }
    }

    fn placeholder() -> PlaceholderId {
        let (credential, workload) = (rows::credential(1, "c"), rows::workload(1, "w"));
        rows::placeholder(1, credential.id, workload.id, None).0.id
    }

    async fn step(&mut self, step: Step, before: &World, after: &World) {
        let running = self.broker.as_ref().map(|(journal, uses, _)| (Arc::clone(journal), Arc::clone(uses)));
        match (step, running) {
            (Step::Take(index), Some((_, uses))) if before.live => {
                let intent = self.intent(Self::placeholder());
                let taken = uses.spend(&intent);
                assert_eq!(taken.is_ok(), after.calls[index] == Call::Taken, "{taken:?}");
                self.spent[index] = taken.ok();
            }
            (Step::Repeat(_), Some((_, uses))) => {
                let mut intent = self.intent(Self::placeholder());
                intent.repeats = Some(RequestId::new(rows::at(0), [7; 10]));
                assert_eq!(uses.spend(&intent).unwrap().count(), 0);
            }
            (Step::Write, Some((journal, _))) => {
                journal.write_out().unwrap();
                self.written = self.length();
            }
            (Step::Flush, Some((journal, uses))) => {
                journal.write_out().unwrap();
                for spent in &mut self.spent {
                    if let Some(taken) = spent.take() {
                        *spent = Some(uses.durable(taken).await.unwrap());
                    }
                }
                (self.written, self.flushed) = (self.length(), self.length());
            }
            (Step::Unsent(index), Some((_, uses))) => uses.give_back(self.spent[index].take().unwrap()),
            // The last handle closes the files.
            (Step::Kill, running) => {
                drop(running);
                self.end(self.written);
            }
            (Step::PowerCut, running) => {
                drop(running);
                self.end(self.flushed);
            }
            (Step::Start(_), _) => self.start().await,
            _ => {}
        }
        if let Some((_, uses, store)) = &self.broker {
            let mut placeholders = store.load().await.unwrap().placeholders;
            uses.show(&mut placeholders);
            assert_eq!(placeholders[0].used, u32::from(after.used), "{step:?} came to something else");
        }
    }
}

/// A small generator: the walks need not be secret, only different.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

#[tokio::test]
async fn t64_walks_through_the_model_come_to_the_same_with_the_real_counter() {
    let mut seed = 0x00C1_0A4B;
    for walk in 0..150u8 {
        let rules = Rules { uses: 1 + walk % 2, retry: walk.is_multiple_of(3), ..RULES };
        let mut world = rules.init_states().remove(0);
        let mut real = Real::new(rules.uses).await;
        let mut steps = Vec::new();
        for _ in 0..24 {
            let mut possible = Vec::new();
            rules.actions(&world, &mut possible);
            // What leads to a send and to a crash is more interesting than the ends of a life.
            possible.retain(|step| {
                !matches!(step, Step::Revoke | Step::Expire) || next(&mut seed).is_multiple_of(8)
            });
            possible.retain(|step| *step != Step::Claim || world.claimed == 0);
            if possible.is_empty() {
                break;
            }
            let step = possible[next(&mut seed) % possible.len()];
            let Some(after) = rules.next_state(&world, step) else { continue };
            steps.push(step);
            eprintln!("walk {walk}: {steps:?}");
            real.step(step, &world, &after).await;
            world = after;
        }
    }
}
