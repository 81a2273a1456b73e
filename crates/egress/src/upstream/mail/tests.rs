//! Letters against scripted servers: what is said, and each step that goes wrong.

use super::dialogue::Dialogue;
use super::{Letter, MailError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn letter() -> Letter {
    Letter {
        from: "a@example.com".into(),
        to: vec!["b@example.com".into()],
        message: "Subject: x\r\n\r\n.hidden\r\n".into(),
    }
}

/// Answers each thing that is said with the next line, and gives back what was said.
async fn server(mut stream: DuplexStream, answers: &[&str]) -> String {
    let mut heard = String::new();
    for answer in answers {
        // Whoever was refused may be gone.
        if stream.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        heard.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    heard
}

async fn told(answers: &[&str], login: bool) -> (Result<(), MailError>, String) {
    let (ours, theirs) = duplex(4096);
    let talk = async {
        let mut dialogue = Dialogue::new(ours);
        dialogue.greeted().await?;
        dialogue.hello().await?;
        if login {
            dialogue.log_in("user", "pass word").await?;
        }
        dialogue.send(&letter()).await
    };
    tokio::join!(talk, server(theirs, answers))
}

#[tokio::test]
async fn a_letter_is_handed_over_in_the_words_of_the_standard() {
    let answers = [
        "220 hi\r\n",
        "250-x\r\n250 AUTH PLAIN LOGIN\r\n",
        "235 ok\r\n",
        "250 ok\r\n",
        "251 ok\r\n",
        "354 go\r\n",
        "250 ok\r\n",
    ];
    let (outcome, heard) = told(&answers, true).await;
    assert_eq!(outcome, Ok(()));
    let login = "AUTH PLAIN AHVzZXIAcGFzcyB3b3Jk\r\n";
    assert!(heard.starts_with("EHLO [127.0.0.1]\r\n") && heard.contains(login), "{heard}");
    assert!(heard.contains("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: x\r\n\r\n..hidden\r\n.\r\nQUIT\r\n"), "{heard}");
}

#[tokio::test]
async fn each_step_that_is_refused_ends_it_for_now_or_for_good() {
    let good = [
        "220 hi\r\n",
        "250 AUTH PLAIN\r\n",
        "235 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go\r\n",
        "250 ok\r\n",
    ];
    for step in 0..good.len() {
        for (answer, later) in [("450 no\r\n", true), ("550 no\r\n", false)] {
            let mut answers = good[..=step].to_vec();
            answers[step] = answer;
            let (outcome, heard) = told(&answers, true).await;
            let error = outcome.unwrap_err();
            assert_eq!(matches!(error, MailError::Later(_)), later, "{step} {answer} {error}");
            assert!(!heard.contains("QUIT"));
        }
    }
    let (outcome, _) = told(&["220 hi\r\n220 again\r\n", "250 x\r\n"], false).await;
    assert_eq!(outcome, Err(MailError::Never("it answers before it is asked")));
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_tls_or_one_that_said_more_before_it() {
    for (answers, why) in [
        (["220 hi\r\n", "250 SIZE\r\n", "", ""], "it offers no TLS"),
        (
            ["220 hi\r\n", "250 STARTTLS\r\n", "220 go\r\n250 injected\r\n", ""],
            "it said more before TLS began",
        ),
    ] {
        let (ours, theirs) = duplex(4096);
        let talk = async {
            let mut dialogue = Dialogue::new(ours);
            dialogue.greeted().await?;
            dialogue.hello().await?;
            dialogue.start_tls().await.map(drop)
        };
        let (outcome, _) = tokio::join!(talk, server(theirs, &answers[..3]));
        assert_eq!(outcome, Err(MailError::Never(why)));
    }
}
