//! Opens files from elsewhere with care: what is no regular file is refused before it is read, and so is a Git LFS
//! pointer.
//!
//! A named pipe without a writer would be waited for without end, and a device such as `/dev/zero` has no end. A
//! repository that was cloned without Git LFS has a text of three lines in the place of each large file, whatever its
//! type. Every file that a user or a checkpoint brings is opened here; this module never writes.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;

use crate::diagnostic::{Diagnostic, Kind, Result};

/// How a pointer of Git LFS begins (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const POINTER: &[u8] = b"version https://git-lfs";
/// No pointer is longer, says its specification.
const LONGEST_POINTER: u64 = 1024;

/// Opens a file to read it; `doing` completes the sentence "cannot …".
///
/// # Errors
/// The system cannot open it; it is a folder, a pipe, a socket or a device; it is a pointer of Git LFS. All name
/// `path`.
pub fn open(path: &Path, kind: Kind, doing: &str) -> Result<File> {
    let io = |error: &io::Error| Diagnostic::io(kind, doing, path, error);
    let found = fs::metadata(path).map_err(|error| io(&error))?;
    let mut file = opened(path, &found, kind, doing)?;
    if found.len() <= LONGEST_POINTER {
        let mut start = Vec::new();
        let piece = (&file).take(POINTER.len() as u64).read_to_end(&mut start);
        piece.and_then(|_| file.rewind()).map_err(|error| io(&error))?;
        refuse_pointer(path, &start, kind)?;
    }
    Ok(file)
}

/// Opens what was found at a path, if it is a regular file.
fn opened(path: &Path, found: &Metadata, kind: Kind, doing: &str) -> Result<File> {
    if !found.is_file() {
        return Err(
            Diagnostic::new(kind, format!("this is {}, not a file", name_of(found.file_type())))
                .in_file(path)
                .expected("a regular file"),
        );
    }
    File::open(path).map_err(|error| Diagnostic::io(kind, doing, path, &error))
}

/// Refuses a file that begins as a pointer of Git LFS does.
fn refuse_pointer(path: &Path, start: &[u8], kind: Kind) -> Result<()> {
    if !start.starts_with(POINTER) {
        return Ok(());
    }
    Err(
        Diagnostic::new(kind, "this is a pointer of Git LFS, not the file itself")
            .in_file(path)
            .help("fetch the file: `git lfs pull`"),
    )
}

/// Reads a file whole. As [`open`].
///
/// # Errors
/// As [`open`]; or reading fails.
pub fn read(path: &Path, kind: Kind, doing: &str) -> Result<Vec<u8>> {
    let found = fs::metadata(path).map_err(|error| Diagnostic::io(kind, doing, path, &error))?;
    whole(path, &found, kind, doing)
}

/// Reads what was found at a path. A store has many thousands of small files, so the system is asked for nothing twice.
fn whole(path: &Path, found: &Metadata, kind: Kind, doing: &str) -> Result<Vec<u8>> {
    let file = opened(path, found, kind, doing)?;
    let mut bytes = vec![0; usize::try_from(found.len()).unwrap_or(0)];
    let read = fill(&file, &mut bytes).and_then(|filled| {
        bytes.truncate(filled);
        // What was written to it since; `take` keeps the library from asking for the size once more.
        (&file).take(u64::MAX).read_to_end(&mut bytes)
    });
    read.map_err(|error| Diagnostic::io(kind, doing, path, &error))?;
    if bytes.len() as u64 <= LONGEST_POINTER {
        refuse_pointer(path, &bytes, kind)?;
    }
    Ok(bytes)
}

/// Reads until a buffer is full or the file ends; the number of bytes read.
fn fill(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a file whole, if it is there. As [`open`].
///
/// # Errors
/// As [`read`], except that a file that is not there is none.
pub fn read_if_there(path: &Path, kind: Kind, doing: &str) -> Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostic::io(kind, doing, path, &error)),
        Ok(found) => whole(path, &found, kind, doing).map(Some),
    }
}

/// Reads a file of UTF-8 whole. As [`open`].
///
/// # Errors
/// As [`read`]; or a byte is not UTF-8.
pub fn read_text(path: &Path, kind: Kind, doing: &str) -> Result<String> {
    String::from_utf8(read(path, kind, doing)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Diagnostic::new(kind, format!("byte {at} (0x{:02x}) is not UTF-8", error.as_bytes()[at])).in_file(path)
    })
}

/// What is found where a file was expected.
fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "some text").unwrap();
        assert_eq!(read(&path, Kind::Checkpoint, "read").unwrap(), b"some text");
        assert_eq!(read_text(&path, Kind::Checkpoint, "read").unwrap(), "some text");
        let absent = folder.path().join("b");
        assert_eq!(read_if_there(&absent, Kind::Checkpoint, "read").unwrap(), None);
        assert!(read(&absent, Kind::Checkpoint, "read").is_err());
        fs::write(&path, b"some\xff").unwrap();
        let error = read_text(&path, Kind::Checkpoint, "read").unwrap_err();
        assert_eq!(error.message, "byte 4 (0xff) is not UTF-8");
    }

    #[test]
    fn a_pointer_of_git_lfs_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(
            &path,
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        )
        .unwrap();
        let error = read(&path, Kind::Checkpoint, "read").unwrap_err();
        assert!(error.message.contains("pointer of Git LFS"), "{error}");
        assert!(error.help.unwrap().contains("git lfs pull"));
    }

    #[cfg(unix)]
    #[test]
    fn pipes_devices_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for (path, what) in [
            (pipe.as_path(), "this is a named pipe, not a file"),
            (Path::new("/dev/zero"), "this is a device, not a file"),
            (folder.path(), "this is a folder, not a file"),
        ] {
            assert_eq!(read(path, Kind::Content, "read").unwrap_err().message, what);
        }
    }
}
