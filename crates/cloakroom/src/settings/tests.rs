use super::*;
use crate::failure::Failure;
use clap::Parser;
use std::fmt::Write;

fn no_options() -> ServeArguments {
    let arguments = crate::cli::Arguments::parse_from(["cloakroom", "serve"]);
    let crate::cli::Command::Serve(options) = arguments.command else { panic!("not serve") };
    ServeArguments { passphrase_file: None, ..options }
}

fn parsed(text: &str) -> Result<Settings, Failure> {
    file::parse("cloakroom.toml", text).and_then(|file| Settings::from_file(file, &no_options()))
}

#[test]
fn an_empty_file_is_all_defaults() {
    let settings = parsed("").unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8480");
    assert_eq!(settings.console.to_string(), "127.0.0.1:8481");
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.kek, KekSetting::File);
}

#[test]
fn what_is_written_is_meant() {
    let settings = parsed(
        "[listen]\nworkloads = \"127.0.0.1:1\"\n[limits]\nhead-bytes = \"32KiB\"\n[upstream]\nconnect-timeout = \"3s\"\n\
         allow-address = [\"10.0.0.0/8\"]\n[journal]\nsegment-size = \"1MiB\"\ndurability = \"before-send\"\n\
         [custody]\nkek = \"passphrase\"\n",
    )
    .unwrap();
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.limits.head_bytes, 32 * 1024);
    assert_eq!(settings.upstream.connect_timeout.as_secs(), 3);
    assert_eq!(settings.upstream.allowed.len(), 1);
    assert_eq!(settings.journal.segment_bytes, 1 << 20);
    assert_eq!(settings.durability, Durability::BeforeSend);
    assert_eq!(settings.kek, KekSetting::Passphrase(None));
}

#[test]
fn the_listener_speaks_what_is_written() {
    let written =
        "[listen]\nsocks5 = false\nproxy-protocol = [\"10.0.0.0/8\"]\nunix = \"/run/w.sock\"\nvsock = 8480\n";
    let settings = parsed(written).unwrap();
    assert_eq!((settings.unix, settings.vsock), (Some("/run/w.sock".into()), Some(8480)));
    for wrong in ["0", "-1", "4294967296", "\"8480\""] {
        assert!(parsed(&format!("[listen]\nvsock = {wrong}\n")).is_err(), "{wrong}");
    }
    assert!(!settings.socks);
    assert_eq!(settings.balancers[0].to_string(), "10.0.0.0/8");
    let own =
        parsed("[listen.tls]\ncertificate = \"own\"\nnames = [\"Broker.internal\", \"10.0.0.5\"]\n").unwrap();
    let names = ["broker.internal", "10.0.0.5"].map(|name| Host::parse(name).unwrap()).to_vec();
    assert_eq!(own.certificate, Some(CertificateSetting::Own(names)));
    let given = parsed("[listen.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n").unwrap();
    let (certificate, key) = ("c.pem".into(), "k.pem".into());
    assert_eq!(given.certificate, Some(CertificateSetting::Given { certificate, key }));
    for wrong in [
        "[listen.tls]\n",
        "[listen.tls]\ncertificate = \"c.pem\"\n",
        "[listen.tls]\ncertificate = \"own\"\nkey = \"k.pem\"\n",
        "[listen.tls]\ncertificate = \"own\"\nnames = [\"*.internal\"]\n",
        "[listen.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nnames = [\"broker.internal\"]\n",
        "[listen]\nproxy-protocol = [\"10.0.0.0/33\"]\n",
    ] {
        assert_eq!(parsed(wrong).unwrap_err().exit(), crate::exit::Exit::BadInput, "{wrong}");
    }
}

#[test]
fn what_is_steered_and_names_go_together() {
    let both = "transparent = \"10.77.0.1:8443\"\ndns = \"10.77.0.1:53\"\n";
    let steered = parsed(&format!("[listen]\n{both}")).unwrap().steered.unwrap();
    assert_eq!((steered.dns.port(), steered.pool.to_string()), (53, "198.18.0.0/15".into()));
    assert_eq!(parsed("").unwrap().steered, None);
    for wrong in [
        "transparent = \"10.77.0.1:8443\"\n",
        "dns = \"10.77.0.1:53\"\n",
        &format!("{both}dns-pool = \"198.18.0.0/30\"\n"),
        &format!("{both}dns-pool = \"fd00::/64\"\n"),
    ] {
        assert_eq!(
            parsed(&format!("[listen]\n{wrong}")).unwrap_err().exit(),
            crate::exit::Exit::BadInput,
            "{wrong}"
        );
    }
}

#[test]
fn a_collector_of_spans_is_at_https_or_on_this_machine_and_gets_a_share() {
    let of = |rest: &str| parsed(&format!("[traces]\n{rest}\n")).map(|settings| settings.traces.unwrap());
    let traces = of("url = \"http://127.0.0.1:4318/v1/traces\"").unwrap();
    assert_eq!((&*traces.target, traces.share), ("/v1/traces", 1.0));
    assert_eq!(of("url = \"https://otel.example.com\"\nshare = 0.25").unwrap().share, 0.25);
    for wrong in
        ["url = \"http://otel.example.com\"", "share = 1.0", "url = \"https://o.example\"\nshare = 1.5"]
    {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_webhook_goes_to_https_or_to_this_machine() {
    let of = |url: &str| parsed(&format!("[events.webhook]\nurl = \"{url}\"\nsecret-file = \"s\"\n"));
    let webhook = of("https://Hooks.example.com/a/b?c=d").unwrap().webhook.unwrap();
    assert_eq!((webhook.to.to_string(), &*webhook.target), ("https://hooks.example.com".into(), "/a/b?c=d"));
    assert_eq!(webhook.min_severity, Severity::Warning);
    assert_eq!(of("http://127.0.0.1:9000").unwrap().webhook.unwrap().target, "/");
    for wrong in [
        "http://hooks.example.com/",
        "http://10.0.0.1/",
        "ftp://hooks.example.com/",
        "https://u:p@hooks.example.com/",
        "https://hooks.example.com/#f",
        "hooks.example.com",
        "",
    ] {
        assert_eq!(of(wrong).unwrap_err().exit(), crate::exit::Exit::BadInput, "{wrong}");
    }
    assert!(parsed("[events.webhook]\nurl = \"https://h.example\"\n").is_err(), "unsigned");
    let graver = "[events.webhook]\nurl = \"https://h.example\"\nsecret-file = \"s\"\nmin-severity = ";
    assert!(parsed(&format!("{graver}\"critical\"\n")).is_ok());
    assert!(parsed(&format!("{graver}\"loud\"\n")).is_err());
}

#[test]
fn a_witness_is_a_file_a_repository_or_a_url_and_segments_are_kept_by_size_or_age() {
    let of = |text: &str| parsed(&format!("[journal.witness]\n{text}"));
    let witness = of("file = \"/mnt/w/checkpoints\"\nevery = \"5m\"\n").unwrap().witness.unwrap();
    assert_eq!(witness.every, Duration::from_secs(300));
    let witness = of("url = \"https://w.example.com/a/\"\n").unwrap().witness.unwrap();
    assert_eq!(witness.url.unwrap().1, "/a/add-checkpoint");
    for wrong in [
        "",
        "every = \"5m\"\n",
        "file = \"here\"\n",
        "git = \"repo.git\"\n",
        "url = \"http://w.example.com\"\n",
    ] {
        assert_eq!(of(wrong).unwrap_err().exit(), crate::exit::Exit::BadInput, "{wrong}");
    }
    let keep = parsed("[journal]\nkeep-size = \"100MiB\"\nkeep-age = \"90d\"\n").unwrap().journal.keep;
    assert_eq!((keep.bytes, keep.age), (Some(100 << 20), Some(Duration::from_secs(90 * 86_400))));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known() {
    for (text, place, hint) in [
        (
            "[limits]\nhead-byte = 1\n",
            "cloakroom.toml:2:1: \"head-byte\" is not known here",
            "did you mean \"head-bytes\"?",
        ),
        ("[limit]\n", "cloakroom.toml:1:2: \"limit\" is not known here", "did you mean \"limits\"?"),
        (
            "\n[custody]\nkek = \"flie\"\n",
            "cloakroom.toml:3:7: \"flie\" is not known here",
            "did you mean \"file\"?",
        ),
        (
            "[journal]\nflush-every = 5\n",
            "cloakroom.toml:2:15: invalid type: integer `5`, expected a string",
            "write the value in quotes; docs/settings.md lists every setting",
        ),
    ] {
        let failure = parsed(text).unwrap_err();
        assert_eq!(failure.to_string(), place);
        assert_eq!(failure.complaints()[0].hint.as_deref(), Some(hint));
        assert_eq!(failure.exit(), crate::exit::Exit::BadInput);
    }
}

fn span(of: Duration) -> String {
    let millis = of.as_millis();
    if millis.is_multiple_of(1000) { format!("\"{}s\"", millis / 1000) } else { format!("\"{millis}ms\"") }
}

fn size(bytes: u64) -> String {
    match (bytes % (1 << 20), bytes % 1024) {
        (0, _) => format!("\"{}MiB\"", bytes >> 20),
        (_, 0) => format!("\"{}KiB\"", bytes >> 10),
        _ => bytes.to_string(),
    }
}

fn bytes(number: usize) -> String {
    size(u64::try_from(number).unwrap())
}

/// Every setting with the default that the code has.
fn defaults() -> Vec<(&'static str, &'static str, String)> {
    let settings = parsed("").unwrap();
    assert!(settings.certificate.is_none() && settings.balancers.is_empty());
    let Settings {
        listen, console, socks, limits, upstream, journal, approval, parking, pin_generation, ..
    } = settings;
    let Limits {
        head_bytes,
        header_fields,
        target_bytes,
        connections,
        connections_per_workload,
        calls,
        calls_per_workload,
        streams,
        handshakes,
        handshake_time,
        header_time,
        keep_alive_idle,
        body_idle,
        body_total,
        body_scan,
        parsed_body,
        websocket_message,
        websocket_idle,
        free_guesses,
        drain,
        ..
    } = limits;
    vec![
        ("listen", "workloads", format!("\"{listen}\"")),
        ("listen", "console", format!("\"{console}\"")),
        ("listen", "socks5", socks.to_string()),
        ("listen", "proxy-protocol", "[]".into()),
        ("listen", "transparent", "none".into()),
        ("listen", "dns", "none".into()),
        ("listen", "dns-pool", "\"198.18.0.0/15\"".into()),
        ("listen", "unix", "none".into()),
        ("listen", "vsock", "none".into()),
        ("listen", "require-lock", "[]".into()),
        ("listen", "tls.certificate", "none".into()),
        ("listen", "tls.key", "none".into()),
        ("listen", "tls.names", "none".into()),
        ("limits", "head-bytes", bytes(head_bytes)),
        ("limits", "header-fields", header_fields.to_string()),
        ("limits", "target-bytes", bytes(target_bytes)),
        ("limits", "connections", connections.to_string()),
        ("limits", "connections-per-workload", connections_per_workload.to_string()),
        ("limits", "calls", calls.to_string()),
        ("limits", "calls-per-workload", calls_per_workload.to_string()),
        ("limits", "streams", streams.to_string()),
        ("limits", "handshakes", handshakes.to_string()),
        ("limits", "handshake-time", span(handshake_time)),
        ("limits", "header-time", span(header_time)),
        ("limits", "keep-alive-idle", span(keep_alive_idle)),
        ("limits", "body-idle", span(body_idle)),
        ("limits", "body-total", body_total.map_or_else(|| "none".into(), span)),
        ("limits", "body-scan", bytes(body_scan)),
        ("limits", "parsed-body", bytes(parsed_body)),
        ("limits", "websocket-message", bytes(websocket_message)),
        ("limits", "websocket-idle", span(websocket_idle)),
        ("limits", "free-guesses", free_guesses.to_string()),
        ("limits", "drain", span(drain)),
        ("upstream", "ca", "[]".into()),
        ("upstream", "allow-address", "[]".into()),
        ("upstream", "connect-timeout", span(upstream.connect_timeout)),
        ("upstream", "header-timeout", span(upstream.header_timeout)),
        ("upstream", "idle-timeout", span(upstream.idle_timeout)),
        ("upstream", "pool-idle", span(upstream.pool_idle)),
        ("upstream", "pool-per-destination", upstream.pool_per_destination.to_string()),
        ("upstream", "resolvers", "[]".into()),
        ("journal", "segment-size", size(journal.segment_bytes)),
        ("journal", "flush-every", span(journal.flush_every)),
        ("journal", "checkpoint-every", journal.checkpoint_every.to_string()),
        ("journal", "checkpoint-within", span(journal.checkpoint_within)),
        ("journal", "write-timeout", span(journal.write_timeout)),
        ("journal", "keep-size", "none".into()),
        ("journal", "keep-age", "none".into()),
        ("journal", "witness.every", "none".into()),
        ("journal", "witness.file", "none".into()),
        ("journal", "witness.git", "none".into()),
        ("journal", "witness.url", "none".into()),
        ("journal", "witness.allow-address", "none".into()),
        ("journal", "durability", "\"grouped\"".into()),
        ("process", "insist", "false".into()),
        ("custody", "kek", "\"file\"".into()),
        ("custody", "ask-every", span(ASK_EVERY)),
        ("custody", "pkcs11.module", "none".into()),
        ("custody", "pkcs11.token", "none".into()),
        ("custody", "pkcs11.slot", "none".into()),
        ("custody", "pkcs11.key", "none".into()),
        ("custody", "pkcs11.mechanism", "none".into()),
        ("custody", "pkcs11.create", "none".into()),
        ("custody", "pkcs11.pin", "none".into()),
        ("custody", "transit.server", "none".into()),
        ("custody", "transit.namespace", "none".into()),
        ("custody", "transit.mount", "none".into()),
        ("custody", "transit.key", "none".into()),
        ("custody", "transit.login", "none".into()),
        ("custody", "transit.login-mount", "none".into()),
        ("custody", "transit.login-role", "none".into()),
        ("custody", "transit.secret-file", "none".into()),
        ("custody", "transit.allow-address", "none".into()),
        ("custody", "aws-kms.region", "none".into()),
        ("custody", "aws-kms.server", "none".into()),
        ("custody", "aws-kms.key", "none".into()),
        ("custody", "aws-kms.credentials-file", "none".into()),
        ("custody", "aws-kms.allow-address", "none".into()),
        ("custody", "distinct-operators", "false".into()),
        ("approval", "quorum", approval.quorum.to_string()),
        ("approval", "not-requester", approval.not_requester.to_string()),
        ("approval", "pin-generation", pin_generation.to_string()),
        ("approval", "wait", span(parking.wait)),
        ("approval", "parked", parking.calls.to_string()),
        ("approval", "parked-per-workload", parking.calls_per_workload.to_string()),
        ("traces", "url", "none".into()),
        ("traces", "share", "none".into()),
        ("traces", "allow-address", "none".into()),
        ("issuer", "url", "none".into()),
        ("issuer", "audiences", "none".into()),
        ("issuer", "listen", "none".into()),
        ("issuer", "lifetime", "none".into()),
        ("events", "webhook.url", "none".into()),
        ("events", "webhook.secret-file", "none".into()),
        ("events", "webhook.min-severity", "none".into()),
        ("events", "webhook.allow-address", "none".into()),
        ("notify", "every", "none".into()),
        ("notify", "email.server", "none".into()),
        ("notify", "email.starttls", "none".into()),
        ("notify", "email.user", "none".into()),
        ("notify", "email.password-file", "none".into()),
        ("notify", "email.from", "none".into()),
        ("notify", "email.to", "none".into()),
        ("notify", "email.allow-address", "none".into()),
        ("notify", "webhook.url", "none".into()),
        ("notify", "webhook.secret-file", "none".into()),
        ("notify", "webhook.allow-address", "none".into()),
        ("notify", "slack.url-file", "none".into()),
        ("notify", "slack.allow-address", "none".into()),
        ("notify", "ntfy.url", "none".into()),
        ("notify", "ntfy.token-file", "none".into()),
        ("notify", "ntfy.allow-address", "none".into()),
    ]
}

#[test]
fn the_documented_defaults_are_the_codes_and_complete() {
    let document = include_str!("../../../../docs/settings.md");
    let documented: Vec<(String, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"))
        .map(|(key, rest)| (key.to_owned(), rest.split('`').next().unwrap().to_owned()))
        .collect();
    let expected: Vec<(String, String)> =
        defaults().into_iter().map(|(section, key, value)| (format!("{section}.{key}"), value)).collect();
    assert_eq!(documented, expected);
    // A key that the code does not know would not parse: the documented file is read as a whole.
    let mut file = String::new();
    let mut last = "";
    for (section, key, value) in defaults() {
        if value == "none" {
            continue;
        }
        if section != last {
            writeln!(file, "[{section}]").unwrap();
            last = section;
        }
        writeln!(file, "{key} = {value}").unwrap();
    }
    assert!(parsed(&file).is_ok(), "{file}");
}

#[test]
fn a_tpm_is_named_only_where_it_wraps_the_root_key_and_by_what_it_is() {
    let kek = |text: &str| parsed(&format!("[custody]\n{text}\n")).map(|settings| settings.kek);
    let named = kek("kek = \"tpm\"\ntpm = \"socket:127.0.0.1:2321\"\npcrs = \"11, 7\"").unwrap();
    let KekSetting::Tpm { address, pcrs } = named else { panic!("{named:?}") };
    assert_eq!((address.to_string(), pcrs.to_string()), ("socket:127.0.0.1:2321".into(), "7,11".into()));
    let KekSetting::Tpm { address, pcrs } = kek("kek = \"tpm\"").unwrap() else { panic!("no TPM") };
    assert!(address.to_string() == "/dev/tpmrm0" && pcrs.is_empty());
    for wrong in [
        "tpm = \"/dev/tpm0\"",
        "pcrs = \"11\"",
        "kek = \"passphrase\"\npcrs = \"11\"",
        "kek = \"tpm\"\ntpm = \"tpm0\"",
        "kek = \"tpm\"\npcrs = \"24\"",
        "kek = \"tpm\"\npcrs = \"\"",
    ] {
        assert!(kek(wrong).is_err(), "{wrong}");
    }
    let with_passphrase = ServeArguments { passphrase_file: Some("p".into()), ..no_options() };
    let file = file::parse("cloakroom.toml", "[custody]\nkek = \"tpm\"\n").unwrap();
    assert!(Settings::from_file(file, &with_passphrase).is_err());
}
