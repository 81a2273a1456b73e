//! What an approver is asked about one call: the canonical request, decoded, as a text that is signed.
//!
//! One fact in a line, as in the text of a placeholder; how lines are made is left to `page`. The last line is the SHA-256 of
//! exactly what goes out but the secret.

mod mail;
mod mime;
mod operation;
mod page;
mod shown;

use crate::authorized::Use;
use crate::class::{Classified, Disagreement};
use crate::decide::body::BodyView;
use crate::escape::quoted;
use crate::own::Own;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use cloakroom_model::{Call, Name, Pair, Principal, Question, hexadecimal};
use page::Page;

/// Reads bytes as a mail, for the fuzz target.
pub(crate) fn read_mail(data: &[u8]) {
    drop(mime::Message::read(data));
}

/// The call that is asked about.
pub(crate) struct Asked<'c> {
    pub(crate) call: &'c Call,
    /// All of it.
    pub(crate) body: &'c Bytes,
    pub(crate) principal: &'c Principal,
    /// What it does, by the terms of the first permit.
    pub(crate) class: Result<Classified, Disagreement>,
}

/// Why there is no question.
pub(crate) enum Unasked {
    /// It would be too long for anybody to read.
    TooLong,
    /// The call exchanges nothing.
    Nothing,
}

/// The question about this call.
pub(crate) fn about(
    asked: &Asked<'_>,
    uses: &[(Use, Option<Name>)],
    needed: usize,
) -> Result<Question, Unasked> {
    let Asked { call, body, principal, class } = asked;
    let (first, credential) = uses.first().ok_or(Unasked::Nothing)?;
    let credential = credential.clone().or_else(|| Name::parse(&first.credential().to_string()).ok());
    let hash = request_hash(call, body, principal, uses.iter().map(|(used, _)| used), &[]);
    let view = BodyView::new(call);
    let mut page = Page::new(uses);
    page.line(&format!("workload: {} ({})", principal.name(), principal.workload()));
    for (used, credential) in uses {
        let name = credential.as_ref().map_or("removed", Name::as_str);
        let (id, permit) = (used.placeholder(), quoted(used.permit()));
        page.line(&format!("exchanges: {id} (credential {name}), permit {permit}"));
    }
    page.line(&format!("asks for: {} {}", quoted(call.method.as_str()), call.destination));
    shown::url(&mut page, call);
    page.line(&match class {
        Ok(class) => format!("this call: {} ({})", class.class.verb(), class.because),
        Err(Disagreement(why)) => format!("this call: nobody can say whether it reads or writes ({why})"),
    });
    operation::show(&mut page, call, &view);
    mail::show(&mut page, call, &view);
    shown::headers(&mut page, call);
    shown::body(&mut page, call, &view);
    page.line(&format!("request (SHA-256): {}", hexadecimal(&hash)));
    Ok(Question {
        digest: hash,
        body: page.into_text().ok_or(Unasked::TooLong)?,
        placeholders: uses.iter().map(|(used, _)| used.placeholder()).collect(),
        workload: principal.name().clone(),
        credential: credential.ok_or(Unasked::Nothing)?,
        needed,
    })
}

/// Over everything that is sent, and who sends it. Each part with its length: no two requests hash alike.
pub(crate) fn request_hash<'u>(
    call: &Call,
    body: &Bytes,
    principal: &Principal,
    uses: impl Iterator<Item = &'u Use> + Clone,
    leave_out: &[&str],
) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    };
    add(principal.workload().to_string().as_bytes());
    for used in uses.clone() {
        add(used.placeholder().to_string().as_bytes());
        add(used.permit().as_bytes());
    }
    add(b"");
    add(call.method.as_str().as_bytes());
    add(call.destination.to_string().as_bytes());
    add(call.path.encoded().as_bytes());
    // What a signature says of itself is replaced, and differs with each second.
    let own = Own::of(uses.map(Use::spot));
    let goes = |name: &str| leave_out.contains(&name) || own.has_header(name);
    let pairs = call.query.pairs().iter().filter(|pair| !own.has_key(pair.key()));
    add(Pair::join(&pairs.cloned().collect::<Vec<_>>(), |_| None).as_bytes());
    let fields = call.headers.iter().filter(|(name, _)| !goes(name.as_str()));
    let mut fields: Vec<(&str, &[u8])> =
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    fields.sort_unstable();
    for (name, value) in fields {
        add(name.as_bytes());
        add(value);
    }
    add(b"");
    add(body);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
