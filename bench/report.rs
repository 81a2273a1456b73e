//! The table.

use crate::load::Load;

/// One candidate's figures.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: &'static str,
    /// The closed loop.
    pub(crate) closed: Load,
    /// The open loop.
    pub(crate) paced: Load,
    /// CPU time during the closed loop, in microseconds.
    pub(crate) cpu: Option<u64>,
    /// Resident memory after both.
    pub(crate) rss_kib: Option<u64>,
}

/// Markdown. The first row is what latencies are compared with.
pub(crate) fn render(rows: &[Row], seconds: u64, loops: (usize, (usize, u32))) -> String {
    let (connections, (paced, rate)) = loops;
    let mut text = format!(
        "# Bench report\n\n\
         Upstream: nginx, one process, TLS, 1 KiB of JSON, kept connections. Proxy on one core, client and upstream on another.\n\
         Requests and CPU time: closed loop, {connections} connections, {seconds} s. Latency: open loop, {rate} calls/s over \
         {paced} connections, {seconds} s; *added* is over the direct row.\n\
         Quote ratios from one run only; nothing here is asserted.\n\n\
         | route | requests/s | CPU µs/request | p50 µs | added p50 | p99 µs | added p99 | RSS MiB | errors |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    );
    let (base50, base99) =
        rows.first().map_or((0.0, 0.0), |row| (row.paced.micros(50), row.paced.micros(99)));
    for row in rows {
        let cpu = row.cpu.map(|cpu| cpu as f64 / row.closed.calls().max(1) as f64);
        let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
        let (p50, p99) = (row.paced.micros(50), row.paced.micros(99));
        text.push_str(&format!(
            "| {} | {:.0} | {} | {p50:.0} | {:+.0} | {p99:.0} | {:+.0} | {} | {} |\n",
            row.name,
            row.closed.rate(),
            figure(cpu),
            p50 - base50,
            p99 - base99,
            figure(row.rss_kib.map(|kib| kib as f64 / 1024.0)),
            row.closed.errors + row.paced.errors,
        ));
    }
    text
}
