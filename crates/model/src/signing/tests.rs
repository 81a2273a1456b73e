use super::*;

fn hmac(text: &str) -> Result<Signing, SigningError> {
    Signing::parse_hmac(text)
}

#[test]
fn a_scheme_survives_its_text_and_ready_made_ones_do_too() {
    for name in Signing::known() {
        let scheme = hmac(name).unwrap();
        let written = scheme.to_string();
        assert_eq!(hmac(written.strip_prefix("hmac ").unwrap()).unwrap(), scheme, "{written}");
        let example = scheme.example("PLACEHOLDER");
        assert_eq!(scheme.placeholder_in(&example), Some("PLACEHOLDER"), "{example}");
    }
    for text in [
        "ed25519 over @method @authority @path @query content-digest; expires 300; nonce; tag \"app\"",
        "hmac-sha256 key base64 over @query-param \"a b\" date; label my-sig; alg",
    ] {
        let scheme = Signing::parse_message(text).unwrap();
        assert_eq!(scheme.to_string(), format!("http-signature {text}"));
        assert_eq!(scheme.placeholder_in(&scheme.example("PLACEHOLDER")), Some("PLACEHOLDER"));
    }
}

#[test]
fn texts_side_by_side_are_one_text() {
    let (one, two) = (r#"sha1 over "a" "b" body; header x = hex"#, r#"sha1 over "ab" body; header x = hex"#);
    assert_eq!(hmac(one), hmac(two));
}

#[test]
fn a_scheme_that_nobody_could_verify_or_that_could_break_a_field_is_refused() {
    for (text, because) in [
        ("", "written"),
        ("slak", "written"),
        ("md5 over body; header x = hex", "written"),
        ("sha256 over body", "writes its signature"),
        ("sha256 over body; header x = \"v0\"", "writes its signature"),
        ("sha256 over body; query \"s\" = hex", "no header"),
        ("sha256 over body; query \"k\" = key-id; header x = hex", "no header"),
        ("sha256 over \"x\"; header x = hex", "something of the call"),
        ("sha256 over hex; header x = hex", "sign itself"),
        ("sha256 over seconds body; header x = hex", "never sent"),
        ("sha256 over body; header x = hex; header x = hex", "twice"),
        ("sha256 over header x; header x = hex", "that it writes"),
        ("sha256 over body; header x = key-id hex", "stands a text"),
        ("sha256 over body; header x = \"a\\n\" hex", "line feed"),
        ("sha256 over body; header x = body", "what is written is made"),
        ("sha256 over body; header host = hex", "not a header"),
        ("sha256 over body; header transfer-encoding = hex", "not a header"),
        ("sha256 over header connection; header x = hex", "not a header"),
        ("sha256 over {body}; header x = hex", "outside quotes"),
        ("sha256 over \"\" body; header x = hex", "empty"),
        ("sha256 over \"a; header x = hex", "no end"),
        ("sha256 over \"\\x\" body; header x = hex", "backslash"),
        ("sha256 key raw over body; header x = hex", "spelled"),
        ("sha256 over bodies; header x = hex", "no part"),
    ] {
        let error = hmac(text).unwrap_err().to_string();
        assert!(error.contains(because), "{text}: {error}");
    }
    for (text, because) in [
        ("ed25519", "written"),
        ("ed448 over @method", "begins with"),
        ("ed25519 over", "1 to 32"),
        ("ed25519 key base64 over @method", "PEM"),
        ("ed25519 over @method @method", "twice"),
        ("ed25519 over @status", "no component"),
        ("ed25519 over signature", "own fields"),
        ("ed25519 over transfer-encoding", "no component"),
        ("ed25519 over @query-param", "key in quotes"),
        ("ed25519 over @path; expires 0", "seconds"),
        ("ed25519 over @path; nonce; nonce", "twice"),
        ("ed25519 over @path; label 1", "label"),
        ("ed25519 over @path; tag x", "written"),
    ] {
        let error = Signing::parse_message(text).unwrap_err().to_string();
        assert!(error.contains(because), "{text}: {error}");
    }
}

#[test]
fn the_placeholder_is_found_in_one_form_only() {
    let stripe = hmac("stripe").unwrap();
    assert_eq!(stripe.placeholder_in("t=1,v1=P"), Some("P"));
    for wrong in ["P", "t=1,v1=", "t=,v1=P", "v1=P", "t=1,v0=P", "t=1,v1=P\u{7f}", ""] {
        assert_eq!(stripe.placeholder_in(wrong), None, "{wrong}");
    }
    let azure = hmac("azure-app-configuration").unwrap();
    let value = "HMAC-SHA256 Credential=P&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=aGk=";
    assert_eq!(azure.placeholder_in(value), Some("P"));
    assert_eq!(azure.placeholder_in(&value.replace("x-ms-date;", "")), None);
    let message = Signing::parse_message("ed25519 over @path").unwrap();
    for (value, found) in [
        ("sig1=();keyid=\"P\"", Some("P")),
        (
            "sig1=(\"@method\" \"@query-param\";name=\"x\");created=1;keyid=\"P\";alg=\"ed25519\";nonce",
            Some("P"),
        ),
        ("sig1=( \"date\"  );keyid=\"P\"", Some("P")),
        ("sig1=();created=1", None),
        ("sig1=();keyid=P", None),
        ("sig1=();keyid=\"P\";keyid=\"P\"", None),
        ("sig1=();keyid=\"P\", sig2=();keyid=\"Q\"", None),
        ("sig2=();keyid=\"P\"", None),
        ("sig1=(;keyid=\"P\"", None),
        ("sig1=(date);keyid=\"P\"", None),
        ("sig1=();keyid=\"P\\\"\"", None),
        ("sig1=();keyid=\"P\"x", None),
        ("", None),
    ] {
        assert_eq!(message.placeholder_in(value), found, "{value}");
    }
}

#[test]
fn what_a_scheme_leaves_out_is_said() {
    let uncovered = |name: &str| hmac(name).unwrap().uncovered();
    assert_eq!(uncovered("slack"), ["the method", "the path", "the query"]);
    assert_eq!(uncovered("azure-app-configuration"), [""; 0]);
    assert_eq!(uncovered("binance"), ["the method", "the path"]);
    let message = Signing::parse_message("ed25519 over @method @target-uri").unwrap();
    assert_eq!(message.uncovered(), ["the body"]);
}
