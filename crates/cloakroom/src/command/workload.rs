//! `cloakroom workload …`

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::{AddWorkload, WorkloadCommand};
use crate::data_dir::{DataDir, write_private};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use crate::run::Kit;
use crate::serve::{BROKER_ADDRESS, Listening};
use cloakroom_admin::wire::{AddedWorkload, BegunBoot, IssuedCertificate, NewWorkload, WorkloadView};
use cloakroom_model::Name;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables by which common programs are told to trust a certificate authority.
const TRUST: [&str; 5] =
    ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"];

/// Beside the nonce of a boot.
const BOOT_HINT: &str = "the boot's nonce goes to cloakroom init in the guest (--boot FILE), counts for this boot only, and is not shown again";

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
        WorkloadCommand::Boot { name } => {
            let begun: BegunBoot = broker.tell(&format!("workloads/{}/boot", segment(&name)?))?;
            output
                .data(&begun, || fields(&[("cid", begun.cid.to_string()), ("boot", begun.boot.clone())]))?;
            output.hint(BOOT_HINT);
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
    let AddWorkload { name, keep, mtls, out, uid, cid, from } = new;
    // Before anything is made: a file in the way would cost the key, which is shown once.
    let files = mtls.then(|| CertificateFiles::free(&out.unwrap_or_default(), &name)).transpose()?;
    let request = NewWorkload { name, mtls, uid, cid, networks: from };
    let added: AddedWorkload = broker.post("workloads", &request)?;
    // Shown first: it is shown only once, and the disk may be full.
    output.data(&document(&added, files.as_ref()), || shown(&added))?;
    if let (Some(files), Some(made)) = (&files, &added.certificate) {
        files.write(made)?;
    }
    output.talk("");
    let ca = std::path::absolute(data.ca()).unwrap_or_else(|_| data.ca());
    let listening = Listening::last(data).unwrap_or_default();
    output.talk(&environment(listening, &ca, &added.name, &added.key));
    if let Some(CertificateFiles { certificate, key }) = &files {
        output.hint(&format!(
            "its certificate: {}, and the key of that: {}",
            certificate.display(),
            key.display()
        ));
    }
    if added.boot.is_some() {
        output.hint(BOOT_HINT);
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
        if !directory.as_os_str().is_empty() && !directory.is_dir() {
            return Err(Failure::bad_input(format!("{} is no directory", directory.display()))
                .hinting("make it, or name another: --out DIR"));
        }
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
    let AddedWorkload { id, name, key, certificate, boot, created } = added;
    let mut document = serde_json::json!({ "id": id, "name": name, "key": key, "created": created });
    if let (Some(files), Some(made)) = (files, certificate) {
        document["certificate"] = serde_json::json!(files.certificate);
        document["certificate_key"] = serde_json::json!(files.key);
        document["fingerprint"] = serde_json::json!(made.fingerprint);
    }
    if let Some(boot) = boot {
        document["boot"] = serde_json::json!(boot);
    }
    document
}

fn shown(added: &AddedWorkload) -> String {
    let mut shown =
        vec![("id", added.id.to_string()), ("name", added.name.to_string()), ("key", added.key.clone())];
    shown.extend(added.boot.iter().map(|boot| ("boot", boot.clone())));
    fields(&shown)
}

/// Ready to paste into the workload's environment.
fn environment(listening: Listening, ca: &Path, name: &Name, key: &str) -> String {
    let proxy = format!("{}://{name}:{key}@{}", listening.scheme(), listening.authority());
    let mut lines = vec!["# for the workload's environment:".to_owned()];
    if listening.host() == BROKER_ADDRESS {
        lines.push(format!(
            "# ({BROKER_ADDRESS}: the address or name by which the workload reaches this machine)"
        ));
    }
    if listening.speaks_tls {
        lines
            .push(format!("# (the proxy itself speaks TLS: curl needs --proxy-cacert {} too)", ca.display()));
    }
    lines.extend(["HTTPS_PROXY", "HTTP_PROXY"].map(|variable| format!("{variable}={proxy}")));
    // Base URLs and /.cloakroom/… are spoken to directly.
    lines.extend(["NO_PROXY", "no_proxy"].map(|variable| format!("{variable}={}", listening.host())));
    lines.extend(TRUST.iter().map(|variable| format!("{variable}={}", ca.display())));
    // Without it Node's own fetch passes by the proxy.
    lines.push("NODE_USE_ENV_PROXY=1".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(address: &str, speaks_tls: bool) -> String {
        let listening = Listening { address: address.parse().unwrap(), speaks_tls };
        environment(listening, "/data/ca.pem".as_ref(), &"robot".parse().unwrap(), "the-key")
    }

    #[test]
    fn the_variables_lead_to_the_listener_and_base_urls_by_the_proxy() {
        let plain = printed("127.0.0.1:8480", false);
        for line in
            ["HTTPS_PROXY=http://robot:the-key@127.0.0.1:8480", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1"]
        {
            assert!(plain.lines().any(|printed| printed == line), "{plain}");
        }
        assert!(!plain.contains(BROKER_ADDRESS) && !plain.contains("--proxy-cacert"), "{plain}");
    }

    #[test]
    fn a_listener_with_tls_is_an_https_proxy_and_curl_has_to_trust_it() {
        let tls = printed("127.0.0.1:8480", true);
        assert!(tls.contains("\nHTTPS_PROXY=https://robot:the-key@127.0.0.1:8480\n"), "{tls}");
        assert!(tls.contains("--proxy-cacert /data/ca.pem"), "{tls}");
    }

    #[test]
    fn every_address_of_the_machine_is_a_blank_to_fill_in() {
        let everywhere = printed("0.0.0.0:8480", false);
        assert!(
            everywhere.contains("\nHTTP_PROXY=http://robot:the-key@BROKER-ADDRESS:8480\n"),
            "{everywhere}"
        );
        assert!(everywhere.contains("by which the workload reaches this machine"), "{everywhere}");
        assert!(!everywhere.contains("0.0.0.0"), "{everywhere}");
    }
}
