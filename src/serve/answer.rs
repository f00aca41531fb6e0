//! What is answered to a request: pure but for reading the folder's files.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hyper::{Method, Uri};
use memchr::memmem;
use serde_json::json;

use super::Outcome;
use super::body::Body;
use crate::render::text::escape;
use crate::site::output::{MARK, STAGE};
use crate::site::urls;

/// Where the server's own files lie; a site has no page of this name.
const OWN: &str = "/__igsite/";
const SCRIPT: &str = include_str!("serve.js");
const STYLE: &str = include_str!("serve.css");
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// How much of a page is searched for the end of its head.
const HEAD: u64 = 256 << 10;

/// A request that may be answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A file of the site, by the path of its address.
    File(String),
    /// The outcome, once it has a higher number than this.
    News(u64),
    /// The script that is added to pages.
    Script,
    /// Its style sheet.
    Style,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub kind: &'static str,
    pub location: Option<String>,
    pub body: Body,
}

impl Reply {
    fn new(status: u16, kind: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status,
            kind,
            location: None,
            body: body.into(),
        }
    }
}

/// What a request wants, or why it is refused.
pub fn read(method: &Method, host: Option<&str>, uri: &Uri) -> Result<Wanted, Reply> {
    if !host.is_some_and(is_own) {
        let text = "igsite serve answers at localhost and at addresses in numbers only, so that no other website can read yours through the browser.\n";
        return Err(Reply::new(403, TEXT, text));
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Reply::new(405, TEXT, "Only GET and HEAD are answered.\n"));
    }
    let path = uri.path();
    Ok(match path.strip_prefix(OWN) {
        Some("serve.js") => Wanted::Script,
        Some("serve.css") => Wanted::Style,
        Some("news.js") => Wanted::News(uri.query().and_then(|seen| seen.parse().ok()).unwrap_or(0)),
        _ => Wanted::File(path.to_owned()),
    })
}

/// Names that no other website can give this machine: numbers, and `localhost`.
fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok()
}

/// The answer.
pub fn answer(asked: &Wanted, folder: &Path, outcome: &Outcome) -> Reply {
    match asked {
        Wanted::Script => Reply::new(200, JAVASCRIPT, SCRIPT),
        Wanted::Style => Reply::new(200, "text/css; charset=utf-8", STYLE),
        Wanted::News(_) => {
            let news = json!({ "number": outcome.number, "site": outcome.site, "error": outcome.error });
            Reply::new(200, JAVASCRIPT, format!("igsiteServe({news});\n"))
        }
        // The folder may hold the site of an earlier run, which is not what the files say now.
        Wanted::File(_) if outcome.site.is_empty() => waiting(outcome),
        Wanted::File(path) => file(path, folder, outcome),
    }
}

/// While there is no site: that it is being built, or why it could not be.
fn waiting(outcome: &Outcome) -> Reply {
    let (title, text) = match &outcome.error {
        Some(error) => ("The build failed", format!("<pre>{}</pre>", escape(error))),
        None => (
            "Building",
            "<p>The site is being built. This page loads it as soon as it is there.</p>".to_owned(),
        ),
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"{OWN}serve.css\">\n</head>\n<body class=\"igsite-serve-page\">\n<main>\n<h1>{title}</h1>\n{text}\n</main>\n</body>\n</html>\n"
    );
    Reply::new(503, HTML, with_script(&page, outcome))
}

fn file(path: &str, folder: &Path, outcome: &Outcome) -> Reply {
    match locate(path, folder) {
        Some(Found::File(file)) => match opened(&file, outcome) {
            Ok(body) => Reply::new(200, kind(&file), body),
            Err(error) => Reply::new(500, TEXT, format!("cannot read {}: {error}\n", file.display())),
        },
        Some(Found::Folder) => Reply {
            location: Some(format!("{path}/")),
            ..Reply::new(308, TEXT, "")
        },
        None => match std::fs::read_to_string(folder.join(urls::NOT_FOUND)) {
            Ok(page) => Reply::new(404, HTML, with_script(&from_the_root(&page), outcome)),
            Err(_) => Reply::new(404, TEXT, "There is nothing at this address.\n"),
        },
    }
}

/// A file as it is sent: a page has the script that waits for news in its head, or at its end where no head is found.
fn opened(path: &Path, outcome: &Outcome) -> io::Result<Body> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if kind(path) != HTML {
        return Ok(Body::around("", file, length, ""));
    }
    let mut start = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut start)?;
    let left = length.saturating_sub(start.len() as u64);
    let script = script(outcome).into_bytes();
    match memmem::find(&start, b"</head>") {
        Some(at) => {
            start.splice(at..at, script);
            Ok(Body::around(start, file, left, ""))
        }
        None => Ok(Body::around(start, file, left, script)),
    }
}

enum Found {
    File(PathBuf),
    /// A page's folder, requested without the slash that relative links need.
    Folder,
}

/// The file of an address; none for addresses that lead out of the folder, or to igsite's own files in it.
fn locate(path: &str, folder: &Path) -> Option<Found> {
    let decoded = urls::decode(path)?;
    let inside = decoded.strip_prefix('/')?;
    let (inside, is_folder) = match inside.strip_suffix('/') {
        Some(inside) => (inside, true),
        None => (inside, inside.is_empty()),
    };
    let bad = |part: &str| matches!(part, "" | "." | ".." | MARK | STAGE) || part.contains(['\\', ':', '\0']);
    if !inside.is_empty() && inside.split('/').any(bad) {
        return None;
    }
    let mut target = folder.join(inside);
    if is_folder {
        target.push(urls::HOME);
    }
    // No link may lead out of the folder, whoever made it.
    let whole = target.canonicalize().ok()?;
    if !whole.starts_with(folder.canonicalize().ok()?) {
        return None;
    }
    if whole.is_file() {
        Some(Found::File(target))
    } else {
        whole.join(urls::HOME).is_file().then_some(Found::Folder)
    }
}

/// The page with the script that waits for news.
fn with_script(page: &str, outcome: &Outcome) -> String {
    let at = page.find("</head>").unwrap_or(page.len());
    format!("{}{}{}", &page[..at], script(outcome), &page[at..])
}

/// The script that waits for news; its query names the site that the page is of.
fn script(outcome: &Outcome) -> String {
    format!("<script src=\"{OWN}serve.js?{}\" defer></script>\n", outcome.site)
}

/// The 404 page is shown at any address: its links, relative as built without a base URL, begin at the root.
fn from_the_root(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + 200);
    let mut rest = page;
    while let Some(at) = ["href=\"", "src=\""]
        .iter()
        .filter_map(|a| rest.find(a).map(|at| at + a.len()))
        .min()
    {
        let (before, link) = rest.split_at(at);
        out.push_str(before);
        let to = link.split('"').next().unwrap_or("");
        if !to.is_empty() && !to.starts_with(['/', '#', '.']) && !to.contains(':') {
            out.push('/');
        }
        rest = link;
    }
    out + rest
}

/// What a file is, by its extension.
fn kind(file: &Path) -> &'static str {
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "html" | "htm" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => JAVASCRIPT,
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "csv" => "text/csv; charset=utf-8",
        "txt" | "md" => TEXT,
        "xml" => "application/xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> (tempfile::TempDir, PathBuf, Outcome) {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("site");
        for (path, text) in [
            ("index.html", "<head></head>front"),
            ("a b/index.html", "<head></head>page"),
            (
                "404.html",
                "<head><link href=\"assets/x.css\"></head><a href=\"https://a.b/\">",
            ),
            ("assets/x.css", "p{}"),
            (MARK, "{}"),
        ] {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::write(outer.path().join("secret.txt"), "secret").unwrap();
        let outcome = Outcome {
            number: 1,
            site: "7-1".into(),
            error: None,
        };
        (outer, folder, outcome)
    }

    /// An answer, its body read whole.
    struct Got {
        status: u16,
        kind: &'static str,
        location: Option<String>,
        body: Vec<u8>,
    }

    fn get(path: &str, folder: &Path, outcome: &Outcome) -> Got {
        let Reply {
            status,
            kind,
            location,
            body,
        } = answer(&Wanted::File(path.to_owned()), folder, outcome);
        let body = body.read_whole();
        Got {
            status,
            kind,
            location,
            body,
        }
    }

    #[test]
    fn a_page_without_a_head_has_its_script_at_the_end() {
        let (_outer, folder, outcome) = site();
        let long = "x".repeat(HEAD as usize + 10);
        for text in ["front", &long] {
            std::fs::write(folder.join("index.html"), text).unwrap();
            let body = String::from_utf8(get("/", &folder, &outcome).body).unwrap();
            assert_eq!(body, format!("{text}{}", script(&outcome)));
        }
    }

    #[test]
    fn a_folder_is_its_index_and_a_missing_slash_is_added() {
        let (_outer, folder, outcome) = site();
        let page = get("/", &folder, &outcome);
        assert_eq!((page.status, page.kind), (200, HTML));
        assert_eq!(
            page.body,
            b"<head><script src=\"/__igsite/serve.js?7-1\" defer></script>\n</head>front"
        );
        assert_eq!(get("/a%20b/", &folder, &outcome).status, 200);
        let moved = get("/a%20b", &folder, &outcome);
        assert_eq!((moved.status, moved.location.as_deref()), (308, Some("/a%20b/")));
        let style = get("/assets/x.css", &folder, &outcome);
        assert_eq!(
            (style.kind, style.body.as_slice()),
            ("text/css; charset=utf-8", b"p{}".as_slice())
        );
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (outer, folder, outcome) = site();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outer.path().join("secret.txt"), folder.join("link.txt")).unwrap();
        let mark = format!("/{MARK}");
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/a b/%2e%2e/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/..%5csecret.txt",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/link.txt",
            "/assets",
            "/assets/",
            "/%ff",
            "/x%00",
            &mark,
        ] {
            let reply = get(path, &folder, &outcome);
            assert_eq!(reply.status, 404, "{path}");
            assert!(!String::from_utf8_lossy(&reply.body).contains("secret"), "{path}");
        }
        drop(outer);
    }

    #[test]
    fn the_page_for_what_is_missing_works_at_any_depth() {
        let (_outer, folder, outcome) = site();
        let page = String::from_utf8(get("/no/such/page", &folder, &outcome).body).unwrap();
        assert!(
            page.contains("href=\"/assets/x.css\"") && page.contains("href=\"https://a.b/\""),
            "{page}"
        );
    }

    #[test]
    fn before_the_first_site_it_says_what_is_going_on() {
        let (_outer, folder, mut outcome) = site();
        outcome.site.clear();
        let page = get("/", &folder, &outcome);
        assert!(page.status == 503 && String::from_utf8_lossy(&page.body).contains("is being built"));
        outcome.error = Some("content/a.yaml:1:1: <b>".into());
        let page = String::from_utf8(get("/anything", &folder, &outcome).body).unwrap();
        assert!(page.contains("<pre>content/a.yaml:1:1: &lt;b&gt;</pre>"), "{page}");
    }

    #[test]
    fn only_this_machine_is_its_host_and_only_reading_is_answered() {
        let uri: Uri = "/".parse().unwrap();
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "[::1]",
            "a.localhost:1",
            "192.168.1.7:80",
        ] {
            assert!(read(&Method::GET, Some(host), &uri).is_ok(), "{host}");
        }
        for host in [
            Some("evil.example"),
            Some("evil.example:8080"),
            Some("localhost.evil.example"),
            Some(""),
            None,
        ] {
            assert_eq!(read(&Method::GET, host, &uri).unwrap_err().status, 403, "{host:?}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(read(&method, Some("localhost"), &uri).unwrap_err().status, 405);
        }
    }
}
