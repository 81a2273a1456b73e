//! SIGKILL under load, again and again: what was acknowledged is there, and the journal verifies.

use crate::support::{acknowledged, item, items, setup};
use cloakroom_testkit::{Setup, TlsUpstream, Way, Workload, echo, shaped};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const KILLS: u64 = 50;

/// A small generator: the points in time need not be secret, only different.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn t64_nothing_acknowledged_is_lost_when_the_broker_is_killed_under_load() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    let counted = broker.permit("c", "robot", &items(&upstream), &["--uses", "1000000"]);
    let calls = Mutex::new(BTreeSet::new());
    let workloads = Mutex::new(BTreeSet::new());
    let counted_calls = AtomicUsize::new(0);
    let mut seed = u64::from(std::process::id());
    for round in 0..KILLS {
        let stopping = AtomicBool::new(false);
        let began = Instant::now();
        let enough = Duration::from_millis(5 + next(&mut seed) % 60);
        let before = calls.lock().unwrap().len();
        std::thread::scope(|scope| {
            let (listen, log) = (broker.listen(), broker.log());
            for thread in 0..3 {
                let (calls, counted_calls, stopping) = (&calls, &counted_calls, &stopping);
                let (upstream, robot, log) = (&upstream, &robot, log.clone());
                let placeholder = if thread == 0 { &counted.text } else { &issued.text };
                scope.spawn(move || {
                    for number in 0.. {
                        if stopping.load(Ordering::SeqCst) {
                            return;
                        }
                        let id = format!("r{round}t{thread}n{number}");
                        let request = item(upstream, &id, placeholder).bytes(Way::Absolute, Some(robot));
                        if acknowledged(listen, &log, &request) != Some(200) {
                            return;
                        }
                        calls.lock().unwrap().insert(id);
                        if thread == 0 {
                            counted_calls.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            let name = format!("w{round}");
            let added = &broker;
            let workloads = &workloads;
            scope.spawn(move || {
                if added.run(&["workload", "add", &name]).status.success() {
                    workloads.lock().unwrap().insert(name);
                }
            });
            // The kill waits for the first call of the round, so that it always comes under load.
            while calls.lock().unwrap().len() == before || began.elapsed() < enough {
                assert!(began.elapsed() < Duration::from_secs(30), "no call worked in round {round}");
                std::thread::yield_now();
            }
            let pid = i32::try_from(broker.pid()).unwrap();
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).unwrap(),
                rustix::process::Signal::KILL,
            )
            .unwrap();
            stopping.store(true, Ordering::SeqCst);
        });
        broker.kill();
        broker.launch();
    }
    broker.verify_journal();
    let shown = broker.cli(&["journal", "show", "--json"]).stdout;
    let calls = calls.into_inner().unwrap();
    let missing: Vec<_> = calls.iter().filter(|id| !shown.contains(&format!("/v1/items/{id}\""))).collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged calls have no intent: {missing:?}",
        missing.len(),
        calls.len()
    );
    let present = broker.cli(&["workload", "list"]).stdout;
    for name in workloads.into_inner().unwrap() {
        assert!(
            present.split_ascii_whitespace().any(|word| word == name),
            "{name} was acknowledged and is gone"
        );
    }
    let used = broker.cli_json(&["placeholder", "show", &counted.id])["used"].as_u64().unwrap();
    let acknowledged = counted_calls.load(Ordering::SeqCst) as u64;
    assert!(used >= acknowledged, "{acknowledged} counted calls were acknowledged, {used} are spent");
}

#[test]
fn a_broker_that_is_asked_to_end_ends_well() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    assert_eq!(broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
    assert!(broker.stop().success());
    broker.launch();
    let call =
        |who: &Workload| broker.call(Way::Connect, Some(who), &item(&upstream, "1", &issued.text)).status;
    assert_eq!(call(&robot), 200);
    broker.verify_journal();
}
