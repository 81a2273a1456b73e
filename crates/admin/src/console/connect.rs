//! *Connect a service*: from the catalogue or by hand, by a login at its authorization server or by pasting. What is pasted is sealed in the
//! browser to a key that only custody holds; nothing of the console sees it.

use super::credentials::destinations;
use super::frame::{Section, Sheet, Told, problem};
use super::look::{facts, nothing};
use super::offer::{Offer, OfferedLogin};
use super::viewer::Viewer;
use crate::admin::Admin;
use crate::api::logins::CALLBACK;
use crate::{Problem, ProblemCode};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use cloakroom_model::{CredentialKind, Role};
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

/// What the address asks for. Empty: every service.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    find: String,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Response {
    let sought = wanted.find.trim().to_lowercase();
    let offers = (admin.console.offers)();
    let is_sought =
        |offer: &&Offer| offer.name.contains(&sought) || offer.title.to_lowercase().contains(&sought);
    let found: Vec<&Offer> = offers.iter().filter(is_sought).collect();
    let body = html! {
        p { "Choose the service whose credential the broker shall hold. Workloads get a placeholder in its place." }
        form .inline method="get" role="search" {
            label { "Find a service" input type="search" name="find" value=(wanted.find) data-narrow="offers" autocomplete="off" spellcheck="false"; }
            button { "Find" }
            a .button href="/connect/by-hand" { "Another service, by hand" }
        }
        @if found.is_empty() {
            (nothing("The catalogue knows no such service.", html! {
                p .quiet { "Any service that takes a credential in a call can be " a href="/connect/by-hand" { "connected by hand" } "." }
            }))
        }
        ul .offers #offers {
            @for offer in &found {
                li { a href={ "/connect/" (offer.name) } { b { (offer.title) } span .quiet { (offer.name) @if offer.login.is_some() { " · by login or pasted" } } } }
            }
        }
    };
    Sheet::new(&viewer, Section::Connect, "Connect a service", body).answer()
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    viewer: Viewer,
    Path(service): Path<String>,
) -> Response {
    let offer = (admin.console.offers)().into_iter().find(|offer| offer.name == service);
    if offer.is_none() && service != "by-hand" {
        let none = Problem::new(ProblemCode::NotFound, "the catalogue knows no such service");
        return problem(&viewer, Section::Connect, &none);
    }
    let title = offer
        .as_ref()
        .map_or_else(|| "Connect by hand".to_owned(), |offer| format!("Connect {}", offer.name));
    let may = viewer.may(Role::Operator);
    let redirect = format!("{}{CALLBACK}", admin.ballots.party.origin());
    let body = html! {
        @if let Some(offer) = &offer { (about(offer)) }
        @if !may { p { "Connecting takes the role operator." } } @else {
            noscript {
                p .alarm { "What you paste is sealed in this browser, which needs JavaScript. Without it use the command line, which seals it too:" }
                pre { "cloakroom credential add NAME " (offer.as_ref().map_or_else(|| "--kind KIND --to URL".to_owned(), |offer| format!("--preset {}", offer.name))) }
            }
            div .ways { (paste(offer.as_ref())) (login(offer.as_ref(), &redirect)) }
        }
    };
    let told = Told { intake: may.then(|| admin.custody.intake().public_key), ..Told::default() };
    Sheet::new(&viewer, Section::Connect, &title, body).with_scripts(&["/seal.js"]).telling(told).answer()
}

fn about(offer: &Offer) -> Markup {
    let mut pairs = vec![
        ("Service", html! { (offer.title) }),
        ("May go to", destinations(&offer.destinations)),
        ("In policies", html! { code { "place = \"" (offer.place) "\"" } }),
        ("Its own words", html! { a href=(offer.source) rel="noreferrer noopener" { (offer.source) } }),
    ];
    if let Some(power) = &offer.power {
        pairs.insert(1, ("A credential can do", html! { (power) }));
    }
    if !offer.prefixes.is_empty() {
        pairs.push(("Begins with", html! { code { (offer.prefixes.join(", ")) } }));
    }
    html! {
        (facts(&pairs))
        @if !offer.policies.is_empty() {
            h2 { "Ready-made policies" }
            ul { @for one in &offer.policies { li { a href={ "/policies/new?ready=" (one.name) } { (one.name) } ": " (one.about) } } }
        }
    }
}

fn paste(offer: Option<&Offer>) -> Markup {
    let kind = offer.map_or(CredentialKind::Bearer, |offer| offer.kind);
    let to: Vec<String> =
        offer.map(|offer| offer.destinations.iter().map(ToString::to_string).collect()).unwrap_or_default();
    let pasted = |kind: &&CredentialKind| {
        !matches!(kind, CredentialKind::Oauth | CredentialKind::Sourced | CredentialKind::AwsRole)
    };
    html! {
        form .connect data-connect="paste" hidden {
            h2 { "Paste a credential" }
            label { "Name" input name="name" value=(offer.map_or("", |offer| offer.name)) required pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" autocomplete="off" spellcheck="false"; }
            label { "Kind"
                select name="kind" { @for one in CredentialKind::ALL.iter().filter(pasted) { option value=(one) selected[*one == kind] { (one) } } }
            }
            label { "May go to, one URL a line" textarea name="to" rows=(to.len().clamp(2, 6)) required spellcheck="false" { (to.join("\n")) } }
            label { "The credential itself" input name="secret" type="password" required autocomplete="off" spellcheck="false"; }
            p .quiet { "It is sealed in this browser before it is sent. Where it may go cannot be changed later." }
            button .yes { "Seal and hand over" }
        }
    }
}

fn login(offer: Option<&Offer>, redirect: &str) -> Markup {
    let known: Option<&OfferedLogin> = offer.and_then(|offer| offer.login.as_ref());
    if offer.is_some() && known.is_none() {
        return html! {};
    }
    let to: Vec<String> =
        offer.map(|offer| offer.destinations.iter().map(ToString::to_string).collect()).unwrap_or_default();
    let parameters = known.map(|known| {
        known.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
    });
    html! {
        form .connect data-connect="login" hidden {
            h2 { "Log in" }
            p { "You need an OAuth client at the service. Its redirect URI: " code { (redirect) } }
            label { "Name" input name="name" value=(offer.map_or("", |offer| offer.name)) required pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" autocomplete="off" spellcheck="false"; }
            label { "May go to, one URL a line" textarea name="to" rows=(to.len().clamp(2, 6)) required spellcheck="false" { (to.join("\n")) } }
            label { "Client id" input name="client_id" required autocomplete="off" spellcheck="false"; }
            label { "Client secret, where there is one" input name="client_secret" type="password" autocomplete="off"; }
            label { "Scope" input name="scope" list="scopes" autocomplete="off" spellcheck="false"; }
            @if let Some(known) = known {
                datalist #scopes { @for (scope, what) in &known.scopes { option value=(scope) { (what) } } }
            }
            details open[known.is_none()] {
                summary { "The authorization server" }
                label { "Issuer, where it names its endpoints itself" input name="issuer" inputmode="url" autocomplete="off" spellcheck="false"; }
                label { "Authorization endpoint" input name="authorization_endpoint" value=(known.map_or("", |known| known.authorization.as_str())) inputmode="url" autocomplete="off" spellcheck="false"; }
                label { "Token endpoint" input name="token_endpoint" value=(known.map_or("", |known| known.token.as_str())) inputmode="url" autocomplete="off" spellcheck="false"; }
                label { "Revocation endpoint" input name="revocation_endpoint" value=(known.and_then(|known| known.revocation.as_deref()).unwrap_or_default()) inputmode="url" autocomplete="off" spellcheck="false"; }
                label { "Further parameters, NAME=VALUE a line" textarea name="parameters" rows="2" spellcheck="false" { (parameters.unwrap_or_default()) } }
            }
            button .yes { "Log in at the service" }
        }
    }
}
