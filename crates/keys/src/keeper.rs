//! The keeper: waits for the broker's questions and starts a worker for each. It loads no module itself.

use crate::settings::TokenSettings;
use crate::worker::SILENT;
use cloakroom_model::pkcs11::{Answer, Fault, LONGEST, Question};
use std::io::{Read, Result, Write};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// What a person typed at the start, as the first packet: never empty, since an empty packet looks like an end.
pub struct Typed(Zeroizing<Vec<u8>>);

impl Typed {
    /// As it is sent.
    pub fn write(pin: &[u8]) -> Self {
        let mut packet = Zeroizing::new(Vec::with_capacity(1 + pin.len()));
        packet.push(1);
        packet.extend_from_slice(pin);
        Self(packet)
    }

    /// The packet.
    pub fn packet(&self) -> &[u8] {
        &self.0
    }

    fn pin(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// Answers the questions that come from `broker`, one at a time, until it ends.
///
/// `broker` keeps packets apart. `worker` starts this program so that it calls [`crate::work`].
///
/// # Errors
/// Where the settings make no sense, or the broker cannot be answered.
pub fn keep(settings: &str, mut broker: impl Read + Write, worker: impl Fn() -> Command) -> Result<()> {
    let read: TokenSettings = serde_json::from_str(settings)?;
    let Some(typed) = packet(&mut broker)?.map(Typed) else { return Ok(()) };
    let mut is_stuck = false;
    while let Some(packet) = packet(&mut broker)? {
        let Some(question) = Question::parse(&packet) else { continue };
        let answered = match is_stuck {
            true => refusal(question.number, Fault::PinRefused),
            false => answer(&mut worker(), &typed, &question, &packet),
        };
        if matches!(Answer::parse(&answered), Some(Answer { outcome: Err(Fault::PinRefused), .. })) {
            // SECURITY: a typed PIN stays what it was, and without a mark nobody could say that it was put right.
            is_stuck = read.pin.is_none() || read.refused.symlink_metadata().is_err();
        }
        broker.write_all(&answered)?;
    }
    Ok(())
}

/// The next packet; `None` where the other end is gone.
fn packet(broker: &mut impl Read) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let mut packet = Zeroizing::new(vec![0; LONGEST]);
    let length = broker.read(&mut packet)?;
    packet.truncate(length);
    Ok((length > 0).then_some(packet))
}

fn answer(worker: &mut Command, typed: &Typed, question: &Question<'_>, packet: &[u8]) -> Zeroizing<Vec<u8>> {
    let answered = ask(worker, typed.pin(), packet);
    let fitting = |bytes: &Zeroizing<Vec<u8>>| {
        Answer::parse(bytes).is_some_and(|answer| answer.number == question.number)
    };
    match answered {
        Ok((bytes, _)) if fitting(&bytes) => bytes,
        Ok((_, Some(SILENT))) => refusal(question.number, Fault::Silent),
        // Whatever a module does to its process, it does to nobody else.
        _ => refusal(question.number, Fault::Failed),
    }
}

fn refusal(number: u32, fault: Fault) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Answer { number, outcome: Err(fault) }.write())
}

/// What a worker says, and what it ends with.
fn ask(worker: &mut Command, pin: &[u8], packet: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Option<i32>)> {
    let mut child = worker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let length = u16::try_from(pin.len()).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(mut input) = child.stdin.take() {
        // One that has died already says so by its end.
        let _ = input
            .write_all(&length)
            .and_then(|()| input.write_all(pin))
            .and_then(|()| input.write_all(packet));
    }
    let mut said = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let read = match child.stdout.take() {
        Some(output) => output.take(LONGEST as u64).read_to_end(&mut said).map(drop),
        None => Ok(()),
    };
    let ended = child.wait()?;
    read.map(|()| (said, ended.code()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Mechanism, Which};
    use cloakroom_model::pkcs11::Ask;
    use std::io::Cursor;
    use std::path::Path;

    /// A broker that asks these packets, in order, and keeps what it is told.
    struct Asking {
        packets: Vec<Vec<u8>>,
        told: Vec<Vec<u8>>,
    }

    impl Read for Asking {
        fn read(&mut self, room: &mut [u8]) -> Result<usize> {
            if self.packets.is_empty() { Ok(0) } else { Cursor::new(self.packets.remove(0)).read(room) }
        }
    }

    impl Write for Asking {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.told.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn settings(refused: &Path) -> String {
        let settings = TokenSettings {
            module: "/nowhere.so".into(),
            token: Which::Slot(0),
            key: "kek".into(),
            mechanism: Mechanism::AesGcm,
            create: false,
            pin: None,
            refused: refused.into(),
        };
        serde_json::to_string(&settings).unwrap()
    }

    /// What the broker is told when each worker is this shell script.
    fn told(script: &str, questions: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let mut packets = vec![Typed::write(b"").packet().to_vec()];
        packets.extend_from_slice(questions);
        let mut broker = Asking { packets, told: Vec::new() };
        let worker = || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        keep(&settings(&directory.path().join("mark")), &mut broker, worker).unwrap();
        broker.told
    }

    fn question(number: u32) -> Vec<u8> {
        Question { number, ask: Ask::Unwrap, bytes: b"x" }.write()
    }

    #[test]
    fn a_worker_that_dies_hangs_or_lies_is_a_fault_and_the_next_one_is_asked_anew() {
        let faults = |script: &str| -> Vec<Fault> {
            let told = told(script, &[question(1), b"no question".to_vec(), question(2)]);
            let fault = |packet: &Vec<u8>| Answer::parse(packet).unwrap().outcome.unwrap_err();
            assert_eq!(
                told.iter().map(|packet| Answer::parse(packet).unwrap().number).collect::<Vec<_>>(),
                [1, 2]
            );
            told.iter().map(fault).collect()
        };
        assert_eq!(faults("kill -SEGV $$"), [Fault::Failed; 2]);
        assert_eq!(faults("exit 9"), [Fault::Silent; 2]);
        assert_eq!(faults("echo noise"), [Fault::Failed; 2]);
        assert_eq!(
            faults(r"printf '\000\000\000\007\000bytes'"),
            [Fault::Failed; 2],
            "the answer to another question"
        );
        assert_eq!(faults("head -c 100000 /dev/zero"), [Fault::Failed; 2]);
        assert_eq!(faults(r"printf '\000\000\000\001\005'")[0], Fault::PinRefused);
    }

    #[test]
    fn a_typed_pin_that_was_refused_is_not_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let tried = directory.path().join("tried").display().to_string();
        // The first worker's PIN is refused, the next one's would be taken.
        let script = format!(
            r"if [ -e {tried} ]; then printf '\000\000\000\001\000x'; else : > {tried}; printf '\000\000\000\001\005'; fi"
        );
        let told = told(&script, &[question(1), question(1)]);
        let outcome = |packet: &Vec<u8>| Answer::parse(packet).unwrap().outcome.map(<[u8]>::to_vec);
        assert_eq!(told.iter().map(outcome).collect::<Vec<_>>(), [const { Err(Fault::PinRefused) }; 2]);
    }

    #[test]
    fn an_answer_goes_back_as_it_came() {
        let told = told(r"printf '\000\000\000\003\000bytes'", &[question(3)]);
        assert_eq!(Answer::parse(&told[0]), Some(Answer { number: 3, outcome: Ok(b"bytes") }));
    }
}
