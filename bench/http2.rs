//! HTTP/2 with its own load client, h2load: the base URL over TLS against nginx.

use crate::candidate::Field;
use crate::process;
use crate::report::{Plan, Report};
use std::process::{Command, Stdio};

/// Connections, and streams at once in each.
const CONNECTIONS: [&str; 2] = ["4", "16"];

/// Measures both, in turn, so many times.
pub(crate) fn run(field: &Field, plan: &Plan, report: &mut Report) {
    if Command::new("h2load").arg("--version").stdout(Stdio::null()).status().is_err() {
        report.absent("HTTP/2: h2load is not installed");
        return;
    }
    let ours = &field.behind_tls;
    let target = &ours.request.authority;
    let key = format!("cloakroom-workload: {}:{}", ours.robot.name, ours.robot.key);
    let authorization = format!("authorization: {}", ours.request.headers[0].1);
    let listen = ours.broker.listen();
    let rows = [
        (
            "nginx, reverse proxy",
            format!("https://127.0.0.1:{}/v1/items/1", field.nginx.port()),
            field.nginx.pid(),
        ),
        ("cloakroom, base URL", format!("https://{listen}/to/{target}/v1/items/1"), ours.broker.pid()),
    ];
    report.section(
        "HTTP/2 in",
        &format!(
            "h2load, {} connections, {} streams at once in each, HTTP/1.1 to the upstream.",
            CONNECTIONS[0], CONNECTIONS[1]
        ),
        "| | requests/s | CPU µs | failed |",
    );
    for (name, url, pid) in rows {
        let before = process::cpu(pid);
        let output = Command::new("h2load")
            .args(["-D", &plan.time.as_secs().max(1).to_string(), "-c", CONNECTIONS[0], "-m", CONNECTIONS[1]])
            .args(["-H", &key, "-H", &authorization, &url])
            .output()
            .expect("h2load runs");
        let spent = (process::cpu(pid) - before).as_secs_f64() * 1e6;
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers = |start: &str| text.lines().find(|line| line.starts_with(start)).map(str::to_owned);
        let status = numbers("status codes: ").unwrap_or_default();
        let done: f64 =
            status.split_ascii_whitespace().nth(2).and_then(|number| number.parse().ok()).unwrap_or(0.0);
        if done == 0.0 {
            report.absent(&format!("HTTP/2, {name}: not yet ({})", text.lines().last().unwrap_or_default()));
            continue;
        }
        let failed = numbers("requests: ").unwrap_or_default();
        let seconds = plan.time.as_secs().max(1) as f64;
        report.row(&format!("| {name} | {:.0} | {:.1} | {failed}; {status} |", done / seconds, spent / done));
    }
}
