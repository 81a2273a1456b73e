//! `member …` and `token …`: who uses the console and the admin API over the network.

use clap::Subcommand;
use cloakroom_model::{Name, Role};
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum MemberCommand {
    /// List the people who can log in at the console
    #[command(after_help = "Example:\n  cloakroom member list")]
    List,
    /// Print a link, good once, by which somebody makes a passkey and can log in
    #[command(
        after_help = "Examples:\n  cloakroom member invite ann --role operator\n  cloakroom member invite bob --role reader --role approver\n\nTo approve, the passkey counts once the approvers there are have signed it: cloakroom approval list."
    )]
    Invite {
        /// What others call that person
        name: Name,
        /// What that person may do: operator, approver, auditor or reader; may be repeated
        #[arg(long, value_name = "ROLE", required = true)]
        role: Vec<Role>,
    },
    /// Let somebody log in by single sign-on: whoever the provider knows by this subject
    #[command(
        after_help = "Example:\n  cloakroom member add bob --subject 00u1a2b3c4 --role operator\n\nThe subject is what the provider calls that person (the claim sub), never an e-mail address. Whoever tries to log in\nand is not known is told theirs. To approve takes a passkey: cloakroom approver enrol NAME --passkey."
    )]
    Add {
        /// What others call that person
        name: Name,
        /// What the provider calls that person
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
        /// What that person may do: operator, auditor or reader; may be repeated
        #[arg(long, value_name = "ROLE", required = true)]
        role: Vec<Role>,
    },
    /// Remove somebody: sessions and API tokens end at once. Whether the passkey approves is another thing: cloakroom approver remove
    #[command(after_help = "Example:\n  cloakroom member remove ann")]
    Remove {
        /// Name or id
        member: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// List the API tokens
    #[command(after_help = "Example:\n  cloakroom token list")]
    List,
    /// Make an API token for a program; it is printed once
    #[command(
        after_help = "Examples:\n  cloakroom token create dashboard --role reader\n  cloakroom token create ci --role operator --expires 7d\n\nThe program sends it to the console's address: Authorization: Bearer ckt_…"
    )]
    Create {
        /// What it is for
        name: Name,
        /// What it may do: operator, approver, auditor or reader; may be repeated
        #[arg(long, value_name = "ROLE", required = true)]
        role: Vec<Role>,
        /// When it ends, within a year
        #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = crate::span::parse)]
        expires: Duration,
    },
    /// Revoke an API token, at once
    #[command(after_help = "Example:\n  cloakroom token revoke ci")]
    Revoke {
        /// Name or id; never the API token itself
        token: String,
    },
}
