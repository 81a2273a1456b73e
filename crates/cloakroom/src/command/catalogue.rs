//! `cloakroom catalogue …`: works without a broker.

use crate::Outcome;
use crate::catalogue::{Ready, Service, ready, ready_made, service, services};
use crate::cli::CatalogueCommand;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn run(command: CatalogueCommand, output: &Output) -> Outcome {
    match command {
        CatalogueCommand::List => list(output),
        CatalogueCommand::Show { service } => show(&service, output),
        CatalogueCommand::Policy { name, set } => policy(&name, &set, output),
    }
}

fn list(output: &Output) -> Outcome {
    let known = services().map(|name| Ok((name, service(name)?))).collect::<Result<Vec<_>, Failure>>()?;
    let ready = ready_made().map(|name| Ok((name, ready(name)?))).collect::<Result<Vec<_>, Failure>>()?;
    let document = json!({
        "services": known.iter().map(|(name, known)| json!({ "name": name, "title": known.title })).collect::<Vec<_>>(),
        "policies": ready.iter().map(|(name, ready)| json!({ "name": name, "service": ready.service, "about": ready.about })).collect::<Vec<_>>(),
    });
    output.data(&document, || {
        let row = |(name, known): &(&str, Service)| vec![(*name).to_owned(), known.title.clone()];
        let services = table(&["SERVICE", "WHAT IT IS"], &known.iter().map(row).collect::<Vec<_>>());
        let row = |(name, ready): &(&str, Ready)| vec![(*name).to_owned(), ready.about.clone()];
        let policies = table(&["POLICY", "WHAT IT ALLOWS"], &ready.iter().map(row).collect::<Vec<_>>());
        format!("{services}\n\n{policies}")
    })?;
    Ok(Exit::Done)
}

fn show(name: &str, output: &Output) -> Outcome {
    let known = service(name)?;
    let policies: Vec<&str> =
        ready_made().filter(|policy| ready(policy).is_ok_and(|ready| ready.service == name)).collect();
    let document = json!({ "name": name, "service": &known, "policies": policies });
    output.data(&document, || fields(&facts(name, &known, &policies)))?;
    Ok(Exit::Done)
}

fn facts(name: &str, known: &Service, policies: &[&str]) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("name", name.to_owned()),
        ("title", known.title.clone()),
        ("kind", known.kind.to_string()),
        ("destinations", super::credential::joined(&known.destinations)),
        ("place", known.place.to_string()),
    ];
    let lists = [
        ("begins with", &known.prefixes),
        ("environment", &known.environment),
        ("base URL", &known.base_url),
        ("only reads", &known.reads),
    ];
    lines.extend(
        lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(of, list)| (of, list.join(", "))),
    );
    lines.extend(known.speaks.iter().map(|(call, protocol)| ("speaks", format!("{protocol}: {call}"))));
    lines.extend(known.power.clone().map(|power| ("a credential", power)));
    if let Some(oauth) = &known.oauth {
        lines.push(("authorization", oauth.authorization.clone()));
        lines.push(("token", oauth.token.clone()));
        lines.extend(oauth.device.clone().map(|url| ("device", url)));
        lines.extend(oauth.revocation.clone().map(|url| ("revocation", url)));
        lines.extend(oauth.scopes.iter().map(|(scope, what)| ("scope", format!("{scope}: {what}"))));
    }
    lines.push(("source", known.sources.credential.clone()));
    if !policies.is_empty() {
        lines.push(("policies", policies.join(", ")));
    }
    lines
}

fn policy(name: &str, set: &[(String, String)], output: &Output) -> Outcome {
    let ready = ready(name)?;
    let mut values = BTreeMap::new();
    for (key, value) in set {
        if values.insert(key.clone(), value.clone()).is_some() {
            return Err(
                Failure::bad_input(format!("{key:?} is set twice")).hinting("set each parameter once")
            );
        }
    }
    let text = ready.filled(&values)?;
    // What is handed out as a policy is one.
    super::policy::parse(name, &text)?;
    let document = json!({ "name": name, "service": ready.service, "about": ready.about, "policy": text });
    output
        .data(&document, || format!("# {name}: {}\n# calls as in {}\n{text}", ready.about, ready.source))?;
    output.hint("keep it in a file, read it, make it narrower, then: cloakroom policy check FILE");
    Ok(Exit::Done)
}
