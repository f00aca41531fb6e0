//! The site in real Chromium: no console message, no failed request, from disk and from a server under `/repo/`; and
//! everything that a reader can do with a page, by the checks in `tests/web`, which Node runs.
//!
//! And every file of that site, by the Nu HTML checker.
//!
//! Skips with a printed reason where Chromium, Node, its packages or Java are missing (`support/needs.rs`); `.ci/run`
//! installs them.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use support::needs::{Need, found_or_skip};
use support::project::{Project, copied};

const PAGES: [&str; 9] = [
    "search/index.html",
    "index.html",
    "404.html",
    "about/index.html",
    "models/index.html",
    "models/tiny/index.html",
    "experiments/first/index.html",
    "experiments/first/samples/a/index.html",
    "experiments/first/maps/tiny/b/index.html",
];

fn chromium() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            Command::new(name)
                .arg("--version")
                .output()
                .is_ok_and(|out| out.status.success())
        });
    found_or_skip(Need::Browser, found, || "no Chromium on this machine".to_owned())
}

/// Where a program lies: Playwright asks for its path.
fn located(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
    candidates.find(|path| path.exists()).unwrap_or_else(|| program.into())
}

/// Loads an address, runs its scripts, and gives the document and what the console said.
fn load(browser: &str, address: &str) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // What does not belong to the profile, like caches of fonts and shaders.
        .env("HOME", profile.path())
        .arg(address)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = told
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned)
        .collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), console)
}

/// Serves a folder under `/repo/` on loopback until the process ends; gives its port and the paths that were not found.
fn serve(folder: PathBuf) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let missing = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&missing);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (folder, missing) = (folder.clone(), Arc::clone(&missing));
            std::thread::spawn(move || answer(&stream.unwrap(), &folder, &missing));
        }
    });
    (port, told)
}

fn answer(mut stream: &TcpStream, folder: &Path, missing: &Mutex<Vec<String>>) {
    let mut request = String::new();
    let mut lines = BufReader::new(stream);
    // Browsers also open connections ahead of need and close them without a word; that is no request.
    if !lines.read_line(&mut request).is_ok_and(|count| count > 0) {
        return;
    }
    let mut header = String::new();
    while lines.read_line(&mut header).is_ok_and(|count| count > 2) {
        header.clear();
    }
    let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let bytes = path
        .split('?')
        .next()
        .and_then(|path| path.strip_prefix("/repo/"))
        .and_then(|inside| std::fs::read(folder.join(inside)).ok());
    let kind = match path.split('?').next().and_then(|path| path.rsplit('.').next()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let (status, body) = match bytes {
        Some(bytes) => ("200 OK", bytes),
        None => {
            missing.lock().unwrap().push(path);
            ("404 Not Found", vec![])
        }
    };
    let length = body.len();
    _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    _ = stream.write_all(&body);
}

fn site(base_url: Option<&str>) -> Project {
    let project = Project::small().file(
        "content/about.md",
        "---\ntitle: About\n---\n# About\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    );
    let mut arguments = vec!["build", "--device", "cpu"];
    arguments.extend(base_url.map(|_| "--base-url"));
    arguments.extend(base_url);
    project.run(&arguments).ended(0);
    project
}

#[test]
fn from_disk() {
    let Some(browser) = chromium() else { return };
    let project = site(None);
    for page in PAGES {
        let path = project.path("site").join(page);
        let (document, console) = load(browser, &format!("file://{}", path.display()));
        assert!(console.is_empty(), "{page}: {console:#?}");
        assert!(document.contains("</main>"), "{page}: {document:.400}");
    }
}

#[test]
fn from_a_server_under_a_sub_path() {
    let Some(browser) = chromium() else { return };
    let project = site(Some("https://me.github.io/repo/"));
    let (port, missing) = serve(project.path("site"));
    for page in PAGES {
        let (document, console) = load(browser, &format!("http://127.0.0.1:{port}/repo/{page}"));
        assert!(console.is_empty(), "{page}: {console:#?}");
        assert!(document.contains("</main>"), "{page}: {document:.400}");
    }
    // Browsers ask for this on their own where a page names no icon.
    let missing: Vec<String> = missing
        .lock()
        .unwrap()
        .iter()
        .filter(|path| *path != "/favicon.ico")
        .cloned()
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The checks of `tests/web`, or none with a printed reason where their packages are missing.
fn checks() -> Option<PathBuf> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
    let found = web.join("node_modules").exists().then_some(web);
    let missing = || "no packages in tests/web (npm ci --prefix tests/web --ignore-scripts)".to_owned();
    found_or_skip(Need::Node, found, missing)
}

/// A site with every kind of page. It stays in `target/tmp/web`, so that a check can be run again by hand.
static SITE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web");
    std::fs::create_dir_all(&folder).unwrap();
    let site = folder.join("site");
    let output = site.to_str().unwrap();
    let project = support::web::project();
    project.run(&["build", "--device", "cpu", "--output", output]).ended(0);
    site
});

/// Interactions, layout, accessibility: `tests/web/run.mjs`. What the checks said lies in `target/tmp/web/checks.txt`.
#[test]
fn the_checks_of_tests_web_pass() {
    checked(|| SITE.clone(), None);
}

/// What the first screens of the demo are to answer, in numbers, and what else only a site with findings can show. The
/// demo is built from the repository's content; `target/tmp/demo` keeps its store, so that the next time it is quick.
#[test]
fn the_first_screens_of_the_demo_answer() {
    let demo = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
        copied(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("content"),
            &folder.join("content"),
        );
        let output = Command::new(env!("CARGO_BIN_EXE_igsite"))
            .args(["build", "--device", "cpu", "--project"])
            .arg(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder.join("site")
    };
    let only = "first screen|every count|equal labels|both maps|the lists of every|what is chosen|pages are light|a difference";
    checked(demo, Some(only));
}

/// Runs the checks, or those whose name has one of some texts, on a site that is built if they can be run.
fn checked(built: impl FnOnce() -> PathBuf, only: Option<&str>) {
    let Some(browser) = chromium() else { return };
    let node = Command::new("node").arg("--version").output();
    let node = node.ok().filter(|out| out.status.success());
    if found_or_skip(Need::Node, node, || "no Node on this machine".to_owned()).is_none() {
        return;
    }
    let Some(web) = checks() else { return };
    // One after the other: where a build takes the machine, a page is painted before its script is there, and moves.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let site = built();
    let log = site.with_file_name("checks.txt");
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("node");
    command.arg(web.join("run.mjs")).arg(&site);
    command.args(only.map(|_| "--only")).args(only);
    let status = command
        .env("CHROMIUM", located(browser))
        // The browser's settings and caches belong to this run.
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .stdout(File::create(&log).unwrap())
        .status()
        .unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    println!("{said}");
    assert!(status.success(), "{}: the checks that are named above", site.display());
}

/// The Nu HTML checker finds no error on any page, style sheet or picture.
#[test]
fn the_nu_checker_finds_no_error() {
    let java = Command::new("java").arg("-version").output();
    let java = java.ok().filter(|out| out.status.success());
    if found_or_skip(Need::Java, java, || "no Java on this machine".to_owned()).is_none() {
        return;
    }
    let Some(web) = checks() else { return };
    let jar = Some(web.join("node_modules/vnu-jar/build/dist/vnu.jar")).filter(|jar| jar.exists());
    let missing = || "no Nu checker: run `npm ci --ignore-scripts --prefix tests/web`".to_owned();
    if found_or_skip(Need::Java, jar, missing).is_none() {
        return;
    }
    let log = SITE.with_file_name("nu.txt");
    let file = File::create(&log).unwrap();
    let status = Command::new(web.join("vnu.sh"))
        .arg(&*SITE)
        .stderr(file.try_clone().unwrap())
        .stdout(file)
        .status()
        .unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        status.success() && said.contains("valid: "),
        "{}: {said}",
        SITE.display()
    );
}

#[test]
fn searching_finds_and_ranks() {
    let Some(browser) = chromium() else { return };
    let project = site(None);
    let (port, missing) = serve(project.path("site"));
    let disk = format!("file://{}", project.path("site").display());
    for root in [disk, format!("http://127.0.0.1:{port}/repo")] {
        let search = |query: &str| {
            let (document, console) = load(browser, &format!("{root}/search/index.html?q={query}"));
            assert!(console.is_empty(), "{root}, {query}: {console:#?}");
            let results = document.split("class=\"results\">").nth(1).expect("results").to_owned();
            (document, results.split("</main>").next().unwrap().to_owned())
        };
        // The beginning of a word, without its accent; the sample's text comes in its own script.
        let (document, results) = search("unic");
        assert!(document.contains("Found: 1 sample."), "{document}");
        assert!(
            results.contains("href=\"../experiments/first/samples/c/index.html\""),
            "{results}"
        );
        assert!(results.contains("<mark>Ünïcode</mark> 🦀 too"), "{results}");
        let (_, results) = search("about");
        assert!(
            results.contains("<h2>Pages (1)</h2>") && results.contains("href=\"../about/index.html\""),
            "{results}"
        );
        // All words, each at least begun; the right option counts.
        assert!(search("grass+red+no").1.contains("samples/b/"));
        let (document, results) = search("grass+sky");
        assert!(
            document.contains("Nothing found.") && !results.contains("<li>"),
            "{results}"
        );
        let (document, results) = search("tiny+first");
        assert!(document.contains("Found: 1 experiment."), "{results}");
        assert!(search("").0.contains("<p role=\"status\"></p>"));
    }
    let missing = missing.lock().unwrap().clone();
    assert!(missing.iter().all(|path| path == "/favicon.ico"), "{missing:?}");
}

/// The tests above must be able to fail.
#[test]
fn a_console_error_and_a_missing_file_are_seen() {
    let Some(browser) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.html"),
        "<main></main><script>console.error('seen')</script><img src=gone.png>",
    )
    .unwrap();
    let (port, missing) = serve(folder.path().to_path_buf());
    let (_, console) = load(browser, &format!("http://127.0.0.1:{port}/repo/bad.html"));
    assert!(console.iter().any(|line| line.contains("seen")), "{console:?}");
    assert!(missing.lock().unwrap().contains(&"/repo/gone.png".to_owned()));
}
