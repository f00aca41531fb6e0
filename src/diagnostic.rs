//! An error a person can act on: which file, which place in it, what was found, what was expected, what to do.
//!
//! Every fallible function of this crate returns a [`Diagnostic`]; there is no second error type to convert to. Errors
//! in what the author wrote are collected in [`Diagnostics`], so that one run tells all of them. This module formats
//! and collects; it never prints and never exits.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of thing went wrong; it decides the exit status (see [`crate::cli::ExitStatus`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The author's content (YAML, Markdown, data, templates) or the command line is invalid. Exit status 2.
    Content,
    /// A checkpoint or tokenizer cannot be read or is not what its files claim. Exit status 1.
    Checkpoint,
    /// The hub did not give what was requested, or its cache cannot be read or written. Exit status 1.
    Download,
    /// A model could not be run: device, memory, non-finite numbers. Exit status 1.
    Compute,
    /// The record store or the output folder cannot be read or written. Exit status 1.
    Output,
    /// A signal requested the end of the run ([`crate::interrupt`]). Exit status 75.
    Stopped,
}

/// A place in a text file; both counted from 1, the column in Unicode characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One error (or warning), complete enough to be acted on without reading the source of igsite.
///
/// Built by chaining: `Diagnostic::content("unknown key `modles`").in_file(path).at(position).help("…")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// True for something worth telling that does not stop the run.
    pub warning: bool,
    /// The file in question.
    pub file: Option<PathBuf>,
    /// Where in the file, when it is text.
    pub position: Option<Position>,
    /// Where in the file, when a line number would not help: a tensor's name, a row's id, a key's path.
    pub place: Option<String>,
    /// What was found, as a sentence without a full stop.
    pub message: String,
    /// What was expected instead.
    pub expected: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether the file may be damaged, so that a new copy of it may help.
    pub may_be_damaged: bool,
}

/// The crate's result type.
pub type Result<T, E = Diagnostic> = std::result::Result<T, E>;

impl Diagnostic {
    /// A new error of the given kind; `message` says what was found.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            warning: false,
            file: None,
            position: None,
            place: None,
            message: message.into(),
            expected: None,
            help: None,
            may_be_damaged: false,
        }
    }

    /// An error in what the author wrote (exit status 2).
    pub fn content(message: impl Into<String>) -> Self {
        Self::new(Kind::Content, message)
    }

    /// An error in a checkpoint's files (exit status 1).
    pub fn checkpoint(message: impl Into<String>) -> Self {
        Self::new(Kind::Checkpoint, message)
    }

    /// An error of the hub or of its cache (exit status 1).
    pub fn download(message: impl Into<String>) -> Self {
        Self::new(Kind::Download, message)
    }

    /// An error while computing (exit status 1).
    pub fn compute(message: impl Into<String>) -> Self {
        Self::new(Kind::Compute, message)
    }

    /// An error of the store or the output folder (exit status 1).
    pub fn output(message: impl Into<String>) -> Self {
        Self::new(Kind::Output, message)
    }

    /// Makes this a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        self.file = Some(file.as_ref().to_path_buf());
        self
    }

    /// Names the line and column.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// Names a place that has no line number: a tensor, a row, a key.
    #[must_use]
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says that the file may be damaged.
    #[must_use]
    pub fn may_be_damaged(mut self) -> Self {
        self.may_be_damaged = true;
        self
    }

    /// Says that the file may be damaged, and what to do about that.
    #[must_use]
    pub fn download_again(self) -> Self {
        self.help("download the file again").may_be_damaged()
    }

    /// An error of the operating system on a file, with the remedy for the common ones.
    pub fn io(kind: Kind, doing: &str, file: impl AsRef<Path>, error: &std::io::Error) -> Self {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound if kind != Kind::Output => {
                Some("check the path; it is relative to the file that names it")
            }
            std::io::ErrorKind::PermissionDenied => Some("check the permissions of the file and its folder"),
            std::io::ErrorKind::StorageFull => {
                Some("free some space and run the same command again; what was finished is kept")
            }
            std::io::ErrorKind::FileTooLarge => Some(
                "raise the limit on the size of a file (`ulimit -f`) and run the same command again; what was finished is kept",
            ),
            _ => None,
        };
        let mut diagnostic = Self::new(kind, format!("cannot {doing}: {error}")).in_file(file);
        diagnostic.help = help.map(str::to_owned);
        diagnostic
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(Position { line, column }) = self.position {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": ")?;
        }
        if let Some(place) = &self.place {
            write!(f, "{}: ", printable(place))?;
        }
        write!(f, "{}", printable(&self.message))?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {}", printable(expected))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", printable(help))?;
        }
        Ok(())
    }
}

/// Text that may hold a server's or a data set's own words, without what would steer a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

impl std::error::Error for Diagnostic {}

/// The errors and warnings of a run, reported together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, others: Diagnostics) {
        self.0.extend(others.0);
    }

    /// Keeps the value of a result, or collects its error.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                self.push(diagnostic);
                None
            }
        }
    }

    /// Whether any of them stops the run.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| !d.warning)
    }

    /// Number of errors, warnings left out.
    pub fn error_count(&self) -> usize {
        self.0.iter().filter(|d| !d.warning).count()
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In file and line order; those without a file first.
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
        self.0.dedup();
        self
    }

    /// All of them, in the order they were collected.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        Self(diagnostics.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_file_place_found_expected_and_help() {
        let diagnostic = Diagnostic::content("unknown key `modles`")
            .in_file("content/experiments/a.yaml")
            .at(Position { line: 3, column: 1 })
            .expected("one of `models`, `title`")
            .help("did you mean `models`?");
        assert_eq!(
            diagnostic.to_string(),
            "content/experiments/a.yaml:3:1: unknown key `modles`\n  expected: one of `models`, `title`\n  help: did you mean `models`?"
        );
    }

    #[test]
    fn a_warning_is_not_an_error() {
        let mut all = Diagnostics::new();
        all.push(Diagnostic::content("odd").as_warning());
        assert!(!all.has_errors() && !all.is_empty());
        all.push(Diagnostic::content("wrong"));
        assert!(all.has_errors());
        assert_eq!(all.error_count(), 1);
    }
}
