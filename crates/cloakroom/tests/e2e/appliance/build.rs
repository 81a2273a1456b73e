//! The image: the same bytes each time, one program, and nothing that would only be found at its start.

use super::machine::tool;
use super::parts::{Parts, cloakroom, cloakroom_in, done, text};
use crate::support::BINARY;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn t109_the_same_inputs_are_the_same_image_wherever_and_whenever_with_one_program_in_it() {
    let Some(parts) = Parts::find() else { return };
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&place.path().join(name)).to_owned();
    done(&["--data", &path("ops"), "image", "operator"]);
    std::fs::create_dir_all(path("elsewhere/deeper")).unwrap();
    let (program, kernel, modules) = (parts.program(), parts.kernel(), parts.modules());
    // The same content, but younger by decades.
    let copy = path("elsewhere/program");
    std::fs::copy(&program, &copy).unwrap();
    std::fs::File::options().write(true).open(&copy).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let build = |from: &Path, out: &str, program: &str| {
        let inputs = ["--executable", program, "--kernel", text(&kernel), "--modules", text(&modules)];
        let operator = path("ops");
        let words = [&["--data", &operator, "image", "build", "--out", out][..], &inputs].concat();
        let output = cloakroom_in(from, &words);
        assert!(output.status.success(), "{output:?}");
    };
    build(Path::new("/"), &path("first"), text(&program));
    build(&place.path().join("elsewhere/deeper"), "second", &copy);
    let (first, second) =
        (files(&place.path().join("first")), files(&place.path().join("elsewhere/deeper/second")));
    assert!(first == second, "the two images differ");

    let manifest: Value = serde_json::from_slice(&first["manifest.json"]).unwrap();
    let root = manifest["root"].as_object().unwrap();
    let mode = |entry: &Value| entry["mode"].as_str().unwrap().to_owned();
    let programs: Vec<&String> = root
        .iter()
        .filter(|(_, entry)| mode(entry).starts_with('-') && mode(entry) != "-0444")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(programs, ["/init"]);
    assert_eq!(mode(&root["/init"]), "-0555");
    // Another reader of the archive agrees on what is in it.
    let mut listing = Command::new("busybox");
    listing
        .args(["cpio", "-t"])
        .stdin(std::fs::File::open(place.path().join("first/initramfs.cpio")).unwrap());
    let listed = String::from_utf8(listing.output().unwrap().stdout).unwrap();
    let mut listed: Vec<String> = listed.lines().map(|name| format!("/{name}")).collect();
    listed.sort();
    assert_eq!(listed, root.keys().cloned().collect::<Vec<_>>());
    let bill: Value = serde_json::from_slice(&first["sbom.cdx.json"]).unwrap();
    assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], root["/init"]["sha256"]);
    verify(&place.path().join("first"));
    the_container_needs_nothing_else(
        &place.path().join("elsewhere/deeper/second"),
        &place.path().join("root"),
    );
}

/// The container's root, without anything of this machine: the program runs there, and makes its keys in the one directory that is for data.
fn the_container_needs_nothing_else(image: &Path, root: &Path) {
    std::fs::create_dir(root).unwrap();
    tool("tar", &[&"xf", &image.join("rootfs.tar"), &"-C", &root, &"--no-same-owner"]);
    let data = root.join("data");
    let run = |words: &[&str]| {
        let mut bwrap = Command::new("bwrap");
        bwrap.args([
            "--unshare-all",
            "--clearenv",
            "--setenv",
            "CLOAKROOM_DATA",
            "/data",
            "--ro-bind",
            text(root),
            "/",
        ]);
        bwrap.args(["--bind", text(&data), "/data", "--", "/cloakroom"]).args(words);
        let output = bwrap.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(&["--version"]);
    run(&["image", "operator"]);
    assert!(data.join("operator.pem").exists());
}

/// An image is what its manifest says, all of it and nothing else.
fn verify(image: &Path) {
    let verdict = |expected: i32, words: &str| {
        let output = cloakroom(&["image", "verify", text(image)]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(expected) && said.contains(words), "{output:?}");
    };
    verdict(0, "the image verifies");
    std::fs::write(image.join("more.sh"), "#!/bin/sh\n").unwrap();
    verdict(3, "more.sh is not in the manifest");
    std::fs::remove_file(image.join("more.sh")).unwrap();
    let script = std::fs::read_to_string(image.join("qemu.sh")).unwrap();
    std::fs::write(image.join("qemu.sh"), script.replace("restrict=on", "restrict=off")).unwrap();
    verdict(3, "qemu.sh has changed");
    std::fs::remove_file(image.join("qemu.sh")).unwrap();
    verdict(3, "qemu.sh is missing");
}

#[test]
fn an_image_that_could_not_start_is_not_built() {
    let Some(parts) = Parts::find() else { return };
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&place.path().join(name)).to_owned();
    std::fs::write(path("odd"), "[listen]\nworklods = \"127.0.0.1:1\"\n").unwrap();
    let (program, kernel, modules) = (parts.program(), parts.kernel(), parts.modules());
    let refused = |more: &[&str], words: &str| {
        let out = path("out");
        let data = path("ops");
        let output = cloakroom(&[&["--data", &data, "image", "build", "--out", &out][..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(words), "{words}: {output:?}");
        assert!(!Path::new(&out).exists());
    };
    let (program, kernel, modules) = (text(&program), text(&kernel), text(&modules));
    refused(&["--kernel", kernel, "--executable", BINARY], "needs libraries");
    refused(&["--kernel", &path("odd"), "--executable", program], "no kernel");
    refused(&["--kernel", kernel, "--executable", program, "--modules", &path("")], "virtio");
    let inputs = ["--kernel", kernel, "--executable", program, "--modules", modules];
    refused(&[&inputs[..], &["--settings", &path("odd")]].concat(), "worklods");
    refused(&[&inputs[..], &["--operator", &path("odd")]].concat(), "no certificate");
    refused(&inputs, "without operator or approver");
}
