//! Each step made to fail, and the process killed at each: the old site, or the new one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::lock::Patience;
use crate::render::OutputFile;
use crate::site::output::{Folder, Output};

/// A world in which steps fail.
struct Bad {
    taken: AtomicUsize,
    /// The first step that fails.
    at: usize,
    /// Whether all later ones fail too, as if the process had been killed.
    dead: bool,
    links: bool,
}

impl Bad {
    fn new(at: usize, dead: bool, links: bool) -> Self {
        let taken = AtomicUsize::new(0);
        Self { taken, at, dead, links }
    }

    fn met(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > self.at
    }
}

impl Steps for Bad {
    fn next(&self) -> io::Result<()> {
        let step = self.taken.fetch_add(1, Ordering::SeqCst);
        if step == self.at || (self.dead && step > self.at) {
            return Err(io::Error::other("the disk is on fire"));
        }
        Ok(())
    }

    fn links(&self) -> bool {
        self.links
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// Files of a folder, without the staging folder.
fn standing(folder: &Path) -> Files {
    let inside = walkdir::WalkDir::new(folder).min_depth(1).into_iter();
    let inside = inside
        .filter_entry(|entry| entry.file_name() != STAGE)
        .map(Result::unwrap);
    let files = inside.filter(|entry| !entry.file_type().is_dir());
    let named = files.map(|entry| {
        let name = entry
            .path()
            .strip_prefix(folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        (name, fs::read(entry.path()).unwrap())
    });
    named.collect()
}

const OLD_SITE: [(&str, &str); 8] = [
    ("index.html", "old"),
    ("same.html", "same"),
    ("away/page.html", "old"),
    ("mixed/gone.html", "old"),
    ("mixed/stays.html", "old"),
    ("becomes-folder", "old"),
    ("becomes-file/a/b", "old"),
    ("becomes-file/c", "old"),
];
const NEW_SITE: [(&str, &str); 8] = [
    ("index.html", "new"),
    ("same.html", "same"),
    ("mixed/stays.html", "new"),
    ("mixed/more.html", "new"),
    ("becomes-folder/x", "new"),
    ("becomes-file", "new"),
    ("fresh/deep/page.html", "new"),
    ("fresh.html", "new"),
];

fn take(path: &Path) -> Result<Folder> {
    Folder::take(path, Path::new("project"), Patience::None)
}

fn build(path: &Path, site: &[(&str, &str)], steps: &dyn Steps) -> Result<()> {
    let folder = take(path)?;
    let mut output = Output::open(&folder)?;
    for (path, text) in site {
        let (path, bytes) = ((*path).to_owned(), text.as_bytes().to_vec());
        output.add(&OutputFile { path, bytes })?;
    }
    output.commit_by(steps).map(|_| ())
}

/// A folder with the old site, and with foreign files where there is a site at all; and what stands there then and with
/// the new site.
struct World {
    place: tempfile::TempDir,
    old: Files,
    new: Files,
}

impl World {
    fn make(site: &[(&str, &str)]) -> Self {
        let (place, old) = World::old(site);
        build(place.path(), &NEW_SITE, &Free).unwrap();
        let new = standing(place.path());
        Self { place, old, new }
    }

    fn old(site: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let place = tempfile::tempdir().unwrap();
        if !site.is_empty() {
            build(place.path(), site, &Free).unwrap();
            fs::write(place.path().join("mine.txt"), "foreign").unwrap();
            fs::write(place.path().join("mixed/mine.txt"), "foreign").unwrap();
        }
        let old = standing(place.path());
        (place, old)
    }

    /// Begins again with the old site.
    fn again(&mut self, site: &[(&str, &str)]) {
        self.place = World::old(site).0;
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn is_one_of_both(&self) -> bool {
        let found = standing(self.path());
        found == self.old || found == self.new
    }
}

#[test]
fn a_step_that_fails_leaves_the_old_site_at_once() {
    for (site, links) in [(&OLD_SITE[..], true), (&OLD_SITE[..], false), (&[], true)] {
        let mut world = World::make(site);
        for at in 0.. {
            world.again(site);
            let bad = Bad::new(at, false, links);
            let done = build(world.path(), &NEW_SITE, &bad);
            let found = standing(world.path());
            match &done {
                Ok(()) => assert_eq!(found, world.new, "step {at}"),
                Err(error) => {
                    assert_eq!(found, world.old, "step {at}: {error}");
                    assert!(bad.met(), "{error}");
                }
            }
            assert!(!world.path().join(STAGE).exists(), "step {at}: {done:?}");
            if !bad.met() {
                assert!(at > 10 && done.is_ok(), "{at} steps");
                break;
            }
            build(world.path(), &NEW_SITE, &Free).unwrap();
            assert_eq!(standing(world.path()), world.new, "step {at}");
        }
    }
}

#[test]
fn a_kill_at_any_step_is_undone_by_the_next_build_even_one_that_fails() {
    for (site, links) in [(&OLD_SITE[..], true), (&OLD_SITE[..], false), (&[], true)] {
        let mut world = World::make(site);
        for at in 0.. {
            world.again(site);
            let bad = Bad::new(at, true, links);
            let done = build(world.path(), &NEW_SITE, &bad);
            let error = done.err().map(|error| error.to_string()).unwrap_or_default();
            let untold = world.is_one_of_both() || error.contains("files of both builds stand in the folder");
            assert!(untold, "step {at}: {error}");
            // The next one is killed while it puts back, at a step of its own, and the one after that is not.
            let again = Bad::new(at % 5, true, links);
            _ = Moving::into(world.path(), &again).recover();
            drop(take(world.path()).unwrap());
            assert!(world.is_one_of_both(), "step {at}: {error}");
            assert!(!world.path().join(STAGE).exists());
            if !bad.met() {
                assert_eq!(standing(world.path()), world.new);
                break;
            }
            build(world.path(), &NEW_SITE, &Free).unwrap();
            assert_eq!(standing(world.path()), world.new, "step {at}");
        }
    }
}

#[test]
fn putting_back_may_be_killed_at_any_step() {
    // Where most is moved already.
    for links in [true, false] {
        let mut world = World::make(&OLD_SITE);
        for at in 0.. {
            world.again(&OLD_SITE);
            build(world.path(), &NEW_SITE, &Bad::new(16, true, links)).unwrap_err();
            assert!(world.path().join(STAGE).join(JOURNAL).exists());
            let bad = Bad::new(at, true, links);
            let undone = Moving::into(world.path(), &bad).recover();
            assert_eq!(undone.is_err(), bad.met(), "step {at}");
            drop(take(world.path()).unwrap());
            assert_eq!(standing(world.path()), world.old, "step {at}");
            if !bad.met() {
                assert!(at > 3, "{at} steps");
                break;
            }
        }
    }
}

#[test]
fn a_list_that_is_damaged_is_told_and_nothing_is_lost() {
    let mut world = World::make(&OLD_SITE);
    world.again(&OLD_SITE);
    build(world.path(), &NEW_SITE, &Bad::new(16, true, true)).unwrap_err();
    let journal = world.path().join(STAGE).join(JOURNAL);
    let text = fs::read_to_string(&journal).unwrap();
    for bad in [
        &text[1..],
        &text.replace("index.html", "../../etc/x"),
        &text.replace("moving/1", "moving/9"),
    ] {
        fs::write(&journal, bad).unwrap();
        let error = take(world.path()).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains(STAGE), "{error}");
    }
    fs::write(&journal, text).unwrap();
    assert!(take(world.path()).unwrap().undone());
    assert_eq!(standing(world.path()), world.old);
}
