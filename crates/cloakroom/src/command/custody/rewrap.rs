//! `cloakroom custody rewrap`: begins it, and shows how far it has come until it ends.

use super::show;
use crate::Outcome;
use crate::broker::Broker;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::{CustodyView, RewrapView};
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(200);
/// Columns of the bar.
const WIDTH: u64 = 40;

pub(super) fn run(broker: &Broker, output: &Output) -> Outcome {
    let mut standing: CustodyView = broker.tell("custody/rewrap")?;
    let shows = stderr().is_terminal() && !output.is_json();
    while let Some(rewrap) = standing.rewrap.as_ref().filter(|rewrap| rewrap.running) {
        if shows {
            write!(stderr(), "\r{}", bar(rewrap)).and_then(|()| stderr().flush())?;
        }
        std::thread::sleep(LOOK);
        standing = broker.read("custody")?;
    }
    if shows {
        writeln!(stderr())?;
    }
    if let Some(trouble) = standing.rewrap.as_ref().and_then(|rewrap| rewrap.trouble.as_ref()) {
        return Err(Failure::failed(trouble.clone()).hinting(
            "nothing is lost: the older root keys are held until everything is under the current one",
        ));
    }
    show(&standing, output)?;
    Ok(Exit::Done)
}

fn bar(RewrapView { done, total, .. }: &RewrapView) -> String {
    let filled = if *total == 0 { WIDTH } else { done * WIDTH / total };
    let part = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
    format!("[{}{}] {done} of {total}", part("#", filled), part(".", WIDTH.saturating_sub(filled)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_what_is_done() {
        let at = |done, total| bar(&RewrapView { done, total, running: true, trouble: None });
        assert_eq!(at(0, 4), format!("[{}] 0 of 4", ".".repeat(40)));
        assert_eq!(at(1, 4), format!("[{}{}] 1 of 4", "#".repeat(10), ".".repeat(30)));
        assert_eq!(at(4, 4), format!("[{}] 4 of 4", "#".repeat(40)));
        assert_eq!(at(0, 0), format!("[{}] 0 of 0", "#".repeat(40)));
    }
}
