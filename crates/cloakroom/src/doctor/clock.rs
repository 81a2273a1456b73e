//! The clock: expiry, certificates and the record depend on it.

use super::{Finding, Standing};
use crate::data_dir::DataDir;
use crate::init::is_possible_clock;
use std::time::SystemTime;

pub(super) fn look(data: &DataDir) -> Option<Finding> {
    let files = std::fs::read_dir(data.journal()).into_iter().flatten().flatten();
    let youngest = files.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    Some(match is_possible_clock(SystemTime::now(), youngest) {
        true => Finding::good("clock", "not before what the journal has seen"),
        false => {
            Finding::new("clock", Standing::Broken, "it is behind: the journal, or this program, is younger")
                .remedied_by("set it, and keep it set: timedatectl set-ntp true")
        }
    })
}
