//! One field of a `multipart/form-data` body (RFC 7578), read strictly: whatever two readers could split differently is not read.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

const BROKEN: &str = "the multipart body has more than one reading";

/// The content of the only part of this name. It has to be the first one, so that nothing before it can hide another.
pub(super) fn field<'b>(headers: &HeaderMap, body: &'b [u8], name: &str) -> Result<&'b [u8], &'static str> {
    let all = split(headers, body)?;
    match all.as_slice() {
        [(first, content), others @ ..]
            if *first == name && others.iter().all(|(other, _)| *other != name) =>
        {
            Ok(content)
        }
        _ => Err("the multipart body does not begin with the part that counts, or has it twice"),
    }
}

/// Every part by its name, files too: for showing.
pub(crate) fn parts(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let shown =
        |(name, content): (&str, &[u8])| (name.to_owned(), String::from_utf8_lossy(content).into_owned());
    Ok(split(headers, body)?.into_iter().map(shown).collect())
}

type Part<'b> = (&'b str, &'b [u8]);

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
        all.push((part_name(head)?, &after[..end]));
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

/// The name in a part's head: `Content-Disposition: form-data; name="…"`, with a file name or not.
fn part_name(head: &[u8]) -> Result<&str, &'static str> {
    let head = std::str::from_utf8(head).map_err(|_| BROKEN)?;
    let mut name = None;
    for line in head.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err(BROKEN);
        }
        let (field, value) = line.split_once(':').ok_or(BROKEN)?;
        match field.to_ascii_lowercase().as_str() {
            "content-disposition" if name.is_none() => name = Some(disposition(value.trim())?),
            "content-type" => {}
            // A transfer encoding would be another reading; so would whatever else is here.
            _ => return Err(BROKEN),
        }
    }
    name.ok_or(BROKEN)
}

fn disposition(value: &str) -> Result<&str, &'static str> {
    let rest = value.strip_prefix("form-data; name=\"").ok_or(BROKEN)?;
    let (name, rest) = rest.split_once('"').ok_or(BROKEN)?;
    let rest_is_fine = rest.is_empty()
        || rest
            .strip_prefix("; filename=\"")
            .and_then(|file| file.strip_suffix('"'))
            .is_some_and(|file| !file.contains('"'));
    let plain = !name.contains(['\\', '%', '"']) && !name.is_empty();
    if rest_is_fine && plain { Ok(name) } else { Err(BROKEN) }
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
