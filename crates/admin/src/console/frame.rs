//! The frame around every page of the console: what it may run, where it stands among the others, and a *no* in the same clothes. Text
//! nodes only, nothing inline (T81).

use super::look::complaint;
use super::viewer::Viewer;
use crate::Problem;
use axum::response::{IntoResponse, Response};
use cloakroom_policy::RelyingParty;
use http::{HeaderName, HeaderValue, header};
use maud::{DOCTYPE, Markup, html};

/// What pages may do: run our scripts, speak to the console, send forms to it. No inline code, no frame, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// No frame and no other page may ask for passkeys here.
const PERMISSIONS: (HeaderName, &str) = (
    HeaderName::from_static("permissions-policy"),
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
);

/// The pages, as the navigation names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Inbox,
    Credentials,
    Placeholders,
    Policies,
    Activity,
    Connect,
    Workloads,
    Health,
}

const SECTIONS: [(Section, &str, &str); 8] = [
    (Section::Inbox, "/inbox", "Inbox"),
    (Section::Activity, "/activity", "Activity"),
    (Section::Placeholders, "/placeholders", "Placeholders"),
    (Section::Policies, "/policies", "Policies"),
    (Section::Credentials, "/credentials", "Credentials"),
    (Section::Workloads, "/workloads", "Workloads"),
    (Section::Connect, "/connect", "Connect"),
    (Section::Health, "/status", "Health"),
];

/// One page: its title, where it stands, what is in it, and the scripts it runs.
pub(super) struct Sheet<'a> {
    viewer: &'a Viewer,
    section: Section,
    title: &'a str,
    body: Markup,
    scripts: &'a [&'static str],
    told: Told,
}

/// Attributes of `main`, for scripts.
#[derive(Default)]
pub(super) struct Told {
    /// Where passkeys are good.
    pub(super) origin: Option<String>,
    pub(super) rp_id: Option<String>,
    /// The ids of approvers' passkeys at their authenticators, with blanks between.
    pub(super) passkeys: Option<String>,
    /// Where what a passkey says is handed in.
    pub(super) path: Option<String>,
    /// The public key that secrets are sealed to.
    pub(super) intake: Option<String>,
    /// What a new passkey signs, and whose it is.
    pub(super) challenge: Option<String>,
    pub(super) name: Option<String>,
    /// Where a log-in leads.
    pub(super) next: Option<String>,
    /// The half of a session that has just begun.
    pub(super) half: Option<String>,
}

impl Told {
    /// Where passkeys are good.
    pub(super) fn of(party: &RelyingParty) -> Self {
        Self {
            origin: Some(party.origin().to_owned()),
            rp_id: Some(party.id().to_owned()),
            ..Self::default()
        }
    }
}

impl<'a> Sheet<'a> {
    /// A page without scripts of its own.
    pub(super) fn new(viewer: &'a Viewer, section: Section, title: &'a str, body: Markup) -> Self {
        Self { viewer, section, title, body, scripts: &[], told: Told::default() }
    }

    /// Runs these besides.
    pub(super) fn with_scripts(self, scripts: &'a [&'static str]) -> Self {
        Self { scripts, ..self }
    }

    /// Tells its scripts this.
    pub(super) fn telling(self, told: Told) -> Self {
        Self { told, ..self }
    }

    pub(super) fn answer(self) -> Response {
        fenced(self.markup())
    }

    fn markup(self) -> Markup {
        let Self { viewer, section, title, body, scripts, told } = self;
        let shown = html! {
            a .skip href="#main" { "Skip to the content" }
            header .bar {
                a .brand href="/inbox" { "Cloakroom" }
                (navigation(section, viewer.waiting()))
                (viewer.corner())
            }
            (main_of(title, None, told, body))
        };
        document(title, scripts, shown)
    }
}

/// The content of a page, and the line in which scripts say what came of something.
pub(super) fn main_of(title: &str, class: Option<&str>, told: Told, body: Markup) -> Markup {
    let Told { origin, rp_id, passkeys, path, intake, challenge, name, next, half } = told;
    html! {
        main #main class=[class] tabindex="-1" data-origin=[origin] data-rp-id=[rp_id] data-passkeys=[passkeys]
            data-path=[path] data-intake=[intake] data-challenge=[challenge] data-name=[name] data-next=[next] data-half=[half] {
            h1 { (title) }
            (body)
            p #said role="status" {}
        }
    }
}

fn navigation(section: Section, waiting: usize) -> Markup {
    html! {
        nav aria-label="Pages" {
            @for (one, path, name) in SECTIONS {
                a href=(path) aria-current=[(one == section).then_some("page")] {
                    (name)
                    @if one == Section::Inbox {
                        " "
                        span #waiting .badge hidden[waiting == 0] data-live="inbox" {
                            (waiting) span .quiet-label { " waiting" }
                        }
                    }
                }
            }
        }
    }
}

/// A whole document around a body. `session.js` and `console.js` run in each.
pub(super) fn document(title: &str, scripts: &[&'static str], body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Cloakroom" }
                link rel="stylesheet" href="/console.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
                script src="/session.js" defer {}
                script src="/console.js" defer {}
                @for script in scripts { script src=(script) defer {} }
            }
            body { (body) }
        }
    }
}

/// A document with what it may do.
pub(super) fn fenced(document: Markup) -> Response {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    let mut answer = ([kind, PERMISSIONS], document.into_string()).into_response();
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // COMPAT: with no referrer at all, browsers also keep the origin of a form to themselves (Fetch, 3.2).
    answer.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// What a page came to, or a *no* for eyes, in the frame of the page that was asked for.
pub(super) fn answered(viewer: &Viewer, section: Section, page: Result<Response, Problem>) -> Response {
    page.unwrap_or_else(|problem| self::problem(viewer, section, &problem))
}

/// A *no*, for eyes.
pub(super) fn problem(viewer: &Viewer, section: Section, problem: &Problem) -> Response {
    let title = problem.document().title;
    let body = html! { (complaint(problem)) p .links { a .button href="/inbox" { "To the inbox" } } };
    with_status(Sheet::new(viewer, section, &title, body).answer(), problem)
}

/// The answer with the status of what is wrong.
pub(super) fn with_status(mut answer: Response, problem: &Problem) -> Response {
    *answer.status_mut() = problem.code().status();
    answer
}
