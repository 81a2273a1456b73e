//! `cloakroom learn`: begins a lesson, waits for its end, and prints what it proposes.

use crate::Outcome;
use crate::broker::{Broker, segment};
use crate::cli::LearnArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use cloakroom_admin::wire::{LearnedView, LessonView, NewLesson};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(data: &DataDir, options: &LearnArguments, output: &Output) -> Outcome {
    let broker = Broker::of(data)?;
    let workload = segment(&options.workload)?;
    if !options.end {
        let seconds = options.span.as_secs();
        // It outlives this command by a little: whoever ends it at the last moment still finds it.
        let new = NewLesson { workload: workload.to_owned(), seconds };
        let lesson: LessonView = broker.post("lessons", &new)?;
        output.talk(&format!(
            "workload {} is in a lesson until {}: each of its calls is refused, and its shape kept",
            lesson.workload, lesson.until
        ));
        output.hint("run the workload now; Ctrl-C ends the lesson and prints the proposal");
        wait(options.span)?;
    }
    let learned: LearnedView = broker.remove(&format!("lessons/{workload}"))?;
    if output.is_json() {
        output.data(&learned, String::new)?;
    } else {
        output.print_exactly(learned.policy.as_bytes())?;
    }
    for what in &learned.left_out {
        output.warning(&format!("left out: {what}"));
    }
    output.talk(&format!("{} calls, {} permits proposed", learned.calls, learned.permits));
    if learned.permits > 0 {
        output
            .hint("nothing is permitted yet: read the file, then cloakroom placeholder issue --policy FILE");
    }
    Ok(Exit::Done)
}

/// Until the span is over, or somebody wants it to end.
fn wait(span: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = tokio::time::sleep(span) => {}
        }
        Ok(())
    })
}
