//! Unix sockets outside of `run`: who listens there is none of the command's business, and a broker least of all.

use super::{Stage, text};
use crate::support::BINARY;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory that a command in `run` can read, though not write: wherever this repository lies.
fn in_sight() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

#[test]
fn t112_a_unix_socket_that_others_listen_on_is_not_to_be_connected_to_wherever_it_lies() {
    let stage = Stage::new();
    let (place, beside) = (in_sight(), stage.project.path().join("dev.sock"));
    let (far, datagrams) = (place.path().join("s"), place.path().join("d"));
    let listeners = [&far, &beside].map(|path| std::os::unix::net::UnixListener::bind(path).unwrap());
    let _bound = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    let script = format!(
        "exec python3 - {} {} {} <<'PYTHON'\nimport socket, sys\n\
         for path, kind in zip(sys.argv[1:], (1, 1, 2)):\n    \
             try:\n        socket.socket(socket.AF_UNIX, kind).connect(path); print('CONNECTED', path)\n    \
             except OSError as error: print('closed', error.errno)\n\
         own = socket.socket(socket.AF_UNIX); own.bind('own.sock'); own.listen()\n\
         socket.socket(socket.AF_UNIX).connect('own.sock'); print('own works')\nPYTHON",
        far.display(),
        beside.display(),
        datagrams.display()
    );
    // Control: beside the sandbox, everything there is connected to.
    let control = Command::new("sh").args(["-c", &script]).current_dir(in_sight().path()).output().unwrap();
    assert_eq!(text(&control.stdout).matches("CONNECTED").count(), 3, "{control:?}");
    let read = place.path().display().to_string();
    let output = stage.run_with(&["--read", &read], &script, "");
    let said = text(&output.stdout);
    assert_eq!(said.matches("closed").count(), 3, "{output:?}");
    assert!(said.ends_with("own works\n"), "{output:?}");
    drop(listeners);
}

#[test]
fn t111_a_broker_that_runs_at_a_place_that_nobody_named_is_hidden_too() {
    let stage = Stage::new();
    let (place, other) = (in_sight(), in_sight());
    let data = place.path().join("odd/data");
    let mut broker = Command::new(BINARY);
    broker.args(["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--data"]).arg(&data);
    let mut broker = broker.current_dir(other.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(broker.stdout.as_mut().unwrap()), &mut ready)
        .unwrap();
    assert!(data.join("admin.sock").exists(), "{ready}");
    let script = format!(
        "ls -A {0} | sed 's/^/SEEN /'; ls -A {1}; {BINARY} --data {0} workload add evil && echo OPERATED",
        data.display(),
        place.path().display()
    );
    let read = place.path().display().to_string();
    let refused = stage.run_with(&["--read", &read], &script, "");
    let output = stage.run(&script);
    broker.kill().unwrap();
    broker.wait().unwrap();
    assert!(text(&refused.stderr).contains("cannot be shown to the command"), "{refused:?}");
    let said = text(&output.stdout);
    assert!(!said.contains("SEEN") && !said.contains("OPERATED"), "{output:?}");
}
