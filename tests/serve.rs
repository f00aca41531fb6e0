//! `igsite serve` over real HTTP: files, what is refused, an edit, an error in the page and its healing, Ctrl-C.
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::project::Project;

const PAGE: &str = "content/about.md";

/// A server at work on a project; it ends with the test.
struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What came back.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

fn serve(project: &Project) -> Serving {
    started(Command::new(env!("CARGO_BIN_EXE_igsite")), project)
}

/// Runs a command that becomes `igsite` with the arguments that it is given.
fn started(mut command: Command, project: &Project) -> Serving {
    let mut child = command
        .args(["serve", "--port", "0", "--device", "cpu", "--offline"])
        .current_dir(project.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{line}");
    Serving { child, address }
}

impl Serving {
    fn ask(&self, method: &str, path: &str, host: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text);
        let (headers, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        Answer {
            status: headers[9..12].parse().unwrap(),
            headers: headers.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &self.address)
    }

    /// Waits for news after `seen`, as the page's script does, and gives them.
    fn news(&self, seen: u64) -> serde_json::Value {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(120) {
            let body = self.get(&format!("/__igsite/news.js?{seen}")).body;
            let json = body
                .trim()
                .strip_prefix("igsiteServe(")
                .and_then(|rest| rest.strip_suffix(");"));
            let news: serde_json::Value = serde_json::from_str(json.expect("a call")).unwrap();
            if news["number"].as_u64() > Some(seen) {
                return news;
            }
        }
        panic!("no news after {seen}");
    }
}

fn project() -> Project {
    Project::small().file(PAGE, "---\ntitle: About\n---\nThe first text.\n")
}

#[test]
fn it_serves_rebuilds_and_shows_errors() {
    let project = project();
    let server = serve(&project);
    let first = server.news(0);
    assert_eq!(first["error"], serde_json::Value::Null, "{first}");
    assert!(
        !project.path("site").exists(),
        "what was built for publishing is left alone"
    );

    let page = server.get("/about/");
    assert_eq!(page.status, 200);
    assert!(
        page.headers.contains("content-type: text/html; charset=utf-8"),
        "{}",
        page.headers
    );
    assert!(
        page.headers.contains("cache-control: no-store") && page.headers.contains("nosniff"),
        "{}",
        page.headers
    );
    let script = format!(
        "<script src=\"/__igsite/serve.js?{}\" defer></script>",
        first["site"].as_str().unwrap()
    );
    assert!(
        page.body.contains("The first text.") && page.body.contains(&script),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("script-src 'self'"),
        "the policy is the published one"
    );
    assert!(
        !std::fs::read_to_string(project.path(".igsite/serve/about/index.html"))
            .unwrap()
            .contains("__igsite")
    );
    for (path, kind) in [
        ("/", "text/html"),
        ("/data/first.csv", "text/csv"),
        ("/data/first.jsonl", "application/jsonl"),
        ("/data/first/tiny/a.json", "application/json"),
        ("/robots.txt", "text/plain"),
        ("/__igsite/serve.js", "text/javascript"),
        ("/__igsite/serve.css", "text/css"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.headers.contains(&format!("content-type: {kind}")),
            "{path}: {}",
            answer.headers
        );
    }
    let style = page
        .body
        .split("rel=\"stylesheet\" href=\"..")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(server.get(style).headers.contains("content-type: text/css"), "{style}");
    assert_eq!(server.get("/about").status, 308);
    let missing = server.get("/no/such/page.html");
    assert!(
        missing.status == 404 && missing.body.contains("href=\"/index.html\""),
        "{}",
        missing.body
    );
    for path in [
        "/../../content/about.md",
        "/%2e%2e/%2e%2e/content/about.md",
        "/..%2f..%2fcontent%2fabout.md",
        "//etc/passwd",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.ask("POST", "/", &server.address).status, 405);
    let head = server.ask("HEAD", "/", &server.address);
    assert!(head.status == 200 && head.body.is_empty() && head.headers.contains("content-length"));
    for host in ["evil.example", "evil.example:8080", ""] {
        assert_eq!(server.ask("GET", "/", host).status, 403, "{host}");
    }

    // An edit.
    let project = project.file(PAGE, "---\ntitle: About\n---\nThe second text.\n");
    let second = server.news(first["number"].as_u64().unwrap());
    assert!(second["error"].is_null() && second["site"] != first["site"], "{second}");
    assert!(server.get("/about/").body.contains("The second text."));

    // A mistake: the last good site stays, with news of what is wrong.
    let project = project.file(PAGE, "---\ntitel: About\n---\nThe third text.\n");
    let third = server.news(second["number"].as_u64().unwrap());
    assert!(
        third["error"].as_str().unwrap().contains("content/about.md:2:1: "),
        "{third}"
    );
    assert_eq!(third["site"], second["site"]);
    assert!(server.get("/about/").body.contains("The second text."));

    // And mended.
    let _project = project.file(PAGE, "---\ntitle: About\n---\nThe fourth text.\n");
    let fourth = server.news(third["number"].as_u64().unwrap());
    assert!(fourth["error"].is_null() && fourth["site"] != third["site"], "{fourth}");
    assert!(server.get("/about/").body.contains("The fourth text."));
}

#[test]
fn a_project_that_cannot_be_built_yet_shows_why() {
    let project = project().file(PAGE, "---\nno: title\n---\n");
    let server = serve(&project);
    let first = server.news(0);
    assert!(first["error"].as_str().unwrap().contains("content/about.md"), "{first}");
    let page = server.get("/");
    assert!(
        page.status == 503 && page.body.contains("content/about.md:2:1"),
        "{}",
        page.body
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_cleanly() {
    let project = project();
    let mut server = serve(&project);
    server.news(0);
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_and_a_folder_without_a_project_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = project().run(&["serve", "--port", &port]);
    assert!(
        ran.ended(1).contains(&format!("cannot listen at 127.0.0.1:{port}")),
        "{}",
        ran.stderr
    );
    let ran = Project::new().run(&["serve", "--port", "0"]);
    assert!(
        ran.ended(2).contains("there is no folder content/ here"),
        "{}",
        ran.stderr
    );
    let ran = project().run(&["serve", "--output", "content/site"]);
    assert!(ran.ended(2).contains("the project's own `content/`"), "{}", ran.stderr);
}

/// Connections that ask for a path and do not read the answer.
#[cfg(target_os = "linux")]
fn asking(server: &Serving, path: &str, count: usize) -> Vec<TcpStream> {
    let ask = |_| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
        stream
    };
    (0..count).map(ask).collect()
}

/// Memory that the process has now, in bytes.
#[cfg(target_os = "linux")]
fn resident(server: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kilobytes * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn readers_that_do_not_read_cost_no_memory_and_keep_nobody_waiting() {
    let project = project();
    let server = serve(&project);
    server.news(0);
    const LARGE: u64 = 50_000_000;
    for name in ["large.bin", "large.html"] {
        let file = std::fs::File::create(project.path(".igsite/serve").join(name)).unwrap();
        file.set_len(LARGE).unwrap();
    }
    let before = resident(&server);
    let readers = [asking(&server, "/large.bin", 40), asking(&server, "/large.html", 40)];
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    assert_eq!(server.get("/about/").status, 200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let more = resident(&server).saturating_sub(before);
    assert!(more < LARGE, "80 readers take {more} bytes");
    drop(readers);
    // Who reads gets all of it.
    let whole = server.get("/large.bin");
    assert!(
        whole.headers.contains(&format!("content-length: {LARGE}")),
        "{}",
        whole.headers
    );
    assert_eq!(whole.body.len() as u64, LARGE);
    let page = server.get("/large.html");
    assert!(page.body.len() as u64 > LARGE && page.body.trim_end().ends_with("defer></script>"));
}

#[cfg(target_os = "linux")]
#[test]
fn idle_connections_leave_room_for_others() {
    let project = project();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_igsite")]);
    let server = started(limited, &project);
    server.news(0);
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.get("/about/").status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(idle);
    let readers = asking(&server, "/", 200);
    assert_eq!(server.get("/about/").status, 200);
    drop(readers);
    // And it still builds.
    let _project = project.file(PAGE, "---\ntitle: About\n---\nThe second text.\n");
    let second = server.news(1);
    assert!(second["error"].is_null(), "{second}");
}
