//! The project's own commands: `cargo xtask test | tidy | deps | coverage | clients | appliance | bench`.

#![allow(clippy::print_stdout, reason = "a command line tool talks on stdout")]

mod appliance;
mod appliance_bench;
mod bench;
mod clients;
mod console_bench;
mod coverage;
mod deps;
mod fault;
mod hop_bench;
mod narrow_bench;
mod refusals;
mod shell;
mod source;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--no-clients]   everything that continuous integration runs: formatting, lints, docs, dependency policy, tidy, all tests
  tidy                  the house rules that no compiler checks
  deps                  the dependency policy, from cargo tree
  coverage              threats and refusal codes, and the tests that name them
  clients               install the real clients for the end-to-end tests under target/clients
  appliance [PROFILE]   link the program statically (profile dev, release or dist) and fetch a kernel, under target/appliance; without a
                        profile what the tests boot
  bench appliance       measure how long an appliance takes to its first answer, and how large it is
  bench hop             measure what asking another process costs
  bench narrow [PROFILE [BROKERS]]
                        measure memory and start of 50 brokers on one host
  bench console [PROFILE]  how long the pages of the console take with 10,000 placeholders and a million journal records
  bench [WORDS]         measure against nginx and others and write target/bench/report.md; asserts nothing (bench/README.md)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test::run(test::Clients::Real),
        ["test", "--no-clients"] => test::run(test::Clients::Skipped),
        ["tidy"] => tidy::run(),
        ["deps"] => deps::run(),
        ["coverage"] => coverage::run(),
        ["clients"] => clients::install(),
        ["appliance"] => appliance::build("dev").and_then(|()| appliance::for_tests()),
        ["appliance", profile] => appliance::build(profile),
        ["bench", "appliance"] => appliance_bench::measure(),
        ["bench", "hop"] => hop_bench::measure(),
        ["bench", "narrow", words @ ..] => narrow_bench::measure(words),
        ["bench", "console"] => console_bench::measure("bench"),
        ["bench", "console", profile] => console_bench::measure(profile),
        ["bench", words @ ..] => bench::run(words),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
