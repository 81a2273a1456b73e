//! What policies need of a GitHub App's installation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_policy::{Narrowing, Policy};

fn narrowing(calls: &[&str]) -> Option<Narrowing> {
    let calls: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
    let text = format!(
        "version = 1\n[[permit]]\nto = \"https://api.github.com\"\nplace = \"header authorization bearer\"\ncall = [{}]\n",
        calls.join(", ")
    );
    Policy::parse("p.toml", &text).unwrap().narrowing()
}

fn words(calls: &[&str]) -> String {
    let Some(narrowing) = narrowing(calls) else { return "nothing".into() };
    let repositories: Vec<String> = narrowing.repositories.into_iter().collect();
    let permissions = narrowing.permissions.map_or("any".into(), |permissions| {
        let all: Vec<String> =
            permissions.iter().map(|(name, access)| format!("{name}={}", access.as_str())).collect();
        all.join(" ")
    });
    format!("{}: {permissions}", repositories.join(" "))
}

#[test]
fn a_policy_says_which_repositories_and_permissions_it_needs() {
    for (calls, expected) in [
        (&["GET /repos/octo/demo/issues", "GET /repos/octo/demo/issues/{number}"][..], "demo: issues=read"),
        (&["GET /repos/octo/demo/issues", "POST /repos/octo/demo/issues"], "demo: issues=write"),
        (
            &["GET /repos/octo/demo", "GET /repos/Octo/other/pulls"],
            "demo other: metadata=read pull_requests=read",
        ),
        (&["PUT /repos/octo/demo/pulls/{n}/merge"], "demo: contents=write pull_requests=write"),
        (&["GET /api/v3/repos/octo/demo/contents/{path...}"], "demo: contents=read"),
        (&["GET /octo/demo.git/info/refs", "POST /octo/demo.git/git-upload-pack"], "demo: contents=read"),
        (&["POST /octo/demo.git/git-receive-pack"], "demo: contents=write"),
        (&["GET /repos/octo/demo/commits/{ref}/check-runs"], "demo: checks=read"),
        // What the table does not know leaves the permissions as they are.
        (&["GET /repos/octo/demo/issues", "GET /repos/octo/demo/codespaces"], "demo: any"),
        (&["GET /repos/octo/demo/{path...}"], "demo: any"),
        (&["PUT /repos/octo/demo/pulls/{n}/{what}"], "demo: any"),
        (&["GET /repos/octo/demo/commits/{path...}"], "demo: any"),
        // What names no one repository, or those of two owners, leaves all as it is.
        (&["GET /repos/octo/demo/issues", "GET /search/issues"], "nothing"),
        (&["GET /repos/octo/{name}/issues"], "nothing"),
        (&["GET /repos/octo/demo/issues", "GET /repos/other/demo/issues"], "nothing"),
        (&["POST /graphql"], "nothing"),
    ] {
        assert_eq!(words(calls), expected, "{calls:?}");
    }
}
