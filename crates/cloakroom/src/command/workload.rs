//! `cloakroom workload …`

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::WorkloadCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, fields, table};
use crate::run::Kit;
use cloakroom_admin::wire::{AddedWorkload, NewWorkload, WorkloadView};
use std::collections::BTreeMap;

/// The variables by which common programs are told to trust a certificate authority.
const TRUST: [&str; 5] =
    ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"];

pub(super) fn run(data: &DataDir, command: WorkloadCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        WorkloadCommand::Add { name, keep } => {
            let added: AddedWorkload = broker.post("workloads", &NewWorkload { name })?;
            // Shown first: it is shown only once, and the disk may be full.
            output.data(&added, || shown(&added))?;
            output.talk("");
            output.talk(&environment(data, &added));
            if keep {
                let kit =
                    Kit { workload: added.name.clone(), key: added.key.clone(), variables: BTreeMap::new() };
                kit.keep(data)?;
                output.hint(&format!(
                    "the key is kept for: cloakroom run --workload {} -- COMMAND",
                    added.name
                ));
            } else {
                output.hint("the key is not kept and not shown again");
            }
        }
        WorkloadCommand::List => {
            let workloads: Vec<WorkloadView> = broker.read("workloads")?;
            output.data(&workloads, || {
                let row = |one: &WorkloadView| {
                    vec![
                        one.name.to_string(),
                        one.placeholders.to_string(),
                        one.created.clone(),
                        one.id.to_string(),
                    ]
                };
                let rows: Vec<Vec<String>> = workloads.iter().map(row).collect();
                table(&["NAME", "PLACEHOLDERS", "CREATED", "ID"], &rows)
            })?;
        }
        WorkloadCommand::Remove { name } => {
            let removed: WorkloadView = broker.remove(&format!("workloads/{}", segment(&name)?))?;
            Kit::forget(data, &removed.name)?;
            output.data(&removed, || format!("removed workload {} ({})", removed.name, removed.id))?;
        }
    }
    Ok(Exit::Done)
}

fn shown(added: &AddedWorkload) -> String {
    fields(&[("id", added.id.to_string()), ("name", added.name.to_string()), ("key", added.key.clone())])
}

/// Ready to paste into the workload's environment.
fn environment(data: &DataDir, added: &AddedWorkload) -> String {
    let listen = crate::serve::last_listen(data).unwrap_or_else(|| "127.0.0.1:8480".into());
    let proxy = format!("http://{}:{}@{listen}", added.name, added.key);
    let mut lines = vec![
        "# for the workload's environment:".to_owned(),
        format!("HTTPS_PROXY={proxy}"),
        format!("HTTP_PROXY={proxy}"),
    ];
    let ca = std::path::absolute(data.ca()).unwrap_or_else(|_| data.ca());
    lines.extend(TRUST.iter().map(|variable| format!("{variable}={}", ca.display())));
    // Without it Node's own fetch passes by the proxy.
    lines.push("NODE_USE_ENV_PROXY=1".to_owned());
    lines.join("\n")
}
