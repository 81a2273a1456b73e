//! `cloakroom try`: the sixty-second tour. The real binary, a real TLS service, no network, nothing left behind.

mod service;
mod stage;
mod transcript;
mod workload;

use crate::Outcome;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use clap::builder::styling::AnsiColor;
use cloakroom_model::hexadecimal;
use serde_json::{Value, json};
use service::Service;
use stage::Stage;
use workload::Call;

/// The tour and what it has shown so far.
struct Tour<'a> {
    output: &'a Output,
    scenes: Vec<Value>,
    step: u32,
}

/// Runs the tour; done only if everything went as told.
pub(crate) fn run(output: &Output) -> Outcome {
    let mut tour = Tour { output, scenes: Vec::new(), step: 0 };
    let told = tour.play()?;
    if output.is_json() {
        output.data(&json!({ "ok": told, "scenes": tour.scenes }), String::new)?;
    }
    Ok(if told { Exit::Done } else { Exit::Failed })
}

impl Tour<'_> {
    fn play(&mut self) -> Result<bool, Failure> {
        let directory = tempfile::tempdir()?;
        let service = Service::start(directory.path())?;
        let to = service.destination();
        self.scene("a broker starts, and a service that echoes all it receives, the credential too")?;
        let stage = Stage::open(directory.path(), &service)?;
        self.shown(&format!(
            "$ cloakroom serve\nthe broker listens at {}\nthe service is {to}",
            stage.listen()
        ))?;

        self.scene("the operator deposits the credential; from now on only the broker has it")?;
        let secret = demo_secret()?;
        stage.cli(&["credential", "add", "shop", "--kind", "bearer", "--to", &to], &secret)?;
        self.shown(&format!("$ cloakroom credential add shop --kind bearer --to {to}\nsecret: {secret}   (made up for this tour, so it may be shown)"))?;

        self.scene("a workload gets a key, and a placeholder that looks like the credential")?;
        let key = text(&stage.cli(&["workload", "add", "robot"], "")?, "key")?;
        let policy = stage.file("policy.toml", &policy(&to))?;
        let issue =
            ["placeholder", "issue", "--credential", "shop", "--workload", "robot", "--policy", &policy];
        let issued = stage.cli(&issue, "")?;
        let (placeholder, approval) = (text(&issued, "placeholder")?, text(&issued, "approval")?);
        self.shown(&format!("$ cloakroom workload add robot\n$ cloakroom placeholder issue --credential shop --workload robot --policy policy.toml\nplaceholder: {placeholder}   ({})", text(&issued, "state")?))?;

        self.scene("the approver reads exactly what it may do, and signs that text")?;
        let canonical = text(&stage.cli(&["approval", "show", &approval], "")?, "text")?;
        self.shown(&format!(
            "$ cloakroom approval show {approval}\n{canonical}\n$ cloakroom approval grant {approval}"
        ))?;
        stage.cli(&["approval", "grant", &approval, "--yes"], "")?;

        let robot = workload::Workload::new(stage.listen(), "robot", &key, &stage.ca()?)?;
        let kept = Kept { service: &service, robot: &robot, placeholder: &placeholder, secret: &secret };
        let worked = self.call_that_works(&kept)?;
        let refused = self.calls_that_are_refused(&kept)?;
        let verified = self.journal(&stage)?;
        stage.close()?;
        self.last_word(worked && refused && verified)
    }

    fn call_that_works(&mut self, kept: &Kept<'_>) -> Result<bool, Failure> {
        self.scene("the workload makes its ordinary call through the proxy, with the placeholder")?;
        let call = kept.charge();
        let reply = kept.robot.make(&call)?;
        let received = kept.service.received().join("\n");
        self.shown(&transcript::side_by_side(&[
            ("the workload sent", &call.shown()),
            ("the service received", &received),
            ("what came back", &reply.shown()),
        ]))?;
        let worked = reply.status == 200
            && received.contains(kept.secret)
            && !received.contains(kept.placeholder)
            && reply.body.contains(kept.placeholder)
            && !reply.body.contains(kept.secret);
        self.verdict(worked, "the service got the credential; the workload got its placeholder back, although the service echoed the credential")?;
        self.scenes.push(json!({ "call": "permitted", "sent": call.shown(), "received": received, "returned": reply.shown(), "ok": worked }));
        Ok(worked)
    }

    fn calls_that_are_refused(&mut self, kept: &Kept<'_>) -> Result<bool, Failure> {
        self.scene("the same placeholder, one step off the approved path")?;
        let before = kept.service.received().len();
        let elsewhere = "https://elsewhere.example".to_owned();
        let note = format!("amount=500&currency=eur&description={}", kept.placeholder);
        let attempts = [
            ("another path", Call { path: "/v1/refunds".into(), ..kept.charge() }, "call-not-permitted"),
            ("another destination", Call { to: elsewhere, ..kept.charge() }, "destination-not-permitted"),
            (
                "the placeholder copied into the body",
                Call { body: note, ..kept.charge() },
                "place-not-permitted",
            ),
        ];
        let mut all = true;
        for (what, call, code) in attempts {
            let reply = kept.robot.make(&call)?;
            let as_told = reply.status == 403 && reply.code() == code;
            let line = format!("{what}: {} {}{}", call.method, call.to, call.path);
            self.shown(&format!("{line}\n  -> {} {}: {}", reply.status, reply.code(), reply.detail()))?;
            self.scenes
                .push(json!({ "call": what, "status": reply.status, "code": reply.code(), "ok": as_told }));
            all &= as_told;
        }
        let silent = kept.service.received().len() == before;
        self.verdict(all && silent, "all three were refused, and the service did not hear of them")?;
        Ok(all && silent)
    }

    fn journal(&mut self, stage: &Stage) -> Result<bool, Failure> {
        self.scene("everything is on record, and the record verifies")?;
        let verdict = stage.cli(&["journal", "verify"], "")?;
        let verified = verdict["ok"] == Value::Bool(true);
        self.shown(&format!(
            "$ cloakroom journal verify\n{} records, each a leaf of one signed tree",
            verdict["records"]
        ))?;
        self.verdict(verified, "nothing was changed, dropped or reordered")?;
        self.scenes.push(json!({ "journal": verdict, "ok": verified }));
        Ok(verified)
    }

    fn last_word(&self, told: bool) -> Result<bool, Failure> {
        if !self.output.is_json() {
            let last = match told {
                true => "\nThat was it. Now with your own: cloakroom serve",
                false => "\nThe tour did not go as told. Please tell us, with this output.",
            };
            self.output.print(last)?;
        }
        Ok(told)
    }

    fn scene(&mut self, title: &str) -> Result<(), Failure> {
        self.step += 1;
        if self.output.is_json() {
            return Ok(());
        }
        let number = self.output.paint(&format!("{}.", self.step), AnsiColor::Cyan);
        self.output.print(&format!("\n{number} {title}\n"))
    }

    fn shown(&self, text: &str) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(());
        }
        let lines: Vec<String> =
            text.lines().map(|line| format!("   {line}").trim_end().to_owned()).collect();
        self.output.print(&lines.join("\n"))
    }

    fn verdict(&self, as_told: bool, text: &str) -> Result<(), Failure> {
        let (word, colour) = if as_told { ("ok:", AnsiColor::Green) } else { ("NOT SO:", AnsiColor::Red) };
        self.shown(&format!("{} {text}", self.output.paint(word, colour)))
    }
}

/// What the calls of the tour need.
struct Kept<'a> {
    service: &'a Service,
    robot: &'a workload::Workload,
    placeholder: &'a str,
    secret: &'a str,
}

impl Kept<'_> {
    fn charge(&self) -> Call {
        Call {
            method: "POST",
            to: self.service.destination(),
            path: "/v1/charges".into(),
            bearer: self.placeholder.into(),
            body: "amount=500&currency=eur".into(),
        }
    }
}

fn policy(to: &str) -> String {
    format!(
        r#"version = 1

[[permit]]
name  = "create a small charge"
to    = "{to}"
call  = "POST /v1/charges"
place = "header authorization bearer"

[permit.body]
type = "form"
fields.amount = {{ max = 5000 }}
fields.currency = {{ in = ["usd", "eur"] }}
fields.description = {{ max_length = 200 }}
"#
    )
}

fn demo_secret() -> Result<String, Failure> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random)
        .map_err(|_| Failure::failed("the operating system gives no random bytes"))?;
    Ok(format!("sk_test_{}", hexadecimal(&random)))
}

fn text(document: &Value, member: &str) -> Result<String, Failure> {
    let found = document[member].as_str().map(str::to_owned);
    found.ok_or_else(|| Failure::failed(format!("the tour's broker gave no {member}")))
}
