//! `cloakroom custody rewrap`: begins it, and shows how far it has come until it ends.

use super::show;
use crate::Outcome;
use crate::broker::Broker;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use cloakroom_admin::wire::CustodyView;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(broker: &Broker, output: &Output) -> Outcome {
    let mut standing: CustodyView = broker.tell("custody/rewrap")?;
    let total = standing.rewrap.as_ref().map_or(0, |rewrap| rewrap.total);
    let mut progress = Progress::begin(output, "rewrapping", Unit::Things("sealed things"), total);
    while let Some(rewrap) = standing.rewrap.as_ref().filter(|rewrap| rewrap.running) {
        progress.reach(rewrap.done);
        std::thread::sleep(LOOK);
        standing = broker.read("custody")?;
    }
    drop(progress);
    if let Some(trouble) = standing.rewrap.as_ref().and_then(|rewrap| rewrap.trouble.as_ref()) {
        return Err(Failure::failed(trouble.clone()).hinting(
            "nothing is lost: the older root keys are held until everything is under the current one",
        ));
    }
    show(&standing, output)?;
    Ok(Exit::Done)
}
