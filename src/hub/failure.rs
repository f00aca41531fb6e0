//! What can go wrong between igsite and the hub, and what a person can do about it: one message for each.
//!
//! Addresses are shown without a query (a signed link is a key), and a server's text is shown without the token.

use std::error::Error;

use reqwest::StatusCode;

use super::refusal::Refusal;
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
    /// Bytes come, and so few that waiting for them has no end; how few.
    Slow(String),
    /// The answer is larger than any that is honest; what it is.
    TooMuch(String),
    /// The answer is not what the hub's protocol says.
    Malformed(String),
    /// It is our own side; already a message.
    Local(Diagnostic),
}

/// What was requested when a request failed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
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
        // Redirects in a circle, or to an address that is none: asking again leads there again.
        if error.is_redirect() || error.is_builder() {
            return Self::Malformed(innermost(&error.without_url()));
        }
        Self::Network {
            unreachable: error.is_connect(),
            cause: innermost(&error.without_url()),
        }
    }
}

impl Failure {
    /// Whether the hub, or the way to it, is out of order: then a copy that is here may serve.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Slow(_) => true,
            Self::Status(refusal) => {
                refusal.status.is_server_error() || refusal.status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::TooMuch(_) | Self::Malformed(_) | Self::Local(_) => false,
        }
    }

    /// Whether there is no such thing on the hub.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Status(refusal) if refusal.status == StatusCode::NOT_FOUND)
    }

    /// The message.
    pub fn diagnostic(self, request: Request, settings: &Settings) -> Diagnostic {
        let hub = settings.shown();
        match self {
            Self::Local(diagnostic) => diagnostic,
            Self::Network { cause, .. } => {
                Diagnostic::download(format!("cannot fetch {request}: no answer from {hub} ({cause})")).help(
                    "check the network, and run the same command again: it goes on where it stopped; `--offline` uses what is in the cache",
                )
            }
            Self::Slow(how) => Diagnostic::download(format!("cannot fetch {request}: {hub} is too slow ({how})")).help(
                "check the network and its proxy, and run the same command again: it goes on where it stopped; `--offline` uses what is in \
                 the cache",
            ),
            Self::TooMuch(what) => Diagnostic::download(format!("cannot fetch {request}: {hub} sends {what}"))
                .help("check HF_ENDPOINT and the network's proxy: the hub itself sends no such thing"),
            Self::Malformed(what) => Diagnostic::download(format!("cannot fetch {request}: {hub} did not answer as the hub does ({what})"))
                .help("check HF_ENDPOINT and the network's proxy"),
            Self::Status(refusal) => refusal.diagnostic(request, settings),
        }
    }
}

impl std::fmt::Display for Request<'_> {
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

/// The run is offline, and something is not in the cache.
pub fn not_here(request: Request, settings: &Settings, by_environment: bool) -> Diagnostic {
    let at = if cache::is_commit(request.revision) || request.revision == "main" {
        String::new()
    } else {
        format!(" at revision `{}`", request.revision)
    };
    let why = if by_environment {
        "HF_HUB_OFFLINE is set"
    } else {
        "`--offline` was given"
    };
    Diagnostic::download(format!(
        "{request}{at} is not in the cache ({}), and {why}",
        settings.cache.display()
    ))
    .help("`igsite fetch` brings it where there is a network; HF_HOME says where the cache is")
}
