//! `cloakroom ca`: the certificate that workloads have to trust.

use crate::Outcome;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields};
use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use std::io::ErrorKind;

pub(super) fn run(data: &DataDir, pem: bool, output: &Output) -> Outcome {
    let path = data.ca();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::file("read", &path, &error).hinting(match error.kind() {
            ErrorKind::NotFound => "the first start makes it: cloakroom serve",
            _ => "run the command as the broker's user",
        })
    })?;
    let fingerprint = fingerprint(&text)
        .ok_or_else(|| Failure::failed(format!("{} holds no certificate", path.display())))?;
    let document = json!({ "path": path, "fingerprint": fingerprint, "pem": text });
    output.data(&document, || {
        if pem {
            return text.clone();
        }
        fields(&[("path", path.display().to_string()), ("sha256", fingerprint.clone())])
    })?;
    Ok(Exit::Done)
}

/// SHA-256 of the certificate, as other programs show it: upper-case hexadecimal with colons.
fn fingerprint(pem: &str) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let hash = digest(&SHA256, &certificate);
    Some(hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}
