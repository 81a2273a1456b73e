//! The examples that AWS publishes, and calls one step beside them. The key in them is AWS's own example, not a secret of anybody.
//!
//! SPEC: "Authenticating requests (AWS Signature Version 4)" in the API reference of Amazon S3; "Create a signed AWS API request".

use super::canonical::Spelled;
use super::chunks::{Chunks, Trailer};
use super::key::SigningKey;
use super::{hashed, sign, stamp};
use crate::custody::AccessKey;
use crate::scrub::tests::CANARY;
use crate::secret::Secret;
use crate::stage::OutBody;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Call, Code, Destination, Path, Payload, Query, RequestId, Timestamp, Way};
use cloakroom_policy::Signature;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, StreamBody};
use std::collections::BTreeMap;

const EXAMPLE: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const DAY: &str = "20130524T000000Z";

fn call(method: Method, to: &str, path: &str, query: &str, fields: &[(&str, &str)], body: &str) -> Call {
    let field = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    Call {
        request: RequestId::new(Timestamp::from_millis(1), [1; 10]),
        way: Way::Connect,
        method,
        destination: Destination::parse(to).unwrap(),
        path: Path::parse(path).unwrap(),
        query: Query::parse(query).unwrap(),
        headers: fields.iter().map(field).collect(),
        upgrade: None,
        body: Payload::complete(Bytes::copy_from_slice(body.as_bytes())),
    }
}

fn request_of(call: &Call, service: &str, fields: &[(&str, &str)], content: &str) -> String {
    let headers: BTreeMap<String, String> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let names = headers.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    Spelled::of(call).request(call.method.as_str(), service, &headers, &names, content)
}

#[test]
fn requests_are_signed_as_in_the_examples_of_aws() {
    let bucket = "https://examplebucket.s3.amazonaws.com";
    let (host, nothing) = (("host", "examplebucket.s3.amazonaws.com"), hashed(b""));
    let s3 = SigningKey::new(EXAMPLE, DAY.to_owned(), "us-east-1", "s3");
    let date = ("x-amz-date", DAY);
    let get = call(Method::GET, bucket, "/test.txt", "", &[], "");
    let fields = [host, ("range", "bytes=0-9"), ("x-amz-content-sha256", &nothing), date];
    assert_eq!(
        s3.sign_request(&request_of(&get, "s3", &fields, &nothing)),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    let lifecycle = call(Method::GET, bucket, "/", "lifecycle", &[], "");
    let fields = [host, ("x-amz-content-sha256", &nothing), date];
    assert_eq!(
        s3.sign_request(&request_of(&lifecycle, "s3", &fields, &nothing)),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    );
    let list = call(Method::GET, bucket, "/", "max-keys=2&prefix=J", &[], "");
    assert_eq!(
        s3.sign_request(&request_of(&list, "s3", &fields, &nothing)),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    );
    let mut presigned = Spelled::of(&get);
    for (key, value) in [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
        ("X-Amz-Date", DAY),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-SignedHeaders", "host"),
    ] {
        presigned.add(key, value);
    }
    let host_only = BTreeMap::from([("host".to_owned(), "examplebucket.s3.amazonaws.com".to_owned())]);
    assert_eq!(
        s3.sign_request(&presigned.request("GET", "s3", &host_only, "host", "UNSIGNED-PAYLOAD")),
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
    let iam =
        call(Method::GET, "https://iam.amazonaws.com", "/", "Action=ListUsers&Version=2010-05-08", &[], "");
    let stamp = "20150830T123600Z";
    let key =
        SigningKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", stamp.to_owned(), "us-east-1", "iam");
    let fields = [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", stamp),
    ];
    assert_eq!(
        key.sign_request(&request_of(&iam, "iam", &fields, &nothing)),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn a_path_is_encoded_twice_but_for_s3() {
    let call = call(Method::GET, "https://h.example", "/a%20b/c(d)", "k=x+y&k=a%2Fb&flag", &[], "");
    let lines = |service: &str| {
        request_of(&call, service, &[], "").lines().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("s3"), ["GET", "/a%20b/c%28d%29", "flag=&k=a%2Fb&k=x%20y"]);
    assert_eq!(lines("execute-api")[1], "/a%2520b/c%2528d%2529");
    let spelled = Spelled::of(&call).target();
    assert_eq!(std::str::from_utf8(&spelled).unwrap(), "/a%20b/c%28d%29?k=x%20y&k=a%2Fb&flag=");
}

fn body_of(parts: Vec<Vec<u8>>, length: usize) -> OutBody {
    let frames = parts.into_iter().map(|part| Ok::<_, BodyFault>(http_body::Frame::data(Bytes::from(part))));
    let stream = StreamBody::new(futures_util::stream::iter(frames));
    OutBody::streaming(Bytes::new(), BodyExt::boxed_unsync(stream), Some(length as u64))
}

async fn resigned(text: &[u8], cut: usize, seed: &str, trailer: Trailer) -> Result<Vec<u8>, BodyFault> {
    let key = SigningKey::new(EXAMPLE, DAY.to_owned(), "us-east-1", "s3");
    let chunks = Chunks::new(key, seed.to_owned(), trailer);
    let parts = text.chunks(cut).map(<[u8]>::to_vec).collect();
    super::resigned(body_of(parts, text.len()), chunks).collect().await.map(|body| body.to_bytes().to_vec())
}

fn chunked(signatures: [&str; 3], end: &str) -> Vec<u8> {
    let [first, second, last] = signatures;
    let a = |count: usize| "a".repeat(count);
    format!(
        "10000;chunk-signature={first}\r\n{}\r\n400;chunk-signature={second}\r\n{}\r\n0;chunk-signature={last}\r\n{end}",
        a(65536),
        a(1024)
    )
    .into_bytes()
}

const FAKE: [&str; 3] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
];

#[tokio::test]
async fn chunks_are_signed_as_in_the_example_of_aws_however_they_come() {
    let expected = chunked(
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
        "\r\n",
    );
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let sent = chunked(FAKE, "\r\n");
    for cut in [1, 3, 86, 1000, 65536, sent.len()] {
        assert!(resigned(&sent, cut, seed, Trailer::No).await.unwrap() == expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_trailer_is_signed_behind_the_last_chunk() {
    let end = |signature: &str| {
        format!("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{signature}\r\n\r\n")
    };
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let expected = chunked(
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
        &end("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"),
    );
    let sent = chunked(FAKE, &end(FAKE[0]));
    for cut in [7, sent.len()] {
        let signed = resigned(&sent, cut, seed, Trailer::Yes).await.unwrap();
        let tail = |bytes: &[u8]| String::from_utf8_lossy(&bytes[bytes.len() - 260..]).into_owned();
        assert_eq!(tail(&signed), tail(&expected));
        assert!(signed == expected);
    }
}

#[tokio::test]
async fn chunks_that_are_not_well_formed_end_the_body() {
    let good = chunked(FAKE, "\r\n");
    let mut longer = good.clone();
    longer.extend_from_slice(b"x");
    let cases: [Vec<u8>; 6] = [
        good[..good.len() - 1].to_vec(),
        good[..100].to_vec(),
        longer,
        b"zz;chunk-signature=".to_vec(),
        [b"1;chunk-signature=".as_slice(), FAKE[0].as_bytes(), b"\r\naXX"].concat(),
        [b"1;chunk-signature=".as_slice(), FAKE[0].as_bytes(), b"0\r\na\r\n"].concat(),
    ];
    for text in cases {
        assert!(resigned(&text, 9999, "", Trailer::No).await.is_err());
    }
    let large = format!("900000;chunk-signature={}\r\n", FAKE[0]);
    assert_eq!(resigned(large.as_bytes(), 99, "", Trailer::No).await.err(), Some(BodyFault::TooLarge));
}

fn key(session: Option<&str>) -> Secret {
    let session = session.map(|session| format!("\naws_session_token={session}")).unwrap_or_default();
    let text = format!("aws_access_key_id={ID}\naws_secret_access_key={CANARY}{session}");
    let accepted = AccessKey::deposited(text.as_bytes()).unwrap();
    accepted.write()
}

fn fields() -> Vec<(&'static str, String)> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAPLACEHOLDER/20200101/eu-west-1/SERVICE/aws4_request, SignedHeaders=host, Signature={}",
        FAKE[0]
    );
    vec![
        ("authorization", authorization),
        ("x-amz-date", "20200101T000000Z".into()),
        ("x-amz-security-token", "of-the-workload".into()),
        ("x-amz-target", "Table.Get".into()),
        ("content-type", "application/x-amz-json-1.0".into()),
        ("user-agent", "sdk".into()),
    ]
}

fn signed(
    service: &str,
    fields: &[(&str, String)],
    body: &str,
    session: Option<&str>,
) -> Result<HeaderMap, Code> {
    let fields: Vec<(&str, String)> =
        fields.iter().map(|(name, value)| (*name, value.replace("SERVICE", service))).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = call(Method::POST, "https://h.example", "/", "", &fields, body);
    let at = Timestamp::from_millis(1_369_353_600_000);
    let outgoing = sign(call, Signature::Header, &key(session), false, at);
    outgoing.map(|(outgoing, _)| outgoing.head.headers).map_err(|refusal| refusal.code())
}

#[test]
fn what_the_workload_signed_with_is_replaced_and_the_secret_key_is_not_sent() {
    let text = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let headers = signed("dynamodb", &fields(), "{}", None).unwrap();
    assert_eq!(text(&headers, "x-amz-date"), DAY);
    assert_eq!(text(&headers, "x-amz-content-sha256"), hashed(b"{}"));
    assert!(!headers.contains_key("x-amz-security-token"));
    let authorization = text(&headers, "authorization");
    let begin = format!(
        "AWS4-HMAC-SHA256 Credential={ID}/20130524/eu-west-1/dynamodb/aws4_request, \
         SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target, Signature="
    );
    assert!(authorization.starts_with(&begin), "{authorization}");
    assert!(headers["authorization"].is_sensitive());
    for value in headers.values() {
        assert!(!value.to_str().unwrap().contains(CANARY));
    }
    let headers = signed("dynamodb", &fields(), "{}", Some("session-of-the-key")).unwrap();
    assert_eq!(text(&headers, "x-amz-security-token"), "session-of-the-key");
    assert!(text(&headers, "authorization").contains("x-amz-security-token"));
}

#[test]
fn a_body_hash_that_nobody_knows_is_refused() {
    for named in ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "x", ""] {
        let mut fields = fields();
        fields.push(("x-amz-content-sha256", named.into()));
        assert_eq!(signed("s3", &fields, "", None).err(), Some(Code::PlaceNotPermitted), "{named}");
    }
    for named in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", FAKE[0]] {
        let mut fields = fields();
        fields.push(("x-amz-content-sha256", named.into()));
        assert_eq!(signed("s3", &fields, "", None).unwrap()["x-amz-content-sha256"], named);
    }
}

#[test]
fn a_presigned_url_is_made_anew_and_does_not_live_long() {
    let query = format!(
        "versionId=3&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAPLACEHOLDER%2F20200101%2Feu-west-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20200101T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        FAKE[0]
    );
    let call = call(Method::GET, "https://h.example", "/k", &query, &[], "");
    let at = Timestamp::from_millis(1_369_353_600_000);
    let (outgoing, _) = sign(call, Signature::Query(2), &key(None), false, at).unwrap();
    let target = outgoing.head.uri.to_string();
    let begin = format!(
        "/k?versionId=3&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ID}%2F20130524%2Feu-west-1%2Fs3%2Faws4_request\
         &X-Amz-Date={DAY}&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature="
    );
    assert!(target.starts_with(&begin), "{target}");
    assert!(!target.contains("AKIAPLACEHOLDER") && !outgoing.head.headers.contains_key("x-amz-date"));
}

#[test]
fn a_time_is_stamped_as_aws_wants_it() {
    assert_eq!(stamp(Timestamp::from_millis(1_369_353_600_123)), DAY);
}

/// The suite that AWS published; see the file for its source.
#[derive(serde::Deserialize)]
struct Suite {
    key: String,
    region: String,
    service: String,
    request: Vec<Published>,
}

#[derive(serde::Deserialize)]
struct Published {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    canonical: Option<String>,
    signed: String,
    signature: String,
    refused: Option<String>,
}

#[test]
fn the_published_suite_of_signature_version_4_is_signed_as_published_or_refused_for_its_path() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/sigv4.toml");
    let suite: Suite = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut refused = 0;
    for Published { name, method, path, query, headers, body, canonical, signed, signature, refused: code } in
        &suite.request
    {
        if let Some(code) = code {
            assert_eq!(Path::parse(path).unwrap_err().code().as_str(), code, "{name}");
            refused += 1;
            continue;
        }
        let fields: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let call = call(method, "https://example.amazonaws.com", path, query, &fields, body);
        let stamp = call.headers["x-amz-date"].to_str().unwrap().to_owned();
        let fields = super::normal(&call.headers, |name| signed.split(';').any(|own| own == name)).unwrap();
        let hash = hashed(body.as_bytes());
        let request =
            Spelled::of(&call).request(call.method.as_str(), &suite.service, &fields, signed, &hash);
        if let Some(canonical) = canonical {
            assert_eq!(request, *canonical, "{name}");
        }
        let key = SigningKey::new(&suite.key, stamp, &suite.region, &suite.service);
        assert_eq!(key.sign_request(&request), *signature, "{name}");
    }
    assert_eq!((suite.request.len(), refused), (29, 6));
}
