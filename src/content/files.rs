//! Reading the author's text files: UTF-8 or an error with its place; paths in messages relative to the project's root.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Kind, Position, Result};
use crate::input;

/// Reads `path` (relative to `root`, or absolute) as UTF-8.
pub fn read_text(root: &Path, path: &Path) -> Result<String> {
    let bytes = input::read(&root.join(path), Kind::Content, "read this file").map_err(|e| e.in_file(shown(path)))?;
    if let Some((what, help)) = other_than_text(&bytes) {
        let start = Position { line: 1, column: 1 };
        let error = Diagnostic::content(format!("this file is {what}, not text in UTF-8"));
        return Err(error.in_file(shown(path)).at(start).help(help));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let position = position_at(&String::from_utf8_lossy(&bytes[..valid]), valid);
        Diagnostic::content(format!("the byte 0x{:02x} is not UTF-8", bytes[valid]))
            .in_file(shown(path))
            .at(position)
            .help("save the file as UTF-8")
    })
}

/// What a file is by its first bytes, where it is not what its name says, and what to do.
fn other_than_text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const SAVE: &str = "save the file as UTF-8";
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("UTF-16", SAVE)),
        // Without its mark: every other byte of Latin letters is 0.
        [1..=255, 0, 1..=255, 0, ..] | [0, 1..=255, 0, 1..=255, ..] => Some(("UTF-16", SAVE)),
        [0x1f, 0x8b, ..] => Some(("packed with gzip", "unpack it")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(("packed with Zstandard", "unpack it")),
        [b'P', b'K', 3, 4, ..] => Some((
            "a zip archive or a workbook",
            "unpack it, or save the table as CSV in UTF-8",
        )),
        [b'P', b'A', b'R', b'1', ..] => Some(("Parquet", "give it a name that ends in .parquet")),
        _ => None,
    }
}

/// Line and column (in characters) of the byte `offset` of `text`.
pub fn position_at(text: &str, offset: usize) -> Position {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Position { line, column }
}

/// A path as messages and links show it: `/` between its parts on every system, without `.` parts.
pub fn shown(path: &Path) -> PathBuf {
    let clean: PathBuf = path
        .components()
        .filter(|part| !matches!(part, std::path::Component::CurDir))
        .collect();
    if cfg!(windows) {
        PathBuf::from(clean.to_string_lossy().replace('\\', "/"))
    } else {
        clean
    }
}

/// The text without a byte order mark at its very start.
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), b"id\n\xc3\xa9x\xff").unwrap();
        let error = read_text(folder.path(), Path::new("a.csv")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.csv:2:3: the byte 0xff is not UTF-8\n  help: save the file as UTF-8"
        );
    }

    #[test]
    fn what_is_no_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, what) in [
            (&b"\xff\xfei\0d\0"[..], "UTF-16"),
            (b"i\0d\0,\0", "UTF-16"),
            (b"\0i\0d", "UTF-16"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04", "workbook"),
            (b"PAR1\x15", "Parquet"),
        ] {
            std::fs::write(folder.path().join("a.csv"), bytes).unwrap();
            let error = read_text(folder.path(), Path::new("a.csv")).unwrap_err();
            assert!(error.message.contains(what), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_text(folder.path(), Path::new("./no.md")).unwrap_err();
        assert!(
            error.to_string().starts_with("no.md: cannot read this file: "),
            "{error}"
        );
    }
}
