//! `igsite completions`: what a shell needs to complete commands and options.

use clap::CommandFactory;

use super::report::Report;
use crate::cli::{Cli, Completions, ExitStatus};
use crate::diagnostic::Diagnostics;

pub fn run(arguments: &Completions, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "igsite", &mut script);
    report.result(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitStatus::Done)
}
