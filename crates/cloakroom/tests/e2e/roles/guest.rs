//! A program that assumes a role in a container: `cloakroom init` gives it the file and the variables, and a newer placeholder when there is one.

use super::{READ, Stage};
use crate::appliance::parts::Parts;
use crate::clients::{python_files, run, script};
use crate::init::Container;
use crate::support::{BINARY, eventually};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn boto3_assumes_a_role_under_init_without_knowing_and_follows_a_placeholder_that_is_replaced() {
    let Some(container) = Container::new() else { return };
    let Some(stage) = Stage::with(&container.settings()) else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let (first, second) = (stage.permit("one", "robot", &READ), stage.permit("one", "robot", &READ));
    let source = container.path("placeholder");
    std::fs::write(&source, format!("{}\n", first.text)).unwrap();
    let python = stage.clients.join("venv/bin/python");
    let once = format!(
        "{} {} 'get one in/a' 'put one in/c'",
        python.display(),
        script("use_boto3_role.py").display()
    );
    let lines = format!(
        r#"stat -c '%a %u' "$AWS_WEB_IDENTITY_TOKEN_FILE"; {once}; echo first; read line
           until test "$(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")" = {}; do sleep 0.1; done; {once}; echo second"#,
        second.text
    );
    let words = ["--aws-placeholder", source.to_str().unwrap(), "--", "sh", "-c", &lines];
    let mut command = container.init(&stage.broker.ca_file(), "", &words);
    for (name, value) in stage.boto3(&[]).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("CLOAKROOM_WORKLOAD", stage.robot.name.as_str())
        .env("CLOAKROOM_KEY", &stage.robot.key)
        .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/whatever")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/the-clouds-own-token")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .stdout(Stdio::from(std::fs::File::create(container.path("said")).unwrap()));
    let mut child = command.spawn().unwrap();
    let said = || std::fs::read_to_string(container.path("said")).unwrap();
    eventually("boto3 is done once", || said().contains("first\n").then_some(()));
    // The first placeholder ends; whoever is responsible puts the second in its place.
    stage.broker.cli(&["placeholder", "revoke", &first.id]);
    std::fs::write(&source, format!("{}\n", second.text)).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = said();
    stage.broker.log().lock().unwrap().push([said.as_bytes(), &output.stderr].concat());
    assert!(output.status.success() && said.starts_with("400 0\n"), "{said}\n{output:?}");
    assert_eq!(said.matches("get one in/a: ok in in/a").count(), 2, "{said}\n{output:?}");
    assert_eq!(said.matches("put one in/c: 403").count(), 2, "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the placeholder for AWS was renewed"));
    stage.hunt();
}

/// The same contract where the first process is that of a virtual machine. Emulated where there is no KVM: it shows the function.
#[test]
fn boto3_assumes_a_role_in_a_machine_of_its_own() {
    let Some(parts) = Parts::find() else { return };
    let Some(stage) = Stage::new() else { return };
    stage.prepare(&["create one -", "put one in/a"]);
    stage.deposit("one", "One", &[]);
    let issued = stage.permit("one", "robot", &READ);
    // As `workload add --keep` and `placeholder issue --variable` write it.
    let kits = stage.broker.data().join("kits");
    std::fs::create_dir_all(&kits).unwrap();
    let variables = serde_json::json!({ "AWS_CONTAINER_AUTHORIZATION_TOKEN": issued.text });
    let kit = serde_json::json!({ "workload": "robot", "key": stage.robot.key, "variables": variables });
    std::fs::write(kits.join("robot.json"), kit.to_string()).unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let project = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--vm", "--vm-parts"]).arg(parts.workload()).arg("--read").arg(repository);
    command.arg("--read").arg(python_files(&stage.clients));
    for name in ["AWS_ROLE_ARN", "AWS_DEFAULT_REGION", "DESTINATION", "AWS_EC2_METADATA_DISABLED"] {
        command.args(["--pass", name]);
    }
    command.arg("--").arg(stage.clients.canonicalize().unwrap().join("venv/bin/python"));
    command.arg(script("use_boto3_role.py")).args(["get one in/a", "put one in/c"]);
    command
        .env("CLOAKROOM_DATA", stage.broker.data())
        .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/whatever")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("DESTINATION", stage.server.url())
        .current_dir(project.path());
    let said = run(&stage.broker, command);
    assert!(said.contains("get one in/a: ok in in/a") && said.contains("put one in/c: 403"), "{said}");
    stage.hunt();
}
