//! `[process]`: who the broker is, and how it is closed in, as written and as meant.

use crate::confine::Layer;
use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A reason is a sentence.
const LONGEST: usize = 200;

/// As written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Process {
    user: Option<String>,
    insist: bool,
    unconfined: Unconfined,
}

/// `[process.unconfined]`: which layers are off, each with its reason.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Unconfined {
    privileges: Option<String>,
    files: Option<String>,
    calls: Option<String>,
}

/// As meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessSetting {
    /// Whom it becomes where root starts it.
    pub(crate) user: Option<String>,
    /// Whether it starts only where every layer holds.
    pub(crate) insist: bool,
    /// The layers that are off, and why.
    pub(crate) unconfined: BTreeMap<Layer, String>,
}

impl Process {
    /// What is meant, with the user of the command line before the one in the file.
    ///
    /// # Errors
    /// Where a layer is off for no reason, or is insisted on and off.
    pub(super) fn setting(self, user: Option<&str>) -> Result<ProcessSetting, Failure> {
        let Unconfined { privileges, files, calls } = self.unconfined;
        let written = [(Layer::Privileges, privileges), (Layer::Files, files), (Layer::Calls, calls)];
        let off: BTreeMap<Layer, String> =
            written.into_iter().filter_map(|(layer, why)| Some((layer, why?))).collect();
        for (layer, why) in &off {
            let is_one = (1..=LONGEST).contains(&why.trim().len()) && !why.contains(char::is_control);
            if !is_one {
                return Err(Failure::bad_input(format!(
                    "[process.unconfined] {}: no reason is given",
                    layer.name()
                ))
                .hinting("write why in one line: it is shown wherever the broker says how it is confined"));
            }
        }
        if self.insist && !off.is_empty() {
            return Err(Failure::bad_input("[process] insists on every layer, and one is turned off")
                .hinting("drop insist, or what stands in [process.unconfined]"));
        }
        let user = user.map(str::to_owned).or(self.user);
        Ok(ProcessSetting { user, insist: self.insist, unconfined: off })
    }
}
