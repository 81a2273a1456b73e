//! A page for whoever has not logged in, or need not: one card, one thing to do. Text nodes only, nothing inline (T81).

use super::frame::{Told, document, fenced, main_of, with_status};
use super::look::complaint;
use crate::Problem;
use axum::response::Response;
use cloakroom_policy::RelyingParty;
use maud::{Markup, html};

/// A page with what its script is told, and what it shows.
pub(super) fn page(title: &str, told: Told, body: Body) -> Response {
    let scripts: &[_] = if told.origin.is_some() { &["/passkey.js"] } else { &[] };
    let shown = html! {
        header .bar { a .brand href="/inbox" { "Cloakroom" } }
        (main_of(title, Some("card"), told, html! { @for part in body.0 { (part) } }))
    };
    fenced(document(title, scripts, shown))
}

/// A page that keeps the half of a session that has just begun, and leads on to a path of the console by itself. A redirect would not do:
/// what another site has begun goes on without the strict cookie of the session.
pub(super) fn onward(title: &str, party: &RelyingParty, half: String, to: String) -> Response {
    let body = Body::default().link("onward", &to, "Go on");
    page(title, Told { half: Some(half), next: Some(to), ..Told::of(party) }, body)
}

/// A *no*, for eyes.
pub(super) fn refusal(problem: &Problem) -> Response {
    let title = problem.document().title;
    let body = Body::default()
        .and(complaint(problem))
        .and(html! { p .links { a href="/inbox" { "To the console" } } });
    with_status(page(&title, Told::default(), body), problem)
}

/// What a page shows, from top to bottom.
#[derive(Default)]
pub(super) struct Body(Vec<Markup>);

impl Body {
    /// And this.
    pub(super) fn and(mut self, part: Markup) -> Self {
        self.0.push(part);
        self
    }

    pub(super) fn words(self, words: &str) -> Self {
        self.and(html! { p { (words) } })
    }

    /// The text that is signed, to the byte: a parser drops only a first line break, and there is none.
    pub(super) fn text(self, text: &str) -> Self {
        self.and(html! { pre #text .canonical tabindex="0" aria-label="The text that is signed" { (text) } })
    }

    /// Lines that are no part of what is signed.
    pub(super) fn lines(self, lines: &[String]) -> Self {
        self.and(html! { ul .remarks { @for line in lines { li { (line) } } } })
    }

    pub(super) fn labelled(self, label: &str, id: &str, value: &str) -> Self {
        self.and(html! { p { (label) ": " code id=(id) { (value) } } })
    }

    /// A button that sends an empty form. `session.js` adds what says that it comes from a page of this session.
    pub(super) fn form(self, to: &'static str, words: &'static str) -> Self {
        self.and(html! {
            form method="post" action=(to) { button { (words) } }
        })
    }

    /// A way to another page of the console.
    pub(super) fn link(self, id: &'static str, to: &str, words: &str) -> Self {
        self.and(html! { p .links { a id=(id) href=(to) { (words) } } })
    }

    /// The one thing to do here.
    pub(super) fn button(self, act: &'static str, words: &'static str) -> Self {
        self.and(html! { button .yes type="button" data-act=(act) { (words) } })
    }

    /// Beside it, the opposite.
    pub(super) fn other_button(self, act: &'static str, words: &'static str) -> Self {
        self.and(html! { " " button .no type="button" data-act=(act) { (words) } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t81_no_text_becomes_a_tag_or_leaves_its_attribute() {
        let hostile = "<script>alert(1)</script>\"><img src='x'>";
        let body = Body::default()
            .words(hostile)
            .text(hostile)
            .lines(&[hostile.to_owned()])
            .labelled(hostile, hostile, hostile);
        let html: String = body.0.into_iter().map(Markup::into_string).collect();
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert_eq!(html.matches("&quot;&gt;&lt;img").count(), 6, "each time: {html}");
    }
}
