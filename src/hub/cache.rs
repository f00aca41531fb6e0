//! The cache's layout on disk, exactly as Python's `huggingface_hub` keeps it, so that nothing is downloaded twice:
//!
//! ```text
//! models--owner--name/
//!   blobs/<etag>                   a file's bytes; `<etag>.incomplete` while they come
//!   refs/<revision>                the commit that a branch or tag was at when it was last asked for
//!   snapshots/<commit>/<file>      a link to ../../blobs/<etag>
//!   .no_exist/<commit>/<file>      an empty file: the commit is known not to have it
//!   .igsite/<commit>.listing       our own: the names of all files of the commit, with a checksum
//! .locks/models--owner--name/<etag>.lock
//! ```
//!
//! This file knows names and links. It asks no network and judges no content.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// The most bytes of a file in `refs/`; a commit has 40.
const LONGEST_REF: u64 = 1024;
/// How a list of files begins.
const LISTING: &str = "igsite/listing/1";

/// One repository's part of the cache.
#[derive(Clone, Debug)]
pub struct Cached {
    folder: PathBuf,
    locks: PathBuf,
}

/// Held while a file is being written; other processes wait.
#[derive(Debug)]
pub struct Lock {
    /// Closing it gives the lock back.
    _file: File,
    /// Some file systems have no locks.
    held: bool,
}

impl Cached {
    /// Of the repository `owner/name`; `plural` is `models` or `datasets`.
    pub fn new(cache: &Path, plural: &str, repo: &str) -> Self {
        let name = format!("{plural}--{}", repo.replace('/', "--"));
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    /// The commit of a revision, as far as the cache knows: a commit is its own.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_ascii_lowercase());
        }
        self.read_ref(revision).ok()?
    }

    /// What is wrong with what the cache knows of a revision, if something is: then it knows nothing.
    pub fn odd_ref(&self, revision: &str) -> Option<Diagnostic> {
        let error = self.read_ref(revision).err()?;
        Some(error.help("delete the file and run `igsite fetch`, which asks the hub"))
    }

    fn read_ref(&self, revision: &str) -> Result<Option<String>> {
        let path = self.folder.join("refs").join(revision);
        let odd = |what: &str| {
            Diagnostic::download(what.to_owned())
                .in_file(&path)
                .expected("a commit’s 40 hexadecimal digits")
        };
        match fs::metadata(&path) {
            // A folder has the names of revisions that begin so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(found) if found.is_dir() => return Ok(None),
            Ok(found) if found.len() > LONGEST_REF => return Err(odd("this file of the cache is no commit’s name")),
            _ => {}
        }
        let text = input::read_text(&path, Kind::Download, "read")?;
        // In lower case, as folders of commits are named.
        let commit = text.trim().to_ascii_lowercase();
        if is_commit(&commit) {
            Ok(Some(commit))
        } else {
            Err(odd("this file of the cache is no commit’s name"))
        }
    }

    /// Remembers the commit of a branch or tag.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_parent(&path)?;
        // Written under another name, then renamed: nobody reads half a commit.
        let side = path.with_added_extension(format!("{}.part", std::process::id()));
        fs::write(&side, commit)
            .and_then(|()| fs::rename(&side, &path))
            .map_err(|e| cannot("write", &path, &e))
    }

    /// The names of all files that a commit has on the hub, as it once said; none if the note is damaged, or of an
    /// older igsite.
    pub fn listed(&self, commit: &str) -> Option<Vec<String>> {
        let bytes = input::read(&self.listing(commit), Kind::Download, "read").ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (first, names) = text.split_once('\n')?;
        (first == listing_head(commit, names)).then(|| names.lines().map(str::to_owned).collect())
    }

    /// Notes them: a commit never changes, and what lies in the cache may be a part of it. Only a hint: a failure is
    /// none.
    pub fn note_listing(&self, commit: &str, files: &[String]) {
        let place = self.listing(commit);
        // A name with an end of line in it would read back as two.
        let plain = !files.iter().any(|file| file.contains(['\n', '\r']));
        if plain && self.listed(commit).is_none() && make_parent(&place).is_ok() {
            let side = place.with_added_extension(format!("{}.part", std::process::id()));
            let names: String = files.iter().map(|file| format!("{file}\n")).collect();
            let text = format!("{}\n{names}", listing_head(commit, &names));
            _ = fs::write(&side, text).and_then(|()| fs::rename(&side, &place));
        }
    }

    fn listing(&self, commit: &str) -> PathBuf {
        self.folder.join(".igsite").join(format!("{commit}.listing"))
    }

    /// The folder of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether a commit's file is there, its bytes too.
    pub fn has(&self, commit: &str, file: &str) -> bool {
        self.snapshot(commit).join(file).is_file()
    }

    /// All files of a commit that have a name there, sorted, as the repository names them. One whose bytes are gone is
    /// among them: the commit has it, and it must not pass for a file that the commit lacks.
    pub fn files(&self, commit: &str) -> Vec<String> {
        let root = self.snapshot(commit);
        let mut files: Vec<String> = walkdir::WalkDir::new(&root)
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| !entry.file_type().is_dir())
            .filter_map(|entry| {
                let parts = entry.path().strip_prefix(&root).ok()?.components();
                let parts: Option<Vec<&str>> = parts.map(|part| part.as_os_str().to_str()).collect();
                Some(parts?.join("/"))
            })
            .collect();
        files.sort();
        files
    }

    /// Where a file's bytes lie.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where they lie while they come. Without a lock each process has a place of its own, or two would write into one
    /// file.
    pub fn partial(&self, etag: &str, lock: &Lock) -> PathBuf {
        let name = if lock.held {
            format!("{etag}.incomplete")
        } else {
            format!("{etag}.{}.incomplete", std::process::id())
        };
        self.folder.join("blobs").join(name)
    }

    /// Gives bytes that are there their name in a commit.
    ///
    /// # Errors
    /// The link cannot be made.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let place = self.snapshot(commit).join(file);
        make_parent(&place)?;
        // Made under another name, then renamed: another process may make the same link, and an old link whose bytes
        // were deleted may be in the way.
        let side = place.with_added_extension(format!("{}.link", std::process::id()));
        _ = fs::remove_file(&side);
        let mut target = PathBuf::from("../..");
        target.extend(file.split('/').skip(1).map(|_| ".."));
        target.extend(["blobs", etag]);
        let linked = make_link(&target, &self.blob(etag), &side).and_then(|()| fs::rename(&side, &place));
        // Two hard links to one file are left as they are by a rename.
        _ = fs::remove_file(&side);
        linked.map_err(|e| cannot("link", &place, &e))
    }

    /// Notes that a commit has no such file, as `huggingface_hub` does, so that it is not requested again. Only a hint:
    /// a failure is ignored.
    pub fn note_absent(&self, commit: &str, file: &str) {
        let place = self.folder.join(".no_exist").join(commit).join(file);
        if !place.exists() && make_parent(&place).is_ok() {
            _ = fs::write(place, "");
        }
    }

    /// Whether a commit is known to have no such file.
    pub fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(file).is_file()
    }

    /// Takes the lock of a file; `waiting` is called when another process holds it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self, etag: &str, waiting: impl FnOnce()) -> Result<Lock> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        refuse_irregular(&path)?;
        let file = File::create(&path).map_err(|e| cannot("make", &path, &e))?;
        let held = match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                waiting();
                file.lock().is_ok()
            }
            other => other.is_ok(),
        };
        Ok(Lock { _file: file, held })
    }
}

#[cfg(unix)]
fn make_link(relative: &Path, _blob: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, place)
}

/// Links need a privilege on Windows; without it the bytes have a second name, or are copied.
#[cfg(not(unix))]
fn make_link(_relative: &Path, blob: &Path, place: &Path) -> io::Result<()> {
    fs::hard_link(blob, place).or_else(|_| fs::copy(blob, place).map(drop))
}

/// The first line of a list of files: a checksum over the commit and the names, so that no other list passes for this
/// one's.
fn listing_head(commit: &str, names: &str) -> String {
    format!("{LISTING} {}", hash::of_bytes(format!("{commit}\n{names}").as_bytes()))
}

/// Where damaged bytes lie until others came.
pub fn set_aside_name(blob: &Path) -> PathBuf {
    blob.with_added_extension("damaged")
}

/// Refuses to write where a pipe, a device or a folder stands: a pipe would be waited for without end.
///
/// # Errors
/// Such a thing stands there.
pub fn refuse_irregular(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => input::open(path, Kind::Download, "open")
            .map(drop)
            .map_err(|error| error.help("delete it, and run the same command again")),
        _ => Ok(()),
    }
}

/// Makes the folder that a file will lie in.
///
/// # Errors
/// It cannot be made.
pub fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(parent).map_err(|e| cannot("make the folder", parent, &e))
}

/// An error of the cache itself.
pub fn cannot(doing: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::io(Kind::Download, doing, path, error);
    if diagnostic.help.is_some() && error.kind() != io::ErrorKind::NotFound {
        return diagnostic;
    }
    diagnostic.help("set HF_HOME to a folder that can be written, or check this one")
}

/// Whether a revision is a full commit hash.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a name from outside (a revision, a file of a repository) stays inside the folder it is joined to.
pub fn is_inside(name: &str) -> bool {
    // `C:x` leads to another disk, on Windows alone.
    let foreign: &[char] = if cfg!(windows) {
        &['\\', '\0', ':']
    } else {
        &['\\', '\0']
    };
    let mut parts = Path::new(name).components();
    !name.contains(foreign)
        && !name.split('/').any(str::is_empty)
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn it_is_laid_out_as_other_tools_expect() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), "datasets", "org/name");
        assert_eq!(cached.commit("main"), None);
        cached.remember("refs/convert/parquet", COMMIT).unwrap();
        assert_eq!(cached.commit("refs/convert/parquet").as_deref(), Some(COMMIT));
        let repo = root.path().join("datasets--org--name");
        assert_eq!(
            fs::read_to_string(repo.join("refs/refs/convert/parquet")).unwrap(),
            COMMIT
        );

        make_parent(&cached.blob("abc")).unwrap();
        fs::write(cached.blob("abc"), "bytes").unwrap();
        assert!(!cached.has(COMMIT, "data/a.csv"));
        cached.link(COMMIT, "data/a.csv", "abc").unwrap();
        cached.link(COMMIT, "b.csv", "abc").unwrap();
        let place = repo.join("snapshots").join(COMMIT).join("data/a.csv");
        assert_eq!(fs::read_to_string(&place).unwrap(), "bytes");
        #[cfg(unix)]
        assert_eq!(fs::read_link(&place).unwrap(), Path::new("../../../blobs/abc"));
        assert_eq!(cached.files(COMMIT), ["b.csv", "data/a.csv"]);
        // Other tools' clean-up takes the bytes and may leave the link.
        fs::remove_file(cached.blob("abc")).unwrap();
        assert!(!cached.has(COMMIT, "b.csv"));
        assert_eq!(
            cached.files(COMMIT),
            ["b.csv", "data/a.csv"],
            "the commit has them all the same"
        );
        fs::write(cached.blob("def"), "new").unwrap();
        cached.link(COMMIT, "b.csv", "def").unwrap();
        assert!(cached.has(COMMIT, "b.csv"));

        cached.note_absent(COMMIT, "model.safetensors");
        assert!(cached.is_absent(COMMIT, "model.safetensors") && !cached.is_absent(COMMIT, "b.csv"));
        let mut lock = cached.lock("abc", || panic!("nobody holds it")).unwrap();
        assert_eq!(cached.partial("abc", &lock), repo.join("blobs/abc.incomplete"));
        lock.held = false;
        assert_ne!(cached.partial("abc", &lock), repo.join("blobs/abc.incomplete"));
        assert!(root.path().join(".locks/datasets--org--name/abc.lock").is_file());
    }

    #[test]
    fn a_damaged_ref_or_list_is_none() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), "datasets", "org/name");
        cached.remember("main", COMMIT).unwrap();
        let place = root.path().join("datasets--org--name/refs/main");
        assert!(cached.odd_ref("main").is_none() && cached.odd_ref("v1").is_none());
        fs::write(&place, COMMIT.to_uppercase()).unwrap();
        assert_eq!(cached.commit("main").as_deref(), Some(COMMIT));
        for bad in [
            &COMMIT[1..],
            "",
            "main",
            &"0".repeat(2000),
            &format!("g{}", &COMMIT[1..]),
        ] {
            fs::write(&place, bad).unwrap();
            assert_eq!(cached.commit("main"), None, "{bad}");
            assert!(cached.odd_ref("main").is_some(), "{bad}");
        }
        cached.remember("main", COMMIT).unwrap();
        assert_eq!(cached.commit("main").as_deref(), Some(COMMIT), "made again");

        let files = ["train/0000.parquet", "train/0001.parquet"].map(str::to_owned);
        cached.note_listing(COMMIT, &files);
        assert_eq!(cached.listed(COMMIT).as_deref(), Some(&files[..]));
        let other = COMMIT.replace('0', "1");
        fs::copy(cached.listing(COMMIT), cached.listing(&other)).unwrap();
        assert_eq!(cached.listed(&other), None, "another commit’s");
        let whole = fs::read(cached.listing(COMMIT)).unwrap();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            fs::write(cached.listing(COMMIT), &flipped).unwrap();
            assert_eq!(cached.listed(COMMIT), None, "bit {at}");
        }
        fs::write(cached.listing(COMMIT), &whole[..whole.len() - 19]).unwrap();
        assert_eq!(cached.listed(COMMIT), None, "cut at the end of a line");
        cached.note_listing(COMMIT, &files);
        assert_eq!(cached.listed(COMMIT).as_deref(), Some(&files[..]), "made again");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), "models", "m");
        let pipe = |path: PathBuf| {
            make_parent(&path).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
        };
        pipe(root.path().join("models--m/refs/main"));
        assert_eq!(cached.commit("main"), None);
        assert!(cached.odd_ref("main").unwrap().message.contains("named pipe"));
        pipe(cached.listing(COMMIT));
        assert_eq!(cached.listed(COMMIT), None);
        pipe(root.path().join(".locks/models--m/abc.lock"));
        let error = cached.lock("abc", || ()).unwrap_err();
        assert!(error.message.contains("named pipe"), "{error}");
    }

    #[test]
    fn a_lock_that_is_held_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), "models", "m");
        let first = cached.lock("abc", || ()).unwrap();
        let (told, tell) = (std::sync::mpsc::channel(), cached.clone());
        let second = std::thread::spawn(move || drop(tell.lock("abc", || told.0.send(()).unwrap()).unwrap()));
        told.1.recv().unwrap();
        drop(first);
        second.join().unwrap();
    }

    #[test]
    fn names_from_outside_stay_inside() {
        for name in ["main", "refs/pr/1", "data/a.parquet", "v1.0", "..a"] {
            assert!(is_inside(name), "{name}");
        }
        for name in ["", "..", "a/../b", "/etc", "a//b", "a/", "a\\b", "./a", "a\0"] {
            assert!(!is_inside(name), "{name:?}");
        }
    }
}
