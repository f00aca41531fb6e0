//! What a command prints: notes and errors on standard error, results on standard output.

use std::io::{ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::{Color, ExitStatus, Global};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::interrupt;

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Say nothing but errors.
    pub quiet: bool,
    verbose: bool,
    color: bool,
}

/// Whether a result could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

impl Report {
    /// How a command ends that ended so: what was computed is of no use to a reader that did not get it.
    pub fn ended(&self, status: ExitStatus) -> ExitStatus {
        match status {
            ExitStatus::Done if LOST.load(Ordering::Relaxed) => ExitStatus::Failed,
            other => other,
        }
    }

    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            color,
        }
    }

    /// A result, on standard output.
    pub fn result(&self, text: &str) {
        let mut out = std::io::stdout();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        if let Err(error) = written
            // A reader that has gone away is no reason to fail.
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.errors(Diagnostic::output(format!("cannot write the result to standard output: {error}")).into());
            LOST.store(true, Ordering::Relaxed);
        }
    }

    /// What is going on, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Details, for `--verbose`.
    pub fn detail(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            _ = writeln!(std::io::stderr(), "{}", text());
        }
    }

    /// Prints errors and warnings, and returns the exit status that they cause.
    pub fn errors(&self, all: Diagnostics) -> ExitStatus {
        let (stopped, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.kind == Kind::Stopped);
        let all = Diagnostics::from_iter(all).sorted();
        for diagnostic in all.iter().filter(|d| !d.warning || !self.quiet) {
            self.tell(diagnostic);
        }
        if !stopped.is_empty() {
            interrupt::say();
            return ExitStatus::Stopped;
        }
        let errors = all.error_count();
        if errors > 1 {
            _ = writeln!(std::io::stderr(), "{errors} errors");
        }
        match (errors, all.iter().any(|d| !d.warning && d.kind == Kind::Content)) {
            (0, _) => ExitStatus::Done,
            (_, true) => ExitStatus::Invalid,
            (_, false) => ExitStatus::Failed,
        }
    }

    fn tell(&self, diagnostic: &Diagnostic) {
        let (word, code) = if diagnostic.warning {
            ("warning", "33")
        } else {
            ("error", "31")
        };
        let (on, off) = if self.color {
            (format!("\x1b[1;{code}m"), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        _ = writeln!(
            std::io::stderr(),
            "{on}{word}{off}: {}",
            visible(&diagnostic.to_string())
        );
    }
}

/// Control characters of quoted data must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => c,
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Panics inside guarded code become errors with their own message; this suppresses the default hook's text unless
/// `RUST_BACKTRACE` is set.
pub fn panicked(info: &PanicHookInfo) {
    if std::env::var_os("RUST_BACKTRACE").is_some() || !crate::guard::is_guarded() {
        _ = writeln!(
            std::io::stderr(),
            "igsite failed, and this is a defect of igsite: {info}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_data_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[31m\u{202e}b\n"), "a␛[31m\u{fffd}b\n");
    }
}
