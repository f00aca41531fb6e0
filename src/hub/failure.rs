//! What can go wrong between us and the hub, and what a person does about it: one message each.
//!
//! Addresses are shown without a query (a signed link is a key), and what a server says is shown without the token.

use std::error::Error;
use std::time::Duration;

use hf_hub::HFError;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::settings::Settings;
use super::{RepoKind, cache};
use crate::diagnostic::Diagnostic;

/// How a request failed.
#[derive(Debug)]
pub enum Failure {
    /// There was no answer, or it broke off.
    Network {
        /// The innermost cause.
        cause: String,
        /// No connection was ever made: neither the hub nor the network is there.
        unreachable: bool,
    },
    /// The answer was a refusal.
    Status(Refusal),
    /// The answer is not what the hub's protocol says.
    Malformed(String),
    /// It is our own side; already a message.
    Local(Diagnostic),
}

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

/// What was asked for when a request failed.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// A model or a data set.
    pub kind: RepoKind,
    /// The repository.
    pub repo: &'a str,
    /// The revision as the author wrote it.
    pub revision: &'a str,
    /// The file, if it was one.
    pub file: Option<&'a str>,
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Local(diagnostic)
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Network {
            unreachable: error.is_connect(),
            cause: innermost(&error.without_url()),
        }
    }
}

impl From<HFError> for Failure {
    fn from(error: HFError) -> Self {
        let (context, retry_after) = match error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context } => (context, None),
            HFError::RateLimited { context, retry_after } => (context, retry_after),
            HFError::RepoNotFound {
                context: Some(context), ..
            }
            | HFError::RevisionNotFound {
                context: Some(context), ..
            }
            | HFError::EntryNotFound {
                context: Some(context), ..
            } => (context, None),
            HFError::Request { source, .. } => {
                // An answer that came and is no JSON is not a broken line.
                return if source.is_decode() {
                    Self::Malformed(innermost(&source.without_url()))
                } else {
                    source.into()
                };
            }
            other => return Self::Malformed(innermost(&other)),
        };
        Self::Status(Refusal {
            status: context.status,
            code: context.error_code,
            message: context.server_message,
            retry_after,
        })
    }
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
                .map(Duration::from_secs),
        }
    }

    fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl Failure {
    /// Whether the hub, or the way to it, is out of order: then a copy that is here may serve.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status(refusal) => {
                refusal.status.is_server_error() || refusal.status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Malformed(_) | Self::Local(_) => false,
        }
    }

    /// The message.
    pub fn told(self, asked: Asked, settings: &Settings) -> Diagnostic {
        let hub = settings.shown();
        match self {
            Self::Local(diagnostic) => diagnostic,
            Self::Network { cause, .. } => {
                Diagnostic::download(format!("cannot fetch {asked}: no answer from {hub} ({cause})")).help(
                    "check the network and run the same command again: it goes on where it stopped; `--offline` uses what is in the cache",
                )
            }
            Self::Malformed(what) => Diagnostic::download(format!("cannot fetch {asked}: {hub} did not answer as the hub does ({what})"))
                .help("check HF_ENDPOINT and the network's proxy"),
            Self::Status(refusal) => refusal.told(asked, settings, &hub),
        }
    }
}

impl Refusal {
    fn told(self, asked: Asked, settings: &Settings, hub: &str) -> Diagnostic {
        let page = format!("{hub}/{}{}", asked.kind.prefix(), asked.repo);
        let tokens = format!("{hub}/settings/tokens");
        let status = self.status;
        let token = settings.token.as_ref();
        match status.as_u16() {
            _ if self.is("GatedRepo") || (status == 403 && self.message.as_deref().is_some_and(|m| m.contains("gated"))) => {
                match token {
                    None => Diagnostic::download(format!("`{}` is gated: it is given only to those who asked for it", asked.repo)).help(format!(
                        "ask for access at {page}, make a token at {tokens}, and set HF_TOKEN to it (or run `hf auth login`)"
                    )),
                    Some(token) => Diagnostic::download(format!(
                        "`{}` is gated, and the account of the token from {} has no access to it",
                        asked.repo, token.from
                    ))
                    .help(format!(
                        "ask for access at {page} with that account, and wait until it is granted; a fine-grained token also needs the right to read gated repositories ({tokens})"
                    )),
                }
            }
            // The hub says 401 of a repository that may not be seen, so that nobody learns whether it is there.
            _ if self.is("RepoNotFound") || (status == 404 && asked.file.is_none() && !self.is("RevisionNotFound")) => {
                Diagnostic::download(format!(
                    "{hub} has no {} `{}`, or shows it only to some",
                    asked.kind.noun(),
                    asked.repo
                ))
                .help(match token {
                    None => format!("check the spelling; for a private one, make a token at {tokens} and set HF_TOKEN to it"),
                    Some(token) => format!(
                        "check the spelling; for a private one, check that the account of the token from {} may read it",
                        token.from
                    ),
                })
            }
            _ if self.is("RevisionNotFound") => Diagnostic::download(format!("`{}` has no revision `{}`", asked.repo, asked.revision))
                .expected("a branch, a tag, or a commit's 40 digits")
                .help(format!("{page}/tree/main lists them")),
            404 => Diagnostic::download(format!(
                "`{}` has no file `{}` at revision `{}`",
                asked.repo,
                asked.file.unwrap_or_default(),
                asked.revision
            ))
            .help(format!("{page}/tree/{} lists them", asked.revision)),
            401 => match token {
                None => Diagnostic::download(format!("{hub} asks who wants `{}`", asked.repo))
                    .help(format!("make a token at {tokens}, and set HF_TOKEN to it (or run `hf auth login`)")),
                Some(token) => Diagnostic::download(format!("{hub} does not accept the token from {}", token.from))
                    .help(format!("it may have been revoked or mistyped: make a new one at {tokens}")),
            },
            403 => Diagnostic::download(format!("{hub} refuses {asked}{}", self.said(settings))).help(match token {
                None => format!("it may need an account: make a token at {tokens}, and set HF_TOKEN to it"),
                Some(token) => format!("check at {tokens} what the token from {} may read", token.from),
            }),
            429 => {
                let wait = self.retry_after.map_or_else(String::new, |wait| {
                    format!(", and wants {} of waiting", humantime::format_duration(wait))
                });
                Diagnostic::download(format!("cannot fetch {asked}: {hub} limits how often it may be asked{wait}")).help(match token {
                    None => format!(
                        "wait, then run the same command again: it goes on where it stopped; with a token ({tokens}) the limit is higher"
                    ),
                    Some(_) => "wait, then run the same command again: it goes on where it stopped".to_owned(),
                })
            }
            500.. => Diagnostic::download(format!("cannot fetch {asked}: {hub} answers {status} again and again{}", self.said(settings)))
                .help("the fault is the hub's: run the same command again later, it goes on where it stopped; `--offline` uses what is in the cache"),
            _ => Diagnostic::download(format!("cannot fetch {asked}: {hub} answers {status}{}", self.said(settings)))
                .help("check HF_ENDPOINT and the network's proxy"),
        }
    }

    /// The server's own words, short, without the token.
    fn said(&self, settings: &Settings) -> String {
        let Some(message) = self.message.as_deref().filter(|message| !message.trim().is_empty()) else {
            return String::new();
        };
        let mut message = message.replace('\n', " ");
        if let Some(token) = &settings.token {
            message = message.replace(token.secret(), "…");
        }
        let short: String = message.chars().take(200).collect();
        format!(" (“{short}”)")
    }
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.file {
            Some(file) => write!(f, "`{file}` of `{}`", self.repo),
            None => write!(f, "`{}`", self.repo),
        }
    }
}

/// The last cause of a chain: what the system or the protocol says, without the wrappers' words (and addresses).
fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    // Some errors quote an address; what follows `?` may be a signature.
    if text.contains("://") {
        "the connection failed".to_owned()
    } else {
        text
    }
}

/// The run may not ask the network, and something is not in the cache.
pub fn not_here(asked: Asked, settings: &Settings, by_environment: bool) -> Diagnostic {
    let at = if cache::is_commit(asked.revision) || asked.revision == "main" {
        String::new()
    } else {
        format!(" at revision `{}`", asked.revision)
    };
    let why = if by_environment {
        "HF_HUB_OFFLINE is set"
    } else {
        "`--offline` was given"
    };
    Diagnostic::download(format!(
        "{asked}{at} is not in the cache ({}), and {why}",
        settings.cache.display()
    ))
    .help("`igsite fetch` brings it where there is a network; HF_HOME says where the cache is")
}
