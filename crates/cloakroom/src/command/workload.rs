//! `cloakroom workload …`

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::{AddWorkload, WorkloadCommand};
use crate::data_dir::{DataDir, write_private};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use crate::run::Kit;
use cloakroom_admin::wire::{AddedWorkload, IssuedCertificate, NewWorkload, WorkloadView};
use cloakroom_model::Name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables by which common programs are told to trust a certificate authority.
const TRUST: [&str; 5] =
    ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"];

pub(super) fn run(data: &DataDir, command: WorkloadCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        WorkloadCommand::Add(new) => add(data, &broker, new, output)?,
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

fn add(data: &DataDir, broker: &Broker, new: AddWorkload, output: &Output) -> Result<(), Failure> {
    let AddWorkload { name, keep, mtls, out, uid, from } = new;
    // Before anything is made: a file in the way would cost the key, which is shown once.
    let files = mtls.then(|| CertificateFiles::free(&out.unwrap_or_default(), &name)).transpose()?;
    let request = NewWorkload { name, mtls, uid, networks: from };
    let added: AddedWorkload = broker.post("workloads", &request)?;
    // Shown first: it is shown only once, and the disk may be full.
    output.data(&document(&added, files.as_ref()), || shown(&added))?;
    if let (Some(files), Some(made)) = (&files, &added.certificate) {
        files.write(made)?;
    }
    output.talk("");
    output.talk(&environment(data, &added));
    if let Some(CertificateFiles { certificate, key }) = &files {
        output.hint(&format!(
            "its certificate: {}, and the key of that: {}",
            certificate.display(),
            key.display()
        ));
    }
    if keep {
        let kit = Kit { workload: added.name.clone(), key: added.key.clone(), variables: BTreeMap::new() };
        kit.keep(data)?;
        output.hint(&format!("the key is kept for: cloakroom run --workload {} -- COMMAND", added.name));
    } else {
        output.hint("the key is not kept and not shown again");
    }
    Ok(())
}

/// Where a workload's certificate and its key are written.
struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl CertificateFiles {
    fn free(directory: &Path, name: &Name) -> Result<Self, Failure> {
        let file = |end: &str| directory.join(format!("{name}.{end}"));
        let files = Self { certificate: file("crt"), key: file("key") };
        let taken = [&files.certificate, &files.key].into_iter().find(|path| path.exists()).cloned();
        match taken {
            Some(path) => Err(Failure::bad_input(format!("{} exists already", path.display()))
                .hinting("move it away, or name another directory: --out DIR")),
            None => Ok(files),
        }
    }

    fn write(&self, made: &IssuedCertificate) -> Result<(), Failure> {
        write_private(&self.key, made.key.as_bytes())?;
        write_private(&self.certificate, made.certificate.as_bytes())
    }
}

/// As it is printed with `--json`: the private key goes to its file alone.
fn document(added: &AddedWorkload, files: Option<&CertificateFiles>) -> serde_json::Value {
    let AddedWorkload { id, name, key, certificate, created } = added;
    let mut document = serde_json::json!({ "id": id, "name": name, "key": key, "created": created });
    if let (Some(files), Some(made)) = (files, certificate) {
        document["certificate"] = serde_json::json!(files.certificate);
        document["certificate_key"] = serde_json::json!(files.key);
        document["fingerprint"] = serde_json::json!(made.fingerprint);
    }
    document
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
