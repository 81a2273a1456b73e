//! `cloakroom journal …`: commands, options and examples.

use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// Print the records
    #[command(after_help = "Examples:\n  cloakroom journal show\n  cloakroom journal show --since 1200")]
    Show {
        /// Only records after this sequence number
        #[arg(long, value_name = "N", default_value_t = 0)]
        since: u64,
    },
    /// Verify every record, segment and checkpoint; exit code 3 when one does not hold
    #[command(
        after_help = "Examples:\n  cloakroom journal verify\n  cloakroom journal verify --witness /mnt/witness/checkpoints --key journal.pub\n\nWithout a witness, records cut off the end leave no trace."
    )]
    Verify {
        /// A file with checkpoints that a witness was sent: the journal must still have what they sign
        #[arg(long, value_name = "FILE")]
        witness: Option<PathBuf>,
        /// The journal's public key, kept elsewhere; else key.pub beside the segments
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the latest signed checkpoint; a running broker makes a new one of all it has recorded
    #[command(after_help = "Example:\n  cloakroom journal checkpoint >> /mnt/elsewhere/checkpoints")]
    Checkpoint,
    /// Prove that a record is in the journal: record, place, path in the tree, signed checkpoint
    #[command(
        after_help = "Examples:\n  cloakroom journal prove 01HF0000000000000000000000 > call.tlog-proof\n  cloakroom journal prove 1207\n\nThe id of a call proves its intent, or else the first record that names it. The text is a C2SP tlog-proof."
    )]
    Prove {
        /// A sequence number, or the id of a call, placeholder, credential or workload
        #[arg(value_name = "ID|SEQUENCE")]
        record: String,
    },
    /// Check a proof with the public key alone; exit code 3 when it does not hold
    #[command(
        after_help = "Examples:\n  cloakroom journal check call.tlog-proof --key journal.pub\n  cloakroom journal check later.proof --since old.checkpoint --key journal.pub"
    )]
    Check {
        /// What `prove` or `consistency` printed
        proof: PathBuf,
        /// The journal's public key; else key.pub in the data directory
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// For a proof of `consistency`: the older checkpoint
        #[arg(long, value_name = "OLD")]
        since: Option<PathBuf>,
    },
    /// Prove that one checkpoint continues another; exit code 3 when it does not
    #[command(
        after_help = "Examples:\n  cloakroom journal consistency monday.checkpoint > later.proof\n  cloakroom journal consistency monday.checkpoint tuesday.checkpoint"
    )]
    Consistency {
        /// The older checkpoint
        old: PathBuf,
        /// The newer one; else the latest
        new: Option<PathBuf>,
    },
    /// Print every record for other programs
    #[command(
        after_help = "Examples:\n  cloakroom journal export > journal.jsonl\n  cloakroom journal export --format otel\n  cloakroom journal export --format cef --since 1200"
    )]
    Export {
        /// json: a line of JSON each, with its hash; otel: OpenTelemetry logs as OTLP/JSON, a line a batch; cef: ArcSight lines
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// Only records after this sequence number
        #[arg(long, value_name = "N", default_value_t = 0)]
        since: u64,
    },
}

/// What `export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Json,
    Otel,
    Cef,
}
