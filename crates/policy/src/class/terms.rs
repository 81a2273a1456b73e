//! What a permit says about reading and writing: the protocol that the destination speaks, and what is known of its calls.

use crate::template::Template;
use cloakroom_model::{Call, Path};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The part of a permit that tells reads from writes. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    #[serde(default, skip_serializing_if = "Speaks::is_http")]
    pub(crate) speaks: Speaks,
    /// What only reads, although method or protocol do not say so.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) reads: BTreeSet<Known>,
    /// What writes, although method or protocol say otherwise.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) writes: BTreeSet<Known>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refuse: Option<Refuse>,
}

/// What a body means at the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Speaks {
    /// Nothing that is known: the method alone says something.
    #[default]
    Http,
    /// GraphQL over HTTP.
    #[serde(rename = "graphql")]
    GraphQl,
    /// JSON-RPC 2.0; its methods are known only where the permit lists them.
    JsonRpc,
    /// The Model Context Protocol: JSON-RPC with methods that its specification names.
    Mcp,
    /// `Action=` in a form or query, or `X-Amz-Target`, as AWS's older services take them.
    Aws,
}

/// Calls that are refused although the permit's shape allows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refuse {
    /// Those that write.
    Writes,
}

/// One thing that is known to read or to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Known {
    /// `POST /v1/search`: every call of this shape.
    Call(Template),
    /// `method eth_call`: a JSON-RPC method.
    Method(Box<str>),
    /// `tool search`: an MCP tool.
    Tool(Box<str>),
    /// `action BatchGetItem`: an action of AWS.
    Action(Box<str>),
}

impl Terms {
    /// Whether nothing is said, so that no call need be classified.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a body has to be read to classify a call.
    pub(crate) fn looks_inside(&self) -> bool {
        // A listed call is no read where its body names another method.
        self.speaks != Speaks::Http || self.reads.iter().any(|known| matches!(known, Known::Call(_)))
    }

    pub(crate) fn says_read(&self, call: &Call) -> bool {
        lists(&self.reads, call.method.as_str(), &call.path)
    }

    pub(crate) fn says_write(&self, call: &Call) -> bool {
        // SECURITY: most servers do not mind a slash at the end, and answer a HEAD as they do a GET, so that neither makes a read.
        let method = if call.method == http::Method::HEAD { "GET" } else { call.method.as_str() };
        let as_it_came = |path: &Path| {
            lists(&self.writes, call.method.as_str(), path) || lists(&self.writes, method, path)
        };
        as_it_came(&call.path) || other_end(&call.path).is_some_and(|path| as_it_came(&path))
    }
}

fn lists(known: &BTreeSet<Known>, method: &str, path: &Path) -> bool {
    known.iter().any(|known| {
        matches!(known, Known::Call(template) if template.method() == method && template.matches_path(path))
    })
}

/// The path with a slash at its end where it has none, and without where it has one.
fn other_end(path: &Path) -> Option<Path> {
    let text = path.encoded();
    let other = text.strip_suffix('/').map_or_else(|| format!("{text}/"), str::to_owned);
    Path::parse(&other).ok()
}

impl Speaks {
    pub(crate) const ALL: [Self; 5] = [Self::Http, Self::GraphQl, Self::JsonRpc, Self::Mcp, Self::Aws];

    fn is_http(&self) -> bool {
        *self == Self::Http
    }

    /// As policy files write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::GraphQl => "graphql",
            Self::JsonRpc => "json-rpc",
            Self::Mcp => "mcp",
            Self::Aws => "aws",
        }
    }
}

impl Known {
    /// Parses `METHOD /path`, `method NAME`, `tool NAME` or `action NAME`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
        let name_of = || {
            let shown = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
            let valid = (1..=128).contains(&name.len()) && name.bytes().all(shown);
            if valid {
                Ok(name.into())
            } else {
                Err(format!("{name:?} is not a name: printable ASCII, no blanks"))
            }
        };
        match kind {
            "method" => name_of().map(Self::Method),
            "tool" => name_of().map(Self::Tool),
            "action" => name_of().map(Self::Action),
            _ => Template::parse(text).map(Self::Call).map_err(|error| error.to_string()),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(template) => template.fmt(f),
            Self::Method(name) => write!(f, "method {name}"),
            Self::Tool(name) => write!(f, "tool {name}"),
            Self::Action(name) => write!(f, "action {name}"),
        }
    }
}

impl TryFrom<String> for Known {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Known> for String {
    fn from(known: Known) -> Self {
        known.to_string()
    }
}
