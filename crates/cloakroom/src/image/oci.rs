//! The same program as a container image: an OCI image layout (opencontainers/image-spec) in one archive, with one layer: the program, the
//! certificate authorities, a directory for data. For hosts that run containers; an own kernel it has only where they give it one.

use super::TRUST;
use super::manifest::digest;
use crate::tar;
use serde_json::{Value, json};

/// Nobody in particular: the container does not run as root.
const USER: u64 = 65532;

/// The layer, uncompressed: what a container's root is made of.
pub(super) fn layer(program: &[u8], trust: &[u8]) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.file("cloakroom", 0o555, program);
    tar.directory("data", 0o700, USER);
    for directory in ["etc", "etc/ssl", "etc/ssl/certs"] {
        tar.directory(directory, 0o755, 0);
    }
    tar.file(TRUST.trim_start_matches('/'), 0o444, trust);
    tar.end()
}

/// The layout around it.
pub(super) fn layout(layer: &[u8]) -> Vec<u8> {
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["CLOAKROOM_DATA=/data"],
            "Entrypoint": ["/cloakroom"],
            "Cmd": ["serve", "--listen", "0.0.0.0:8480", "--log-format", "json"],
            "ExposedPorts": { "8480/tcp": {} },
            "Volumes": { "/data": {} },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(layer))] },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut first = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    first["annotations"] =
        json!({ "org.opencontainers.image.ref.name": concat!("cloakroom:", env!("CARGO_PKG_VERSION")) });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [first],
    });
    let mut tar = Tar::default();
    tar.file("oci-layout", 0o444, br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.file("index.json", 0o444, index.to_string().as_bytes());
    tar.directory("blobs", 0o755, 0);
    tar.directory("blobs/sha256", 0o755, 0);
    for blob in [&config[..], &manifest, layer] {
        tar.file(&format!("blobs/sha256/{}", digest(blob)), 0o444, blob);
    }
    tar.end()
}

fn described(kind: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": format!("sha256:{}", digest(blob)), "size": blob.len() })
}

/// As the specification, after Go, calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// An archive in memory.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, tar::FILE, mode, 0, content);
    }

    fn directory(&mut self, name: &str, mode: u32, owner: u64) {
        self.entry(&format!("{name}/"), tar::DIRECTORY, mode, owner, &[]);
    }

    fn entry(&mut self, name: &str, kind: u8, mode: u32, owner: u64, content: &[u8]) {
        let size = content.len() as u64;
        self.0.extend(tar::head(name, kind, mode, owner, size));
        self.0.extend(content);
        self.0.resize(self.0.len() + tar::padding(size), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend(tar::END);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_reads_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("oci.tar");
        std::fs::write(&file, layout(&layer(b"program", b"roots"))).unwrap();
        let tar = |arguments: &[&str]| {
            let output =
                std::process::Command::new("tar").args(arguments).current_dir(directory.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        tar(&["xf", "oci.tar"]);
        let read = |path: &str| std::fs::read(directory.path().join(path)).unwrap();
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let blob = |described: &Value| {
            let bytes = read(&format!("blobs/{}", described["digest"].as_str().unwrap().replace(':', "/")));
            assert_eq!(described["size"], bytes.len());
            assert_eq!(described["digest"], format!("sha256:{}", digest(&bytes)));
            bytes
        };
        let index = json(read("index.json"));
        let manifest = json(blob(&index["manifests"][0]));
        let config = json(blob(&manifest["config"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        std::fs::write(directory.path().join("layer.tar"), blob(&manifest["layers"][0])).unwrap();
        let listed = tar(&["tvf", "layer.tar"]);
        let programs: Vec<&str> = listed.lines().filter(|line| line.starts_with("-r-xr-xr-x")).collect();
        assert!(matches!(programs.as_slice(), [one] if one.ends_with("cloakroom")), "{listed}");
        assert!(listed.contains("65532/65532"), "{listed}");
    }
}
