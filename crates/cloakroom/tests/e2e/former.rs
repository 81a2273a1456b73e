//! A credential that is rotated while calls are under way: the former secret is used no more, and never comes back either.

use crate::support::{item, items, presented, setup};
use cloakroom_testkit::{After, Received, Setup, TlsUpstream, Way, shaped};
use std::io::{Result, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// Each reply shows all that the destination was ever sent; that to item `0` begins, and ends with its own when the test says so.
struct Memory {
    seen: Mutex<Vec<String>>,
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Memory {
    fn answer(&self, request: &Received, out: &mut dyn Write) -> Result<After> {
        let bearer = request.header("authorization").unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(bearer);
        let is_long = request.target.ends_with("/0");
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
        write!(out, "{head}{}", chunk("so far\n"))?;
        out.flush()?;
        if is_long {
            self.begun.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        // The long one shows what there was when it began: of what is deposited later it knows nothing.
        let seen = self.seen.lock().unwrap();
        let seen = if is_long { seen[..1].join("\n") } else { seen.join("\n") };
        write!(out, "{}{}0\r\n\r\n", chunk(&seen), chunk("\nall\n"))?;
        out.flush()?;
        Ok(After::Keep)
    }
}

fn rotate(setup: &Setup, secret: &str, more: &[&str]) {
    let rotated = setup.broker.run_with(&[&["credential", "rotate", "c"], more].concat(), secret);
    assert!(rotated.status.success(), "{rotated:?}");
}

#[test]
fn a_former_secret_is_taken_out_of_every_reply_while_a_call_is_under_way_that_went_out_with_it() {
    let setup = setup();
    let (begun, has_begun) = channel();
    let (go, go_on) = channel();
    let memory = Arc::new(Memory { seen: Mutex::default(), begun, go_on: Mutex::new(go_on) });
    let upstream = TlsUpstream::start_with(&setup.authority, move |request, out| memory.answer(request, out));
    let (former, present) = (shaped("sk_former_"), shaped("sk_present_"));
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &former);
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    std::thread::scope(|threads| {
        let long = threads.spawn(|| {
            setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "0", &issued.text))
        });
        has_begun.recv().unwrap();
        rotate(&setup, &present, &[]);
        // Another call, with the new secret, is shown both.
        let other = setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
        assert_eq!(presented(&upstream), present, "the former secret is used no more");
        assert_eq!(other.status, 200);
        assert_eq!(other.text().matches("Bearer ").count(), 2, "{}", other.text());
        go.send(()).unwrap();
        // And the long one shows its own in its later bytes.
        let long = long.join().unwrap();
        for answer in [&long, &other] {
            assert!(answer.text().ends_with("\nall\n"), "{}", answer.text());
            assert!(answer.text().contains(&format!("Bearer {}", issued.text)), "{}", answer.text());
            assert!(cloakroom_testkit::hunt(answer.text().as_bytes()).is_empty(), "{}", answer.text());
        }
    });
}

#[test]
fn a_grace_goes_on_with_that_after_the_last_such_call() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, {
        let seen = Mutex::new(Vec::new());
        move |request: &Received| {
            let mut seen = seen.lock().unwrap();
            seen.push(request.header("authorization").unwrap_or_default().to_owned());
            cloakroom_testkit::Reply::ok("text/plain", seen.join("\n"))
        }
    });
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_former_"));
    let issued = setup.broker.permit("c", "robot", &items(&upstream), &[]);
    let call = || setup.broker.call(Way::Connect, Some(&setup.robot), &item(&upstream, "1", &issued.text));
    assert_eq!(call().status, 200);
    for name in ["sk_second_", "sk_third_"] {
        rotate(&setup, &shaped(name), &["--grace", "10m"]);
        let answer = call();
        assert_eq!(presented(&upstream), shaped(name));
        assert!(cloakroom_testkit::hunt(answer.text().as_bytes()).is_empty(), "{}", answer.text());
    }
    assert_eq!(call().text().matches("Bearer ").count(), 4);
    let wrong =
        setup.broker.run_with(&["credential", "rotate", "c", "--grace", "31d"], &shaped("sk_fourth_"));
    assert!(!wrong.status.success() && wrong.stderr.contains("30 days"), "{wrong:?}");
}
