//! `cloakroom member …` and `cloakroom token …`: who uses the console and the admin API over the network.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::{MemberCommand, TokenCommand};
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::output::{Output, table};
use cloakroom_admin::wire::{
    ApiTokenView, IssuedApiToken, MemberView, NewApiToken, NewMember, NewSubject, PasskeyLink,
};

pub(super) fn members(data: &DataDir, command: MemberCommand, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    match command {
        MemberCommand::List => {
            let members: Vec<MemberView> = broker.read("members")?;
            let rows: Vec<Vec<String>> = members.iter().map(member_row).collect();
            output.data(&members, || table(&["NAME", "ROLES", "LOGS IN BY", "SINCE", "ID"], &rows))?;
        }
        MemberCommand::Invite { name, role } => {
            let new = NewMember { name, roles: role.into_iter().collect() };
            let link: PasskeyLink = broker.post("members", &new)?;
            output.data(&link, || link.url.clone())?;
            let minutes = link.seconds / 60;
            output.hint(&format!("good once, for {minutes} minutes; open it in that person's browser"));
        }
        MemberCommand::Add { name, subject, role } => {
            let new = NewSubject { name, roles: role.into_iter().collect(), subject };
            let added: MemberView = broker.post("members/sign-on", &new)?;
            output.data(&added, || format!("{} may log in by single sign-on", added.name))?;
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

fn member_row(one: &MemberView) -> Vec<String> {
    let MemberView { id, name, roles, subject, created } = one;
    // A subject is the provider's word, and no name.
    let by = subject
        .as_ref()
        .map_or_else(|| "passkey".to_owned(), |subject| format!("single sign-on {subject:?}"));
    vec![name.to_string(), roles.to_string(), by, created.clone(), id.to_string()]
}

fn row(one: &ApiTokenView) -> Vec<String> {
    let ApiTokenView { id, name, roles, owner, expires, state, .. } = one;
    vec![name.to_string(), state.clone(), roles.to_string(), expires.clone(), owner.clone(), id.to_string()]
}
