//! `cloakroom member …` and `cloakroom token …`: who uses the console and the admin API over the network.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::{MemberCommand, TokenCommand};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_admin::wire::{ApiTokenView, IssuedApiToken, MemberView, NewApiToken, NewMember, PasskeyLink};

pub(super) fn members(data: &DataDir, command: MemberCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        MemberCommand::List => {
            let members: Vec<MemberView> = broker.read("members")?;
            let row = |one: &MemberView| {
                vec![one.name.to_string(), one.roles.to_string(), one.created.clone(), one.id.to_string()]
            };
            output.data(&members, || {
                table(&["NAME", "ROLES", "SINCE", "ID"], &members.iter().map(row).collect::<Vec<_>>())
            })?;
        }
        MemberCommand::Invite { name, role } => {
            let new = NewMember { name, roles: role.into_iter().collect() };
            let link: PasskeyLink = broker.post("members", &new)?;
            output.data(&link, || link.url.clone())?;
            let minutes = link.seconds / 60;
            output.hint(&format!("good once, for {minutes} minutes; open it in that person's browser"));
        }
        MemberCommand::Remove { member } => {
            let removed: MemberView = broker.remove(&format!("members/{}", segment(&member)?))?;
            output.data(&removed, || format!("removed {}", removed.name))?;
        }
    }
    Ok(Exit::Done)
}

pub(super) fn tokens(data: &DataDir, command: TokenCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        TokenCommand::List => {
            let tokens: Vec<ApiTokenView> = broker.read("tokens")?;
            let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
            output.data(&tokens, || table(&["NAME", "STATE", "ROLES", "EXPIRES", "MADE BY", "ID"], &rows))?;
        }
        TokenCommand::Create { name, role, expires } => {
            let roles = role.into_iter().collect();
            let new = NewApiToken { name, roles, expires_in: expires.as_secs() };
            let issued: IssuedApiToken = broker.post("tokens", &new)?;
            output.data(&issued, || issued.text.clone())?;
            output.hint(&format!("shown once; good until {}", issued.token.expires));
        }
        TokenCommand::Revoke { token } => {
            let revoked: ApiTokenView = broker.remove(&format!("tokens/{}", segment(&token)?))?;
            output.data(&revoked, || format!("revoked {}", revoked.name))?;
        }
    }
    Ok(Exit::Done)
}

fn row(one: &ApiTokenView) -> Vec<String> {
    let ApiTokenView { id, name, roles, owner, expires, state, .. } = one;
    vec![name.to_string(), state.clone(), roles.to_string(), expires.clone(), owner.clone(), id.to_string()]
}
