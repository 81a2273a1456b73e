//! `cloakroom issuer …`

use crate::Outcome;
use crate::broker::Broker;
use crate::cli::IssuerCommand;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, fields, table};
use cloakroom_admin::wire::{IssuerKeyView, IssuerRotation, IssuerView};

pub(super) fn run(data: &DataDir, command: IssuerCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        IssuerCommand::Show => show(&broker.read("issuer")?, output),
        IssuerCommand::Rotate(options) => {
            let rotation = IssuerRotation { after: options.after.as_secs(), withdraw: options.withdraw };
            let turned: IssuerView = broker.post("issuer/rotate", &rotation)?;
            show(&turned, output)?;
            if options.withdraw {
                output.hint(
                    "relying parties keep keys for a while: until they ask again, new tokens may be refused",
                );
            }
            Ok(Exit::Done)
        }
    }
}

fn show(issuer: &IssuerView, output: &Output) -> Outcome {
    output.data(issuer, || {
        let head = fields(&[
            ("issuer", issuer.url.clone()),
            ("discovery", format!("{}/.well-known/openid-configuration", issuer.url)),
            ("keys", format!("{}/jwks.json", issuer.url)),
        ]);
        let rows: Vec<Vec<String>> = issuer.keys.iter().map(row).collect();
        format!("{head}\n\n{}", table(&["KEY", "MADE", "SIGNS FROM", "NOW", "PUBLISHED UNTIL"], &rows))
    })?;
    Ok(Exit::Done)
}

fn row(key: &IssuerKeyView) -> Vec<String> {
    let now = if key.signs { "signs" } else { "" };
    let until = key.withdrawn.clone().unwrap_or_default();
    vec![key.id.clone(), key.made.clone(), key.signs_from.clone(), now.into(), until]
}
