//! `cloakroom journal export`: records to stdout as they are read, however many there are.

use crate::cli::ExportFormat;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use cloakroom_store::journal::{self, ExportFormat as Written};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write, stdout};
use std::path::Path;

pub(super) fn run(
    directory: &Path,
    format: ExportFormat,
    since: u64,
    output: &Output,
) -> Result<(), Failure> {
    let format = match format {
        ExportFormat::Json => Written::Json,
        ExportFormat::Otel => Written::Otel,
        ExportFormat::Cef => Written::Cef,
    };
    let mut progress = match stdout().is_terminal() {
        // The records themselves are what is seen there.
        true => Progress::quiet(),
        false => Progress::begin(output, "exporting the journal", Unit::Bytes, journal::size(directory)?),
    };
    let mut out = Out { to: BufWriter::new(stdout().lock()), closed: false };
    let exported = journal::export(directory, format, since, &mut out, &mut |bytes| progress.add(bytes));
    match exported {
        Err(_) if out.closed => Ok(()),
        other => Ok(other?),
    }
}

/// Stdout, which whoever reads it may close when they have enough: that is no failure.
struct Out<'o> {
    to: BufWriter<StdoutLock<'o>>,
    closed: bool,
}

impl Out<'_> {
    fn noting<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        self.closed |= done.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        done
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
        self.noting(flushed)
    }
}
