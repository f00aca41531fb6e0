//! Checks every link of the finished output: pages, assets, anchors and ids that do not exist, duplicate ids, anything
//! loaded from another host. Names are compared with their case, as servers do, though some disks do not.
//!
//! `scan.rs` reads one file without any other, so that many threads can do it. [`LinkCheck`] then compares what the
//! files say, each target once, not each link. `markup.rs` is what it knows of HTML.

mod markup;
pub mod policy;
mod scan;

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::render::OutputFile;
#[cfg(test)]
pub use markup::attributes;
pub use markup::{Tag, scheme, tags};
use scan::scan;

/// A link to another file of the site.
#[derive(Debug)]
struct Target {
    path: String,
    /// The id in it.
    anchor: Option<String>,
    link: String,
    line: usize,
}

/// Something that is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// The page, or other file of the site.
    pub page: String,
    /// The line of it, from 1.
    pub line: usize,
    /// What was written there.
    pub written: String,
    /// What is wrong with it.
    pub message: String,
    /// What may have been meant.
    pub help: Option<String>,
    /// Whether it is broken with any results: else what results bring may mend it.
    pub certain: bool,
}

impl Broken {
    /// As an error.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut diagnostic =
            Diagnostic::output(self.message.clone()).place(format!("page {}, line {}", self.page, self.line));
        diagnostic.help = self.help.clone();
        diagnostic
    }
}

/// What one file says: its ids, where it leads, and what is wrong in itself.
#[derive(Debug, Default)]
pub struct FileLinks {
    path: String,
    /// One a line: no id holds white space.
    ids: String,
    targets: Vec<Target>,
    broken: Vec<Broken>,
}

impl FileLinks {
    /// Of a file that leads nowhere, or was not read yet.
    pub fn none(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }
}

/// Collects what files say, and reports at the end what is broken.
#[derive(Debug, Default)]
pub struct LinkCheck {
    base_url: Option<String>,
    /// Files with their ids, one a line.
    files: HashMap<String, String>,
    /// Targets that were no known file when they were named, or have an anchor: the first to name each.
    targets: HashMap<(String, Option<String>), (String, usize, String)>,
    broken: Vec<Broken>,
}

impl LinkCheck {
    /// Nothing checked yet.
    pub fn new(base_url: Option<&str>) -> Self {
        Self {
            base_url: base_url.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Reads a file for this site.
    pub fn scan(&self, file: &OutputFile) -> FileLinks {
        let mut found = scan(file, self.base_url.as_deref());
        // Left out here, where many threads do it, rather than when files are taken one by one.
        found.targets.retain(|target| !self.is_known(target));
        found
    }

    /// Whether a target is a file that was taken before, and nothing in it has to be found.
    fn is_known(&self, target: &Target) -> bool {
        target.anchor.is_none() && self.files.contains_key(&target.path)
    }

    /// Reads a file and takes note of what it says.
    pub fn add(&mut self, file: &OutputFile) {
        self.take(self.scan(file));
    }

    /// Takes note of what a file says.
    pub fn take(&mut self, file: FileLinks) {
        self.broken.extend(file.broken);
        for target in file.targets {
            if self.is_known(&target) {
                continue;
            }
            self.targets
                .entry((target.path, target.anchor))
                .or_insert_with(|| (file.path.clone(), target.line, target.link));
        }
        self.files.insert(file.path, file.ids);
    }

    /// Everything that is broken in a site rendered without its results, and that would be broken with them too. Where
    /// a page names a file, `page` says whether the file must exist already.
    pub fn certain(self, must_be_there: impl Fn(&str, &str) -> bool) -> Vec<Broken> {
        let missing: HashSet<(String, String)> = self
            .targets
            .iter()
            .filter(|((path, _), (page, ..))| !self.files.contains_key(path) && must_be_there(page, path))
            .map(|(_, (page, _, link))| (page.clone(), link.clone()))
            .collect();
        let is_missing = |one: &Broken| missing.contains(&(one.page.clone(), one.written.clone()));
        let mut all = self.broken();
        all.retain(|one| one.certain || is_missing(one));
        all
    }

    /// Everything that is broken, as errors.
    pub fn finish(self) -> Diagnostics {
        let mut all = Diagnostics::new();
        for broken in self.broken() {
            all.push(broken.diagnostic());
        }
        all
    }

    /// Everything that is broken, in the order of pages and lines.
    pub fn broken(mut self) -> Vec<Broken> {
        for ((path, anchor), (page, line, link)) in std::mem::take(&mut self.targets) {
            let (message, help) = match (self.files.get(&path), anchor) {
                (None, _) => {
                    let other = self
                        .files
                        .keys()
                        .filter(|known| known.eq_ignore_ascii_case(&path))
                        .min();
                    let help = other.map(|other| format!("the site has `{other}`: servers tell cases apart"));
                    (
                        format!("the link `{link}` leads to `{path}`, which the site does not have"),
                        help,
                    )
                }
                (Some(ids), Some(anchor)) if is_page(&path) && !ids.lines().any(|id| id == anchor) => (
                    format!("the link `{link}` leads to `#{anchor}`, which `{path}` does not have"),
                    None,
                ),
                _ => continue,
            };
            self.broken.push(Broken {
                page,
                line,
                written: link,
                message,
                help,
                certain: false,
            });
        }
        self.broken.sort();
        self.broken
    }
}

fn is_page(path: &str) -> bool {
    path.ends_with(".html") || path.ends_with(".svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: Option<&str>, files: &[(&str, &str)]) -> Vec<String> {
        let mut check = LinkCheck::new(base_url);
        for (path, text) in files {
            check.add(&OutputFile {
                path: (*path).to_owned(),
                bytes: text.as_bytes().to_vec(),
            });
        }
        check.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_links_pass() {
        let page = "<!doctype html><!-- <a href=no> --><link rel=stylesheet href='../a%20b.css'><a href=\"../index.html#x\">x</a>\
                    <script src=../s.js>'<a href=no>'</script><a href=\"https://elsewhere/\">e</a>";
        let files = [
            ("d/index.html", page),
            ("index.html", "<p id=\"x\"></p><a href=#x>"),
            ("a b.css", ""),
            ("s.js", ""),
        ];
        assert_eq!(check(None, &files), Vec::<String>::new());
        let not_found = [("404.html", "<a href=\"/repo/index.html\">"), ("index.html", "")];
        assert_eq!(check(Some("https://x/repo"), &not_found), Vec::<String>::new());
    }

    #[test]
    fn broken_ones_are_told_with_their_page() {
        let page = "<a href=\"gone.html\"></a><a href=\"#gone\"></a><a href=\"../../x\"></a><img src=\"https://e/x.png\">\
                    <a href=\"/index.html\"></a><i id=a></i><i id=a></i><a href=\"JavaScript&colon;x\"></a>";
        let found = check(None, &[("index.html", page)]);
        for expected in [
            "`gone.html` leads to `gone.html`",
            "`#gone`, which",
            "`../../x` leaves the site",
            "`/index.html` leaves the site",
            "https://e/x.png",
            "given twice",
            "must not load or run",
        ] {
            assert!(
                found
                    .iter()
                    .any(|problem| problem.contains(expected) && problem.starts_with("page index.html")),
                "{expected}: {found:?}"
            );
        }
        assert_eq!(found.len(), 7, "{found:?}");
    }
}
