//! `image enrol`: learns from an appliance's console who it is. The console is the host's own wire, so nobody on a network can say it.

use crate::Outcome;
use crate::cli::EnrolImage;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::operator;
use crate::output::Output;
use crate::serve::Introduction;
use serde::Deserialize;
use serde_json::json;

/// The line that a broker says when it is ready.
#[derive(Deserialize)]
struct Ready {
    operator: Introduction,
}

pub(super) fn run(data: &DataDir, options: &EnrolImage, output: &Output) -> Outcome {
    let at = &options.at;
    let is_address =
        at.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_address {
        return Err(Failure::bad_input("--at is no address and port").hinting("write 127.0.0.1:8482, say"));
    }
    let said = super::read(&options.console)?;
    let introduction = introduction(&String::from_utf8_lossy(&said)).ok_or_else(|| {
        Failure::failed(format!("the appliance has not introduced itself in {}", options.console.display()))
            .hinting("its console says a line that begins with {\"ready\":true when it serves, with \"operator\" where it has a link")
    })?;
    operator::enrol(data, at, &introduction)?;
    output.data(&json!({ "appliance": at, "data": data.path() }), || {
        format!("commands with --data {} go to the appliance at {at}", data.path().display())
    })?;
    Ok(Exit::Done)
}

/// The last one: an appliance that was started again with an empty disk is another one.
fn introduction(console: &str) -> Option<Introduction> {
    // SECURITY: a whole line that begins so. Others may quote what strangers sent.
    let lines = console.lines().map(str::trim).filter(|line| line.starts_with("{\"ready\":true"));
    lines.filter_map(|line| serde_json::from_str::<Ready>(line).ok()).next_back().map(|ready| ready.operator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_introduction_on_the_console_counts() {
        let line = |name: &str| {
            format!(
                "{{\"ready\":true,\"operator\":{{\"workloads\":\"http://a\",\"listen\":\"a\",\"certificate\":\"{name}\",\"authority\":\"b\"}}}}\r\n"
            )
        };
        let console = format!("[ 0.1] boot\r\n{}{}{{\"ready\":true}}\n", line("one"), line("two"));
        assert_eq!(introduction(&console).unwrap().certificate, "two");
        assert!(introduction("{\"ready\":true,\"listen\":\"x\"}").is_none());
        assert!(introduction("").is_none());
        assert!(introduction(&format!("somebody said {}", line("three"))).is_none());
    }
}
