//! Waits for changes of what a site is made from.
//!
//! `content/`, `templates/` and `static/` are watched with all that is in them, and the project's own folder for when
//! one of these appears or disappears; of a book (`book.yaml`), all of its folder but what igsite writes there. Editors write a file in several steps, often by renaming another one over it, so
//! a change is reported only when nothing has changed for a moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::diagnostic::{Diagnostic, Kind, Result};

/// What a site is made from.
const FOLDERS: [&str; 3] = ["content", "templates", "static"];
/// The file by which a folder is a book, whose pages lie in the folder itself.
const BOOK: &str = "book.yaml";
/// How long it must have been quiet.
const QUIET: Duration = Duration::from_millis(120);
/// How long a change waits at most, when it is never quiet.
const LONGEST: Duration = Duration::from_secs(2);

/// A project that is watched.
#[derive(Debug)]
pub struct Watch {
    root: PathBuf,
    is_book: bool,
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Begins to watch the project in `root`.
    ///
    /// # Errors
    /// The folder is not there, or the system watches no more.
    pub fn start(root: &Path) -> Result<Self> {
        let root = root
            .canonicalize()
            .map_err(|error| Diagnostic::io(Kind::Content, "open the project’s folder", root, &error))?;
        let (sender, events) = mpsc::channel();
        // After the last reader is gone, the process ends.
        let watcher = notify::recommended_watcher(move |event| _ = sender.send(event));
        let mut watch = Self {
            watcher: watcher.map_err(|error| problem(&root, &error))?,
            is_book: root.join(BOOK).is_file() && !root.join(FOLDERS[0]).is_dir(),
            root,
            events,
            watched: BTreeSet::new(),
        };
        let mode = match watch.is_book {
            true => RecursiveMode::Recursive,
            false => RecursiveMode::NonRecursive,
        };
        let added = watch.watcher.watch(&watch.root, mode);
        added.map_err(|error| problem(&watch.root, &error))?;
        watch.follow()?;
        Ok(watch)
    }

    /// Waits until something has changed since the last call, and it has become quiet.
    ///
    /// # Errors
    /// A folder that is new cannot be watched.
    pub fn changed(&mut self) -> Result<()> {
        while !self.events.recv().is_ok_and(|event| self.matters(&event)) {}
        let began = Instant::now();
        let mut last = began;
        while last.elapsed() < QUIET && began.elapsed() < LONGEST {
            if let Ok(event) = self.events.recv_timeout(QUIET.saturating_sub(last.elapsed()))
                && self.matters(&event)
            {
                last = Instant::now();
            }
        }
        self.follow()
    }

    /// Reading is no change, and the files next to the three folders (the store, the site) do not matter.
    fn matters(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        let ours = |path: &PathBuf| match self.is_book {
            // The store is hidden; so is what editors leave.
            true => path.strip_prefix(&self.root).is_ok_and(|inside| {
                let first = inside.iter().next().map(|first| first.to_string_lossy());
                first.is_some_and(|first| !first.starts_with('.') && first != "site")
            }),
            false => FOLDERS.iter().any(|folder| path.starts_with(self.root.join(folder))),
        };
        event.need_rescan() || (!event.kind.is_access() && event.paths.iter().any(ours))
    }

    /// Watches those of the folders that are there. One that was away and is back is another one to the system.
    fn follow(&mut self) -> Result<()> {
        if self.is_book {
            return Ok(());
        }
        for folder in FOLDERS.map(|folder| self.root.join(folder)) {
            if !folder.is_dir() {
                self.watched.remove(&folder);
            } else if !self.watched.contains(&folder) {
                let added = self.watcher.watch(&folder, RecursiveMode::Recursive);
                added.map_err(|error| problem(&folder, &error))?;
                self.watched.insert(folder);
            }
        }
        Ok(())
    }
}

fn problem(folder: &Path, error: &notify::Error) -> Diagnostic {
    Diagnostic::output(format!("cannot watch for changes: {error}"))
        .in_file(folder)
        .help(
            "on Linux, `sysctl fs.inotify.max_user_watches` and `fs.inotify.max_user_instances` may have to be raised",
        )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn edits_renames_and_new_folders_are_seen_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::create_dir(root.join("content")).unwrap();
        fs::write(root.join("content/a.md"), "1").unwrap();
        let mut watch = Watch::start(&root).unwrap();
        let (told, changes) = mpsc::channel();
        thread::spawn(move || while watch.changed().is_ok() && told.send(()).is_ok() {});
        let seen = || changes.recv_timeout(Duration::from_secs(20)).is_ok();
        let quiet = || changes.recv_timeout(Duration::from_millis(600)).is_err();

        fs::write(root.join("content/a.md"), "2").unwrap();
        assert!(seen() && quiet(), "an edit, once");
        fs::read(root.join("content/a.md")).unwrap();
        fs::write(root.join("other.txt"), "1").unwrap();
        fs::create_dir(root.join("site")).unwrap();
        assert!(quiet(), "reading, and files that are none of ours");
        fs::write(root.join("content/.a.md.new"), "3").unwrap();
        fs::rename(root.join("content/.a.md.new"), root.join("content/a.md")).unwrap();
        assert!(seen() && quiet(), "an editor’s renaming, once");
        fs::create_dir(root.join("templates")).unwrap();
        assert!(seen(), "a folder that was not there");
        fs::write(root.join("templates/page.html"), "1").unwrap();
        assert!(seen(), "and what is put into it");
    }
}
