//! The command line: every command, option and example. What they do is in `command`.

use crate::command::ProposalCommand;
mod approval;
mod backup;
mod credential;
mod custody;
pub(crate) mod doctor;
mod drop_off;
mod grant;
mod image;
mod issuer;
mod journal;
mod lock;
mod login;
mod mcp;
mod people;
mod policy;
mod role;
mod run;
mod source;
mod workload;

pub(crate) use approval::{ApprovalCommand, ApproverCommand};
pub(crate) use backup::{BackupArguments, RestoreArguments};
pub(crate) use credential::{AddCredential, CredentialCommand};
pub(crate) use custody::{CustodyCommand, InitCustody, UnsealCustody};
pub(crate) use drop_off::{DropOffCommand, ParcelArguments};
pub(crate) use grant::{Algorithm, GrantArguments, GrantKind, TokenKind};
pub(crate) use image::{BuildImage, EnrolImage, ImageCommand};
pub(crate) use issuer::IssuerCommand;
pub(crate) use journal::{ExportFormat, JournalCommand};
pub(crate) use lock::{Form, KEPT_IN, LockArguments, LockCommand, Shelf};
pub(crate) use login::{LoginAgainArguments, LoginArguments};
pub(crate) use mcp::McpArguments;
pub(crate) use people::{MemberCommand, TokenCommand};
pub(crate) use policy::{
    DriftArguments, LearnArguments, LintArguments, Period, PolicyCommand, ReplayArguments,
};
pub(crate) use source::{LeaseCommand, LoginKind, SourceArguments, SourceKind};

pub(crate) use role::{Assume, RoleArguments};
pub(crate) use run::{InitArguments, InsideArguments, Part, RunArguments};
pub(crate) use workload::{AddWorkload, WorkloadCommand};

use crate::span::{Expiry, parse_expiry};
use clap::{Args, Parser, Subcommand};
use cloakroom_model::{Hours, Name, OnMisuse, Proofs, RequestId};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: a conflict, an unknown name, a disk
  2  bad input: the command line, a file or a value is wrong
  3  refused, not permitted, or does not verify
  4  no broker answers in the data directory
  5  a check could not find out: not proved";

/// Leave the credential at the cloakroom, walk away with a placeholder.
#[derive(Parser)]
#[command(name = "cloakroom", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Arguments {
    /// The data directory; else CLOAKROOM_DATA, else $XDG_DATA_HOME/cloakroom or ~/.local/share/cloakroom
    #[arg(long, global = true, value_name = "DIR", env = "CLOAKROOM_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// One JSON document on stdout, errors as JSON on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the broker
    #[command(
        after_help = "Examples:\n  cloakroom serve\n  cloakroom serve --listen 127.0.0.1:0 --json\n  cloakroom serve --data /srv/cloakroom --upstream-ca corp-ca.pem --allow-address 10.20.0.0/16\n  cloakroom serve --take-over"
    )]
    Serve(ServeArguments),
    /// Look at what tends to be wrong, and say what to do about it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArguments),
    /// Sixty seconds: see a call go out with the real credential and come back without it
    #[command(after_help = "Example:\n  cloakroom try\n\nNeeds no network and leaves nothing behind.")]
    Try,
    /// Run a command as a workload: only the broker can be reached, and it sees placeholders only
    #[command(
        after_help = "Examples:\n  cloakroom run -- curl https://api.stripe.com/v1/balance\n  cloakroom run --workload robot --write ../cache -- python agent.py\n  cloakroom run --vm -- python agent.py      on a kernel of its own\n\nThe command gets the exit code, the terminal and the signals as if it ran alone. It can write in the present directory\nand in /tmp of its own. Needs bubblewrap; with --vm also QEMU."
    )]
    Run(RunArguments),
    /// Tools for an agent: what it holds, why it was refused, how to ask (MCP)
    #[command(
        after_help = "Examples:\n  cloakroom mcp                                   what an agent's settings name as command; in cloakroom run nothing else is needed\n  cloakroom mcp --url http://127.0.0.1:8480 --key-file robot.key\n  cloakroom mcp --http 127.0.0.1:8482            agents show their key: Authorization: Bearer cwk_...\n\nIt is a client of the workload listener: it approves nothing, and no credential passes through it."
    )]
    Mcp(McpArguments),
    /// The first program in the namespaces that `run` makes
    #[command(
        hide = true,
        after_help = "Example:\n  cloakroom inside -- env\n\nNobody needs to run this by hand."
    )]
    Inside(InsideArguments),
    /// The processes between the broker and a PKCS#11 token
    #[command(
        hide = true,
        after_help = "Example:\n  cloakroom serve --config cloakroom.toml      with kek = \"pkcs11\" in [custody]\n\nThe broker starts these; nobody needs to run them by hand."
    )]
    Hsm(HsmArguments),
    /// Appliances: the broker as a virtual machine of its own, and nothing else in it
    #[command(subcommand)]
    Image(ImageCommand),
    /// The first process of a workload's container: leads the command to the broker
    #[command(
        after_help = "Examples:\n  cloakroom init --broker http://10.77.0.1:8480 --ca /etc/cloakroom/ca.pem -- python agent.py\n  cloakroom init --broker unix:/run/broker.sock --ca ca.pem --user 1000 -- ./agent\n\nCLOAKROOM_WORKLOAD and CLOAKROOM_KEY say who calls, unless the connection itself does. Without a command this is what the\nkernel of an appliance starts."
    )]
    Init(InitArguments),
    /// Locks: close a workload's network but for the broker's listeners, and prove it
    #[command(subcommand)]
    Lock(LockCommand),
    /// Credentials: deposit, show, rotate, remove
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Custody: seal and unseal, and the root key that everything is sealed under
    #[command(subcommand)]
    Custody(CustodyCommand),
    /// Drop-offs: the keys that secrets are sealed to on other machines
    #[command(subcommand)]
    DropOff(DropOffCommand),
    /// Back the data directory up into one encrypted file; a broker may run meanwhile
    #[command(
        after_help = "Example:\n  cloakroom backup cloakroom-monday.age --to age1…\n\nWith kek = \"file\" the key is in it: whoever can open the backup can open the secrets."
    )]
    Backup(BackupArguments),
    /// Restore a backup into a new data directory; the first start freezes every placeholder
    #[command(
        after_help = "Example:\n  cloakroom restore cloakroom-monday.age --identity key.txt --data /srv/cloakroom"
    )]
    Restore(RestoreArguments),
    /// Leases: what sources have lent and was not given back yet
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Workloads: those who may hold placeholders
    #[command(subcommand)]
    Workload(WorkloadCommand),
    /// Placeholders: what workloads hold instead of credentials
    #[command(subcommand)]
    Placeholder(PlaceholderCommand),
    /// Approvals: read what is asked, grant or deny it
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// Approvers: whose signatures count
    #[command(subcommand)]
    Approver(ApproverCommand),
    /// Members: people who log in at the console
    #[command(subcommand)]
    Member(MemberCommand),
    /// API tokens: for programs that use the admin API over the network
    #[command(subcommand)]
    Token(TokenCommand),
    /// Proposals: what workloads ask for
    #[command(subcommand)]
    Proposal(ProposalCommand),
    /// Policy files: check, compare, explain, replay (works without a broker)
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Learn what a workload needs: its calls are refused and their shapes kept, until you end it; then a policy is proposed
    #[command(
        after_help = "Examples:\n  cloakroom learn --workload robot > proposal.toml\n  cloakroom learn --workload robot --for 10m\n  cloakroom learn --workload robot --end\n\nEnd it with Ctrl-C. No value of a query, header or body is kept. Nothing is permitted by the proposal."
    )]
    Learn(LearnArguments),
    /// How what is permitted grew: tuples, destinations, writes and permits that nobody uses
    #[command(
        after_help = "Examples:\n  cloakroom drift\n  cloakroom drift --by month --last 6\n  cloakroom drift --unused 90d --json"
    )]
    Drift(DriftArguments),
    /// Services that are known, and ready-made policies for them (works without a broker)
    #[command(subcommand)]
    Catalogue(CatalogueCommand),
    /// The record of what happened (works without a broker)
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Calls under way, refusals and what waits for a human, as they come, at a terminal
    #[command(
        after_help = "Example:\n  cloakroom top\n\nKeys: q quits, Tab or 1 2 3 the table, s the order, / a filter, Esc all again."
    )]
    Top,
    /// Say what is known about one call
    #[command(
        after_help = "Example:\n  cloakroom explain 01HF7YAT00QTXS9F8T1S4ZKZ8M\n\nThe id stands in the refusal, member \"instance\"."
    )]
    Explain {
        /// The request id, from a refusal (as it stands in "instance") or the journal
        #[arg(value_name = "REQUEST_ID", value_parser = parse_request)]
        request: RequestId,
    },
    /// The broker as issuer of tokens: its documents and keys
    #[command(subcommand)]
    Issuer(IssuerCommand),
    /// The certificate that workloads have to trust
    #[command(after_help = "Examples:\n  cloakroom ca\n  cloakroom ca --pem > cloakroom-ca.pem")]
    Ca {
        /// Print the certificate itself
        #[arg(long)]
        pem: bool,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  cloakroom completions bash > ~/.local/share/bash-completion/completions/cloakroom"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual: a page for every command
    #[command(after_help = "Example:\n  cloakroom man | man -l -")]
    Man,
}

/// Options of `serve`.
#[derive(Args)]
pub(crate) struct ServeArguments {
    /// The settings file (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where workloads connect [default: 127.0.0.1:8480]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the console answers [default: 127.0.0.1:8481]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) console: Option<SocketAddr>,
    /// Where connections end that a lock steers here on their way to port 80 or 443 [default: nowhere]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) transparent: Option<SocketAddr>,
    /// Where workloads behind a lock ask for names, by UDP and TCP [default: nowhere]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(crate) dns: Option<SocketAddr>,
    /// Trust these certificate authorities upstream too; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_ca: Vec<PathBuf>,
    /// Let no call out until "cloakroom lock check" has proved this lock; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) require_lock: Vec<Name>,
    /// Let upstream addresses of this range be dialled although they are not public; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse_range)]
    pub(crate) allow_address: Vec<IpNet>,
    /// Read the passphrase for the key-encryption key from this file
    #[arg(long, value_name = "FILE", env = "CLOAKROOM_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Become this user once the ports are open, where root starts it: NAME, NUMBER or NUMBER:GROUP
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Take the listening sockets of the broker that runs on this directory: no connection is refused meanwhile
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Trust approver.pub as it is, whatever was trusted before: for a lost key, goes on record
    #[arg(long)]
    pub(crate) trust_approvers: bool,
    /// How the log on stderr is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// The wires of an appliance: said by `init`, never on the command line.
    #[arg(skip)]
    pub(crate) appliance: Option<crate::serve::Appliance>,
}

/// Options of `hsm`.
#[derive(Args)]
pub(crate) struct HsmArguments {
    /// Which of the two processes this is
    pub(crate) part: HsmPart,
    /// Which token and key, as JSON
    pub(crate) settings: String,
}

/// What stands between the broker and a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HsmPart {
    /// Waits for the broker's questions.
    Keep,
    /// Answers one of them.
    Work,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum PlaceholderCommand {
    /// Issue a placeholder; it waits for approval, and is printed once
    #[command(
        after_help = "Examples:\n  cloakroom placeholder issue --credential stripe-live --workload robot --policy charges.toml\n  cloakroom placeholder issue --credential stripe-live --workload robot --policy one.toml --uses 1 --expires 1h"
    )]
    Issue(IssuePlaceholder),
    /// List the placeholders
    #[command(after_help = "Example:\n  cloakroom placeholder list")]
    List,
    /// Show one placeholder and its policy, not its text
    #[command(after_help = "Example:\n  cloakroom placeholder show ph_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Show {
        /// Id
        id: String,
    },
    /// Revoke a placeholder, at once and for good; or all of a credential or workload
    #[command(
        after_help = "Examples:\n  cloakroom placeholder revoke ph_01HF7YAT00QTXS9F8T1S4ZKZ8M\n  cloakroom placeholder revoke --workload robot\n  cloakroom placeholder revoke --all"
    )]
    Revoke(RevokePlaceholder),
    /// Fetch a placeholder with the code that was shown for it, as its workload, from its workload's machine
    #[command(
        after_help = "Examples:\n  cloakroom placeholder claim cwc_… --broker http://10.0.0.5:8480 --key-file robot.env\n  cloakroom placeholder claim cwc_… < robot.key\n  cloakroom placeholder claim --lookup cwc_… --key-file robot.env\n\nThe workload key comes from stdin, a prompt or a file: the key alone, or a line CLOAKROOM_WORKLOAD_KEY=…"
    )]
    Claim(ClaimPlaceholder),
    /// Refuse a placeholder until it is thawed
    #[command(after_help = "Example:\n  cloakroom placeholder freeze ph_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Freeze {
        /// Id
        id: String,
    },
    /// Let a frozen placeholder count again
    #[command(after_help = "Example:\n  cloakroom placeholder thaw ph_01HF7YAT00QTXS9F8T1S4ZKZ8M")]
    Thaw {
        /// Id
        id: String,
    },
}

/// Options of `placeholder claim`.
#[derive(Args)]
pub(crate) struct ClaimPlaceholder {
    /// The claim code; - reads it from the first line of stdin
    pub(crate) code: String,
    /// Only say what the code is for: when it was made, and who fetched it
    #[arg(long)]
    pub(crate) lookup: bool,
    /// The workload listener: http://ADDRESS:PORT, https://NAME:PORT, or unix:PATH [default: that of the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<String>,
    /// Read the workload key from this file, or from an environment file with CLOAKROOM_WORKLOAD_KEY
    #[arg(long, value_name = "FILE", conflicts_with = "no_key")]
    pub(crate) key_file: Option<PathBuf>,
    /// Show no key: the certificate or the user will do
    #[arg(long)]
    pub(crate) no_key: bool,
    /// Trust this certificate authority, for https [default: ca.pem of the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Show this certificate, for https
    #[arg(long, value_name = "FILE", requires = "cert_key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) cert_key: Option<PathBuf>,
}

/// Which placeholders to revoke.
#[derive(Args)]
#[group(required = true, multiple = false, args = ["id", "credential", "workload", "all"])]
pub(crate) struct RevokePlaceholder {
    /// Id
    pub(crate) id: Option<String>,
    /// All that stand for this credential, by name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) credential: Option<String>,
    /// All that are bound to this workload, by name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// All there are
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct IssuePlaceholder {
    /// Name or id of the credential it stands for
    #[arg(long)]
    pub(crate) credential: String,
    /// Name or id of the workload it is bound to
    #[arg(long)]
    pub(crate) workload: String,
    /// The policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// A placeholder that this one descends from: narrower in everything, with uses taken from it, and ended with it
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// When it begins to count: a span from now, such as 30m or 24h; else at once
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse)]
    pub(crate) not_before: Option<std::time::Duration>,
    /// When it ends: a span such as 90s, 30m, 24h, 30d, 2w; or never [default: 30d, or with its parent]
    #[arg(long, value_name = "SPAN", value_parser = parse_expiry)]
    pub(crate) expires: Option<Expiry>,
    /// The hours of the day in which it counts, in UTC or with an offset: 08:00-18:00, 08:00-18:00+02:00, 22:00-06:00
    #[arg(long, value_name = "HOURS")]
    pub(crate) daily: Option<Hours>,
    /// What its holder has to show, all of it: key, mtls, uid, cid, network, with commas [default: key]
    #[arg(long, value_name = "PROOFS")]
    pub(crate) holder: Option<Proofs>,
    /// When its approval ends, where that is before the placeholder: a span such as 24h [default: as approval.expires says]
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse)]
    pub(crate) approval_expires: Option<std::time::Duration>,
    /// How many calls it is good for; else as many as its policy allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: Option<u32>,
    /// What is done when it is misused, before the misuse is answered: record, freeze or revoke-family
    #[arg(long, value_name = "WORD", default_value = "record")]
    pub(crate) on_misuse: OnMisuse,
    /// Show a code instead, with which its workload fetches the placeholder, once, within this span
    #[arg(long, value_name = "SPAN", value_parser = crate::span::parse, conflicts_with = "variable")]
    pub(crate) wrapped: Option<std::time::Duration>,
    /// Keep the placeholder for "cloakroom run", in this variable of the command's environment
    #[arg(long, value_name = "NAME", value_parser = parse_variable)]
    pub(crate) variable: Option<String>,
    /// The approver who asks, by name; where not-requester is set, that one cannot approve it
    #[arg(long, value_name = "NAME")]
    pub(crate) requester: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum CatalogueCommand {
    /// List the services and the ready-made policies
    #[command(after_help = "Example:\n  cloakroom catalogue list")]
    List,
    /// Show what is known of a service, and where it is written
    #[command(after_help = "Example:\n  cloakroom catalogue show google-gmail")]
    Show {
        /// The service
        service: String,
    },
    /// Print a ready-made policy file
    #[command(
        after_help = "Examples:\n  cloakroom catalogue policy gmail-read-and-draft > mail.toml\n  cloakroom catalogue policy github-one-repo --set owner=octocat --set repo=hello-world > repo.toml"
    )]
    Policy {
        /// The policy
        name: String,
        /// Fill in a parameter; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
        set: Vec<(String, String)>,
    },
}

fn parse_variable(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fine = !text.is_empty() && text.bytes().all(plain) && !text.as_bytes()[0].is_ascii_digit();
    fine.then(|| text.to_owned())
        .ok_or("a variable's name has letters, digits and underscores, such as STRIPE_API_KEY")
}

fn parse_setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write a parameter as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_request(text: &str) -> Result<RequestId, &'static str> {
    let id = text.strip_prefix("urn:cloakroom:request:").unwrap_or(text);
    id.parse().map_err(|_| "a request id has 26 characters of 0-9 and A-Z")
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8480 or [::1]:8480")
}

/// A range of addresses, or one address.
fn parse_range(text: &str) -> Result<IpNet, &'static str> {
    let one = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| one()).map_err(|_| "a range is ADDRESS/BITS, such as 10.20.0.0/16")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        fn options(command: &clap::Command) -> Vec<String> {
            let own = command.get_arguments().filter_map(|a| a.get_long().map(str::to_owned));
            own.chain(command.get_subcommands().flat_map(options)).collect()
        }
        for option in options(&Arguments::command()) {
            assert!(!["secret", "password", "passphrase", "key-text"].contains(&option.as_str()), "{option}");
        }
    }

    #[test]
    fn every_command_has_an_example() {
        fn look(command: &clap::Command) {
            if !command.has_subcommands() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Arguments::command());
    }
}
