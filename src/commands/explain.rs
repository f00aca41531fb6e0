//! `igsite explain`: one prompt, its map in the terminal. Nothing is kept.

use std::io::{IsTerminal, Read};
use std::path::Path;

use super::report::Report;
use crate::assemble;
use crate::cli::{Color, ExitStatus, Explain, Global, ScoresBy};
use crate::compute;
use crate::content::one_prompt::OnePrompt;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::hub::Hub;
use crate::interrupt;
use crate::model::device::Backend;
use crate::plan::{self, Sources, Weights};
use crate::render::terminal::{self, Colors, Level, Style};
use crate::store::Store;
use crate::store::memo::HashMemo;

/// A prompt is no book.
const MOST_BYTES: u64 = 16 << 20;
/// Columns, where nothing says how many there are.
const WIDTH: usize = 80;

pub fn run(global: &Global, arguments: &Explain, report: &Report) -> Result<ExitStatus, Diagnostics> {
    interrupt::keeps("nothing was kept");
    let asked = OnePrompt {
        prompt: prompt(arguments)?,
        model: arguments.model.clone(),
        dtype: arguments.dtype.clone(),
        quantization: arguments.quantization.clone(),
        chat: arguments.chat,
        target: arguments.target.clone(),
        baseline: arguments.baseline.clone(),
        method: arguments.method.clone(),
        output: arguments.output.clone(),
        units: arguments.units.clone(),
        quadrature: arguments.quadrature.clone(),
        steps: arguments.steps,
        tolerance: arguments.tolerance,
    };
    let hub = Hub::new(arguments.place.offline, report.quiet);
    let project = asked.project(&global.project, &hub)?;
    let backend = Backend::open(&arguments.place.device)?;
    // Parts of a map pass through a store, as they always do; this one ends with the command.
    let folder = Folder::new()?;
    let store = Store::at(folder.path().to_path_buf())?;
    // What a project knows of its weights saves reading them.
    let known = global.project.join(".igsite");
    let mut memo = HashMemo::open(if known.is_dir() { &known } else { folder.path() });
    let mut diagnostics = Diagnostics::new();
    let sources = Sources {
        backend: &backend,
        memo: &mut memo,
        hub: &hub,
        weights: Weights::Fetched,
    };
    let models = plan::open_models(&project, sources, &mut diagnostics);
    memo.save();
    let runs = plan::runs(&project, &models, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    report.errors(diagnostics);
    report.detail(|| format!("device: {backend}"));
    let (parts, _) = compute::complete(&runs, &models, &store, std::slice::from_ref(&backend), report.quiet)?;
    for (run, parts) in runs.iter().zip(&parts) {
        let model = &models[run.model];
        for record in assemble::records(run, &model.facts(), parts, &model.tokenizer) {
            if arguments.json {
                let json = serde_json::to_string_pretty(&record);
                report.result(&json.unwrap_or_else(|e| unreachable!("a record is plain data: {e}")));
                continue;
            }
            for attribution in &record.attributions {
                report.result(&terminal::map(&record, attribution, style(global, arguments)));
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// The prompt: as typed, or what comes on standard input. One line end at its end belongs to the shell.
fn prompt(arguments: &Explain) -> Result<String> {
    if let Some(prompt) = arguments.prompt.as_ref().filter(|prompt| *prompt != "-") {
        return Ok(prompt.clone());
    }
    let input = std::io::stdin();
    if arguments.prompt.is_none() && input.is_terminal() {
        return Err(Diagnostic::content("there is no prompt").help("type it behind the command, or pipe it into it"));
    }
    let mut bytes = Vec::new();
    let read = input.lock().take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| Diagnostic::content(format!("cannot read the prompt from standard input: {e}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Diagnostic::content("the prompt on standard input has more than 16 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::content(format!("the prompt on standard input: byte {at} is not UTF-8"))
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn style(global: &Global, arguments: &Explain) -> Style {
    let width = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    Style {
        width: arguments.width.or_else(width).unwrap_or(WIDTH),
        colors: colors(global.color, std::io::stdout().is_terminal(), &|name| {
            std::env::var(name).ok()
        }),
        level: match arguments.by {
            ScoresBy::Word => Level::Word,
            ScoresBy::Token => Level::Token,
        },
    }
}

/// The colours of standard output.
fn colors(asked: Color, terminal: bool, environment: &dyn Fn(&str) -> Option<String>) -> Colors {
    let is_set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
    let wanted = match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && !is_set("NO_COLOR") && environment("TERM").as_deref() != Some("dumb"),
    };
    let says_true = environment("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
    match (wanted, says_true) {
        (false, _) => Colors::None,
        (true, true) => Colors::True,
        (true, false) => Colors::Palette,
    }
}

/// A folder that is gone when the command ends.
struct Folder {
    folder: tempfile::TempDir,
    /// Also where a signal ends it.
    _tidied: interrupt::AtTheEnd,
}

impl Folder {
    fn new() -> Result<Self> {
        let place = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("igsite-explain-").tempdir();
        let folder = folder.map_err(|e| Diagnostic::io(Kind::Output, "make a folder in", &place, &e))?;
        let path = folder.path().to_path_buf();
        let _tidied = interrupt::at_the_end(move || _ = std::fs::remove_dir_all(&path));
        Ok(Self { folder, _tidied })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let of = |asked, terminal, variables: &[(&str, &str)]| {
            let environment = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            colors(asked, terminal, &environment)
        };
        assert_eq!(of(Color::Auto, true, &[]), Colors::Palette);
        assert_eq!(of(Color::Auto, true, &[("COLORTERM", "truecolor")]), Colors::True);
        assert_eq!(of(Color::Auto, false, &[]), Colors::None);
        assert_eq!(of(Color::Auto, true, &[("NO_COLOR", "1")]), Colors::None);
        assert_eq!(of(Color::Auto, true, &[("NO_COLOR", "")]), Colors::Palette);
        assert_eq!(of(Color::Auto, true, &[("TERM", "dumb")]), Colors::None);
        assert_eq!(of(Color::Always, false, &[("NO_COLOR", "1")]), Colors::Palette);
        assert_eq!(of(Color::Never, true, &[]), Colors::None);
    }
}
