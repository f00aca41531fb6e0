//! `docs/` is a book: a project of pages alone, which igsite itself makes into a site with all chapters in reading order.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command as Process;

use scraper::{Html, Selector};
use support::needs::{Need, found_or_skip};
use support::project::{Project, Ran};

/// The book of this repository, in a folder of its own, with the files outside of it to which it links.
fn docs() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut project = Project::new();
    for entry in walkdir::WalkDir::new(root.join("docs")) {
        let entry = entry.unwrap();
        let place = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
        let built = ["docs/site/", "docs/.igsite/"]
            .iter()
            .any(|folder| place.starts_with(folder));
        if entry.file_type().is_file() && !built {
            project = project.file(place, std::fs::read(entry.path()).unwrap());
        }
    }
    project
}

fn pages(project: &Project, folder: &str) -> BTreeMap<String, Html> {
    let files = project.files(folder).into_iter();
    let pages = files.filter(|(name, _)| name.ends_with(".html"));
    pages
        .map(|(name, bytes)| (name, Html::parse_document(&String::from_utf8(bytes).unwrap())))
        .collect()
}

/// The addresses that elements name, and the elements' texts.
fn links(page: &Html, selector: &str) -> Vec<(String, String)> {
    let selector = Selector::parse(selector).unwrap();
    let link = |element: scraper::ElementRef<'_>| {
        let address = element
            .attr("href")
            .or(element.attr("src"))
            .unwrap_or_default()
            .to_owned();
        (address, element.text().collect())
    };
    page.select(&selector).map(link).collect()
}

/// A relative link as a path in the site.
fn resolved(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => assert!(parts.pop().is_some(), "{page}: {link} leaves the site"),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Where the page of a Markdown file of the book is.
fn address(file: &str) -> String {
    let route = file.strip_suffix(".md").unwrap();
    match route.strip_suffix("README") {
        Some(folder) => format!("{folder}index.html"),
        None => format!("{route}/index.html"),
    }
}

fn build(project: &Project) -> Ran {
    project.run(&["build", "--project", "docs", "--base-url", "https://me.example/book/"])
}

#[test]
fn the_docs_are_a_book_in_which_every_page_is_and_no_link_is_broken() {
    let project = docs();
    let ran = build(&project);
    let said = ran.ended(0);
    // Those that are outside are not in this copy.
    for warning in said.lines().filter(|line| line.starts_with("warning")) {
        assert!(warning.contains("there is no such file here"), "{warning}");
    }
    assert!(!said.contains("experiment"), "{said}");
    let written: BTreeSet<String> = project
        .files("docs")
        .into_iter()
        .filter_map(|(name, _)| (name.ends_with(".md")).then(|| address(&name)))
        .collect();
    let site = pages(&project, "docs/site");
    let of_igsite = ["404.html", "search/index.html"].map(str::to_owned);
    let expected: BTreeSet<String> = written.iter().cloned().chain(of_igsite.clone()).collect();
    assert_eq!(site.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert!(written.len() > 60, "{}", written.len());

    // From the first page to the last by "next", and back.
    let mut order = vec!["index.html".to_owned()];
    let step = |page: &String, rel: &str| {
        let found = links(&site[page], &format!("nav.neighbours a[rel={rel}]"));
        found.first().map(|(link, _)| resolved(page, link))
    };
    while let Some(next) = step(order.last().unwrap(), "next") {
        assert_eq!(step(&next, "prev").as_ref(), order.last());
        assert!(!order.contains(&next), "{next} comes twice");
        order.push(next);
    }
    assert_eq!(
        order.iter().cloned().collect::<BTreeSet<_>>(),
        written,
        "every page is met once"
    );
    assert_eq!(step(&order[0], "prev"), None);

    for (name, page) in &site {
        // The chapters are on every page, in this order, and a page knows itself. The 404 page is shown at any address.
        let chapters = links(page, "nav.chapters > ul > li > a");
        if name != "404.html" {
            let at: Vec<usize> = chapters
                .iter()
                .map(|(link, _)| order.iter().position(|page| *page == resolved(name, link)).unwrap())
                .collect();
            assert!(at.is_sorted() && at[0] == 0 && at.len() > 15, "{name}: {at:?}");
            let current = links(page, "nav.chapters [aria-current=page]");
            let current: Vec<String> = current.iter().map(|(link, _)| resolved(name, link)).collect();
            assert_eq!(
                current,
                if of_igsite.contains(name) {
                    vec![]
                } else {
                    vec![name.clone()]
                },
                "{name}"
            );
        }
        // Every link leads to a file and an id of the site, or out of it.
        for (link, _) in links(page, "[href], [src]") {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if path.contains("://") {
                assert!(path.starts_with("https://"), "{name}: {link}");
                continue;
            }
            if name == "404.html" {
                continue;
            }
            let target = if path.is_empty() {
                name.clone()
            } else {
                resolved(name, path)
            };
            assert!(project.path("docs/site").join(&target).is_file(), "{name}: {link}");
            if !anchor.is_empty() && target.ends_with(".html") {
                let id = Selector::parse(&format!("[id='{anchor}']")).unwrap();
                assert!(site[&target].select(&id).next().is_some(), "{name}: {link}");
            }
        }
    }
    // A link out of the folder leads into the repository.
    let out = links(&site["development/index.html"], "main a");
    let repository = "https://github.com/igsite/igsite/blob/main/ARCHITECTURE.md";
    assert!(out.iter().any(|(link, _)| link == repository), "{out:?}");
    // Nothing to do the second time; a picture that changes is seen.
    assert!(build(&project).ended(0).contains("0 files written"));
    let picture = "docs/images/numerics-path.svg";
    let changed = project.read(picture).replace("</svg>", "<!-- changed --></svg>");
    let project = project.file(picture, changed);
    assert!(build(&project).ended(0).contains("1 file written"));
}

/// The search's own index is packed, so it is asked as a reader asks.
#[test]
fn the_search_finds_pages_of_the_book() {
    let named = ["chromium", "chromium-browser", "google-chrome"].into_iter();
    let found = named.into_iter().find(|name| {
        let ran = Process::new(name).arg("--version").output();
        ran.is_ok_and(|out| out.status.success())
    });
    let Some(browser) = found_or_skip(Need::Browser, found, || "no Chromium on this machine".to_owned()) else {
        return;
    };
    let project = docs();
    build(&project).ended(0);
    for (words, expected) in [
        ("convergence delta", "../glossary/index.html"),
        ("slurm requeue", "../cluster/index.html"),
        ("key hub model commit", "../decisions/hub-key/index.html"),
    ] {
        let profile = tempfile::tempdir().unwrap();
        let search = project.path("docs/site/search/index.html");
        let ran = Process::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--virtual-time-budget=3000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .arg(format!("file://{}?q={}", search.display(), words.replace(' ', "%20")))
            .output()
            .unwrap();
        let document = Html::parse_document(&String::from_utf8(ran.stdout).unwrap());
        let results = links(&document, ".results a");
        assert!(results.iter().any(|(link, _)| link == expected), "{words}: {results:?}");
    }
}

#[test]
fn a_page_that_no_link_reaches_and_a_broken_anchor_are_errors() {
    let book = || {
        Project::new()
            .file("docs/book.yaml", "")
            .file("docs/README.md", "# Book\n\n[one](one.md)\n")
            .file("docs/one.md", "# One\n\n## Part\n\n[back](README.md), [here](#part)\n")
    };
    let ran = build(&book());
    assert!(ran.ended(0).contains("files written"), "{}", ran.stderr);
    let ran = build(&book().file("docs/two.md", "# Two\n"));
    assert!(
        ran.ended(2).contains("two.md: this page has no place in the book"),
        "{}",
        ran.stderr
    );
    let ran = build(&book().edit("docs/one.md", "(#part)", "(#parts)"));
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("one.md:5") && ran.stderr.contains("parts"),
        "{}",
        ran.stderr
    );
    // Other commands know a book too.
    let project = book();
    assert_eq!(
        project.run(&["check", "--project", "docs"]).stdout,
        "0 experiments, 0 models, 2 pages, 0 maps: no errors\n"
    );
    let ran = project.run(&["doctor", "--project", "docs"]);
    assert!(
        ran.stdout.contains("0 experiments, 0 models, 2 pages"),
        "{}",
        ran.stdout
    );
}
