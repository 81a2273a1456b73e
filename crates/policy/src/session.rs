//! From a permit to the session policy of an AWS role: what a session may do that is used for this permit alone.
//!
//! Known for Amazon S3, whose path names the bucket and the key, and whose method names the action. It allows at least what the permit
//! does, and as little more as the language has words for: the broker judges each call by the permit all the same.
//!
//! SPEC: AWS, "Actions, resources, and condition keys for Amazon S3"; "IAM JSON policy elements: Resource".

use crate::permit::Permit;
use crate::template::{Piece, Template};
use cloakroom_model::{Destination, Host, Place};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The longest inline session policy that AWS STS takes, in characters.
const LONGEST: usize = 2048;

/// Where a call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Service,
    Bucket,
    Object,
}

/// What each method is, and with which query key among those allowed. A key that no line names adds nothing.
const ACTIONS: &[(Level, &str, Option<&str>, &str)] = &[
    (Level::Service, "GET", None, "s3:ListAllMyBuckets"),
    (Level::Bucket, "GET", None, "s3:ListBucket"),
    (Level::Bucket, "GET", Some("location"), "s3:GetBucketLocation"),
    (Level::Bucket, "GET", Some("uploads"), "s3:ListBucketMultipartUploads"),
    (Level::Bucket, "GET", Some("versions"), "s3:ListBucketVersions"),
    (Level::Bucket, "GET", Some("versioning"), "s3:GetBucketVersioning"),
    (Level::Bucket, "HEAD", None, "s3:ListBucket"),
    (Level::Bucket, "PUT", None, "s3:CreateBucket"),
    (Level::Bucket, "DELETE", None, "s3:DeleteBucket"),
    (Level::Object, "GET", None, "s3:GetObject"),
    (Level::Object, "GET", Some("attributes"), "s3:GetObjectAttributes"),
    (Level::Object, "GET", Some("tagging"), "s3:GetObjectTagging"),
    (Level::Object, "GET", Some("uploadId"), "s3:ListMultipartUploadParts"),
    (Level::Object, "GET", Some("versionId"), "s3:GetObjectVersion"),
    (Level::Object, "HEAD", None, "s3:GetObject"),
    (Level::Object, "HEAD", Some("versionId"), "s3:GetObjectVersion"),
    (Level::Object, "PUT", None, "s3:PutObject"),
    (Level::Object, "PUT", Some("tagging"), "s3:PutObjectTagging"),
    (Level::Object, "POST", None, "s3:PutObject"),
    (Level::Object, "POST", Some("restore"), "s3:RestoreObject"),
    (Level::Object, "DELETE", None, "s3:DeleteObject"),
    (Level::Object, "DELETE", Some("tagging"), "s3:DeleteObjectTagging"),
    (Level::Object, "DELETE", Some("uploadId"), "s3:AbortMultipartUpload"),
    (Level::Object, "DELETE", Some("versionId"), "s3:DeleteObjectVersion"),
];

/// The session policy; `None` where none follows from the permit.
pub(crate) fn policy(permit: &Permit) -> Option<String> {
    let Place::SigV4 { region, service } = &permit.place else { return None };
    (&**service == "s3").then_some(())?;
    let mut allowed: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for call in &permit.calls {
        let (level, resource) = resource(&permit.to, region, call)?;
        let actions = actions(permit, level, call.method());
        if actions.is_empty() {
            return None;
        }
        allowed.entry(resource).or_default().extend(actions);
    }
    // Resources with the same actions share a statement.
    let mut statements: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (resource, actions) in allowed {
        statements.entry(actions).or_default().push(resource);
    }
    let statements: Vec<_> = statements
        .iter()
        .map(|(actions, resources)| json!({ "Effect": "Allow", "Action": actions, "Resource": resources }))
        .collect();
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    (text.len() <= LONGEST).then_some(text)
}

fn actions<'a>(permit: &Permit, level: Level, method: &str) -> BTreeSet<&'a str> {
    let has = |key: &Option<&str>| key.is_none_or(|key| permit.query.contains_key(key));
    let applies =
        |(of, with, key, _): &&(Level, &str, Option<&str>, &str)| *of == level && *with == method && has(key);
    ACTIONS.iter().filter(applies).map(|(_, _, _, action)| *action).collect()
}

/// What a call is about, as AWS names resources.
fn resource(to: &Destination, region: &str, call: &Template) -> Option<(Level, String)> {
    let pieces = call.pieces();
    let (bucket, key) = match bucket_of(to)? {
        Addressing::Host(bucket) => (literal(bucket), pieces),
        Addressing::Path => match pieces.split_first()? {
            (Piece::Literal(empty), []) if empty.is_empty() => return Some((Level::Service, "*".into())),
            // A tail alone is any bucket, and anything in it.
            (Piece::Tail(_), _) => return None,
            (bucket, key) => (word(bucket), key),
        },
    };
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let key = key.iter().map(word).collect::<Vec<_>>().join("/");
    Some(match key.is_empty() {
        true => (Level::Bucket, format!("arn:{partition}:s3:::{bucket}")),
        false => (Level::Object, format!("arn:{partition}:s3:::{bucket}/{key}")),
    })
}

enum Addressing<'d> {
    /// The bucket stands before the service's own name.
    Host(&'d str),
    /// The bucket is the first segment of the path.
    Path,
}

/// `None`: a name of Amazon's that is neither (an access point, say).
fn bucket_of(to: &Destination) -> Option<Addressing<'_>> {
    let Host::Name(name) = to.host() else { return Some(Addressing::Path) };
    let Some(of_amazon) =
        [".amazonaws.com", ".amazonaws.com.cn"].iter().find_map(|end| name.strip_suffix(end))
    else {
        return Some(Addressing::Path);
    };
    if of_amazon == "s3" || of_amazon.starts_with("s3.") {
        return Some(Addressing::Path);
    }
    let bucket =
        of_amazon.strip_suffix(".s3").or_else(|| of_amazon.rsplit_once(".s3.").map(|(bucket, _)| bucket));
    bucket.filter(|bucket| !bucket.is_empty()).map(Addressing::Host)
}

fn word(piece: &Piece) -> String {
    match piece {
        Piece::Literal(text) => literal(text),
        // There is no word for one segment: `*` goes over slashes.
        Piece::One(_) | Piece::Tail(_) => "*".into(),
    }
}

/// SECURITY: what means more than itself in a resource is written as a variable that means itself.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '*' | '?' | '$' => out.extend(["${", symbol.encode_utf8(&mut [0; 4]), "}"]),
            symbol => out.push(symbol),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::Policy;
    use serde_json::{Value, json};

    fn of(to: &str, place: &str, calls: &[&str], query: &[&str]) -> Option<Value> {
        let query =
            if query.is_empty() { String::new() } else { format!("query = {{ allow = {query:?} }}\n") };
        let file = format!(
            "version = 1\n[[permit]]\nname = \"x\"\nto = \"{to}\"\nplace = \"{place}\"\ncall = {calls:?}\n{query}"
        );
        let policy = Policy::parse("x", &file).unwrap_or_else(|error| panic!("{error:?} in {file}"));
        let text = super::policy(&policy.permits()[0])?;
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["Version"], "2012-10-17");
        Some(document["Statement"].clone())
    }

    const PLACE: &str = "sigv4 eu-west-1 s3";

    fn allow(actions: &[&str], resources: &[&str]) -> Value {
        json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
    }

    #[test]
    fn bucket_and_key_come_from_the_path_and_actions_from_the_method() {
        let calls = ["GET /", "GET /{key...}", "HEAD /{key...}"];
        let expected = json!([
            allow(&["s3:GetObject"], &["arn:aws:s3:::backups/*"]),
            allow(&["s3:ListBucket"], &["arn:aws:s3:::backups"]),
        ]);
        let virtual_host = "https://backups.s3.eu-west-1.amazonaws.com";
        assert_eq!(of(virtual_host, PLACE, &calls, &["list-type"]), Some(expected.clone()));
        let calls = ["GET /backups", "GET /backups/{key...}", "HEAD /backups/{key...}"];
        for path_style in
            ["https://s3.eu-west-1.amazonaws.com", "https://minio.example.com:9000", "http://127.0.0.1:1"]
        {
            assert_eq!(of(path_style, PLACE, &calls, &["list-type"]), Some(expected.clone()), "{path_style}");
        }
    }

    #[test]
    fn each_call_adds_what_it_does_and_no_more() {
        let to = "https://b.s3.amazonaws.com";
        for (call, query, actions, resource) in [
            ("PUT /in/{name}", &[][..], &["s3:PutObject"][..], "arn:aws:s3:::b/in/*"),
            ("DELETE /in/{name}", &[], &["s3:DeleteObject"], "arn:aws:s3:::b/in/*"),
            (
                "DELETE /in/{name}",
                &["uploadId"],
                &["s3:AbortMultipartUpload", "s3:DeleteObject"],
                "arn:aws:s3:::b/in/*",
            ),
            (
                "GET /one.txt",
                &["versionId"],
                &["s3:GetObject", "s3:GetObjectVersion"],
                "arn:aws:s3:::b/one.txt",
            ),
            ("GET /", &["location", "prefix"], &["s3:GetBucketLocation", "s3:ListBucket"], "arn:aws:s3:::b"),
            ("GET /{a}/$x/{b}", &[], &["s3:GetObject"], "arn:aws:s3:::b/*/${$}x/*"),
        ] {
            assert_eq!(of(to, PLACE, &[call], query), Some(json!([allow(actions, &[resource])])), "{call}");
        }
        assert_eq!(super::literal("what*is?$x"), "what${*}is${?}${$}x");
        let root = of("https://s3.eu-west-1.amazonaws.com", PLACE, &["GET /"], &[]);
        assert_eq!(root, Some(json!([allow(&["s3:ListAllMyBuckets"], &["*"])])));
        let any = of("https://s3.eu-west-1.amazonaws.com", PLACE, &["GET /{bucket}/{key...}"], &[]);
        assert_eq!(any, Some(json!([allow(&["s3:GetObject"], &["arn:aws:s3:::*/*"])])));
        let china = of("https://b.s3.cn-north-1.amazonaws.com.cn", "sigv4 cn-north-1 s3", &["GET /x"], &[]);
        assert_eq!(china, Some(json!([allow(&["s3:GetObject"], &["arn:aws-cn:s3:::b/x"])])));
    }

    #[test]
    fn nothing_is_guessed() {
        for (to, place, call) in [
            ("https://b.s3.amazonaws.com", "sigv4 eu-west-1 execute-api", "GET /x"),
            ("https://b.s3.amazonaws.com", "header authorization bearer", "GET /x"),
            ("https://b.s3.amazonaws.com", PLACE, "PATCH /x"),
            ("https://b.s3.amazonaws.com", PLACE, "POST /"),
            ("https://s3.eu-west-1.amazonaws.com", PLACE, "GET /{all...}"),
            ("https://point-1.s3-accesspoint.eu-west-1.amazonaws.com", PLACE, "GET /x"),
            ("https://dynamodb.eu-west-1.amazonaws.com", PLACE, "GET /x"),
        ] {
            assert_eq!(of(to, place, &[call], &[]), None, "{to} {place} {call}");
        }
        let long: Vec<String> = (0..60).map(|n| format!("GET /a-rather-long-name-of-a-key-{n}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        assert_eq!(of("https://b.s3.amazonaws.com", PLACE, &long, &[]), None, "longer than STS takes");
    }
}
