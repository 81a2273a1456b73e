//! What one workload is given to run with: its key, and the variables that hold its placeholders.
//!
//! A file per workload in `DIR/kits`, 0600, kept only where it was asked for (`workload add --keep`, `placeholder issue --variable`). It holds no
//! secret of a destination; who has it can call as this workload until the workload or its placeholders are revoked.

use crate::data_dir::{DataDir, read_if_there, write_private};
use crate::failure::Failure;
use cloakroom_model::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// The kit of one workload.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kit {
    /// The workload's name.
    pub(crate) workload: Name,
    /// Its key.
    pub(crate) key: String,
    /// Variables, and the placeholders they hold.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
}

impl Kit {
    /// The kit of this workload; of the only one that has a kit where none is named.
    pub(crate) fn find(data: &DataDir, workload: Option<&str>) -> Result<Self, Failure> {
        let name = match workload {
            Some(name) => name.to_owned(),
            None => only(data)?,
        };
        let name: Name =
            name.parse().map_err(|_| Failure::bad_input(format!("{name:?} is no workload's name")))?;
        Self::read(data, &name)?.ok_or_else(|| {
            Failure::bad_input(format!("the key of workload {name} is not kept here")).hinting(format!(
                "make a workload whose key is kept: cloakroom workload add {name} --keep (its name must be free)"
            ))
        })
    }

    /// The kit of this workload, if one is kept.
    pub(crate) fn read(data: &DataDir, workload: &Name) -> Result<Option<Self>, Failure> {
        let path = path(data, workload);
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        let kit = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::failed(format!("cannot read {}: {error}", path.display()))
                .hinting("remove the file, and the workload, and add the workload anew")
        })?;
        Ok(Some(kit))
    }

    /// Writes the kit; all of it or nothing.
    pub(crate) fn keep(&self, data: &DataDir) -> Result<(), Failure> {
        let path = path(data, &self.workload);
        let directory = data.path().join("kits");
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| Failure::file("create", &directory, &error))?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::failed(error.to_string()))?;
        write_private(&path, &text)
    }

    /// Forgets the kit of this workload.
    pub(crate) fn forget(data: &DataDir, workload: &Name) -> Result<(), Failure> {
        let path = path(data, workload);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::file("remove", &path, &error))
            }
            _ => Ok(()),
        }
    }
}

fn path(data: &DataDir, workload: &Name) -> PathBuf {
    data.path().join("kits").join(format!("{workload}.json"))
}

fn only(data: &DataDir) -> Result<String, Failure> {
    let entries = std::fs::read_dir(data.path().join("kits")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    match names.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::bad_input("no workload's key is kept here")
            .hinting("make one: cloakroom workload add NAME --keep")),
        many => Err(Failure::bad_input("there are several workloads")
            .hinting(format!("name one: --workload {}", many.join(", --workload ")))),
    }
}
