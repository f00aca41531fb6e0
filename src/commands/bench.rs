//! `igsite bench`: measures how fast this machine computes attributions.

use super::report::Report;
use crate::bench;
use crate::cli::{Bench, ExitStatus};
use crate::diagnostic::Diagnostics;
use crate::interrupt;

pub fn run(arguments: &Bench, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("nothing is kept of a measurement");
    let measured = bench::measure(arguments)?;
    if arguments.json {
        report.result(&serde_json::to_string(&measured).expect("numbers and text"));
    } else {
        report.result(&measured.to_string());
    }
    Ok(ExitStatus::Done)
}
