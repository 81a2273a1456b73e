//! Options of `mcp`.

use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Options of `mcp`.
#[derive(Args)]
pub(crate) struct McpArguments {
    /// The broker's workload listener: http://ADDRESS:PORT, https://NAME:PORT or unix:PATH [default: that of the data directory]
    #[arg(long, value_name = "URL", env = "CLOAKROOM_URL")]
    pub(crate) url: Option<String>,
    /// Read the workload key from this file [default: the variable CLOAKROOM_KEY]
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    pub(crate) key_file: Option<PathBuf>,
    /// The certificate authority of the listener, where it speaks TLS [default: the broker's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Show this certificate, for https
    #[arg(long, value_name = "FILE", requires = "cert_key", conflicts_with = "http")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) cert_key: Option<PathBuf>,
    /// Serve streamable HTTP at this address of this machine instead; each request shows its workload key
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
}
