//! What the environment says of the hub: the same variables, in the same order, as Hugging Face's own tools.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::diagnostic::{Diagnostic, Result};

/// Where the hub is unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// A token, which is never shown.
#[derive(Clone)]
pub struct Token {
    text: String,
    /// The variable or file that it comes from, for messages.
    pub from: String,
}

impl Token {
    /// The text itself, to be sent and for nothing else.
    pub fn secret(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(from {})", self.from)
    }
}

/// Where the hub is, which token is used, and where the cache is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's address.
    pub endpoint: Url,
    /// The token.
    pub token: Option<Token>,
    /// The cache that all of Hugging Face's tools share.
    pub cache: PathBuf,
}

impl Settings {
    /// Reads the environment and the saved token.
    ///
    /// # Errors
    /// `HF_ENDPOINT` is no address; the token has characters that no token has.
    pub fn read() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        Ok(Self {
            endpoint: endpoint(variable("HF_ENDPOINT").as_deref().unwrap_or(ENDPOINT))?,
            token: token(variable, &hf_hub::hf_home())?,
            cache: hf_hub::resolve_cache_dir(),
        })
    }

    /// The hub's address as it may be shown: no name, no password, no query.
    pub fn shown(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        let port = self.endpoint.port().map_or_else(String::new, |port| format!(":{port}"));
        let path = self.endpoint.path().trim_end_matches('/');
        format!("{}://{host}{port}{path}", self.endpoint.scheme())
    }
}

/// The variable by which the environment forbids the network, if it does.
pub fn offline_by_environment() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| says_yes(&value))
}

fn says_yes(value: &str) -> bool {
    ["1", "true", "yes", "on"]
        .iter()
        .any(|yes| value.trim().eq_ignore_ascii_case(yes))
}

fn endpoint(text: &str) -> Result<Url> {
    // What was found is not quoted: an address may hold a password.
    Url::parse(text.trim())
        .ok()
        .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        .ok_or_else(|| {
            Diagnostic::download("HF_ENDPOINT is no address of a hub")
                .expected(format!("an address such as `{ENDPOINT}`"))
                .help("correct the variable, or unset it")
        })
}

/// `HF_TOKEN`, then the file that `HF_TOKEN_PATH` names, then the one that `hf auth login` writes.
fn token(variable: impl Fn(&str) -> Option<String>, home: &Path) -> Result<Option<Token>> {
    if variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| says_yes(&value)) {
        return Ok(None);
    }
    let saved = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        // An empty one is none, and the next is read, as Hugging Face's tools do.
        (!text.trim().is_empty()).then(|| (text, path.display().to_string()))
    };
    let found = variable("HF_TOKEN")
        .map(|text| (text, "HF_TOKEN".to_owned()))
        .or_else(|| variable("HF_TOKEN_PATH").and_then(|path| saved(path.into())))
        .or_else(|| saved(home.join("token")));
    let Some((text, from)) = found else { return Ok(None) };
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Ok(None);
    }
    if HeaderValue::from_str(&text).is_err() {
        return Err(
            Diagnostic::download(format!("the token from {from} holds characters that no token has"))
                .expected("one line, as https://huggingface.co/settings/tokens shows it once")
                .help("set it again"),
        );
    }
    Ok(Some(Token { text, from }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_files_and_no_token_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let none = |_: &str| None;
        assert!(token(none, home.path()).unwrap().is_none());
        std::fs::write(home.path().join("token"), "hf_saved\n").unwrap();
        let saved = token(none, home.path()).unwrap().unwrap();
        assert_eq!(saved.secret(), "hf_saved");
        assert!(saved.from.ends_with("token"), "{}", saved.from);
        let set = |name: &str| (name == "HF_TOKEN").then(|| " hf_set ".to_owned());
        let set = token(set, home.path()).unwrap().unwrap();
        assert_eq!(set.secret(), "hf_set");
        assert_eq!(format!("{set:?}"), "Token(from HF_TOKEN)");
        let off = |name: &str| (name == "HF_HUB_DISABLE_IMPLICIT_TOKEN").then(|| "1".to_owned());
        assert!(token(off, home.path()).unwrap().is_none());
        let broken = |name: &str| (name == "HF_TOKEN").then(|| "hf_a\nhf_b".to_owned());
        let error = token(broken, home.path()).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_a"), "{error}");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let settings = |text| Settings {
            endpoint: endpoint(text).unwrap(),
            token: None,
            cache: PathBuf::new(),
        };
        assert_eq!(
            settings("https://me:secret@hub.example/x/?a=b").shown(),
            "https://hub.example/x"
        );
        assert_eq!(settings("http://127.0.0.1:8080").shown(), "http://127.0.0.1:8080");
        let error = endpoint("me:secret@hub").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
