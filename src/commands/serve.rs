//! `igsite serve`: builds, shows the site in a browser, and builds again whenever something changes.
//!
//! The site goes to a folder of its own, so that what `igsite build` made for publishing stays as it is.

use std::net::IpAddr;
use std::path::PathBuf;

use super::build;
use super::place::refuse_sources;
use super::report::Report;
use crate::cli::{Build, ExitStatus, Global, Serve};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::interrupt;
use crate::lock::Patience;
use crate::serve::{Server, Watch};

pub fn run(global: &Global, arguments: &Serve, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let output = match &arguments.output {
        Some(output) => {
            refuse_sources(&global.project, output)?;
            output.clone()
        }
        None => global.project.join(".igsite").join("serve"),
    };
    let content = global.project.join("content");
    if !content.is_dir() {
        return Err(Diagnostic::content("there is no folder content/ here")
            .in_file(&global.project)
            .help("run igsite in a project, name one with --project, or make one with igsite init")
            .into());
    }
    let mut watch = Watch::start(&global.project)?;
    let server = Server::bind(arguments.address, arguments.port, &output)?;
    if let Some(warning) = exposed(arguments.address) {
        report.errors(warning.into());
    }
    report.result(&format!("http://{}/", server.address()?));
    report.note("Serving until Ctrl-C; what changes in content/, templates/ and static/ is built anew.");

    let notifier = server.notifier();
    let (global, report, build) = (global.clone(), *report, as_build(arguments, output));
    // A thread of its own: the server answers while models run, and Ctrl-C ends both. The store has what was finished.
    std::thread::spawn(move || {
        loop {
            // Another build has priority: somebody started it by hand.
            let wait = |text: &str| report.note(text);
            let done = build::build(&global, &build, &report, Patience::Wait(&wait)).map(|_| ());
            if interrupt::asked().is_some() {
                return;
            }
            notifier.built(done.map_err(|errors| {
                let text = errors.clone().sorted();
                report.errors(errors);
                text.iter()
                    .filter(|one| !one.warning)
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n\n")
            }));
            if let Err(error) = watch.changed() {
                notifier.built(Err(error.to_string()));
                report.errors(error.into());
                return;
            }
        }
    });
    server.run()?;
    // A site that moves into place is not cut off.
    drop(interrupt::hold());
    Ok(ExitStatus::Done)
}

/// The build that is shown.
fn as_build(arguments: &Serve, output: PathBuf) -> Build {
    Build {
        chosen: arguments.chosen.clone(),
        place: arguments.place.clone(),
        output: Some(output),
        base_url: None,
        strict: false,
        frozen: false,
    }
}

/// A site that is being written is nobody else's business, unless its author says so.
fn exposed(address: IpAddr) -> Option<Diagnostic> {
    let message = format!("everyone who reaches this machine at {address} can read the site");
    (!address.is_loopback()).then(|| {
        Diagnostic::content(message)
            .help("leave out --address to serve to this machine only")
            .as_warning()
    })
}
