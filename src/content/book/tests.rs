use super::*;
use crate::content::dataset::local_repositories::LocalRepositories;
use crate::content::project::{Project, Selection};

/// A folder with files, and what comes of it as a project: errors or warnings, as they are told.
struct Folder(tempfile::TempDir);

impl Folder {
    /// A book of a front page, a chapter, and a folder with an index and two pages.
    fn book() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder
            .file("docs/book.yaml", "source: https://git.example/me/it/blob/main/docs\n")
            .file(
                "docs/README.md",
                "# It\n\n[more](more.md)\n\n## First `part`\n\n- [b](b.md#x)\n- [a](a.md)\n\n## Last\n\n- [why](why/README.md)\n",
            )
            .file("docs/a.md", "# A\n\n![p](pictures/p.svg) [it](../Makefile) [b](b.md) [why](why/)\n")
            .file("docs/b.md", "# B\n\n[list](list.txt) [out](https://example.org/x.md) [here](#b)\n")
            .file("docs/more.md", "# More\n")
            .file("docs/why/README.md", "# Why\n\n[two](two.md) [one](one.md) [a](../a.md)\n")
            .file("docs/why/one.md", "# One\n")
            .file("docs/why/two.md", "# Two\n\n[up](../../Makefile#top)\n")
            .file("docs/pictures/p.svg", "<svg/>")
            .file("docs/list.txt", "")
            .file("docs/site/index.html", "")
            .file("docs/site/left.md", "# No page\n")
            .file("Makefile", "")
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        std::fs::remove_file(self.0.path().join(path)).unwrap();
        self
    }

    fn load(&self) -> Result<(Project, Vec<String>), Vec<String>> {
        let told = |all: Diagnostics| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let root = self.0.path().join("docs");
        let loaded = Project::load(&root, &Selection::default(), &LocalRepositories(root.join("hub")));
        loaded
            .map(|(project, warnings)| (project, told(warnings)))
            .map_err(told)
    }
}

fn names(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

#[test]
fn links_are_the_reading_order_and_headings_the_parts() {
    let (project, warnings) = Folder::book().load().unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let book = project.book.expect("a book");
    let read = [
        "README.md",
        "more.md",
        "b.md",
        "a.md",
        "why/README.md",
        "why/two.md",
        "why/one.md",
    ];
    assert_eq!(book.order().cloned().collect::<Vec<_>>(), names(&read));
    let parts: Vec<(Option<&str>, usize)> = book
        .parts
        .iter()
        .map(|part| (part.title.as_deref(), part.chapters.len()))
        .collect();
    assert_eq!(parts, [(None, 2), (Some("First part"), 2), (Some("Last"), 1)]);
    assert_eq!(book.files, names(&["pictures/p.svg"]).into_iter().collect());
    assert_eq!(book.elsewhere, BTreeSet::from(["list.txt".to_owned()]));
    let routes: Vec<String> = project.pages.iter().map(|page| page.route.join("/")).collect();
    assert_eq!(routes, ["a", "b", "index", "more", "why/index", "why/one", "why/two"]);
    let source = "https://git.example/me/it/blob/main";
    assert_eq!(book.at_source("", "list.txt"), Some(format!("{source}/docs/list.txt")));
    assert_eq!(
        book.at_source("why", "../../Makefile#top"),
        Some(format!("{source}/Makefile#top"))
    );
}

#[test]
fn what_a_reader_would_miss_is_an_error() {
    let errors = |folder: Folder| folder.load().unwrap_err();
    let lost = Folder::book()
        .file("docs/why/three.md", "# Three\n")
        .file("docs/c.md", "# C\n");
    assert_eq!(
        errors(lost),
        ["c.md", "why/three.md"].map(|page| format!(
            "{page}: this page has no place in the book\n  help: link to it from README.md, or from the README.md of its folder"
        ))
    );
    let broken = Folder::book().without("docs/list.txt");
    assert_eq!(
        errors(broken),
        ["b.md:3:1: link to `list.txt`: there is no such file\n  help: correct the link, or add the file"]
    );
    let outside = Folder::book().file("docs/book.yaml", "# Nothing.\n");
    let told = errors(outside);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("a.md:3:24: link to `../Makefile`, which is outside of the book"),
        "{told:#?}"
    );
    assert!(told[1].starts_with("why/two.md:3:1: "), "{told:#?}");
    let headless = Folder::book().without("docs/README.md");
    assert!(errors(headless)[0].starts_with("book.yaml: this book has no first page"));
    for (yaml, place) in [("source: here\n", "book.yaml:1:9"), ("sources: x\n", "book.yaml:1:1")] {
        let told = errors(Folder::book().file("docs/book.yaml", yaml));
        assert!(told.iter().any(|error| error.starts_with(place)), "{told:#?}");
    }
    let reserved = Folder::book().file("docs/search.md", "# S\n");
    assert!(errors(reserved)[0].contains("the site keeps `search` for itself"));
}

#[test]
fn a_file_of_the_repository_that_is_not_here_is_a_warning() {
    let (_, warnings) = Folder::book().without("Makefile").load().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].starts_with("a.md:3:24: link to `../Makefile`: there is no such file here"));
}

#[test]
fn a_project_with_content_is_no_book() {
    let folder = Folder::book().file("docs/content/index.md", "# Front\n");
    let (project, warnings) = folder.load().unwrap();
    assert!(project.book.is_none());
    assert_eq!(project.pages.len(), 1);
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("book.yaml: this file is not read")),
        "{warnings:#?}"
    );
}
