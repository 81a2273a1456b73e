//! What a policy needs of a GitHub App's installation: which repositories, and which permissions there.
//!
//! Facts: <https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>. Only what stands there without doubt is in
//! the table. Where a policy has a call that is not in it, its permissions are not narrowed; where it has a path that names no one
//! repository, nothing is.

use crate::Policy;
use crate::template::{Piece, Template};
use std::collections::{BTreeMap, BTreeSet};

/// What an installation's access token may be narrowed to, so that all that a policy permits still works.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Narrowing {
    /// Names of repositories, without their owner: an installation has one.
    pub repositories: BTreeSet<String>,
    /// Permissions by their names in GitHub's API; `None` where it is not known which are needed.
    pub permissions: Option<BTreeMap<&'static str, Access>>,
}

/// How much of a permission is needed. The larger one includes the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// `read`
    Read,
    /// `write`
    Write,
}

impl Access {
    /// As GitHub's API says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Policy {
    /// What this policy needs of a GitHub App's installation; `None` where some call names no one repository, or the repositories are
    /// of several owners.
    pub fn narrowing(&self) -> Option<Narrowing> {
        let mut owners = BTreeSet::new();
        let mut repositories = BTreeSet::new();
        let mut permissions = Some(BTreeMap::new());
        // A captured token is no installation's.
        let own = self.permits().iter().filter(|permit| permit.tokens.presents.is_none());
        for call in own.flat_map(|permit| &permit.calls) {
            let (owner, name, needed) = repository(call)?;
            owners.insert(owner.to_ascii_lowercase());
            repositories.insert(name.to_owned());
            permissions = permissions.zip(needed).map(|(mut all, needed): (BTreeMap<_, _>, Vec<_>)| {
                for (name, access) in needed {
                    let known = all.entry(name).or_insert(access);
                    *known = access.max(*known);
                }
                all
            });
        }
        (owners.len() == 1).then_some(Narrowing { repositories, permissions })
    }
}

type Needed = Vec<(&'static str, Access)>;

/// Owner and name of the one repository that a call is about, and the permissions that it needs where that is known.
fn repository(call: &Template) -> Option<(&str, &str, Option<Needed>)> {
    let pieces = call.pieces();
    // GitHub Enterprise Server has the API below a path.
    let api = match (literal(pieces, 0), literal(pieces, 1)) {
        (Some("api"), Some("v3")) => &pieces[2..],
        _ => pieces,
    };
    if literal(api, 0) == Some("repos") {
        let (owner, name) = (literal(api, 1)?, literal(api, 2)?);
        return Some((owner, name, of_api(call.method(), &api[3..])));
    }
    // Git over HTTPS: /OWNER/NAME.git/git-upload-pack
    let name = literal(pieces, 1)?.strip_suffix(".git").filter(|name| !name.is_empty())?;
    Some((literal(pieces, 0)?, name, of_git(&pieces[2..])))
}

fn literal(pieces: &[Piece], at: usize) -> Option<&str> {
    match pieces.get(at)? {
        Piece::Literal(text) => Some(text),
        Piece::One(_) | Piece::Tail(_) => None,
    }
}

fn of_git(rest: &[Piece]) -> Option<Needed> {
    match literal(rest, 0)? {
        "info" | "git-upload-pack" => Some(vec![("contents", Access::Read)]),
        "git-receive-pack" => Some(vec![("contents", Access::Write)]),
        _ => None,
    }
}

fn of_api(method: &str, rest: &[Piece]) -> Option<Needed> {
    let reads = matches!(method, "GET" | "HEAD");
    let access = if reads { Access::Read } else { Access::Write };
    // A segment that may be anything can be a call that needs another permission.
    let second_is_open = rest.len() > 1 && literal(rest, 1).is_none();
    let only = |name| Some(vec![(name, access)]);
    if rest.is_empty() {
        return if reads { only("metadata") } else { only("administration") };
    }
    match literal(rest, 0)? {
        "issues" | "labels" | "milestones" => only("issues"),
        "pulls" => Some(match literal(rest, 2) {
            // Merging writes to the branch.
            Some("merge" | "update-branch") if !reads => {
                vec![("pull_requests", Access::Write), ("contents", Access::Write)]
            }
            None if rest.len() > 2 => return None,
            _ => vec![("pull_requests", access)],
        }),
        "contents" | "git" | "releases" => only("contents"),
        "commits" if reads => match literal(rest, 2) {
            None if rest.len() <= 2 && !matches!(rest.get(1), Some(Piece::Tail(_))) => only("contents"),
            Some("status" | "statuses") => only("statuses"),
            Some("check-runs" | "check-suites") => only("checks"),
            _ => None,
        },
        "branches" if reads && rest.len() <= 2 && !matches!(rest.get(1), Some(Piece::Tail(_))) => {
            only("contents")
        }
        "compare" | "readme" | "tarball" | "zipball" if reads => only("contents"),
        "languages" | "contributors" if reads => only("metadata"),
        "statuses" if !reads => only("statuses"),
        "check-runs" | "check-suites" => only("checks"),
        "deployments" => only("deployments"),
        "hooks" => only("repository_hooks"),
        "actions" if second_is_open => None,
        "actions" => match literal(rest, 1)? {
            "secrets" => only("secrets"),
            "variables" => only("actions_variables"),
            "runs" | "jobs" | "artifacts" | "workflows" | "caches" => only("actions"),
            _ => None,
        },
        _ => None,
    }
}
