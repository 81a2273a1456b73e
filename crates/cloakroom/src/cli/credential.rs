//! `credential`: what is deposited, and how it is looked after.

use super::{
    GrantArguments, LoginAgainArguments, LoginArguments, ParcelArguments, RoleArguments, SourceArguments,
};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use cloakroom_model::{CredentialKind, Destination, Name};
use std::path::PathBuf;

/// What to do with credentials.
#[derive(Subcommand)]
pub(crate) enum CredentialCommand {
    /// Deposit a credential; the secret comes from stdin, a prompt or a file
    #[command(
        after_help = "Examples:\n  cloakroom credential add stripe-live --preset stripe < secret.txt\n  cloakroom credential add internal --kind header --to https://api.internal.example:8443\n  cloakroom credential add mail --preset google-gmail --client-id ID --client-secret-file client.txt --scope SCOPE\n  cloakroom credential add mail --preset google-gmail --grant refresh-token --client-id ID --client-secret-file client.txt < refresh.txt\n  cloakroom credential add billing --preset stripe --from vault-kv --server https://vault.example.com:8200 --path app/billing --field key < token.txt\n  cloakroom credential add backups --assume-role arn:aws:iam::111122223333:role/backups --to https://backups.s3.eu-west-1.amazonaws.com\n  cloakroom credential add deploy --preset github --sealed-for cwd_… < secret.txt > deploy.parcel\n  cloakroom credential add --sealed deploy.parcel\n\nThe secret is what replaces the placeholder and nothing more: the access token without \"Bearer\", the password of a\nuser without the user's name. One line break at its end is dropped."
    )]
    Add(AddCredential),
    /// List the credentials
    #[command(after_help = "Example:\n  cloakroom credential list")]
    List,
    /// Show one credential: by name and age, never by content
    #[command(after_help = "Example:\n  cloakroom credential show stripe-live")]
    Show {
        /// Name or id
        name: String,
    },
    /// Replace the secret; placeholders stay as they are
    #[command(
        after_help = "Examples:\n  cloakroom credential rotate stripe-live < new-secret.txt\n  cloakroom credential rotate stripe-live --grace 10m < new-secret.txt\n\nCalls get the new secret from then on. The former one is used no more, and is taken out of replies until the calls that\nwent out with it are over; --grace goes on with that for as long as the service may still know it."
    )]
    Rotate {
        /// Name or id
        name: String,
        /// Take the former secret out of replies for this time as well
        #[arg(long, value_name = "SPAN", value_parser = crate::span::parse)]
        grace: Option<std::time::Duration>,
        /// Read the new secret from this file
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Log in again for a credential that came of a login; placeholders stay as they are
    #[command(
        after_help = "Examples:\n  cloakroom credential login mail\n  cloakroom credential login mail --device"
    )]
    Login(LoginAgainArguments),
    /// Remove a credential; its placeholders stop at once
    #[command(after_help = "Example:\n  cloakroom credential remove stripe-live")]
    Remove {
        /// Name or id
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct AddCredential {
    /// Your name for it
    #[arg(required_unless_present = "sealed")]
    pub(crate) name: Option<Name>,
    /// How it is used: placed as bearer, basic, header, cookie, query, path, json or form; or never sent: signed with, as aws, hmac or
    /// http-signature, or shown by the connection, as mtls. The policy says where it stands in a call. Left out with a login, --grant,
    /// --from or --assume-role, which make it oauth, sourced or aws-role
    #[arg(long, value_name = "KIND", required_unless_present_any = ["preset", "grant", "from", "client_id", "device", "assume_role", "sealed"])]
    pub(crate) kind: Option<CredentialKind>,
    /// Where it may go at all; may be repeated
    #[arg(long, value_name = "URL", required_unless_present_any = ["preset", "sealed"])]
    pub(crate) to: Vec<Destination>,
    /// Take kind and destinations from what is known of a service: see "cloakroom catalogue list"
    #[arg(long, value_name = "SERVICE")]
    pub(crate) preset: Option<String>,
    /// Read the secret from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) grant: GrantArguments,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) role: RoleArguments,
    #[command(flatten)]
    pub(crate) parcel: ParcelArguments,
}

impl AddCredential {
    /// Its name.
    ///
    /// # Errors
    /// Where there is none: a parcel says its own.
    pub(crate) fn name(&self) -> Result<&Name, Failure> {
        self.name.as_ref().ok_or_else(|| Failure::bad_input("the name is missing"))
    }
}
