//! The commands, one short file each.

mod build;
mod check;
mod init;
mod report;

use std::ffi::OsString;

use clap::Parser;

use crate::cli::{Chosen, Cli, Command, ExitStatus};
use crate::content::project::Selection;
use report::Report;

/// Runs what was typed, tells its errors, and says how the process ends.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            _ = error.print();
            // Help and version are no errors.
            return if error.use_stderr() {
                ExitStatus::Invalid
            } else {
                ExitStatus::Done
            };
        }
    };
    // Panics of tensor code are caught and told as errors; the default hook would print them first.
    std::panic::set_hook(Box::new(report::panicked));
    let report = Report::new(&cli.global);
    let done = match &cli.command {
        Command::Build(arguments) => build::run(&cli.global, arguments, &report),
        Command::Check(arguments) => check::run(&cli.global, arguments, &report),
        Command::Init(arguments) => init::run(arguments, &report),
    };
    done.unwrap_or_else(|errors| report.errors(errors))
}

fn selection(chosen: &Chosen) -> Selection {
    Selection {
        experiments: chosen.experiment.clone(),
        drafts: chosen.drafts,
    }
}
