//! Makes the certificates of workloads, under an authority of their own.

use cloakroom_admin::Certifier;
use cloakroom_admin::wire::IssuedCertificate;
use cloakroom_model::{Name, WorkloadId};
use cloakroom_proxy::{Authority, WorkloadCertificate};

/// The authority of workloads, for the admin side.
pub(super) struct WorkloadCertifier {
    pub(super) authority: Authority,
}

impl Certifier for WorkloadCertifier {
    fn certify(&self, workload: WorkloadId, name: &Name) -> Result<IssuedCertificate, String> {
        let made = self.authority.certify(workload, name).map_err(|error| error.to_string())?;
        let WorkloadCertificate { certificate, key, fingerprint } = made;
        Ok(IssuedCertificate { certificate, key, fingerprint })
    }
}
