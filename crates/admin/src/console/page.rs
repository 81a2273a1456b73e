//! A page of the console: text nodes only, one script of our own, nothing inline (T81).

use crate::Problem;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use std::fmt::Write;

/// What the pages with a script may do: run it, and speak to the console. No inline code, no frame, no form to anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";
/// No frame and no other page may ask for passkeys here.
const PERMISSIONS: (HeaderName, &str) = (
    HeaderName::from_static("permissions-policy"),
    "publickey-credentials-get=(self), publickey-credentials-create=(self)",
);

/// A page with what its script is told, and what it shows.
pub(super) fn page(title: &str, told: &[(&str, &str)], body: &Body) -> Response {
    let attributes = told.iter().fold(String::new(), |mut attributes, (name, value)| {
        // Writing to a String does not fail.
        let _ = write!(attributes, " data-{name}=\"{}\"", escaped(value));
        attributes
    });
    let (title, body) = (escaped(title), &body.0);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} - Cloakroom</title>\n\
         <link rel=\"stylesheet\" href=\"/console.css\">\n<main{attributes}>\n<h1>{title}</h1>\n{body}\
         <p id=\"said\" role=\"status\"></p>\n</main>\n<script src=\"/session.js\"></script>\n<script src=\"/passkey.js\"></script>\n</html>\n"
    );
    let mut answer =
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), PERMISSIONS], html).into_response();
    // COMPAT: with no referrer at all, browsers also keep the origin of a form to themselves (Fetch, 3.2).
    answer.headers_mut().insert(header::REFERRER_POLICY, http::HeaderValue::from_static("same-origin"));
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, http::HeaderValue::from_static(POLICY));
    answer
}

/// A *no*, for eyes.
pub(super) fn refusal(problem: &Problem) -> Response {
    let document = problem.document();
    let body = Body::default().words(&document.detail).words(&document.hint);
    let mut answer = page(&document.title, &[], &body);
    *answer.status_mut() = StatusCode::from_u16(document.status).unwrap_or(StatusCode::BAD_REQUEST);
    answer
}

/// What a page shows: every text goes through `escaped`.
#[derive(Default)]
pub(super) struct Body(String);

impl Body {
    pub(super) fn words(mut self, words: &str) -> Self {
        let _ = writeln!(self.0, "<p>{}</p>", escaped(words));
        self
    }

    /// The text that is signed, to the byte: a parser drops only a first line break, and there is none.
    pub(super) fn text(mut self, text: &str) -> Self {
        let _ = writeln!(self.0, "<pre id=\"text\">{}</pre>", escaped(text));
        self
    }

    /// Lines that are no part of what is signed.
    pub(super) fn lines(mut self, lines: &[String]) -> Self {
        let _ = writeln!(self.0, "<pre>{}</pre>", escaped(&lines.join("\n")));
        self
    }

    pub(super) fn labelled(mut self, label: &str, id: &str, value: &str) -> Self {
        let (label, value) = (escaped(label), escaped(value));
        let _ = writeln!(self.0, "<p>{label}: <code id=\"{id}\">{value}</code></p>");
        self
    }

    /// A button that sends an empty form. `session.js` adds what says that it comes from a page of this session.
    pub(super) fn form(mut self, to: &'static str, words: &'static str) -> Self {
        let _ = writeln!(self.0, "<form method=\"post\" action=\"{to}\"><button>{words}</button></form>");
        self
    }

    pub(super) fn button(mut self, act: &'static str, words: &'static str) -> Self {
        let _ = writeln!(self.0, "<button type=\"button\" data-act=\"{act}\">{words}</button>");
        self
    }
}

/// SECURITY: everything that is shown passes here, whoever wrote it.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t81_no_text_becomes_a_tag_or_leaves_its_attribute() {
        assert_eq!(escaped("<b a='\"'>&amp;"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;amp;");
        let body =
            Body::default().words("<script>alert(1)</script>").text("a<b").labelled("x", "y", "\"><img>");
        assert!(!body.0.contains("<script") && !body.0.contains("<img") && body.0.contains("a&lt;b"));
    }
}
