//! `cloakroom placeholder claim`: what a workload runs, on its own machine and with its own key.

use crate::cli::ClaimPlaceholder;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::listener::{Listener, Proving, key_in};
use crate::output::{Output, fields};
use crate::{Outcome, secret_input};
use cloakroom_admin::wire::ProblemDocument;
use serde_json::{Value, json};
use std::io::{BufRead, stdin};
use zeroize::Zeroizing;

pub(super) fn run(data: &DataDir, asked: &ClaimPlaceholder, output: &Output) -> Outcome {
    let code = code(asked)?;
    let key = key(asked)?;
    let listener = Listener::of(data, asked.broker.as_deref())?;
    let proving = Proving {
        key: key.as_deref().map(String::as_str),
        certificate: asked.cert.as_deref().zip(asked.cert_key.as_deref()),
        ca: asked.ca.clone().unwrap_or_else(|| data.ca()),
    };
    let question = json!({ "code": &*code, "lookup": asked.lookup });
    let (status, body) = listener.post("/.cloakroom/claim", &question.to_string(), &proving)?;
    if status != 200 {
        let problem: Result<ProblemDocument, _> = serde_json::from_slice(&body);
        return Err(problem.map_or_else(|_| unreadable(status), Failure::from_problem));
    }
    let answer: Value = serde_json::from_slice(&body).map_err(|_| unreadable(status))?;
    output.data(&answer, || shown(&answer))?;
    if !asked.lookup {
        output.hint("the placeholder is not shown again; the code is of no use any more");
    }
    Ok(Exit::Done)
}

fn unreadable(status: u16) -> Failure {
    Failure::failed(format!("the answer cannot be read (status {status})"))
        .hinting("is this the workload listener of a broker? its answer was no document of one")
}

fn shown(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    let names = ["id", "placeholder", "workload", "created", "expires", "claimed"];
    let mut pairs: Vec<(&str, String)> =
        names.into_iter().filter_map(|name| text(name).map(|text| (name, text))).collect();
    pairs.extend(text("claimed_from").map(|from| ("claimed from", from)));
    if answer.get("claimed").is_some_and(Value::is_null) {
        pairs.push(("claimed", "not yet".into()));
    }
    fields(&pairs)
}

/// The code, from the command line or the first line of stdin.
fn code(asked: &ClaimPlaceholder) -> Result<Zeroizing<String>, Failure> {
    if asked.code != "-" {
        return Ok(Zeroizing::new(asked.code.clone()));
    }
    let mut line = Zeroizing::new(String::new());
    stdin().lock().read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}

/// The workload key: from a file, a prompt or stdin; none where something else is shown.
fn key(asked: &ClaimPlaceholder) -> Result<Option<Zeroizing<String>>, Failure> {
    if asked.no_key {
        return Ok(None);
    }
    let read = secret_input::read(asked.key_file.as_deref(), "workload key").map_err(|failure| {
        failure.hinting("bring the workload key on a terminal, by stdin, or in a file: --key-file FILE; or leave it out: --no-key")
    })?;
    let wrong = || Failure::bad_input("what was read is no workload key").hinting("it begins with cwk_");
    let text = std::str::from_utf8(&read).map_err(|_| wrong())?;
    key_in(text).map(Some).ok_or_else(wrong)
}
