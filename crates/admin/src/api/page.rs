//! Lists, whole or page by page: `?limit=50`, and from then on whatever `Link` says is next (RFC 8288). A cursor is the id of the last thing
//! that was shown: nothing is shown twice or left out because something was added or removed meanwhile.

use crate::{Problem, ProblemCode};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use cloakroom_model::form_pairs;
use http::request::Parts;
use http::{HeaderValue, header};
use serde::Serialize;

/// The most on one page.
const MOST: usize = 1000;

/// The part of a list that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// A part of a list, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    items: Vec<T>,
    next: Option<Page>,
}

impl<T> Listed<T> {
    /// A list that is short, in an order of its own.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

impl Page {
    /// This page of `all`, in the order of their ids.
    pub(crate) fn of<T>(self, mut all: Vec<T>, id: impl Fn(&T) -> String) -> Listed<T> {
        all.sort_by_cached_key(&id);
        if let Some(after) = &self.after {
            all.retain(|one| id(one) > *after);
        }
        let Some(limit) = self.limit.filter(|limit| all.len() > *limit) else {
            return Listed { items: all, next: None };
        };
        all.truncate(limit);
        let next = all.last().map(|last| Self { after: Some(id(last)), limit: Some(limit) });
        Listed { items: all, next }
    }

    fn parse(query: &str) -> Option<Self> {
        let mut page = Self::default();
        for pair in form_pairs(query).ok()? {
            match pair.key() {
                "after" if page.after.is_none() && is_id(pair.value()) => {
                    page.after = Some(pair.value().to_owned());
                }
                "limit" if page.limit.is_none() => {
                    page.limit = Some(pair.value().parse().ok().filter(|limit| (1..=MOST).contains(limit))?);
                }
                _ => return None,
            }
        }
        Some(page)
    }
}

/// Whether it can be a cursor: it comes back in a header field.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default()).ok_or_else(|| {
            Problem::new(ProblemCode::MalformedRequest, "this is not a part of a list").hinting(
                "a list takes limit, from 1 to 1000, and after, as the field Link of the answer before says",
            )
        })
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let mut answer = Json(self.items).into_response();
        let next = self.next.and_then(|page| {
            let link = format!("<?after={}&limit={}>; rel=\"next\"", page.after?, page.limit?);
            HeaderValue::from_str(&link).ok()
        });
        if let Some(next) = next {
            answer.headers_mut().insert(header::LINK, next);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_after_what_was_shown_whatever_came_or_went() {
        let id = |one: &&str| (*one).to_owned();
        let first = Page { after: None, limit: Some(2) }.of(vec!["c", "a", "d", "b"], id);
        assert_eq!((&first.items[..], first.next.clone()), (&["a", "b"][..], Page::parse("after=b&limit=2")));
        let second = first.next.unwrap().of(vec!["a", "aa", "c", "d", "e"], id);
        assert_eq!(second.items, ["c", "d"]);
        let last = second.next.unwrap().of(vec!["a", "e"], id);
        assert_eq!((&last.items[..], last.next), (&["e"][..], None));
        assert_eq!(Page::default().of(vec!["b", "a"], id).items, ["a", "b"], "whole where nothing is asked");
    }

    #[test]
    fn what_is_no_part_of_a_list_is_refused() {
        for good in ["", "limit=1", "after=ph_01", "limit=1000&after=x"] {
            assert!(Page::parse(good).is_some(), "{good}");
        }
        for wrong in
            ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "after=", "after=%0d%0a", "page=2"]
        {
            assert_eq!(Page::parse(wrong), None, "{wrong}");
        }
    }
}
