//! Ready-made schemes: facts, each with its source. A policy keeps the scheme itself and not its name.

/// One of them.
pub(super) struct Known {
    /// As a policy file names it.
    pub(super) name: &'static str,
    /// The scheme.
    pub(super) scheme: &'static str,
}

/// All of them.
pub(super) const SCHEMES: &[Known] = &[
    // https://docs.slack.dev/authentication/verifying-requests-from-slack
    Known {
        name: "slack",
        scheme: r#"sha256 over "v0:" seconds ":" body; header x-slack-signature = "v0=" hex; header x-slack-request-timestamp = seconds"#,
    },
    // https://docs.stripe.com/webhooks#verify-manually
    Known {
        name: "stripe",
        scheme: r#"sha256 over seconds "." body; header stripe-signature = "t=" seconds ",v1=" hex"#,
    },
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    Known { name: "github", scheme: r#"sha256 over body; header x-hub-signature-256 = "sha256=" hex"# },
    // https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    Known { name: "shopify", scheme: "sha256 over body; header x-shopify-hmac-sha256 = base64" },
    // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    Known {
        name: "standard-webhooks",
        scheme: r#"sha256 key base64 over header webhook-id "." seconds "." body; header webhook-signature = "v1," base64; header webhook-timestamp = seconds"#,
    },
    // https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
    Known {
        name: "binance",
        scheme: r#"sha256 over query body; header x-mbx-apikey = key-id; query "signature" = hex"#,
    },
    // https://bybit-exchange.github.io/docs/v5/guide
    Known {
        name: "bybit",
        scheme: "sha256 over millis key-id header x-bapi-recv-window query body; header x-bapi-api-key = key-id; \
                 header x-bapi-timestamp = millis; header x-bapi-sign = hex",
    },
    // https://docs.cdp.coinbase.com/api-reference/derivatives-api/rest-api/authentication
    Known {
        name: "coinbase-derivatives",
        scheme: "sha256 over seconds method path body; header cb-access-key = key-id; header cb-access-timestamp = seconds; \
                 header cb-access-sign = base64",
    },
    // https://learn.microsoft.com/en-us/azure/azure-app-configuration/rest-api-authentication-hmac
    Known {
        name: "azure-app-configuration",
        scheme: r#"sha256 key base64 over method "\n" target "\n" http-date ";" host ";" body-sha256-base64; header x-ms-date = http-date; header x-ms-content-sha256 = body-sha256-base64; header authorization = "HMAC-SHA256 Credential=" key-id "&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" base64"#,
    },
];
