//! The hub's refusals: which it is, and what a person does about it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::failure::Request;
use super::settings::Settings;
use crate::diagnostic::Diagnostic;

/// A refusal by the server.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The hub's own word for it: `GatedRepo`, `RepoNotFound`, `RevisionNotFound`, `EntryNotFound`.
    pub code: Option<String>,
    /// What the server says.
    pub message: Option<String>,
    /// How long it wants us to wait.
    pub retry_after: Option<Duration>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Gated,
    BadToken,
    NoRepository,
    NoRevision,
    NoFile,
    Forbidden,
    Limited,
    Broken,
    Odd,
}

impl Refusal {
    /// From an answer's status and headers.
    pub fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            status,
            code: text("x-error-code"),
            message: text("x-error-message"),
            // The hub gives seconds; a date, which HTTP allows too, is taken as no word.
            retry_after: text(RETRY_AFTER.as_str())
                .and_then(|text| text.trim().parse().ok())
                .or_else(|| text("ratelimit").as_deref().and_then(reset))
                .map(Duration::from_secs),
        }
    }

    /// The hub's word first, then the status.
    fn meaning(&self, of_a_file: bool, with_token: bool) -> Meaning {
        let says = |part: &str| self.message.as_deref().is_some_and(|message| message.contains(part));
        match (self.code.as_deref(), self.status.as_u16()) {
            (_, 401) if says("Invalid credentials") => Meaning::BadToken,
            (Some("GatedRepo"), _) => Meaning::Gated,
            (Some("RepoNotFound"), _) => Meaning::NoRepository,
            (Some("RevisionNotFound"), _) => Meaning::NoRevision,
            (_, 404) if of_a_file => Meaning::NoFile,
            (_, 404) => Meaning::NoRepository,
            (_, 401) if with_token => Meaning::BadToken,
            // To nobody in particular the hub says 401 of what is not there and of what is private: nobody shall learn
            // which.
            (_, 401) => Meaning::NoRepository,
            (_, 403) => Meaning::Forbidden,
            (_, 429) => Meaning::Limited,
            (_, 500..) => Meaning::Broken,
            _ => Meaning::Odd,
        }
    }

    /// The message.
    pub fn diagnostic(&self, request: Request, settings: &Settings) -> Diagnostic {
        let Request {
            kind, repo, revision, ..
        } = request;
        let hub = settings.shown();
        let page = format!("{hub}/{}{repo}", kind.prefix());
        let tokens = format!("{hub}/settings/tokens");
        let status = self.status;
        let from = settings.token.as_ref().map(|token| token.from.as_str());
        let make = format!("make a token at {tokens}, and set HF_TOKEN to it (or run `hf auth login`)");
        let (message, help) = match self.meaning(request.file.is_some(), from.is_some()) {
            Meaning::Gated => match from {
                None => (
                    format!("`{repo}` is gated: it is given only to those who asked for it"),
                    format!("ask for access at {page}, {make}"),
                ),
                Some(from) => (
                    format!("`{repo}` is gated, and the account of the token from {from} has no access to it"),
                    format!(
                        "ask for access at {page} with that account, and wait until it is granted; a fine-grained token also needs the \
                         right to read gated repositories ({tokens})"
                    ),
                ),
            },
            Meaning::BadToken => (
                format!("{hub} does not accept the token from {}", from.unwrap_or("nowhere")),
                format!("it may have been revoked or mistyped: make a new one at {tokens}"),
            ),
            Meaning::NoRepository => (
                format!("{hub} has no {} `{repo}`, or shows it only to some", kind.noun()),
                match from {
                    None => format!("check the spelling; for a private one, {make}"),
                    Some(from) => {
                        format!("check the spelling; for a private one, check that the account of the token from {from} may read it")
                    }
                },
            ),
            Meaning::NoRevision => {
                return Diagnostic::download(format!("`{repo}` has no revision `{revision}`"))
                    .expected("a branch, a tag, or a commit's 40 digits")
                    .help(format!("{page}/tree/main lists branches and tags"));
            }
            Meaning::NoFile => (
                format!(
                    "`{repo}` has no file `{}` at revision `{revision}`",
                    request.file.unwrap_or_default()
                ),
                format!("{page}/tree/{revision} lists its files"),
            ),
            Meaning::Forbidden => (
                format!("{hub} refuses {request}{}", self.said(settings)),
                match from {
                    None => format!("it may need an account: {make}"),
                    Some(from) => format!("check at {tokens} what the token from {from} may read"),
                },
            ),
            Meaning::Limited => {
                let wait = self.retry_after.map_or_else(String::new, |wait| {
                    format!(", and wants {} of waiting", humantime::format_duration(wait))
                });
                let again = "wait, then run the same command again: it goes on where it stopped";
                (
                    format!("cannot fetch {request}: {hub} limits how often it may be asked{wait}"),
                    match from {
                        None => format!("{again}; with a token the limit is higher ({tokens})"),
                        Some(_) => again.to_owned(),
                    },
                )
            }
            Meaning::Broken => (
                format!(
                    "cannot fetch {request}: {hub} answers {status} again and again{}",
                    self.said(settings)
                ),
                "the fault is the hub's: run the same command again later, it goes on where it stopped; `--offline` uses what is in the cache"
                    .to_owned(),
            ),
            Meaning::Odd => (
                format!("cannot fetch {request}: {hub} answers {status}{}", self.said(settings)),
                "check HF_ENDPOINT and the network's proxy".to_owned(),
            ),
        };
        Diagnostic::download(message).help(help)
    }

    /// The server's own words, short, without the token.
    fn said(&self, settings: &Settings) -> String {
        let Some(message) = self.message.as_deref().filter(|message| !message.trim().is_empty()) else {
            return String::new();
        };
        let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(token) = &settings.token {
            message = message.replace(token.secret(), "…");
        }
        // An address may be a signed link, which is a key.
        if message.contains("://") {
            return String::new();
        }
        let short: String = message.chars().take(200).collect();
        format!(" (“{short}”)")
    }
}

/// Seconds until a limit is lifted, as `RateLimit` has it: `"resolvers";r=0;t=137` → 137
fn reset(text: &str) -> Option<u64> {
    let mut parameters = text.split(';').map(str::trim);
    parameters.find_map(|parameter| parameter.strip_prefix("t=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_when_it_is_lifted_in_either_header() {
        let wait = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, &map);
            refusal.retry_after.map(|wait| wait.as_secs())
        };
        let limit = ("ratelimit", "\"resolvers\";r=0;t=137");
        assert_eq!(wait(&[limit]), Some(137));
        assert_eq!(wait(&[limit, ("retry-after", "20")]), Some(20));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn the_hubs_word_comes_before_the_status() {
        let refusal = |status: u16, code: Option<&str>, message: Option<&str>| Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.map(str::to_owned),
            message: message.map(str::to_owned),
            retry_after: None,
        };
        let invalid = Some("Invalid credentials in Authorization header");
        for (refusal, of_a_file, with_token, meaning) in [
            (refusal(401, Some("GatedRepo"), None), true, false, Meaning::Gated),
            (refusal(403, Some("GatedRepo"), None), true, true, Meaning::Gated),
            (
                refusal(401, Some("RepoNotFound"), None),
                true,
                false,
                Meaning::NoRepository,
            ),
            (
                refusal(404, Some("RepoNotFound"), None),
                true,
                true,
                Meaning::NoRepository,
            ),
            (
                refusal(404, Some("RevisionNotFound"), None),
                false,
                true,
                Meaning::NoRevision,
            ),
            (refusal(404, Some("EntryNotFound"), None), true, true, Meaning::NoFile),
            (refusal(404, None, None), false, true, Meaning::NoRepository),
            (refusal(401, None, None), false, false, Meaning::NoRepository),
            (refusal(401, None, None), false, true, Meaning::BadToken),
            (
                refusal(401, Some("RepoNotFound"), invalid),
                false,
                true,
                Meaning::BadToken,
            ),
            (refusal(403, None, None), true, true, Meaning::Forbidden),
            (refusal(429, None, None), true, true, Meaning::Limited),
            (refusal(504, None, None), true, true, Meaning::Broken),
            (refusal(418, None, None), true, true, Meaning::Odd),
        ] {
            assert_eq!(refusal.meaning(of_a_file, with_token), meaning, "{refusal:?}");
        }
    }
}
