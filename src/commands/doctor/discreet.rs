//! Takes out of a text what is nobody's business.

use serde_json::Value;

/// What stands where something was taken out.
const TOKEN: &str = "[token]";
const USER: &str = "[user]";

/// What is taken out.
#[derive(Debug, Default)]
pub struct Discreet {
    /// Tokens and passwords, the longest first.
    secrets: Vec<String>,
    /// The home folder, as it is named and as it is found behind links.
    homes: Vec<String>,
    /// The user's names.
    names: Vec<String>,
}

/// Variables that hold a secret.
const SECRETS: [&str; 3] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"];
/// Variables that hold the home folder.
const HOMES: [&str; 2] = ["HOME", "USERPROFILE"];
/// Variables that hold the user's name.
const NAMES: [&str; 4] = ["USER", "LOGNAME", "USERNAME", "SUDO_USER"];

impl Discreet {
    /// Of this process and its environment; `token` is that of the hub, wherever it comes from.
    pub fn here(token: Option<String>) -> Self {
        let home = std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
        Self::of(|name| std::env::var(name).ok(), token, home)
    }

    fn of(variable: impl Fn(&str) -> Option<String>, token: Option<String>, home: Option<String>) -> Self {
        let values = |names: &[&str]| -> Vec<String> {
            let values = names.iter().filter_map(|name| variable(name));
            values.map(|value| value.trim().to_owned()).collect()
        };
        let mut secrets: Vec<String> = values(&SECRETS).into_iter().chain(token).collect();
        let named: Vec<String> = values(&HOMES).into_iter().chain(home).collect();
        let mut homes: Vec<String> = named
            .iter()
            .map(|home| home.trim_end_matches(['/', '\\']).to_owned())
            .collect();
        let found = named.iter().filter_map(|home| std::fs::canonicalize(home).ok());
        homes.extend(found.map(|home| home.to_string_lossy().into_owned()));
        let last = |home: &String| home.rsplit(['/', '\\']).next().map(str::to_owned);
        let mut names: Vec<String> = values(&NAMES);
        names.extend(homes.iter().filter_map(last));
        for (all, least) in [(&mut secrets, 4), (&mut homes, 2), (&mut names, 1)] {
            all.retain(|text| text.len() >= least);
            all.sort_by_key(|text| (std::cmp::Reverse(text.len()), text.clone()));
            all.dedup();
        }
        Self { secrets, homes, names }
    }

    /// The text without it.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, TOKEN);
        }
        text = without_tokens(&text);
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        for home in &self.homes {
            text = replaced(&text, home, "~", |_, rest| ends(rest));
        }
        for name in &self.names {
            // Folders and files that are called after the user. In a sentence it may be any word.
            text = replaced(&text, name, USER, |before, rest| {
                let folder = before.rsplit(char::is_whitespace).next().unwrap_or_default();
                let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                folder.contains(['/', '\\']) && apart(before.chars().next_back()) && apart(rest.chars().next())
            });
        }
        text
    }

    /// The value with all its texts without it.
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.json(value)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                Value::Object(fields.map(|(key, value)| (self.text(&key), self.json(value))).collect())
            }
            other => other,
        }
    }
}

/// Replaces `what` where what is before and behind it says so.
fn replaced(text: &str, what: &str, by: &str, is_meant: impl Fn(&str, &str) -> bool) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for (at, found) in text.match_indices(what) {
        let end = at + found.len();
        if is_meant(&text[..at], &text[end..]) {
            out += &text[from..at];
            out += by;
            from = end;
        }
    }
    out + &text[from..]
}

/// Without what looks like a token of the hub, whoever's it is.
fn without_tokens(text: &str) -> String {
    const MARK: &str = "hf_";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, found) = rest.split_at(at);
        let length = found[MARK.len()..]
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(found.len() - MARK.len());
        out += before;
        // Theirs have 34 letters; words such as `hf_home` have fewer.
        out += if length < 16 {
            &found[..MARK.len() + length]
        } else {
            TOKEN
        };
        rest = &found[MARK.len() + length..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Discreet {
        let variable = |name: &str| match name {
            "HF_TOKEN" => Some("tiny-secret".to_owned()),
            "HOME" => Some("/home/ann/".to_owned()),
            "USER" => Some("ann".to_owned()),
            _ => None,
        };
        Discreet::of(variable, None, None)
    }

    #[test]
    fn home_name_and_tokens_go_and_the_rest_stays() {
        for (text, expected) in [
            ("/home/ann/work: 3 files", "~/work: 3 files"),
            ("in /home/ann", "in ~"),
            ("/home/anna/work", "/home/anna/work"),
            ("/scratch/ann/hub", "/scratch/[user]/hub"),
            ("/scratch/of-ann", "/scratch/of-[user]"),
            ("C:\\Users\\ann\\x", "C:\\Users\\[user]\\x"),
            ("ann and annual", "ann and annual"),
            ("/a/annual", "/a/annual"),
            ("x=tiny-secret.", "x=[token]."),
            ("/x/hf_abcdefghijKLMNOPQRSTuvwxyz01234567/y", "/x/[token]/y"),
            ("hf_home and hf_", "hf_home and hf_"),
            ("ünï /home/ann/ünï", "ünï ~/ünï"),
        ] {
            assert_eq!(ann().text(text), expected);
        }
        let json = serde_json::json!({"/home/ann": ["/home/ann/a", 1, null]});
        assert_eq!(ann().json(json), serde_json::json!({"~": ["~/a", 1, null]}));
    }

    #[test]
    fn the_home_of_a_container_is_not_every_slash() {
        let root = Discreet::of(|name| (name == "HOME").then(|| "/".to_owned()), None, None);
        assert_eq!(root.text("/a/b"), "/a/b");
        assert_eq!(Discreet::of(|_| None, None, None).text("/a"), "/a");
    }
}
