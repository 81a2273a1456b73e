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
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut text = Vec::new();
    pages(&command, &mut text)?;
    output.print_exactly(&text)?;
    Ok(Exit::Done)
}

/// The page of a command, then those of its subcommands: what a page refers to follows it.
fn pages(command: &clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    command.get_subcommands().try_for_each(|subcommand| pages(subcommand, text))
}
