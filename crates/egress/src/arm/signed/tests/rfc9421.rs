//! The vectors of RFC 9421, appendix B.2. Its keys are published for tests.

use super::super::message::base;
use super::*;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_model::signing::Message;
use rcgen::PublicKeyData;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const ED25519_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----";

const RSA_PSS_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";

/// The request of all vectors.
fn request() -> Case<'static> {
    Case {
        method: "POST",
        to: "https://example.com",
        path: "/foo",
        query: "param=Value&Pet=dog",
        fields: &[
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
        ],
        body: Payload::complete(Bytes::from_static(b"{\"hello\": \"world\"}")),
    }
}

const AT: u64 = 1_618_884_473;

fn message(place: &str) -> Message {
    match &*scheme(place) {
        Signing::Message(message) => message.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_request_is_signed_as_in_appendix_b_2_5_and_b_2_6() {
    let shared = key(SHARED, Some("test-shared-secret"));
    let place = "http-signature hmac-sha256 key base64 over date @authority content-type; label sig-b25";
    let out = signed(request(), place, &shared, AT).unwrap();
    assert_eq!(
        text(&out.head.headers, "signature-input"),
        "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
    );
    assert_eq!(
        text(&out.head.headers, "signature"),
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"
    );
    let ed25519 = key(ED25519_KEY, Some("test-key-ed25519"));
    let place = "http-signature ed25519 over date @method @path @authority content-type content-length; label sig-b26";
    let out = signed(request(), place, &ed25519, AT).unwrap();
    assert_eq!(
        text(&out.head.headers, "signature"),
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"
    );
}

/// RSA-PSS signs differently each time: what the RFC signed has to verify over the base that is made here.
#[test]
fn what_the_rfc_signed_in_b_2_1_to_b_2_3_verifies_over_our_base() {
    let public = SubjectPublicKeyInfoDer::from_pem_slice(RSA_PSS_PUBLIC.as_bytes()).unwrap();
    let cases = [
        (
            "",
            "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
            "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
        ),
        (
            "@authority content-digest @query-param \"Pet\"",
            "(\"@authority\" \"content-digest\" \"@query-param\";name=\"Pet\");created=1618884473;keyid=\"test-key-rsa-pss\";tag=\"header-example\"",
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        ),
        (
            "date @method @path @query @authority content-type content-digest content-length",
            "(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"",
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        ),
    ];
    for (over, parameters, signature) in cases {
        let components = match over {
            "" => Vec::new(),
            over => message(&format!("http-signature rsa-pss-sha512 over {over}")).over,
        };
        let call = request().call();
        let to = call.destination.clone();
        let outgoing = write(call, &[], false).unwrap();
        let base = base(&outgoing, &to, &components, parameters).unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, public.as_ref());
        assert!(public.verify(&base, &signature).is_ok(), "{}", String::from_utf8_lossy(&base));
        assert!(public.verify(&base[1..], &signature).is_err());
    }
}

#[test]
fn every_algorithm_verifies_with_the_public_half_and_another_kind_of_key_signs_nothing() {
    let cases: [(&str, &'static rcgen::SignatureAlgorithm, &dyn VerificationAlgorithm); 5] = [
        ("ed25519", &rcgen::PKCS_ED25519, &ED25519),
        ("ecdsa-p256-sha256", &rcgen::PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_FIXED),
        ("ecdsa-p384-sha384", &rcgen::PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_FIXED),
        ("rsa-pss-sha512", &rcgen::PKCS_RSA_SHA256, &RSA_PSS_2048_8192_SHA512),
        ("rsa-v1_5-sha256", &rcgen::PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
    ];
    for (at, (algorithm, kind, verifier)) in cases.iter().enumerate() {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let key = key(&pair.serialize_pem(), Some("k"));
        let place = |algorithm: &str| {
            format!(
                "http-signature {algorithm} over @method @target-uri content-digest; expires 60; alg; nonce; tag \"t\""
            )
        };
        let out = signed(request(), &place(algorithm), &key, AT).unwrap();
        let input = text(&out.head.headers, "signature-input").strip_prefix("sig1=").unwrap();
        let start = format!(
            "(\"@method\" \"@target-uri\" \"content-digest\");created={AT};expires={};keyid=\"k\";alg=\"{algorithm}\";nonce=\"",
            AT + 60
        );
        assert!(input.starts_with(&start) && input.ends_with("\";tag=\"t\""), "{input}");
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        assert_eq!(text(&out.head.headers, "content-digest"), digest);
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": https://example.com/foo?param=Value&Pet=dog\n\"content-digest\": {digest}\n\
             \"@signature-params\": {input}"
        );
        let made = text(&out.head.headers, "signature").strip_prefix("sig1=:").unwrap();
        let made = STANDARD.decode(made.strip_suffix(':').unwrap()).unwrap();
        let public = UnparsedPublicKey::new(*verifier, pair.der_bytes());
        assert!(public.verify(base.as_bytes(), &made).is_ok(), "{algorithm}");
        let (other, _, _) = cases[(at + 1) % 3];
        let refused = signed(request(), &place(other), &key, AT).err();
        assert_eq!(refused, Some(Code::PlaceNotPermitted), "{algorithm} key for {other}");
        let shared = signed(request(), &place("hmac-sha256"), &key, AT).err();
        assert_eq!(shared, Some(Code::PlaceNotPermitted), "a private key as a shared one");
    }
}
