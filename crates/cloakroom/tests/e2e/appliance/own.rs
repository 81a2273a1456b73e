//! `cloakroom init -- COMMAND` as the first process of a machine with files of its own, where nobody else mounts anything or sets up a card.

use super::machine::{Machine, Wire};
use super::parts::{HOST, Image, Parts};
use super::root::guest_root;
use crate::support::{items, setup};
use cloakroom_testkit::{TlsUpstream, echo, hunt, shaped};
use std::path::{Path, PathBuf};

/// A guest whose `init` becomes ours with these words, and which has this file; all that it said until it went off.
fn guest(image: &Image, words: &str, script: &str, ca: &Path, name: &str) -> String {
    let root = PathBuf::from(image.path(&format!("{name}.cpio")));
    let init = format!("#!/bin/busybox sh\nexec /cloakroom init {words} -- /script\n");
    let script = format!("#!/bin/busybox sh\n{script}\n");
    let (program, ca) = (std::fs::read(image.parts.program()).unwrap(), std::fs::read(ca).unwrap());
    let files: [(&str, &[u8]); 4] =
        [("init", init.as_bytes()), ("script", script.as_bytes()), ("cloakroom", &program), ("ca.pem", &ca)];
    guest_root(&image.parts, Path::new(&image.path("image")), &files, &root);
    let kernel = PathBuf::from(image.path("image/vmlinux"));
    let mut machine = Machine::guest(&kernel, &root, &Wire::Card("user"), name, &["-m", "512"]);
    assert!(machine.ended().success());
    let said = machine.said();
    assert!(hunt(said.as_bytes()).is_empty(), "{said}");
    said
}

#[test]
fn a_command_in_a_machine_with_files_of_its_own_is_led_to_the_broker_and_ends_the_machine() {
    let Some(parts) = Parts::find() else { return };
    let image = Image::build(parts, "");
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    // Connected, the script runs once more, and the connection is its own input and output.
    let script = format!(
        "test -n \"$CONNECTED\" || {{\n  echo user $(busybox id -u)\n  CONNECTED=yes busybox nc 127.0.0.1 8480 -e /script\n  exit 7\n}}\n\
         printf 'GET /to/{}/v1/items/7 HTTP/1.1\\r\\nHost: x\\r\\nCloakroom-Workload: {}\\r\\nAuthorization: Bearer {}\\r\\nConnection: close\\r\\n\\r\\n'\n\
         busybox cat >&2",
        upstream.authority(),
        setup.robot.key,
        issued.text
    );
    let broker = format!("--broker http://{HOST}:{} --ca /ca.pem", setup.broker.listen().port());
    let ca = setup.broker.ca_file();
    let words = format!("--network eth0,10.0.2.15/24 {broker} --user 1000");
    let said = guest(&image, &words, &script, &ca, "led");
    assert!(said.contains(&issued.text) && said.contains("HTTP/1.1 200"), "{said}");
    assert!(said.contains("user 1000") && said.contains("the command ended with 7"), "{said}");
    let requests = upstream.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some(format!("Bearer {}", shaped("sk_live_")).as_str()));

    // One step wrong: there is no such card, and the machine goes off without the command.
    let words = format!("--network eth7,10.0.2.15/24 {broker}");
    let said = guest(&image, &words, &script, &ca, "without");
    assert!(said.contains("no network card eth7") && !said.contains("HTTP/1.1"), "{said}");
    // And where this is not the first process of a machine, nobody's network is touched.
    let words = ["init", "--network", "lo,10.9.9.9/32", "--broker", "http://127.0.0.1:1", "--", "true"];
    let refused = setup.broker.run(&words);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}
