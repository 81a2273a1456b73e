use super::files::{POLICIES, SERVICES};
use super::*;
use cloakroom_policy::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn names_in(directory: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue").join(directory);
    let names = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str().unwrap().strip_suffix(".toml").map(str::to_owned)).collect()
}

fn listed(files: &[(&str, &str)]) -> BTreeSet<String> {
    files.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn every_data_file_is_built_in() {
    assert_eq!(listed(SERVICES), names_in(""));
    assert_eq!(listed(POLICIES), names_in("policies"));
    assert!(SERVICES.len() >= 40, "{}", SERVICES.len());
}

#[test]
fn every_service_can_be_read_and_names_where_its_facts_are_written() {
    for name in services() {
        let known = service(name).unwrap();
        assert!(!known.title.is_empty() && !known.destinations.is_empty(), "{name}");
        assert!(!known.place.is_in_url(), "{name}: a credential in a URL ends up in logs");
        let sources = &known.sources;
        let variables = !known.environment.is_empty() || !known.base_url.is_empty();
        assert_eq!(sources.environment.is_some(), variables, "{name}: source of environment variables");
        assert_eq!(sources.reads.is_some(), !known.reads.is_empty(), "{name}: source of reads");
        assert_eq!(sources.speaks.is_some(), !known.speaks.is_empty(), "{name}: source of speaks");
        assert_eq!(sources.power.is_some(), known.power.is_some(), "{name}: source of power");
        assert_eq!(sources.oauth.is_some(), known.oauth.is_some(), "{name}: source of oauth");
        let pages = [Some(&sources.credential), sources.environment.as_ref(), sources.reads.as_ref()];
        let later = [sources.speaks.as_ref(), sources.power.as_ref(), sources.oauth.as_ref()];
        for page in pages.into_iter().flatten().chain(later.into_iter().flatten()) {
            assert!(page.starts_with("https://"), "{name}: {page}");
        }
    }
}

#[test]
fn endpoints_are_https_and_facts_are_well_formed() {
    for name in services() {
        let known = service(name).unwrap();
        for oauth in known.oauth.iter() {
            let optional = [oauth.device.as_ref(), oauth.revocation.as_ref()];
            for url in optional.into_iter().flatten().chain([&oauth.authorization, &oauth.token]) {
                let (to, path) = url.split_at(url[8..].find('/').map_or(url.len(), |slash| slash + 8));
                assert!(
                    to.parse::<cloakroom_model::Destination>().is_ok() && path.len() > 1,
                    "{name}: {url}"
                );
                assert!(to.starts_with("https://"), "{name}: {url}");
            }
        }
        for variable in known.environment.iter().chain(&known.base_url) {
            assert!(variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}: {variable}");
        }
        for prefix in &known.prefixes {
            assert!(
                (2..=20).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_graphic()),
                "{name}"
            );
        }
        let permit = |call: &str, more: &str| {
            let to = known.destinations[0].to_string();
            let place = &known.place;
            let file = format!(
                "version = 1\n[[permit]]\nto = {to:?}\ncall = {call:?}\nplace = '''{place}'''\n{more}\n"
            );
            assert!(Policy::parse(name, &file).is_ok(), "{name}: {call} {more}");
        };
        known.reads.iter().for_each(|call| permit(call, &format!("reads = [{call:?}]")));
        known.speaks.iter().for_each(|(call, protocol)| permit(call, &format!("speaks = {protocol:?}")));
    }
}

#[test]
fn every_ready_made_policy_is_a_policy_for_its_service() {
    for name in ready_made() {
        let ready = ready(name).unwrap();
        let of = service(&ready.service).unwrap();
        assert!(ready.source.starts_with("https://") && !ready.about.is_empty(), "{name}");
        let values = ready.parameters.keys().map(|key| (key.clone(), "x1".to_owned())).collect();
        let text = ready.filled(&values).unwrap();
        let policy = Policy::parse(name, &text).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        for destination in policy.destinations() {
            assert!(of.destinations.contains(&destination), "{name}: {destination}");
        }
        for parameter in ready.parameters.keys() {
            assert!(ready.policy.contains(&format!("<{parameter}>")), "{name}: {parameter} is not used");
        }
    }
}

#[test]
fn reading_and_drafting_is_not_sending() {
    let text = ready("gmail-read-and-draft").unwrap().filled(&BTreeMap::new()).unwrap();
    let policy = Policy::parse("gmail", &text).unwrap();
    let allowed = |method: &str, path: &str| {
        let url = format!("https://gmail.googleapis.com/gmail/v1/users/me{path}");
        policy.explain(method, &url).unwrap().iter().any(|permit| permit.allowed)
    };
    assert!(allowed("GET", "/messages") && allowed("POST", "/drafts") && allowed("PUT", "/drafts/d1"));
    assert!(!allowed("POST", "/messages/send") && !allowed("POST", "/drafts/send"));
    assert!(!allowed("DELETE", "/messages/m1") && !allowed("POST", "/settings/forwardingAddresses"));
}

#[test]
fn one_repository_is_one_repository() {
    let values = BTreeMap::from([("owner".into(), "octo".into()), ("repo".into(), "hello".into())]);
    let policy =
        Policy::parse("github", &ready("github-one-repo").unwrap().filled(&values).unwrap()).unwrap();
    let allowed = |method: &str, path: &str| {
        policy.explain(method, &format!("https://api.github.com{path}")).unwrap().iter().any(|p| p.allowed)
    };
    assert!(allowed("GET", "/repos/octo/hello/contents/README.md"));
    assert!(allowed("POST", "/repos/octo/hello/issues"));
    assert!(!allowed("GET", "/repos/octo/other") && !allowed("GET", "/user/repos"));
    assert!(
        !allowed("PUT", "/repos/octo/hello/contents/README.md") && !allowed("DELETE", "/repos/octo/hello")
    );
}

#[test]
fn a_parameter_cannot_leave_its_quotes_or_its_segment() {
    let ready = ready("github-one-repo").unwrap();
    let with = |owner: &str| {
        ready.filled(&BTreeMap::from([("owner".into(), owner.into()), ("repo".into(), "hello".into())]))
    };
    assert!(with("octo-1.x").is_ok());
    for bad in ["", "a/b", "..", "{x}", "a\"", "a\n", "<repo>", "a%2fb", " a", "é"] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
    let missing = ready.filled(&BTreeMap::new()).unwrap_err();
    assert_eq!(missing.hint(), Some("add --set owner=VALUE"));
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    assert_eq!(service("githbu").unwrap_err().hint(), Some("did you mean \"github\"?"));
    assert_eq!(ready("stripe-raed").unwrap_err().hint(), Some("did you mean \"stripe-read\"?"));
}

#[test]
fn t35_no_ready_made_policy_reaches_an_endpoint_that_takes_many_operations() {
    let mut judged = 0;
    for name in ready_made() {
        let ready = ready(name).unwrap();
        let values = ready.parameters.keys().map(|key| (key.clone(), "x1".to_owned())).collect();
        let policy = Policy::parse(name, &ready.filled(&values).unwrap()).unwrap();
        for to in policy.destinations() {
            for path in [
                "/graphql",
                "/batch",
                "/$batch",
                "/v1.0/$batch",
                "/batch/gmail/v1",
                "/api/graphql",
                "/v1/batch",
            ] {
                let explained = policy.explain("POST", &format!("{to}{path}")).unwrap();
                // Where it is written out, the permit says what is spoken there.
                let declared =
                    ready.policy.contains(&format!("\"POST {path}\"")) && ready.policy.contains("speaks = ");
                assert!(declared || explained.iter().all(|one| !one.allowed), "{name}: POST {to}{path}");
                judged += 1;
            }
        }
    }
    assert!(judged > 100, "{judged}");
}

#[test]
fn t35_the_endpoints_that_the_catalogue_knows_are_reached_only_where_they_are_written_out() {
    let mut judged = 0;
    for name in services() {
        let known = service(name).unwrap();
        for call in known.speaks.keys() {
            let path = call.strip_prefix("POST ").unwrap();
            let permit = |calls: &str| {
                let file = format!(
                    "version = 1\n[[permit]]\nto = \"{}\"\ncall = {calls}\nplace = \"header x\"\n",
                    known.destinations[0]
                );
                Policy::parse(name, &file)
                    .unwrap()
                    .explain("POST", &format!("{}{path}", known.destinations[0]))
                    .unwrap()[0]
                    .allowed
            };
            assert!(
                !permit("[\"POST /{rest...}\", \"POST /api/{rest...}\", \"POST /{one}\"]"),
                "{name}: {call}"
            );
            assert!(permit(&format!("{call:?}")), "{name}: {call}");
            judged += 1;
        }
    }
    assert!(judged >= 3, "{judged}");
}

#[test]
fn what_is_known_at_a_destination_comes_from_all_its_files() {
    let at = |to: &str| known_at(&to.parse().unwrap());
    assert_eq!(at("https://api.example.com"), None);
    let github = at("https://api.github.com").unwrap();
    assert!(github.power.unwrap().contains("repositor"));
    assert_eq!(github.speaks, [("POST /graphql".to_owned(), "graphql".to_owned())]);
    let microsoft = at("https://graph.microsoft.com").unwrap();
    assert!(microsoft.title.contains("mail") && microsoft.title.contains("calendar"), "{}", microsoft.title);
}
