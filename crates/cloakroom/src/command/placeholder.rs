//! `cloakroom placeholder …`

use super::credential::joined;
use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::{IssuePlaceholder, PlaceholderCommand, RevokePlaceholder};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, fields, table};
use crate::run::Kit;
use crate::span::Expiry;
use cloakroom_admin::wire::{
    ClaimView, History, IssuedPlaceholder, NewPlaceholder, Occasion, PlaceholderView, Revocation, Revoked,
};
use cloakroom_model::Proofs;

/// How long a placeholder counts where nothing is said: thirty days, in seconds.
const USUAL_SPAN: u64 = 30 * 86_400;

pub(super) fn run(data: &DataDir, command: PlaceholderCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        PlaceholderCommand::Claim(asked) => super::claim::run(data, &asked, output),
        PlaceholderCommand::Issue(new) => issue(data, &broker, &new, output),
        PlaceholderCommand::List => list(&broker, output),
        PlaceholderCommand::Show { id } => {
            show(&broker.read(&format!("placeholders/{}", segment(&id)?))?, output)
        }
        PlaceholderCommand::Revoke(which) => revoke(&broker, which, output),
        PlaceholderCommand::Freeze { id } => tell(&broker, &id, "freeze", "froze", output),
        PlaceholderCommand::Thaw { id } => tell(&broker, &id, "thaw", "thawed", output),
    }
}

fn issue(data: &DataDir, broker: &Broker, new: &IssuePlaceholder, output: &Output) -> Outcome {
    // Read here too: an error then shows the line of the file.
    let (file, policy) = super::policy::text_of(&new.policy)?;
    super::policy::parse(&file, &policy)?;
    let request = NewPlaceholder {
        credential: segment(&new.credential)?.to_owned(),
        workload: segment(&new.workload)?.to_owned(),
        file,
        policy,
        begins_in: new.not_before.map(|span| span.as_secs()),
        expires_in: match new.expires {
            None => Some(USUAL_SPAN),
            Some(Expiry::Never) => None,
            Some(Expiry::After(span)) => Some(span.as_secs()),
        },
        at_the_latest: new.expires.is_none(),
        daily: new.daily,
        holder: new.holder,
        approval_expires_in: new.approval_expires.map(|span| span.as_secs()),
        uses: new.uses,
        parent: new.parent.clone(),
        on_misuse: new.on_misuse,
        wrapped: new.wrapped.map(|span| span.as_secs()),
        requester: new.requester.clone(),
    };
    let issued: IssuedPlaceholder = broker.post("placeholders", &request)?;
    output.data(&issued, || {
        let (name, text, until) = match (&issued.claim, &issued.placeholder) {
            (Some(claim), _) => ("claim code", claim.code.clone(), claim.expires.clone()),
            (None, text) => ("placeholder", text.clone().unwrap_or_default(), String::new()),
        };
        let mut pairs = vec![("id", issued.id.to_string()), (name, text)];
        if !until.is_empty() {
            pairs.push(("claim until", until));
        }
        pairs.extend([
            ("state", issued.state.clone()),
            ("approval", issued.approval.to_string()),
            ("expires", issued.expires.clone().unwrap_or_else(|| "never".into())),
            ("uses", issued.uses.map_or_else(|| "not counted".into(), |uses| uses.to_string())),
        ]);
        fields(&pairs)
    })?;
    for warning in &issued.warnings {
        output.warning(warning);
    }
    match &new.variable {
        Some(variable) => keep(data, &issued, variable, output)?,
        None if issued.claim.is_some() => output.hint(
            "the code is not kept and not shown again; its workload runs: cloakroom placeholder claim CODE",
        ),
        None => output.hint("the placeholder is not kept and not shown again"),
    }
    output.hint(&format!("next: cloakroom approval grant {}", issued.approval));
    Ok(Exit::Done)
}

fn revoke(broker: &Broker, which: RevokePlaceholder, output: &Output) -> Outcome {
    if let Some(id) = which.id {
        return tell(broker, &id, "revoke", "revoked", output);
    }
    let request = Revocation { credential: which.credential, workload: which.workload, all: which.all };
    let done: Revoked = broker.post("revoke", &request)?;
    output.data(&done, || {
        let ids = done.revoked.iter().map(|id| format!("revoked placeholder {id}"));
        let count = format!("{} revoked", done.revoked.len());
        ids.chain([count]).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

fn tell(broker: &Broker, id: &str, what: &str, done: &str, output: &Output) -> Outcome {
    let shown: PlaceholderView = broker.tell(&format!("placeholders/{}/{what}", segment(id)?))?;
    output.data(&shown, || format!("{done} placeholder {}", shown.id))?;
    Ok(Exit::Done)
}

/// Puts the placeholder into the kit of its workload.
fn keep(data: &DataDir, issued: &IssuedPlaceholder, variable: &str, output: &Output) -> Result<(), Failure> {
    let Some(mut kit) = Kit::read(data, &issued.workload)? else {
        return Err(Failure::failed(format!(
            "the placeholder is issued but not kept: the key of workload {} is not kept either",
            issued.workload
        ))
        .hinting("hand the placeholder to the workload yourself, or add a workload with --keep"));
    };
    kit.variables.insert(variable.to_owned(), issued.placeholder.clone().unwrap_or_default());
    kit.keep(data)?;
    output.hint(&format!("kept as {variable} for: cloakroom run --workload {} -- COMMAND", issued.workload));
    Ok(())
}

fn list(broker: &Broker, output: &Output) -> Outcome {
    let placeholders: Vec<PlaceholderView> = broker.read("placeholders")?;
    output.data(&placeholders, || {
        let rows: Vec<Vec<String>> = placeholders.iter().map(row).collect();
        table(&["ID", "STATE", "CREDENTIAL", "WORKLOAD", "USES", "EXPIRES", "DESTINATIONS"], &rows)
    })?;
    Ok(Exit::Done)
}

fn row(one: &PlaceholderView) -> Vec<String> {
    vec![
        one.id.to_string(),
        one.state.clone(),
        one.credential.to_string(),
        one.workload.to_string(),
        uses(one),
        one.expires.clone().unwrap_or_else(|| "never".into()),
        joined(&one.destinations),
    ]
}

/// The last use, what ended it, and who was refused first after that.
fn history(history: &History) -> Vec<(&'static str, String)> {
    let call = |one: &Occasion| {
        let peer =
            one.peer.as_deref().map(|peer| format!(" from {}", peer.escape_debug())).unwrap_or_default();
        let code = one.code.map(|code| format!(": {code}")).unwrap_or_default();
        format!("{}{peer}, call {}{code}", one.at, one.request)
    };
    let mut pairs = Vec::new();
    pairs.extend(history.last_use.as_ref().map(|one| ("last use", call(one))));
    pairs.extend(
        history.ended.as_ref().map(|act| {
            ("ended", format!("{} {} by {}", act.at, act.act.escape_debug(), act.by.escape_debug()))
        }),
    );
    pairs.extend(history.first_refusal.as_ref().map(|one| ("first refused", call(one))));
    pairs
}

fn claimed(claim: &ClaimView) -> String {
    match (&claim.claimed, &claim.claimed_from) {
        (Some(at), from) => format!("fetched {at} from {}", from.as_deref().unwrap_or("-")),
        (None, _) => format!("{} until {}", claim.state, claim.expires),
    }
}

fn uses(one: &PlaceholderView) -> String {
    one.uses.map_or_else(|| "-".into(), |uses| format!("{}/{uses}", one.used))
}

fn show(one: &PlaceholderView, output: &Output) -> Result<Exit, Failure> {
    output.data(one, || {
        let mut pairs = vec![
            ("id", one.id.to_string()),
            ("state", one.state.clone()),
            ("credential", one.credential.to_string()),
            ("workload", one.workload.to_string()),
            ("approval", one.approval.map_or_else(|| "-".into(), |id| id.to_string())),
            ("created", one.created.clone()),
            ("expires", one.expires.clone().unwrap_or_else(|| "never".into())),
            ("uses", uses(one)),
            ("destinations", joined(&one.destinations)),
        ];
        pairs.extend(one.parent.map(|parent| ("descends from", parent.to_string())));
        pairs.extend(one.not_before.clone().map(|begin| ("not before", begin)));
        pairs.extend(one.daily.map(|hours| ("daily", hours.to_string())));
        if one.holder != Proofs::KEY {
            pairs.push(("holder shows", one.holder.to_string()));
        }
        pairs.extend(one.claim.as_ref().map(|claim| ("claim", claimed(claim))));
        pairs.extend(one.frozen.clone().map(|since| ("frozen since", since)));
        pairs.extend(one.history.iter().flat_map(history));
        pairs.extend(one.why.clone().map(|why| ("why", why)));
        pairs.extend(one.policy.clone().map(|policy| ("policy", policy)));
        fields(&pairs)
    })?;
    Ok(Exit::Done)
}
