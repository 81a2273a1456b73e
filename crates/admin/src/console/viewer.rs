//! Who looks at a page: what they may do decides which buttons it has. That they may is asked again where a button leads.

use crate::identity::Caller;
use crate::peer::Peer;
use crate::{Problem, ProblemCode};
use axum::extract::FromRequestParts;
use cloakroom_model::Role;
use http::request::Parts;
use maud::{Markup, html};

/// Whoever has logged in, as the guard in front of the page found.
pub(super) struct Viewer(Caller);

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or_else(|| Problem::new(ProblemCode::InternalFault, "the page has no guard"))
    }
}

impl Viewer {
    /// Whether this role is among theirs.
    pub(super) fn may(&self, role: Role) -> bool {
        self.0.has(role)
    }

    /// Who asks, where a page does what the API does.
    pub(super) fn caller(&self) -> &Caller {
        &self.0
    }

    /// As it stands in the record.
    pub(super) fn peer(&self) -> Peer {
        self.0.by().clone()
    }

    /// Who it is, and the way out.
    pub(super) fn corner(&self) -> Markup {
        html! {
            form .corner method="post" action="/logout" {
                span title=(self.0.roles()) { (self.0.by()) }
                button .small { "Log out" }
            }
        }
    }
}
