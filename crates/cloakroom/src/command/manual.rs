//! `cloakroom completions` and `cloakroom man`.

use crate::Outcome;
use crate::cli::Arguments;
use crate::exit::Exit;
use crate::output::Output;
use clap::CommandFactory;

pub(super) fn completions(shell: clap_complete::Shell, output: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "cloakroom", &mut script);
    output.print_exactly(&script)?;
    Ok(Exit::Done)
}

pub(super) fn page(output: &Output) -> Outcome {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    output.print_exactly(&page)?;
    Ok(Exit::Done)
}
