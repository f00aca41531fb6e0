//! `igsite man`: the manual pages, made from the same words as `--help`.

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;

use super::counted;
use super::report::Report;
use crate::cli::{Cli, ExitStatus, Man};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::store::write_atomically;

pub fn run(arguments: &Man, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let pages = pages().map_err(|e| Diagnostic::io(Kind::Output, "make the page", "igsite.1", &e))?;
    let Some(folder) = &arguments.folder else {
        report.result(pages[0].1.trim_end());
        return Ok(ExitStatus::Done);
    };
    for (name, text) in &pages {
        write_atomically(&folder.join(name), text.as_bytes())?;
    }
    report.result(&folder.display().to_string());
    report.note(&format!(
        "{}; read one with `man -l {}`",
        counted(pages.len(), "page"),
        folder.join("igsite.1").display()
    ));
    Ok(ExitStatus::Done)
}

/// File name and text of every page, that of `igsite` itself first.
fn pages() -> std::io::Result<Vec<(String, String)>> {
    // The pages are the same on every machine: what `--version` finds here is no part of them.
    let mut all = Cli::command()
        .long_version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    all.build();
    let mut pages = Vec::new();
    add(&all, &mut pages)?;
    Ok(pages)
}

/// The page of a command, and those of the commands below it.
fn add(command: &Command, pages: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let page = Page::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((page.get_filename(), String::from_utf8_lossy(&text).into_owned()));
    command.get_subcommands().try_for_each(|below| add(below, pages))
}
