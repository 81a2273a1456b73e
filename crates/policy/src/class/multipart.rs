//! The parts of a `multipart/form-data` body (RFC 7578), read strictly: whatever two readers could split differently is not read.

use crate::decide::body::kind_of;
use crate::json::{self, Json, Node};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use std::collections::HashSet;

const BROKEN: &str = "the multipart body has more than one reading";

/// The `operations` of a GraphQL request that sends files: they come first, then `map`, whose targets are all variables, then the
/// files that it names. Whatever else is in the body, some server takes for a part of the request.
pub(super) fn operations<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<&'b [u8], &'static str> {
    const OTHER: &str =
        "the multipart body has a part that is none of operations, map and the files that it names";
    let all = split(headers, body)?;
    let (first, others) = all.split_first().filter(|(first, _)| first.is_field("operations")).ok_or(OTHER)?;
    let Some((map, files)) = others.split_first() else { return Ok(first.content) };
    let map = if map.is_field("map") { json::parse(map.content)? } else { return Err(OTHER) };
    let Json::Object(targets) = &map.value else { return Err(OTHER) };
    let of_variables = |node: &Node| {
        matches!(&node.value, Json::Array(paths) if paths.iter().all(|path| {
            matches!(&path.value, Json::Text(path) if is_of_variables(path))
        }))
    };
    let names: HashSet<&str> = files.iter().map(|file| file.name).collect();
    let is_named = |file: &Part<'_>| file.is_file && targets.iter().any(|(name, _)| name == file.name);
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    let fits = targets.iter().all(|(name, paths)| plain(name) && of_variables(paths))
        && files.iter().all(is_named)
        && names.len() == files.len();
    if fits { Ok(first.content) } else { Err(OTHER) }
}

/// `variables.file`, `variables.files.0`, and `0.variables.file` in a batch.
fn is_of_variables(path: &str) -> bool {
    let mut steps = path.split('.').peekable();
    if steps.peek().is_some_and(|step| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit())) {
        steps.next();
    }
    let plain = |step: &str| {
        !step.is_empty()
            && !matches!(step, "constructor" | "prototype")
            && !step.starts_with("__")
            && step.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    steps.next() == Some("variables") && steps.peek().is_some() && steps.all(plain)
}

/// Every part by its name, files too: for showing.
pub(crate) fn parts(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let shown = |part: Part<'_>| (part.name.to_owned(), String::from_utf8_lossy(part.content).into_owned());
    Ok(split(headers, body)?.into_iter().map(shown).collect())
}

struct Part<'b> {
    name: &'b str,
    /// It has a file name.
    is_file: bool,
    /// It says nothing of its type, or that it is text or JSON in UTF-8.
    is_text: bool,
    content: &'b [u8],
}

impl Part<'_> {
    fn is_field(&self, name: &str) -> bool {
        self.name == name && !self.is_file && self.is_text
    }
}

fn split<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<Vec<Part<'b>>, &'static str> {
    let boundary = boundary(headers).ok_or("the content type does not name one boundary")?;
    let delimiter = format!("--{boundary}");
    // RFC 2046 has a preamble and blanks after a delimiter; no program sends them, and readers differ about them.
    let mut rest = body.strip_prefix(delimiter.as_bytes()).ok_or(BROKEN)?;
    let inner = format!("\r\n{delimiter}");
    let mut all = Vec::new();
    while !matches!(rest, b"--" | b"--\r\n") {
        rest = rest.strip_prefix(b"\r\n").ok_or(BROKEN)?;
        let head_end = position(rest, b"\r\n\r\n").ok_or(BROKEN)?;
        let (head, after) = (&rest[..head_end], &rest[head_end + 4..]);
        let end = position(after, inner.as_bytes()).ok_or(BROKEN)?;
        all.push(Part { content: &after[..end], ..part(head)? });
        rest = &after[end + inner.len()..];
    }
    Ok(all)
}

/// Whether the content type says that the body is one.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut parameters = value.to_str().ok()?.split(';').skip(1).map(str::trim);
    let (name, boundary) = parameters.next()?.split_once('=')?;
    let boundary = boundary.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(boundary);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    let valid = (1..=70).contains(&boundary.len()) && boundary.bytes().all(plain);
    (name.eq_ignore_ascii_case("boundary") && valid && parameters.next().is_none())
        .then(|| boundary.to_owned())
}

/// What a part's head says: `Content-Disposition: form-data; name="…"`, with a file name or not. There is no content yet.
fn part(head: &[u8]) -> Result<Part<'_>, &'static str> {
    let head = std::str::from_utf8(head).map_err(|_| BROKEN)?;
    let (mut name, mut is_text) = (None, true);
    for line in head.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err(BROKEN);
        }
        let (field, value) = line.split_once(':').ok_or(BROKEN)?;
        match field.to_ascii_lowercase().as_str() {
            "content-disposition" if name.is_none() => name = Some(disposition(value.trim())?),
            "content-type" => {
                let kind = kind_of(value);
                is_text &= matches!(kind.as_deref(), Some("application/json" | "text/plain"));
            }
            // A transfer encoding would be another reading; so would whatever else is here.
            _ => return Err(BROKEN),
        }
    }
    let (name, is_file) = name.ok_or(BROKEN)?;
    Ok(Part { name, is_file, is_text, content: &[] })
}

/// The name, and whether there is a file name.
fn disposition(value: &str) -> Result<(&str, bool), &'static str> {
    let rest = value.strip_prefix("form-data; name=\"").ok_or(BROKEN)?;
    let (name, rest) = rest.split_once('"').ok_or(BROKEN)?;
    let rest_is_fine = rest.is_empty()
        || rest
            .strip_prefix("; filename=\"")
            .and_then(|file| file.strip_suffix('"'))
            .is_some_and(|file| !file.contains('"'));
    let plain = !name.contains(['\\', '%', '"']) && !name.is_empty();
    if rest_is_fine && plain { Ok((name, !rest.is_empty())) } else { Err(BROKEN) }
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
