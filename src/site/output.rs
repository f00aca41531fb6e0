//! Writes a site into its folder, and never touches a file that a build did not write.
//!
//! One igsite uses the folder at a time ([`Folder`]). The folder has a mark, [`MARK`]: the list of igsite's files, with
//! their hashes. A folder that is not empty and has no mark is refused. Changed files are staged inside the folder and
//! moved into place only when the whole site was rendered; unchanged ones are not written at all. The move is all or
//! nothing (`moving.rs`): if a step fails, everything that was moved is moved back at once; if the process is killed,
//! the next build moves it back before it does anything else.
//!
//! Why not make a second folder and exchange the two in one step (`renameat2` with `RENAME_EXCHANGE`)? Other programs
//! often use the folder: it is the working directory of `python -m http.server`, a volume of a container, a mount
//! point, a git worktree, and these would continue with the old folder, which is then deleted. Files of others would
//! have to move over, or be away for a while. And each update would give all unchanged files a second name, tens of
//! thousands of them to change one page. The exchange would have one advantage: a kill within the few milliseconds of
//! the move would show no mixture until the next build. Files are moved in these milliseconds only.

mod folder;
mod growing;
mod moving;
mod written;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::interrupt;
use crate::site::OutputFile;
use crate::site::urls::HOME;
pub use folder::Folder;
use folder::LOCK;
pub use growing::Growing;
use moving::{BOTH, Free, Journal, LAST, Moving, NEW, Steps, Unit};
pub use written::Written;
use written::{Entry, Seen};

/// The name of the mark.
pub const MARK: &str = ".igsite-site.json";
/// Where changed files wait, inside the output folder, so that a move into place stays on one file system.
pub const STAGE: &str = ".igsite-stage";
const SCHEMA: &str = "igsite/site/1";
const ABOUT: &str =
    "Written by igsite. The files listed here are rewritten or removed by `igsite build`; other files are left alone.";

/// What a build did to the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that are new or changed.
    pub written: usize,
    /// Files that were there already, byte for byte.
    pub unchanged: usize,
    /// Files of the last build that this one does not make any more.
    pub removed: usize,
    /// Files that this build does not make any more, but that were edited since: they are left, and no longer igsite's.
    pub kept: Vec<String>,
    /// What is worth telling of the site as a whole.
    pub warnings: Diagnostics,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark<S: Ord> {
    schema: String,
    about: String,
    /// Path → hash of its content.
    files: BTreeMap<S, S>,
}

/// An output folder while a site is written into it.
#[derive(Debug)]
pub struct Output<'f> {
    folder: &'f Path,
    /// Where changed files wait.
    stage: PathBuf,
    /// Whether it was empty when it was opened: then no file can be in the way, and none has to be checked.
    empty: bool,
    old: BTreeMap<String, String>,
    new: BTreeMap<String, Entry>,
    /// New paths in lower case, since some file systems ignore case.
    lower: HashSet<String>,
    /// Folders of the site that are known to be there and to be folders, so that they are looked at once.
    folders: RwLock<HashSet<String>>,
    staged: usize,
    unchanged: usize,
}

/// What came of comparing a file with the one in place.
#[derive(Debug)]
pub struct Looked {
    path: String,
    entry: Entry,
    staged: bool,
}

impl<'f> Output<'f> {
    /// Opens a folder for writing: an empty one, or one that bears the mark.
    pub fn open(folder: &'f Folder) -> Result<Self> {
        let folder = folder.path();
        let old = read_mark(folder)?;
        if old.is_none() {
            refuse_foreign(folder)?;
        }
        moving::clear(folder);
        Ok(Self {
            folder,
            stage: folder.join(STAGE),
            empty: old.is_none(),
            old: old.unwrap_or_default(),
            new: BTreeMap::new(),
            lower: HashSet::new(),
            folders: RwLock::default(),
            staged: 0,
            unchanged: 0,
        })
    }

    /// Takes a file: compares it with the one in place, and stages it where they differ.
    pub fn add(&mut self, file: &OutputFile) -> Result<()> {
        let looked = self.look(file)?;
        self.take(looked)
    }

    /// Compares a file with the one in place, and stages it where they differ. Many threads may do so at once; the
    /// results must be taken in an order that is always the same.
    pub fn look(&self, file: &OutputFile) -> Result<Looked> {
        check_path(&file.path)?;
        self.refuse_foreign_in_the_way(&file.path)?;
        let hash = hash_of(&file.bytes);
        let known = self.old.get(&file.path) == Some(&hash);
        let same = known
            .then(|| same_bytes(&self.folder.join(&file.path), &file.bytes))
            .flatten();
        let seen = match same {
            Some(seen) => seen,
            None => write(&self.staged_at(&file.path), &file.bytes)?,
        };
        Ok(Looked {
            path: file.path.clone(),
            entry: Entry { hash, seen },
            staged: same.is_none(),
        })
    }

    /// Takes what came of looking at a file.
    pub fn take(&mut self, looked: Looked) -> Result<()> {
        if !self.lower.insert(looked.path.to_lowercase()) {
            return Err(Diagnostic::output(format!(
                "two files of the site are called `{}`",
                looked.path
            )));
        }
        if looked.staged {
            self.staged += 1;
        } else {
            self.unchanged += 1;
        }
        self.new.insert(looked.path, looked.entry);
        Ok(())
    }

    fn staged_at(&self, path: &str) -> PathBuf {
        self.stage.join(NEW).join(path)
    }

    /// A file or link where this one would go, or where its folder would, must be one that igsite wrote.
    fn refuse_foreign_in_the_way(&self, path: &str) -> Result<()> {
        if self.empty {
            return Ok(());
        }
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for end in ends {
            let (at, is_folder) = (&path[..end], end < path.len());
            if is_folder && self.known_folder(at) {
                continue;
            }
            let place = self.folder.join(at);
            let Ok(found) = fs::symlink_metadata(&place) else {
                return Ok(());
            };
            if found.is_dir() && is_folder {
                let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
                folders.insert(at.to_owned());
                continue;
            }
            if found.is_file() && self.old.contains_key(at) {
                continue;
            }
            if found.is_dir() && self.old.keys().any(|old| old.starts_with(&format!("{at}/"))) && !self.has_foreign(at)
            {
                return Ok(());
            }
            return Err(in_the_way(&place, path));
        }
        Ok(())
    }

    fn known_folder(&self, at: &str) -> bool {
        self.folders.read().unwrap_or_else(PoisonError::into_inner).contains(at)
    }

    /// Whether a folder that a file is to replace holds anything else than files of the last build.
    fn has_foreign(&self, folder: &str) -> bool {
        let entries = walkdir::WalkDir::new(self.folder.join(folder)).into_iter().flatten();
        let mut files = entries.filter(|entry| !entry.file_type().is_dir());
        files.any(|entry| {
            let relative = entry
                .path()
                .strip_prefix(self.folder)
                .ok()
                .and_then(|path| path.to_str());
            !relative.is_some_and(|path| self.old.contains_key(&path.replace('\\', "/")))
        })
    }

    /// Moves everything into place.
    ///
    /// # Errors
    /// It cannot be moved; then the folder is as it was, or the error says what it has.
    pub fn commit(self) -> Result<(Counts, Written)> {
        self.commit_by(&Free)
    }

    fn commit_by(mut self, steps: &dyn Steps) -> Result<(Counts, Written)> {
        let mut counts = Counts {
            written: self.staged,
            unchanged: self.unchanged,
            ..Counts::default()
        };
        let gone = self.gone(&mut counts)?;
        let mut come = Vec::new();
        if self.staged > 0 {
            self.units(&mut String::new(), &gone, &mut come)?;
            come.sort();
        }
        let mark = self.stage_marks()?;
        let moves = mark.moves || !gone.is_empty() || !come.is_empty();
        if moves {
            let _moving = interrupt::hold();
            let journal = Journal::new(!self.empty, gone, come);
            Moving::into(self.folder, steps).run(&journal)?;
            interrupt::keeps("the site is written");
        }
        self.new.insert(MARK.to_owned(), mark.entry);
        Ok((counts, Written::new(self.folder, self.new)))
    }

    /// The files of the last build that are to be removed: those that this one does not make, except files that were
    /// edited since.
    fn gone(&self, counts: &mut Counts) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        for (path, written) in self.old.iter().filter(|(path, _)| !self.new.contains_key(*path)) {
            if check_path(path).is_err() || self.through_link(path)? {
                continue;
            }
            let place = self.folder.join(path);
            match fs::read(&place) {
                Ok(bytes) if !is_as_written(&bytes, written) => counts.kept.push(path.to_owned()),
                Ok(_) => gone.push(path.to_owned()),
                // Somebody was here before us.
                Err(error) if is_absent(&error) || error.kind() == ErrorKind::IsADirectory => {}
                // It would stay, and be taken for foreign from now on.
                Err(error) => return Err(Diagnostic::io(Kind::Output, "read the old page", &place, &error)),
            }
        }
        counts.removed = gone.len();
        Ok(gone)
    }

    /// What is to be moved of the files staged under `at`: a folder that does not exist yet as a whole, any other file
    /// by itself.
    fn units(&self, at: &mut String, gone: &[String], units: &mut Vec<Unit>) -> Result<()> {
        let stage = self.staged_at(at);
        let failed = |error: io::Error| Diagnostic::io(Kind::Output, "read what was staged in", &stage, &error);
        for entry in fs::read_dir(&stage).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let name = entry.file_name();
            let length = at.len();
            if length > 0 {
                at.push('/');
            }
            at.push_str(&name.to_string_lossy());
            let unit = |old| Unit { path: at.clone(), old };
            let place = self.folder.join(&*at);
            match fs::symlink_metadata(&place) {
                Err(error) if is_absent(&error) => units.push(unit(false)),
                Err(error) => return Err(Diagnostic::io(Kind::Output, "look for the old page", &place, &error)),
                Ok(found) if found.is_dir() && is_folder => self.units(at, gone, units)?,
                Ok(found) if found.is_file() && is_folder && gone.contains(&*at) => units.push(unit(false)),
                Ok(found) if found.is_file() && !is_folder && self.old.contains_key(&*at) => units.push(unit(true)),
                Ok(found) if found.is_dir() && !self.has_foreign(at) => units.push(unit(false)),
                // It came while the site was made.
                Ok(_) => return Err(in_the_way(&place, at)),
            }
            at.truncate(length);
        }
        Ok(())
    }

    /// Whether there is a symbolic link on the path to a file: its target is not ours.
    fn through_link(&self, path: &str) -> Result<bool> {
        let mut place = self.folder.to_path_buf();
        for part in path.split('/') {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_symlink() => return Ok(true),
                Ok(_) => {}
                Err(error) if is_absent(&error) => return Ok(false),
                Err(error) => return Err(Diagnostic::io(Kind::Output, "look for the old page", &place, &error)),
            }
        }
        Ok(false)
    }

    /// Stages the mark that lists what is new, and one that lists old files too, where they differ from those in place.
    fn stage_marks(&self) -> Result<StagedMark> {
        let place = self.folder.join(MARK);
        let new = || self.new.iter().map(|(path, entry)| (path, &entry.hash));
        let both = mark_of(self.old.iter().chain(new()))?;
        let before = same_bytes(&place, &both);
        let seen = match before {
            Some(seen) => seen,
            None => write(&self.stage.join(BOTH), &both)?,
        };
        let loses = self.old.keys().any(|path| !self.new.contains_key(path));
        let (hash, seen) = if loses {
            let last = mark_of(new())?;
            (hash_of(&last), write(&self.stage.join(LAST), &last)?)
        } else {
            (hash_of(&both), seen)
        };
        Ok(StagedMark {
            moves: before.is_none() || loses,
            entry: Entry { hash, seen },
        })
    }
}

/// Whether an error says that there is nothing at a path.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The mark that a site is to have.
struct StagedMark {
    /// Whether it differs from the one in place.
    moves: bool,
    entry: Entry,
}

/// The mark that lists these files as igsite's; of two with one path the later counts.
fn mark_of<'m>(files: impl Iterator<Item = (&'m String, &'m String)>) -> Result<Vec<u8>> {
    let mark = Mark {
        schema: SCHEMA.into(),
        about: ABOUT.into(),
        files: files.collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&mark)
        .map_err(|error| Diagnostic::output(format!("cannot write the list of files: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Something that igsite did not write is where a file of the site would go.
fn in_the_way(place: &Path, path: &str) -> Diagnostic {
    let what = match fs::symlink_metadata(place) {
        Ok(found) if found.is_symlink() => "a symbolic link",
        Ok(found) if found.is_dir() => "a folder",
        _ => "a file",
    };
    Diagnostic::output(format!(
        "{what} that igsite did not write is where the site’s `{path}` would go"
    ))
    .in_file(place)
    .help("move it away, or give another folder with --output")
}

fn read_mark(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(MARK);
    match fs::read(&path) {
        Ok(bytes) => parse_mark(&bytes, folder).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Diagnostic::io(Kind::Output, "read igsite’s mark", &path, &error)),
    }
}

fn parse_mark(bytes: &[u8], folder: &Path) -> Result<BTreeMap<String, String>> {
    let path = folder.join(MARK);
    match serde_json::from_slice::<Mark<String>>(bytes) {
        Ok(mark) if mark.schema == SCHEMA => Ok(mark.files),
        Ok(mark) => Err(
            Diagnostic::output(format!("the mark is of another version, `{}`", mark.schema))
                .in_file(&path)
                .expected(format!("`{SCHEMA}`"))
                .help("use the igsite that wrote this folder, or give another folder with --output"),
        ),
        Err(error) => Err(Diagnostic::output(format!("igsite’s mark is damaged: {error}"))
            .in_file(&path)
            .help("if nothing else is in the folder, remove it and build again; or give another folder with --output")),
    }
}

/// Refuses a folder without the mark that holds anything, naming some of it.
fn refuse_foreign(folder: &Path) -> Result<()> {
    let entries =
        fs::read_dir(folder).map_err(|error| Diagnostic::io(Kind::Output, "read the output folder", folder, &error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    // A first build that was killed leaves its staging folder and nothing else; this one's may be there too.
    names.retain(|name| name != STAGE && name != LOCK);
    names.sort();
    let Some(rest) = names
        .len()
        .checked_sub(5)
        .map(|rest| {
            if rest > 0 {
                format!(" and {rest} more")
            } else {
                String::new()
            }
        })
        .or_else(|| (!names.is_empty()).then(String::new))
    else {
        return Ok(());
    };
    names.truncate(5);
    let list = names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Err(Diagnostic::output(format!(
        "the output folder holds files that igsite did not write: {list}{rest}"
    ))
    .in_file(folder)
    .expected(format!(
        "a new or empty folder, or one that igsite wrote (it holds `{MARK}`)"
    ))
    .help("move these files away, or give another folder with --output"))
}

/// Refuses paths that would leave the folder or collide with igsite's own files in it.
fn check_path(path: &str) -> Result<()> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0', ':']);
    let first = path.split('/').next().unwrap_or("").to_lowercase();
    if path.split('/').any(bad_part) || [MARK, STAGE, LOCK].contains(&first.as_str()) {
        return Err(
            Diagnostic::output(format!("`{path}` cannot be the path of a file of the site"))
                .help("rename what it is made from"),
        );
    }
    Ok(())
}

/// BLAKE3: a third of the time of SHA-256 on pages, and it is to be trusted as much.
fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Whether a file is as its mark says. The first igsites marked theirs with SHA-256.
fn is_as_written(bytes: &[u8], written: &str) -> bool {
    hash_of(bytes) == written || hash::of_bytes(bytes) == written
}

/// What was seen of a file that holds just these bytes.
fn same_bytes(path: &Path, bytes: &[u8]) -> Option<Seen> {
    let found = fs::symlink_metadata(path).ok()?;
    let same_length = found.is_file() && found.len() == bytes.len() as u64;
    let same = same_length && fs::read(path).is_ok_and(|found| found == bytes);
    same.then(|| Seen::of(&found))
}

fn write(path: &Path, bytes: &[u8]) -> Result<Seen> {
    let written = create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.metadata()
    });
    let written = written.map_err(|error| Diagnostic::io(Kind::Output, "write", path, &error))?;
    Ok(Seen::of(&written))
}

/// Makes a file, and its folder where that is not there yet: most are, but for a page's, which is its own.
fn create(path: &Path) -> io::Result<File> {
    if path.ends_with(HOME)
        && let Some(parent) = path.parent()
    {
        // If it cannot be made, the file says why.
        _ = fs::create_dir(parent);
    }
    match (File::create(path), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            File::create(path)
        }
        (made, _) => made,
    }
}

#[cfg(test)]
mod tests;
