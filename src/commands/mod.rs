//! The commands, one short file each.

mod build;
mod check;
mod completions;
mod compute;
mod devices;
mod doctor;
mod explain;
mod fetch;
mod import;
mod init;
mod man;
mod place;
mod report;
mod serve;
mod shards;
mod status;
mod store;
mod survey;
mod table;

use std::ffi::OsString;

use clap::Parser;

use crate::cli::{Chosen, Cli, Command, ExitStatus};
use crate::content::project::{Project, Selection};
use crate::diagnostic::Diagnostics;
use crate::interrupt::{self, Ending};
use crate::publish;
use crate::render::{self, Site};
use report::Report;

/// Runs the command, prints its errors, and returns the exit status.
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
    // Panics of tensor code are caught and reported as errors; the default hook would print them first.
    std::panic::set_hook(Box::new(report::panicked));
    let report = Report::new(&cli.global);
    interrupt::install(match &cli.command {
        // A server runs until it is stopped.
        Command::Serve(_) => Ending::Silent(ExitStatus::Done.code().into()),
        _ => Ending::Told(ExitStatus::Stopped.code().into()),
    });
    let done = match &cli.command {
        Command::Build(arguments) => build::run(&cli.global, arguments, &report),
        Command::Compute(arguments) => compute::run(&cli.global, arguments, &report),
        Command::Status(arguments) => status::run(&cli.global, arguments, &report),
        Command::Store(command) => store::run(&cli.global, command, &report),
        Command::Explain(arguments) => explain::run(&cli.global, arguments, &report),
        Command::Serve(arguments) => serve::run(&cli.global, arguments, &report),
        Command::Check(arguments) => check::run(&cli.global, arguments, &report),
        Command::Fetch(arguments) => fetch::run(&cli.global, arguments, &report),
        Command::Import(arguments) => import::run(&cli.global, arguments, &report),
        Command::Init(arguments) => init::run(arguments, &report),
        Command::Devices => devices::run(&report),
        Command::Doctor(arguments) => doctor::run(&cli.global, arguments, &report),
        Command::Completions(arguments) => completions::run(arguments, &report),
        Command::Man(arguments) => man::run(arguments, &report),
    };
    report.ended(done.unwrap_or_else(|errors| report.errors(errors)))
}

/// Renders what needs no results (texts, templates, static files), so that their errors are reported before anything is
/// computed, including those for which the finished site would be refused. Returns the warnings.
fn rehearse(project: &Project, base_url: Option<&str>) -> Result<Diagnostics, Diagnostics> {
    let site = Site {
        project,
        results: vec![],
        base_url: base_url.map(str::to_owned),
    };
    let warnings = render::proofread(&site)?;
    publish::rehearse(&site)?;
    Ok(warnings)
}

/// `1 map`, `2 maps`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn selection(chosen: &Chosen) -> Selection {
    Selection {
        experiments: chosen.experiment.clone(),
        drafts: chosen.drafts,
    }
}
