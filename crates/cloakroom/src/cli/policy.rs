//! `cloakroom policy …`, `learn` and `drift`: commands, options and examples.

use clap::{Args, Subcommand, ValueEnum};
use cloakroom_model::{PlaceholderId, WorkloadId};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a policy file and print what it means
    #[command(after_help = "Example:\n  cloakroom policy check charges.toml")]
    Check {
        /// The policy file
        file: PathBuf,
    },
    /// Say what the new file newly allows and newly refuses
    #[command(after_help = "Example:\n  cloakroom policy diff charges.toml charges-new.toml")]
    Diff {
        /// The policy as it is
        old: PathBuf,
        /// The policy as it would be
        new: PathBuf,
    },
    /// Say how each permit judges a call; exit code 3 when none allows it
    #[command(
        after_help = "Example:\n  cloakroom policy explain charges.toml -- POST https://api.stripe.com/v1/charges"
    )]
    Explain {
        /// The policy file
        file: PathBuf,
        /// The method
        method: String,
        /// The URL
        url: String,
    },
    /// Name what is wider than it needs to be
    #[command(
        after_help = "Examples:\n  cloakroom policy lint charges.toml\n  cloakroom policy lint charges.toml --journal /srv/cloakroom --unused 30d\n  cloakroom policy lint --placeholder ph_01HF7YAT00QTXS9F8T1S4ZKZ8M --deny\n\nWith --placeholder its policy, its credential and the broker's journal are looked at."
    )]
    Lint(LintArguments),
    /// Show how recorded calls would fare under a policy
    #[command(
        after_help = "Examples:\n  cloakroom policy replay charges.toml --journal /srv/cloakroom\n  cloakroom policy replay charges.toml --journal ./journal --placeholder ph_01HF7YAT00QTXS9F8T1S4ZKZ8M\n\nThe journal has method, destination and path of calls that were made; of refused calls the destination."
    )]
    Replay(ReplayArguments),
}

#[derive(Args)]
pub(crate) struct LintArguments {
    /// The policy file
    #[arg(required_unless_present = "placeholder")]
    pub(crate) file: Option<PathBuf>,
    /// The policy of this placeholder, in force or not
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub(crate) placeholder: Option<String>,
    /// Where the credential of this name may go beyond the permits
    #[arg(long, value_name = "NAME")]
    pub(crate) credential: Option<String>,
    /// The journal: its directory, or a data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: Option<PathBuf>,
    /// With a journal: permits that no call used for so long
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse, default_value = "30d")]
    pub(crate) unused: Duration,
    /// Exit with 3 where anything is named
    #[arg(long)]
    pub(crate) deny: bool,
}

#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// The policy file
    pub(crate) file: PathBuf,
    /// The journal: its directory, or a data directory
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: PathBuf,
    /// Only calls with this placeholder
    #[arg(long, value_name = "ID")]
    pub(crate) placeholder: Option<PlaceholderId>,
    /// Only calls of this workload, by id
    #[arg(long, value_name = "ID")]
    pub(crate) workload: Option<WorkloadId>,
    /// Only records after this sequence number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) since: u64,
}

#[derive(Args)]
pub(crate) struct LearnArguments {
    /// The workload, by name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: String,
    /// End it after so long
    #[arg(long = "for", value_name = "SPAN", value_parser = crate::span::parse, default_value = "1h")]
    pub(crate) span: Duration,
    /// End the one that goes on, and print its proposal
    #[arg(long)]
    pub(crate) end: bool,
}

#[derive(Args)]
pub(crate) struct DriftArguments {
    /// Weeks (from Monday) or months, in UTC
    #[arg(long, value_enum, default_value = "week")]
    pub(crate) by: Period,
    /// How many of them, up to now
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=520))]
    pub(crate) last: u16,
    /// A permit is unused where no call used it for so long
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse, default_value = "30d")]
    pub(crate) unused: Duration,
}

/// What drift is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Period {
    Week,
    Month,
}
