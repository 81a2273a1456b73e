//! The options of `credential add --assume-role …`: an AWS role that the broker assumes.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// An AWS role, and as whom it is assumed.
#[derive(Args)]
pub(crate) struct RoleArguments {
    /// The ARN of an AWS role: the broker assumes it, and signs calls with the keys of its sessions
    #[arg(long, value_name = "ARN", conflicts_with_all = ["kind", "grant", "preset"])]
    pub(crate) assume_role: Option<String>,
    /// As whom: with the broker's own token, or as the holder of the access key that is deposited
    #[arg(long, value_name = "WAY", requires = "assume_role", default_value = "web-identity")]
    pub(crate) assume_with: Assume,
    /// The region of AWS STS [default: us-east-1]
    #[arg(long, value_name = "REGION", requires = "assume_role")]
    pub(crate) region: Option<String>,
    /// Where AWS STS answers [default: AWS's own in the region]
    #[arg(long, value_name = "URL", requires = "assume_role")]
    pub(crate) sts_endpoint: Option<String>,
    /// For whom the broker's token is: as the identity provider in AWS expects it [default: sts.amazonaws.com]
    #[arg(long, value_name = "NAME", requires = "assume_role")]
    pub(crate) token_audience: Option<String>,
    /// How long a session lives [default: 15m, the shortest that AWS knows]
    #[arg(long, value_name = "SPAN", requires = "assume_role", value_parser = crate::span::parse)]
    pub(crate) session: Option<Duration>,
    /// Cut sessions down to what this file says (a policy in JSON), not to the permit
    #[arg(long, value_name = "FILE", requires = "assume_role")]
    pub(crate) session_policy: Option<PathBuf>,
    /// Do not cut sessions down: each can do all that the role can, and the broker alone keeps a call within its permit
    #[arg(long, requires = "assume_role", conflicts_with = "session_policy")]
    pub(crate) whole_role: bool,
    /// What the role's trust policy wants to hear (ExternalId)
    #[arg(long, value_name = "TEXT", requires = "assume_role")]
    pub(crate) external_id: Option<String>,
}

/// As whom a role is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Assume {
    /// AssumeRoleWithWebIdentity: nothing is deposited.
    WebIdentity,
    /// AssumeRole.
    AccessKey,
}
