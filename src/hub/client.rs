//! Requests: one at a time, tried again where that can help.
//!
//! The requests are our own, not those of the `hf-hub` crate, which cannot bound what it is sent and does not say
//! whether a server went on in the middle of a file (docs/decisions/hub-requests.md). The crate says where home and
//! cache are.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE,
};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::RepoKind;
use super::cache::{is_commit, is_inside};
use super::expected_hash::ExpectedHash;
use super::failure::Failure;
use super::limits::{Limits, Pace};
use super::refusal::Refusal;
use super::settings::Settings;
use crate::diagnostic::Diagnostic;

/// How often and how long we wait.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Before each new try after a fault of the server or the line; as many tries as entries.
    pub pauses: Vec<Duration>,
    /// How often we wait when the hub requires it.
    pub limits: usize,
    /// The longest such wait.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pauses: [250, 1000, 3000, 8000].map(Duration::from_millis).into(),
            limits: 5,
            longest: Duration::from_secs(300),
        }
    }
}

/// How much of the patience is left.
#[derive(Debug, Default)]
pub struct Tries {
    faults: usize,
    limits: usize,
}

impl Tries {
    /// Something came: faults before it are forgiven.
    pub fn progress(&mut self) {
        self.faults = 0;
    }

    /// How long to wait before the next try, and what to say of it.
    ///
    /// # Errors
    /// The failure, when a new try would not help or there were enough.
    pub fn pause(&mut self, failure: Failure, patience: &Patience) -> Result<(Duration, String), Failure> {
        match &failure {
            Failure::Status(refusal) if refusal.status == StatusCode::TOO_MANY_REQUESTS => {
                let wait = refusal
                    .retry_after
                    .unwrap_or(Duration::from_secs(5 << self.limits.min(5)));
                if self.limits == patience.limits || wait > patience.longest {
                    return Err(failure);
                }
                self.limits += 1;
                let said = format!("the hub asks to wait {}", humantime::format_duration(wait));
                Ok((wait, said))
            }
            _ if failure.is_outage() => {
                // With no network at all more than one new try only keeps people waiting, and so it does where bytes
                // drip.
                let unreachable = matches!(failure, Failure::Network { unreachable: true, .. });
                let most = match failure {
                    Failure::Network { unreachable: true, .. } | Failure::Slow(_) => 1,
                    _ => patience.pauses.len(),
                };
                let Some(&wait) = patience.pauses.get(self.faults).filter(|_| self.faults < most) else {
                    return Err(failure);
                };
                self.faults += 1;
                let what = match &failure {
                    Failure::Status(refusal) => format!("the hub answers {}", refusal.status),
                    Failure::Slow(how) => how.clone(),
                    _ if unreachable => "no connection".to_owned(),
                    _ => "the connection broke".to_owned(),
                };
                Ok((wait, format!("{what}; trying again")))
            }
            _ => Err(failure),
        }
    }
}

/// What the hub says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of its bytes: SHA-256 for a large file, git's hash for a small one.
    pub etag: String,
    /// How many bytes; not every server says.
    pub size: Option<u64>,
}

impl Description {
    /// What the bytes have to hash to, where the name says it.
    pub fn expected_hash(&self) -> Option<ExpectedHash> {
        ExpectedHash::of_name(&self.etag)
    }
}

/// The hub's facts about a repository that igsite needs.
#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    siblings: Option<Vec<Sibling>>,
}

/// One of its files.
#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A connection to the hub.
#[derive(Debug)]
pub struct Client {
    /// Follows redirects; takes the token off where they lead to another host.
    following: reqwest::Client,
    /// Shows redirects.
    direct: reqwest::Client,
    endpoint: Url,
    headers: HeaderMap,
}

/// The most redirects in a chain.
const REDIRECTS: usize = 10;

impl Client {
    /// Makes no request yet.
    ///
    /// # Errors
    /// The system's certificates cannot be read, or the settings do not make a client.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        let build = |policy| {
            reqwest::Client::builder()
                .user_agent(concat!("igsite/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(Duration::from_secs(15))
                // Between two pieces, not for the whole: a file may take hours.
                .read_timeout(Duration::from_secs(60))
                .redirect(policy)
                // A hub that is reached by HTTPS does not redirect to HTTP.
                .https_only(settings.endpoint.scheme() == "https")
                .build()
        };
        let following = build(Policy::limited(REDIRECTS))?;
        let direct = build(Policy::none())?;
        let mut headers = HeaderMap::new();
        // A compressed answer would have another length than the file.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(token) = &settings.token
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.secret()))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self {
            following,
            direct,
            endpoint: settings.endpoint.clone(),
            headers,
        })
    }

    /// The commit that a revision is at, and the names of its files.
    pub async fn list(
        &self,
        kind: RepoKind,
        repo: &str,
        revision: &str,
        limits: &Limits,
    ) -> Result<(String, Vec<String>), Failure> {
        // A revision may have a `/` in it, and is one segment all the same.
        let parts = ["api", kind.plural()].into_iter().chain(repo.split('/'));
        let mut url = self.at(parts.chain(["revision", revision]))?;
        url.query_pairs_mut()
            .append_pair("expand", "sha")
            .append_pair("expand", "siblings");
        let mut response = self.following.get(url).headers(self.headers.clone()).send().await?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::Status(Refusal::new(status, response.headers())));
        }
        let answer = tokio::time::timeout(limits.listing_time, whole(&mut response, limits)).await;
        let answer = answer.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limits.listing_time);
            Err(Failure::Slow(format!("the list of files did not come within {limit}")))
        })?;
        let Info { sha, siblings } =
            serde_json::from_slice(&answer).map_err(|error| Failure::Malformed(error.to_string()))?;
        let commit = sha.filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| Failure::Malformed("no commit".to_owned()))?;
        let siblings = siblings.ok_or_else(|| Failure::Malformed("no list of files".to_owned()))?;
        if siblings.len() > limits.listing_files {
            let (found, most) = (siblings.len(), limits.listing_files);
            return Err(Failure::TooMuch(format!(
                "a list of {found} files, and igsite takes {most}"
            )));
        }
        let files = siblings.into_iter().map(|sibling| sibling.rfilename);
        // A name that leads out of the repository cannot be stored here, and nobody can have meant it.
        Ok((
            commit.to_ascii_lowercase(),
            files.filter(|file| is_inside(file)).collect(),
        ))
    }

    /// What the hub says of a file. The first answer that names the bytes counts; behind it is only a place to fetch
    /// them from.
    pub async fn describe(&self, kind: RepoKind, repo: &str, commit: &str, file: &str) -> Result<Description, Failure> {
        let mut url = self.address(kind, repo, commit, file)?;
        let mut headers = self.headers.clone();
        for _ in 0..REDIRECTS {
            let response = self.direct.head(url.clone()).headers(headers.clone()).send().await?;
            let status = response.status();
            if !status.is_success() && !status.is_redirection() {
                return Err(Failure::Status(Refusal::new(status, response.headers())));
            }
            let location = text(response.headers(), LOCATION.as_str()).filter(|_| status.is_redirection());
            // A redirect within the hub says nothing of the file yet; one to another host does.
            let within = location.is_some_and(|location| !location.contains("://") && !location.starts_with("//"));
            if !within && let Some(description) = described(status, response.headers())? {
                return Ok(description);
            }
            let next = location
                .and_then(|location| url.join(location).ok())
                .ok_or_else(|| Failure::Malformed(format!("no ETag of `{file}`")))?;
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(Failure::Malformed("redirects in a circle".to_owned()))
    }

    /// A file's bytes from `from` on. Gives the answer's own start: a server may give the whole file instead.
    pub async fn bytes(
        &self,
        kind: RepoKind,
        repo: &str,
        commit: &str,
        file: &str,
        from: u64,
    ) -> Result<(u64, Response), Failure> {
        let url = self.address(kind, repo, commit, file)?;
        let mut request = self.following.get(url).headers(self.headers.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::Status(Refusal::new(status, response.headers())));
        }
        let start = if status == StatusCode::PARTIAL_CONTENT {
            text(response.headers(), CONTENT_RANGE.as_str())
                .and_then(range_start)
                .ok_or_else(|| Failure::Malformed("a part of a file that does not say which".to_owned()))?
        } else {
            0
        };
        Ok((start, response))
    }

    fn address(&self, kind: RepoKind, repo: &str, commit: &str, file: &str) -> Result<Url, Failure> {
        let parts = [kind.prefix().trim_end_matches('/'), repo, "resolve", commit, file];
        self.at(parts
            .iter()
            .flat_map(|part| part.split('/'))
            .filter(|part| !part.is_empty()))
    }

    /// An address of the hub, by the segments of its path.
    fn at<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Result<Url, Failure> {
        let mut url = self.endpoint.clone();
        url.set_query(None);
        url.set_fragment(None);
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(parts),
            Err(()) => return Err(Diagnostic::download("HF_ENDPOINT is no address of a hub").into()),
        };
        Ok(url)
    }
}

/// An answer as a whole, if it is no longer than a list of files may be.
async fn whole(response: &mut Response, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let mut pace = Pace::new(limits);
    let mut answer = Vec::new();
    while let Some(piece) = pace.piece(response).await? {
        answer.extend_from_slice(&piece);
        if answer.len() as u64 > limits.listing_bytes {
            return Err(Failure::TooMuch(format!(
                "a list of files that is longer than {}",
                crate::progress::bytes(limits.listing_bytes)
            )));
        }
    }
    Ok(answer)
}

fn described(status: StatusCode, headers: &HeaderMap) -> Result<Option<Description>, Failure> {
    let linked = text(headers, "x-linked-etag");
    // The ETag and length of a redirect are its own, unless it says that they are the file's.
    let own = text(headers, ETAG.as_str()).filter(|_| status.is_success() || headers.contains_key("x-repo-commit"));
    let Some(etag) = linked.or(own) else { return Ok(None) };
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    // It becomes a file's name.
    if etag.is_empty()
        || etag.len() > 200
        || !etag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Failure::Malformed("an ETag that is no hash".to_owned()));
    }
    let length = text(headers, CONTENT_LENGTH.as_str()).filter(|_| status.is_success());
    Ok(Some(Description {
        etag: etag.to_owned(),
        size: text(headers, "x-linked-size")
            .or(length)
            .and_then(|size| size.parse().ok()),
    }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `bytes 7-99/100` → 7
fn range_start(text: &str) -> Option<u64> {
    let (start, _) = text.trim().strip_prefix("bytes")?.trim_start().split_once('-')?;
    start.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, retry_after: Option<u64>) -> Failure {
        Failure::Status(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: None,
            message: None,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    #[test]
    fn the_hub_says_how_long_we_wait_up_to_five_minutes_and_five_times() {
        let patience = Patience::default();
        let mut tries = Tries::default();
        for _ in 0..5 {
            let (wait, said) = tries.pause(refusal(429, Some(90)), &patience).unwrap();
            assert_eq!((wait.as_secs(), said.as_str()), (90, "the hub asks to wait 1m 30s"));
        }
        assert!(tries.pause(refusal(429, Some(1)), &patience).is_err());
        assert!(Tries::default().pause(refusal(429, Some(301)), &patience).is_err());
        assert_eq!(
            Tries::default()
                .pause(refusal(429, None), &patience)
                .unwrap()
                .0
                .as_secs(),
            5
        );
    }

    #[test]
    fn faults_are_forgiven_when_something_came_and_refusals_are_final() {
        let patience = Patience::default();
        let mut tries = Tries::default();
        for _ in 0..4 {
            tries.pause(refusal(503, None), &patience).unwrap();
        }
        assert!(tries.pause(refusal(503, None), &patience).is_err());
        tries.progress();
        assert!(tries.pause(refusal(500, None), &patience).is_ok());
        assert!(Tries::default().pause(refusal(404, None), &patience).is_err());
        let gone = || Failure::Network {
            cause: String::new(),
            unreachable: true,
        };
        let mut tries = Tries::default();
        assert!(tries.pause(gone(), &patience).is_ok());
        assert!(tries.pause(gone(), &patience).is_err());
    }

    #[test]
    fn a_range_says_where_it_starts() {
        assert_eq!(range_start("bytes 7-99/100"), Some(7));
        assert_eq!(range_start("bytes */100"), None);
    }
}
