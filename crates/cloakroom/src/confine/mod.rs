//! What the broker takes from itself before it hears anybody, so that whoever gets code into it gets little: a debugger's view of its memory,
//! privileges, files, system calls. Each layer is on where the kernel has it, tried once it is on, and told (`doctor`, the health document, the
//! log); the settings can turn one off, and say why.
//!
//! ```text
//!  start ─► memory ─► another user ─► listeners ─► no privilege ─► files ─► threads, store, custody … ─► system calls ─► ready
//! ```
//!
//! `run` and `init` close their processes with the same filters ([`filter`], [`calls`]).

pub(crate) mod calls;
pub(crate) mod filter;

#[cfg(debug_assertions)]
mod attempt;
mod files;
mod privileges;
mod serving;
mod user;

#[cfg(debug_assertions)]
pub(crate) use attempt::attempt;
pub(crate) use files::Files;
pub(crate) use privileges::Privileges;

use crate::failure::Failure;
use crate::settings::ProcessSetting;
use cloakroom_admin::wire::LayerView;
use cloakroom_egress::custody::Hardening;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// A way of closing the process in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// Nobody else reads its memory, and no dump has it.
    Memory,
    /// Who it is, and what it may do for that.
    Privileges,
    /// Which files it can open.
    Files,
    /// What it may ask of the kernel.
    Calls,
}

impl Layer {
    /// As in settings and documents.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Privileges => "privileges",
            Self::Files => "files",
            Self::Calls => "calls",
        }
    }
}

/// How much of a layer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// All that is meant by it.
    Whole,
    /// Less: the words beside it say what.
    InPart,
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LayerState {
    /// It is on, and was tried.
    Holds(Held, String),
    /// This system does not have it.
    Missing(&'static str),
    /// The settings turn it off, for this reason.
    Off(String),
}

/// The layers of this process, as they are put on.
#[derive(Debug)]
pub(crate) struct Confinement {
    setting: ProcessSetting,
    layers: BTreeMap<Layer, LayerState>,
}

impl Confinement {
    /// With what the start of the program has done already.
    ///
    /// # Errors
    /// Where the settings insist on more.
    pub(crate) fn begin(setting: ProcessSetting, hardening: Hardening) -> Result<Self, Failure> {
        let mut confinement = Self { setting, layers: BTreeMap::new() };
        let held = hardening.no_core_dumps && hardening.not_dumpable;
        confinement.put_on(Layer::Memory, || {
            Ok(match held {
                true => LayerState::Holds(
                    Held::Whole,
                    "no core dumps, no debugger, secrets on pages of their own".into(),
                ),
                false => {
                    LayerState::Missing("this system lets others read the process's memory, or dumps it")
                }
            })
        })?;
        Ok(confinement)
    }

    /// Gives up what root may do.
    ///
    /// # Errors
    /// Where something is left of it, or the settings insist on more.
    pub(crate) fn give_up(&mut self, privileges: Privileges) -> Result<(), Failure> {
        self.put_on(Layer::Privileges, || privileges.give_up())
    }

    /// Says what became of the privileges of an appliance, whose first process gave them up.
    ///
    /// # Errors
    /// None that can happen.
    pub(crate) fn given_up_before(&mut self) -> Result<(), Failure> {
        let how = "an appliance: nothing but turning itself off, ports and locked memory";
        self.put_on(Layer::Privileges, || Ok(LayerState::Holds(Held::Whole, how.into())))
    }

    /// Closes the files. To be called before there is a second thread.
    ///
    /// # Errors
    /// Where it does not hold, or the settings insist on more.
    pub(crate) fn close_files(&mut self, files: &Files) -> Result<(), Failure> {
        self.put_on(Layer::Files, || files.close_in())
    }

    /// Closes the system calls, of all threads. To be called once everything is open.
    ///
    /// # Errors
    /// Where it does not hold, or the settings insist on more.
    pub(crate) fn close_calls(&mut self, is_appliance: bool) -> Result<(), Failure> {
        self.put_on(Layer::Calls, || close_calls(is_appliance))
    }

    /// Logs what does not hold as it is meant.
    pub(crate) fn tell(&self) {
        for (layer, state) in &self.layers {
            let (layer, why) = (layer.name(), words(state));
            match state {
                LayerState::Holds(Held::Whole, _) => {}
                LayerState::Holds(Held::InPart, _) => {
                    tracing::warn!(layer, why, "the process is confined in part")
                }
                LayerState::Missing(_) => tracing::warn!(layer, why, "a layer of confinement is not there"),
                LayerState::Off(_) => tracing::warn!(layer, why, "a layer of confinement is turned off"),
            }
        }
    }

    /// As shown.
    pub(crate) fn view(&self) -> Vec<LayerView> {
        let view = |(layer, state): (&Layer, &LayerState)| {
            let (state, detail) = match state {
                LayerState::Holds(Held::Whole, how) => ("holds", how.clone()),
                LayerState::Holds(Held::InPart, how) => ("in-part", how.clone()),
                LayerState::Missing(why) => ("missing", (*why).to_owned()),
                LayerState::Off(why) => ("off", why.clone()),
            };
            LayerView { name: layer.name().into(), state: state.into(), detail }
        };
        self.layers.iter().map(view).collect()
    }

    fn put_on(
        &mut self,
        layer: Layer,
        on: impl FnOnce() -> Result<LayerState, Failure>,
    ) -> Result<(), Failure> {
        let state = match self.setting.unconfined.get(&layer) {
            Some(why) => LayerState::Off(why.clone()),
            None => on()?,
        };
        if self.setting.insist && !matches!(state, LayerState::Holds(Held::Whole, _)) {
            return Err(Failure::failed(format!(
                "the process is not confined as the settings insist: {}: {}",
                layer.name(),
                words(&state)
            ))
            .hinting("see cloakroom doctor; or drop [process] insist"));
        }
        self.layers.insert(layer, state);
        Ok(())
    }
}

fn words(state: &LayerState) -> &str {
    match state {
        LayerState::Holds(_, words) | LayerState::Off(words) => words,
        LayerState::Missing(words) => words,
    }
}

fn close_calls(is_appliance: bool) -> Result<LayerState, Failure> {
    let refused = |error: String| {
        Failure::failed(format!("the kernel does not take the list of system calls: {error}"))
            .hinting("turn this layer off, and say why: [process.unconfined] calls = \"…\"")
    };
    let programs = serving::programs(is_appliance).map_err(|error| refused(error.to_string()))?;
    match filter::apply(&programs) {
        Ok(()) => {}
        Err(seccompiler::Error::Seccomp(error)) if error.kind() == ErrorKind::Unsupported => {
            return Ok(LayerState::Missing("this kernel has no filters of system calls"));
        }
        Err(error) => return Err(refused(error.to_string())),
    }
    // Of what is on no list, the call that does no harm where it works.
    if set_dumpable_behavior(DumpableBehavior::Dumpable).is_ok() {
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        return Err(Failure::failed(
            "the list of system calls does not hold: one that is not on it was made",
        ));
    }
    let how = "what a running broker needs; another program, a debugger or a new listener ends the process";
    Ok(LayerState::Holds(Held::Whole, how.into()))
}

#[cfg(test)]
mod tests;
