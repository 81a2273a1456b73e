//! The first contact with a host: its leaf is minted, its address is dialled, and both sides shake hands.

use crate::bed::Bed;
use crate::connection::Route;
use crate::load::{Load, Pace};
use crate::process;
use crate::report::{Plan, Report};
use crate::server::Server;
use crate::spread::Spread;
use cloakroom_testkit::{Request, shaped};
use std::time::Duration;

/// How many hosts are met.
const HOSTS: u8 = 200;
/// New hosts at once.
const AT_ONCE: usize = 8;

/// Meets them all, so many times, each time with a broker that has met none.
pub(crate) fn run(bed: &Bed, plan: &Plan, report: &mut Report) {
    let names: Vec<String> = (1..=HOSTS).map(|number| format!("127.1.0.{number}")).collect();
    let upstream = Server::of_many(&bed.authority, &names);
    let (mut cpu, mut p50) = (Spread::default(), Spread::default());
    for _ in 0..plan.runs {
        let (each, median) = meet(bed, &upstream, &names, report);
        cpu.push(each);
        p50.push(median);
    }
    report.section(
        "First contact",
        &format!(
            "{HOSTS} hosts, {AT_ONCE} at once, one call to each by CONNECT, none met before: a leaf is minted for each, and both handshakes are \
             full ones. The upstream's certificate names all of them, so it is longer than most."
        ),
        "| | CPU µs for each | p50 ms |",
    );
    report.row(&format!("| cloakroom, interception | {} | {} |", cpu.show(0), p50.show(1)));
    report.hold("T9", cpu.median());
}

fn meet(bed: &Bed, upstream: &Server, names: &[String], report: &mut Report) -> (f64, f64) {
    let ours = bed.pinned_broker("");
    let authorities: Vec<String> = names.iter().map(|name| format!("{name}:{}", upstream.port())).collect();
    let to: Vec<String> = authorities.iter().map(|authority| format!("https://{authority}")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    ours.broker.deposit("many", "bearer", &to, &shaped("sk_live_"));
    let permits = to.iter().map(|to| {
        format!("[[permit]]\nname = \"{to}\"\nto = \"{to}\"\ncall = \"GET /v1/items/1\"\nplace = \"header authorization bearer\"\n")
    });
    let policy = format!("version = 1\n{}", permits.collect::<String>());
    let placeholder = ours.broker.permit("many", "robot", &policy, &[]).text;
    let ca = ours.broker.ca_pem();
    let routes: Vec<Route> = names
        .iter()
        .zip(&authorities)
        .map(|(name, authority)| {
            let request = Request::new("GET", authority, "/v1/items/1")
                .with("authorization", &format!("Bearer {placeholder}"));
            let route = Route::tunnel(ours.broker.listen(), &ca, Some(&ours.robot), &request);
            // A few hundred names for as long as the bench runs.
            route.named(Box::leak(name.clone().into_boxed_str()))
        })
        .collect();
    let before = process::cpu(ours.broker.pid());
    let mut p50 = Spread::default();
    for wave in routes.chunks(AT_ONCE) {
        let load = Load::run(wave, wave.len(), Pace::Once, Duration::from_secs(20));
        report.check("first contact", &load);
        p50.push(load.latencies.micros(50.0) / 1e3);
    }
    let spent = process::cpu(ours.broker.pid()).saturating_sub(before);
    (spent.as_secs_f64() * 1e6 / routes.len() as f64, p50.median())
}
