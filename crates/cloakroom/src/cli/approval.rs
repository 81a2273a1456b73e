//! `approval …` and `approver …`: what is granted, and whose signatures count.

use clap::Subcommand;
use cloakroom_model::Name;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List the approvals
    #[command(after_help = "Example:\n  cloakroom approval list")]
    List,
    /// Print the exact text that is signed when it is granted
    #[command(after_help = "Example:\n  cloakroom approval show ap_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Show {
        /// Id of the approval, or of its placeholder
        id: String,
    },
    /// Sign the text with the approver's key
    #[command(
        after_help = "Examples:\n  cloakroom approval grant ap_01HF7YAT00QTXS9F8T1S4ZKZ8M\n  cloakroom approval grant ap_01HF7YAT00QTXS9F8T1S4ZKZ8M --key /media/approver/approver.key --yes"
    )]
    Grant {
        /// Id of the approval, or of its placeholder
        id: String,
        /// The approver's key [default: DIR/approver.key]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// What ssh-keygen -Y sign -n cloakroom made of the text
        #[arg(long, value_name = "FILE", conflicts_with = "key")]
        ssh_signature: Option<PathBuf>,
        /// Do not ask; without a terminal nothing is asked
        #[arg(long, short)]
        yes: bool,
    },
    /// Print the text alone, for a program that signs
    #[command(
        after_help = "Example:\n  cloakroom approval text ap_01HF7YAT00QTXS9F8T1S4ZKZ8M > text\n  ssh-keygen -Y sign -n cloakroom -f ~/.ssh/id_ed25519 text\n  cloakroom approval grant ap_01HF7YAT00QTXS9F8T1S4ZKZ8M --ssh-signature text.sig"
    )]
    Text {
        /// Id of the approval, or of its placeholder
        id: String,
    },
    /// Take back what was granted: the placeholder is revoked, at once and for good
    #[command(after_help = "Example:\n  cloakroom approval withdraw ap_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Withdraw {
        /// Id of the approval, or of its placeholder
        id: String,
    },
    /// Say no
    #[command(after_help = "Example:\n  cloakroom approval deny ap_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Deny {
        /// Id of the approval, or of its placeholder
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum ApproverCommand {
    /// List the approvers
    #[command(after_help = "Example:\n  cloakroom approver list")]
    List,
    /// Ask for a further approver, or a further key of one; the approvers there are have to sign it
    #[command(
        after_help = "Examples:\n  cloakroom approver enrol bob --public-key bob.pub\n  cloakroom approver enrol bob --passkey      prints a link for bob's browser\n\nThen: cloakroom approval grant ID, by as many of the present approvers as it takes."
    )]
    Enrol {
        /// Whose key it is
        name: Name,
        /// The file with the public key: an SSH key, or 32 bytes of Ed25519 in base64
        #[arg(long, value_name = "FILE", required_unless_present = "passkey")]
        public_key: Option<PathBuf>,
        /// Print a link, good once, by which a browser makes a passkey
        #[arg(long, conflicts_with = "public_key")]
        passkey: bool,
    },
    /// Ask for an approver's removal; the approvers there are have to sign it. What the key signed counts no more then
    #[command(after_help = "Example:\n  cloakroom approver remove bob")]
    Remove {
        /// The name, or the beginning of the key's SHA-256
        approver: String,
    },
}
