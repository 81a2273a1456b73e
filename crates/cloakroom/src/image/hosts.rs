//! Files for those who run the image: a script for QEMU and a unit that starts it, settings for Firecracker, a command for Cloud Hypervisor,
//! and what a container host needs.

/// Name and content.
pub(super) fn files() -> [(&'static str, String); 6] {
    [
        ("qemu.sh", include_str!("hosts/qemu.sh")),
        ("cloud-hypervisor.sh", include_str!("hosts/cloud-hypervisor.sh")),
        ("firecracker.json", include_str!("hosts/firecracker.json")),
        ("cloakroom-appliance.service", include_str!("hosts/cloakroom-appliance.service")),
        ("Dockerfile", include_str!("hosts/Dockerfile")),
        ("fly.toml", include_str!("hosts/fly.toml")),
    ]
    .map(|(name, text)| (name, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Arguments;

    fn named(name: &str) -> String {
        files().into_iter().find(|(is, _)| *is == name).unwrap().1
    }

    #[test]
    fn what_firecracker_is_told_is_what_the_appliance_understands() {
        let settings: serde_json::Value = serde_json::from_str(&named("firecracker.json")).unwrap();
        let line = settings["boot-source"]["boot_args"].as_str().unwrap();
        let arguments = Arguments::read(line).unwrap();
        let cards: Vec<&str> = settings["network-interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|card| card["guest_mac"].as_str().unwrap())
            .collect();
        assert_eq!(cards, arguments.cards());
    }

    #[test]
    fn scripts_are_shell() {
        for name in ["qemu.sh", "cloud-hypervisor.sh"] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(name);
            std::fs::write(&file, named(name)).unwrap();
            assert!(
                std::process::Command::new("sh").arg("-n").arg(&file).status().unwrap().success(),
                "{name}"
            );
        }
    }

    #[test]
    fn what_fly_reads_is_toml() {
        let fly: toml::Table = named("fly.toml").parse().unwrap();
        assert!(fly.contains_key("mounts"));
    }
}
