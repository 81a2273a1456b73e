//! What the broker says and keeps: the journal, its log, its process.

use crate::support::{BINARY, eventually, item, items, setup};
use cloakroom_testkit::{BrokerBuilder, Setup, TAIL, TestAuthority, TlsUpstream, Way, echo, hunt, shaped};

#[test]
fn the_journal_names_each_call_before_its_effect_and_no_secret() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    assert_eq!(broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
    let other = item(&upstream, "1", &issued.text).with("x-copy", &issued.text);
    assert_eq!(broker.call(Way::Connect, Some(&robot), &other).status, 403);
    let shown = broker.cli(&["journal", "show", "--json"]).stdout;
    for word in ["credential added", "placeholder issued", "intent", "/v1/items/1"] {
        assert!(shown.contains(word), "no {word:?} in the journal:\n{shown}");
    }
    let shown = eventually("the refusal is on record", || {
        let shown = broker.cli(&["journal", "show", "--json"]).stdout;
        shown.contains("place-not-permitted").then_some(shown)
    });
    assert!(!shown.contains(&issued.text) && !shown.contains(&robot.key));
    broker.verify_journal();
}

#[test]
fn a_flipped_bit_in_the_journal_is_found() {
    let Setup { mut broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued.text));
    broker.verify_journal();
    broker.stop();
    let directory = broker.data().join("journal");
    let segments: Vec<_> =
        std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
    let segment = segments.iter().find(|path| path.extension().is_some_and(|e| e == "seg")).unwrap();
    let mut bytes = std::fs::read(segment).unwrap();
    let middle = memchr_find(&bytes, b"credential added");
    bytes[middle] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    let answer = broker.run(&["journal", "verify", "--json"]);
    assert!(!answer.status.success(), "{answer:?}");
    assert!(answer.stdout.contains("\"ok\":false") || answer.stdout.contains("\"ok\": false"), "{answer:?}");
}

fn memchr_find(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle).expect("the journal holds the act")
}

#[cfg(target_os = "linux")]
#[test]
fn t88_the_process_shows_no_secret_and_dumps_no_core() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    assert_eq!(broker.call(Way::Connect, Some(&robot), &item(&upstream, "1", &issued.text)).status, 200);
    let read = |file: &str| std::fs::read(format!("/proc/{}/{file}", broker.pid())).unwrap_or_default();
    assert!(!read("cmdline").is_empty());
    for file in ["cmdline", "environ"] {
        assert_eq!(hunt(&read(file)), [], "{file}");
    }
    let limits = String::from_utf8(read("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_ascii_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_secret_is_never_taken_from_the_command_line_or_shown_again() {
    let Setup { broker, authority, .. } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    for arguments in
        [&["credential", "show", "c"][..], &["credential", "list"], &["credential", "show", "c", "--json"]]
    {
        assert!(!broker.cli(arguments).stdout.contains(TAIL));
    }
    let help = broker.cli(&["credential", "add", "--help"]).stdout;
    assert!(!help.contains("--secret "), "{help}");
}

#[test]
fn a_command_that_fails_says_what_and_what_to_do() {
    let Setup { broker, .. } = setup();
    for arguments in [
        &["credential", "show", "nobody"][..],
        &["workload", "remove", "nobody"],
        &["approval", "grant", "ap_00000000000000000000000000", "--yes"],
        &["placeholder", "revoke", "nonsense"],
        &["policy", "check", "/nonexistent/policy.toml"],
        &["credential", "add", "c", "--kind", "bearer", "--to", "ftp://x"],
    ] {
        let answer = broker.run(arguments);
        assert!(!answer.status.success(), "{arguments:?}");
        assert!(answer.stderr.contains("error:"), "{arguments:?}: {answer:?}");
        assert!(!answer.stderr.contains("panicked"), "{answer:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn t91_when_the_record_cannot_be_written_the_call_does_not_happen_and_later_it_does() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).with_a_disk_that_can_fill().start();
    let robot = broker.workload("robot");
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &items(&upstream), &[]);
    let call = |way| broker.call(way, Some(&robot), &item(&upstream, "1", &issued.text));
    broker.limit_file_size(Some(1));
    for way in Way::ALL {
        let answer = call(way);
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (503, Some("journal-unavailable")),
            "{}",
            answer.text()
        );
    }
    let added = broker.run(&["workload", "add", "other"]);
    assert!(!added.status.success(), "an act without a record: {added:?}");
    assert_eq!(upstream.connections(), 0);
    broker.limit_file_size(None);
    eventually("calls work again", || (call(Way::Absolute).status == 200).then_some(()));
    broker.verify_journal();
}

#[test]
fn t59_the_fingerprint_of_the_authority_is_shown_on_the_operators_side() {
    use base64::Engine;
    let Setup { broker, .. } = setup();
    let shown = broker.cli(&["ca"]).stdout;
    let pem = broker.ca_pem();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(shown.contains(&hex.join(":")), "{shown}");
}
