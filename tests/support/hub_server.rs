//! A small server that speaks the hub's protocol on this machine: listings, files behind redirects, ranges; and the
//! faults that a test asks for. What was asked of it is recorded. The unit tests of `src/hub` use it too, so it knows
//! nothing of the crate.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};

/// A commit's hash.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// What no output may hold.
pub const TOKEN: &str = "hf_thisTokenIsASecret";
/// The signature of links to the other host, which no output may hold either.
pub const SIGNATURE: &str = "SIGNEDLINK";

/// What was asked, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `hub`, or `cdn` for the other host.
    pub host: &'static str,
    pub method: String,
    /// Without the query.
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
    pub status: u16,
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum What {
    /// This status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The line breaks after so many bytes of the body.
    Cut(usize),
    /// The whole file is given, whatever range was asked for.
    IgnoreRange,
    /// Other bytes, as many.
    OtherBytes,
    /// So many bytes are said to be there.
    Stated(u64),
    /// Nobody says how many bytes are there.
    Unstated,
    /// After the body come more bytes without end, and nobody says how many.
    Endless,
    /// The body comes byte by byte, with so many milliseconds between them.
    Drip(u64),
    /// Headers without end.
    Headers,
}

struct Fault {
    method: &'static str,
    part: String,
    what: What,
    times: usize,
}

#[derive(Default)]
struct Repo {
    commit: String,
    revisions: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct State {
    /// By `models/owner/name` or `datasets/owner/name`.
    repos: BTreeMap<String, Repo>,
    /// Old names and what they became.
    renamed: Vec<(String, String)>,
    faults: Vec<Fault>,
    asked: Vec<Asked>,
    cdn: String,
    /// Whether all files are small ones.
    small: bool,
}

/// The server. It lives as long as the test program.
pub struct HubServer {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

/// An address at which nobody listens.
pub fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl HubServer {
    /// With no repositories.
    pub fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listen = |host: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || _ = serve(host, stream, &state));
                }
            });
            address
        };
        let endpoint = listen("hub");
        let cdn = listen("cdn");
        state.lock().unwrap().cdn = cdn;
        Self { endpoint, state }
    }

    /// Adds a repository at [`COMMIT`] and revision `main`, with the files of a folder. `name` is `models/owner/name`
    /// or `datasets/owner/name`.
    pub fn folder(self, name: &str, folder: &Path) -> Self {
        let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file()).map(|entry| {
            let file = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            (file, std::fs::read(entry.path()).unwrap())
        });
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        self.files(name, COMMIT, &["main"], files)
    }

    /// Adds or replaces a repository.
    pub fn files(self, name: &str, commit: &str, revisions: &[&str], files: BTreeMap<String, Vec<u8>>) -> Self {
        let repo = Repo {
            commit: commit.to_owned(),
            revisions: revisions.iter().map(|text| (*text).to_owned()).collect(),
            files,
        };
        self.state.lock().unwrap().repos.insert(name.to_owned(), repo);
        self
    }

    /// All files are small ones, weights too: they lie on the hub itself, and are named by git's hash.
    pub fn small(self) -> Self {
        self.state.lock().unwrap().small = true;
        self
    }

    /// The old name leads to the new one.
    pub fn renamed(self, old: &str, new: &str) -> Self {
        self.state
            .lock()
            .unwrap()
            .renamed
            .push((old.to_owned(), new.to_owned()));
        self
    }

    /// The next `times` requests of a method to an address with `part` in it go wrong.
    pub fn fault(self, method: &'static str, part: &str, what: What, times: usize) -> Self {
        self.add_fault(method, part, what, times);
        self
    }

    /// As [`HubServer::fault`], later.
    pub fn add_fault(&self, method: &'static str, part: &str, what: What, times: usize) {
        let part = part.to_owned();
        let fault = Fault {
            method,
            part,
            what,
            times,
        };
        self.state.lock().unwrap().faults.push(fault);
    }

    /// From now on all is well.
    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// What was asked since the last time, in order.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    odd: Option<What>,
}

impl Answer {
    fn refusal(status: u16, code: &str, message: &str) -> Self {
        let headers = vec![
            ("X-Error-Code", code.to_owned()),
            ("X-Error-Message", message.to_owned()),
        ];
        Self {
            status,
            headers,
            body: br#"{"error": "see the headers"}"#.to_vec(),
            odd: None,
        }
    }
}

fn serve(host: &'static str, stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read(&mut reader)? else {
        return Ok(());
    };
    let answer = {
        let mut state = state.lock().unwrap();
        let answer = answer(host, &request, &mut state);
        state.asked.push(Asked {
            host,
            method: request.method.clone(),
            path: decoded(request.path.split('?').next().unwrap()),
            range: request.headers.get("range").cloned(),
            authorization: request.headers.get("authorization").cloned(),
            status: answer.status,
        });
        answer
    };
    give(stream, &answer, request.method != "HEAD")
}

fn give(mut stream: TcpStream, answer: &Answer, with_body: bool) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {} Said\r\nConnection: close\r\n", answer.status)?;
    match answer.odd {
        Some(What::Stated(length)) => write!(stream, "Content-Length: {length}\r\n")?,
        Some(What::Unstated | What::Endless) => {}
        _ => write!(stream, "Content-Length: {}\r\n", answer.body.len())?,
    }
    for (name, value) in &answer.headers {
        match answer.odd {
            Some(What::Stated(length)) if *name == "X-Linked-Size" => write!(stream, "{name}: {length}\r\n")?,
            Some(What::Unstated | What::Endless) if *name == "X-Linked-Size" => {}
            _ => write!(stream, "{name}: {value}\r\n")?,
        }
    }
    if matches!(answer.odd, Some(What::Headers)) {
        // Until the client has enough of it.
        let line = format!("X-More: {}\r\n", "x".repeat(1000));
        for _ in 0..100_000 {
            stream.write_all(line.as_bytes())?;
        }
    }
    write!(stream, "\r\n")?;
    if with_body {
        match answer.odd {
            Some(What::Cut(count)) => stream.write_all(&answer.body[..count.min(answer.body.len())])?,
            Some(What::Drip(pause)) => {
                for byte in &answer.body {
                    stream.write_all(&[*byte])?;
                    thread::sleep(std::time::Duration::from_millis(pause));
                }
            }
            _ => stream.write_all(&answer.body)?,
        }
        if matches!(answer.odd, Some(What::Endless)) {
            let more = vec![b' '; 1 << 16];
            // 4 GiB are as good as without end.
            for _ in 0..1 << 16 {
                stream.write_all(&more)?;
            }
        }
    }
    stream.flush()?;
    stream.shutdown(std::net::Shutdown::Both)
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if let Some(length) = headers.get("content-length") {
        reader.read_exact(&mut vec![0; length.parse().unwrap()])?;
    }
    Ok(Some(Request { method, path, headers }))
}

fn answer(host: &str, request: &Request, state: &mut State) -> Answer {
    let fault = state
        .faults
        .iter_mut()
        .find(|fault| fault.times > 0 && fault.method == request.method && request.path.contains(&fault.part));
    let what = fault.map(|fault| {
        fault.times -= 1;
        fault.what.clone()
    });
    if let Some(What::Status(status, headers)) = what {
        return Answer {
            status,
            headers,
            body: b"out of order".to_vec(),
            odd: None,
        };
    }
    let mut answer = well(host, request, state, matches!(what, Some(What::IgnoreRange)));
    if let Some(What::OtherBytes) = what {
        answer.body.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    answer.odd = what;
    answer
}

/// The answer when nothing goes wrong.
fn well(host: &str, request: &Request, state: &State, ignore_range: bool) -> Answer {
    let path = request.path.split('?').next().unwrap();
    let missing = || Answer::refusal(404, "EntryNotFound", "Entry not found");
    if host == "cdn" {
        // The other host wants its signature and no token.
        let signed = request.path.contains(SIGNATURE) && !request.headers.contains_key("authorization");
        let files = state.repos.values().flat_map(|repo| repo.files.values());
        let found = files.into_iter().find(|bytes| path.ends_with(&sha256(bytes)));
        return match found.filter(|_| signed) {
            Some(bytes) => ranged(
                request,
                bytes,
                ignore_range,
                vec![("ETag", "\"of-the-cdn\"".to_owned())],
            ),
            None => Answer::refusal(403, "", "AccessDenied"),
        };
    }
    for (old, new) in &state.renamed {
        let (old_path, new_path) = (shown(old), shown(new));
        let moved = |before: &str, after: &str| path.starts_with(before).then(|| path.replacen(before, after, 1));
        let location = moved(&format!("/api/{old}/"), &format!("/api/{new}/"))
            .or_else(|| moved(&format!("/{old_path}/"), &format!("/{new_path}/")));
        if let Some(location) = location {
            let query = request
                .path
                .split_once('?')
                .map_or(String::new(), |(_, query)| format!("?{query}"));
            return Answer {
                status: 307,
                // Its own, and of no use to anybody.
                headers: vec![
                    ("Location", location + &query),
                    ("ETag", "\"of-the-redirect\"".to_owned()),
                ],
                body: b"moved".to_vec(),
                odd: None,
            };
        }
    }
    for (name, repo) in &state.repos {
        let known = |revision: &str| revision == repo.commit || repo.revisions.iter().any(|name| name == revision);
        if let Some(revision) = path.strip_prefix(&format!("/api/{name}/revision/")) {
            if !known(&decoded(revision)) {
                return Answer::refusal(404, "RevisionNotFound", "Invalid rev id");
            }
            let siblings: Vec<_> = repo
                .files
                .keys()
                .map(|file| serde_json::json!({"rfilename": file}))
                .collect();
            let id = name.split_once('/').unwrap().1;
            let body = serde_json::json!({"_id": "1", "id": id, "sha": repo.commit, "siblings": siblings});
            return Answer {
                status: 200,
                headers: vec![("Content-Type", "application/json".to_owned())],
                body: body.to_string().into_bytes(),
                odd: None,
            };
        }
        if let Some(rest) = path.strip_prefix(&format!("/{}/resolve/", shown(name))) {
            let Some((revision, file)) = rest.split_once('/') else {
                return missing();
            };
            let Some(bytes) = repo.files.get(&decoded(file)).filter(|_| known(revision)) else {
                return missing();
            };
            let commit = ("X-Repo-Commit", repo.commit.clone());
            let hash = sha256(bytes);
            // Large files lie elsewhere, and are named by their SHA-256.
            let large = [".safetensors", ".bin", ".gguf", ".parquet"]
                .iter()
                .any(|end| file.ends_with(end));
            if large && !state.small {
                return Answer {
                    status: 302,
                    headers: vec![
                        commit,
                        ("Location", format!("{}/blobs/{hash}?Signature={SIGNATURE}", state.cdn)),
                        ("X-Linked-Size", bytes.len().to_string()),
                        ("X-Linked-Etag", format!("\"{hash}\"")),
                    ],
                    body: b"Found".to_vec(),
                    odd: None,
                };
            }
            let etag = ("ETag", format!("W/\"{}\"", git_hash(bytes)));
            return ranged(request, bytes, ignore_range, vec![commit, etag]);
        }
    }
    let message = "Invalid username or password.";
    Answer::refusal(401, "RepoNotFound", message)
}

/// `a%20b` → `a b`
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let first = parts.next().unwrap().as_bytes().to_vec();
    let bytes = parts.fold(first, |mut bytes, part| {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
        bytes
    });
    String::from_utf8(bytes).unwrap()
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Git's hash of a file, in hexadecimal: the name of a small file.
pub fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = sha1_smol::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()).as_bytes());
    hasher.update(bytes);
    hasher.digest().to_string()
}

/// A repository's name as it stands in addresses of files: models have no prefix.
fn shown(name: &str) -> &str {
    name.strip_prefix("models/").unwrap_or(name)
}

fn ranged(request: &Request, bytes: &[u8], ignore: bool, mut headers: Vec<(&'static str, String)>) -> Answer {
    let range = request.headers.get("range").filter(|_| !ignore);
    let start = range.map(|range| {
        range
            .strip_prefix("bytes=")
            .unwrap()
            .trim_end_matches('-')
            .parse()
            .unwrap()
    });
    let (status, body) = match start {
        None => (200, bytes.to_vec()),
        Some(start) if start >= bytes.len() => {
            headers.push(("Content-Range", format!("bytes */{}", bytes.len())));
            (416, vec![])
        }
        Some(start) => {
            headers.push((
                "Content-Range",
                format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()),
            ));
            (206, bytes[start..].to_vec())
        }
    };
    Answer {
        status,
        headers,
        body,
        odd: None,
    }
}
