//! Who looks at a page: what they may do decides which buttons it has. That they may is asked again where a button leads.

use crate::admin::Admin;
use crate::identity::Caller;
use crate::peer::Peer;
use crate::{Problem, ProblemCode};
use axum::extract::FromRequestParts;
use cloakroom_model::Role;
use http::request::Parts;
use maud::{Markup, html};
use std::sync::Arc;

/// Whoever has logged in, as the guard in front of the page found.
pub(super) struct Viewer {
    caller: Caller,
    admin: Arc<Admin>,
}

impl FromRequestParts<Arc<Admin>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller =
            caller.ok_or_else(|| Problem::new(ProblemCode::InternalFault, "the page has no guard"))?;
        Ok(Self { caller, admin: Arc::clone(admin) })
    }
}

impl Viewer {
    /// Whether this role is among theirs.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.has(role)
    }

    /// How many things wait for a human.
    pub(super) fn waiting(&self) -> usize {
        self.admin.waiting().len()
    }

    /// Who asks, where a page does what the API does.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// As it stands in the record.
    pub(super) fn peer(&self) -> Peer {
        self.caller.by().clone()
    }

    fn name(&self) -> String {
        match self.caller.by() {
            Peer::Person(name) => name.to_string(),
            other => other.to_string(),
        }
    }

    /// Who it is, and the way out.
    pub(super) fn corner(&self) -> Markup {
        html! {
            form .corner method="post" action="/logout" {
                a href="/account" title={ "may act as " (self.caller.roles()) } { (self.name()) }
                button .small { "Log out" }
            }
        }
    }
}
