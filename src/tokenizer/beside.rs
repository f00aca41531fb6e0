//! The files next to a tokenizer's own file: `tokenizer_config.json`, `special_tokens_map.json` and
//! `added_tokens.json`, merged as Hugging Face's transformers does it (`_from_pretrained` in
//! `tokenization_utils_base.py`, 4.57 and 5.24).
//!
//! With `added_tokens_decoder` in the first file transformers does not read the other two; igsite warns where they
//! contradict it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::keys::{self, Does, NAMED};
use super::prefix::Prefix;
use super::read_map;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};

const CONFIG: &str = "tokenizer_config.json";
const NAMES: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
const DECODER: &str = "added_tokens_decoder";

/// The class of transformers that a folder names, as far as it makes a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// `LlamaTokenizer`, `LlamaTokenizerFast`.
    Llama,
    /// `GPT2Tokenizer`, `GPT2TokenizerFast`.
    Gpt2,
    /// `PreTrainedTokenizerFast`, `TokenizersBackend`: what the file says.
    Plain,
    /// No class is named.
    Unnamed,
    /// Another, by its name.
    Other(String),
}

impl Class {
    fn of(name: Option<&str>) -> Self {
        match name.map(|name| name.strip_suffix("Fast").unwrap_or(name)) {
            None => Self::Unnamed,
            Some("LlamaTokenizer") => Self::Llama,
            Some("GPT2Tokenizer") => Self::Gpt2,
            Some("PreTrainedTokenizer" | "TokenizersBackend") => Self::Plain,
            Some(other) => Self::Other(other.to_owned()),
        }
    }
}

/// The three files, merged.
#[derive(Debug)]
pub struct TokenizerFiles {
    /// The class that the folder names.
    pub class: Class,
    /// `model_type` of `config.json`.
    pub model_type: Option<String>,
    /// Special tokens by their keys, in the files' order.
    pub named: Vec<(String, AddedToken)>,
    /// Keys that stand in a list of their own (`extra_special_tokens`).
    pub explicit: Vec<String>,
    /// Further special tokens.
    pub further: Vec<AddedToken>,
    /// Added tokens by the ids that they are listed with.
    pub listed: BTreeMap<u64, AddedToken>,
    /// Whether they are from `added_tokens_decoder`.
    pub by_decoder: bool,
    /// Those of the files that are there.
    pub files: Vec<PathBuf>,
    /// Warnings.
    pub warnings: Diagnostics,
    /// `tokenizer_config.json`, which errors name.
    file: PathBuf,
    config: Map<String, Value>,
}

impl TokenizerFiles {
    /// Reads the files of a folder; all may be absent.
    ///
    /// # Errors
    /// A file is no JSON object, a key has the wrong type, or requires something that igsite does not compute.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut map = |name: &str| -> Result<Option<Map<String, Value>>> {
            let file = folder.join(name);
            let map = read_map(&file)?;
            files.extend(map.is_some().then_some(file));
            Ok(map)
        };
        let [config, names, added] = [map(CONFIG)?, map(NAMES)?, map(ADDED)?].map(Option::unwrap_or_default);
        let of_model = read_map(&folder.join("config.json"))?.unwrap_or_default();
        let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let class = text(&config, "tokenizer_class").or_else(|| text(&of_model, "tokenizer_class"));
        let mut beside = Self {
            class: Class::of(class.as_deref()),
            model_type: text(&of_model, "model_type"),
            named: Vec::new(),
            explicit: Vec::new(),
            further: Vec::new(),
            listed: BTreeMap::new(),
            by_decoder: config.get(DECODER).is_some_and(|value| !value.is_null()),
            files,
            warnings: Diagnostics::new(),
            file: folder.join(CONFIG),
            config,
        };
        beside.judge_keys()?;
        beside.read_names(&folder.join(NAMES), names)?;
        beside.read_listed(&folder.join(ADDED), &added)?;
        Ok(beside)
    }

    /// A switch; none where it is absent or null.
    ///
    /// # Errors
    /// It is neither true nor false.
    pub fn switch(&self, key: &str) -> Result<Option<bool>> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.error(key, format!("`{key}` is {other}")).expected("true or false")),
        }
    }

    /// An error in `tokenizer_config.json`.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::checkpoint(message).in_file(&self.file).place(key)
    }

    /// Says what was done where files, or versions of transformers, disagree.
    pub fn warn(&mut self, key: &str, message: impl Into<String>, done: impl Into<String>) {
        let warning = self.error(key, message).help(done).as_warning();
        self.warnings.push(warning);
    }

    /// A special token by its key.
    pub fn named(&self, key: &str) -> Option<&AddedToken> {
        self.named.iter().find(|(name, _)| name == key).map(|(_, token)| token)
    }

    fn name(&mut self, key: &str, token: AddedToken) {
        match self.named.iter_mut().find(|(name, _)| name == key) {
            Some((_, known)) => *known = token,
            None => self.named.push((key.to_owned(), token)),
        }
    }

    /// A special token that is not in the files but that transformers assumes.
    pub fn assume(&mut self, key: &str, content: &str) {
        if !self.config.contains_key(key) && self.named(key).is_none() {
            self.named.push((key.to_owned(), AddedToken::from(content, true)));
        }
    }

    /// Errors and warnings of keys that are not computed with.
    fn judge_keys(&mut self) -> Result<()> {
        for key in self.config.keys().cloned().collect::<Vec<_>>() {
            let value = &self.config[&key];
            match keys::does(&key) {
                Does::HarmlessIfOff(why) if !keys::is_off(value) => {
                    self.warn(&key, format!("`{key}` changes nothing here"), why);
                }
                Does::Refused(why) if !keys::is_off(value) => {
                    return Err(self
                        .error(&key, format!("`{key}` is not computed: {why}"))
                        .help("save the tokenizer with transformers as it loads it, so that tokenizer.json says all, and take this key away"));
                }
                Does::Unknown if !is_name(&key, value) => self.warn(
                    &key,
                    format!("`{key}` is not known, and is passed over"),
                    "if it changes how text is split, tokens and maps may be wrong; if not, take the key away",
                ),
                _ => {}
            }
        }
        let versions = self.config.get("fast_tokenizer_files").and_then(Value::as_array);
        if versions.is_some_and(|names| names.iter().any(|name| name != "tokenizer.json")) {
            return Err(self
                .error(
                    "fast_tokenizer_files",
                    "the tokenizer has a file for each version of transformers",
                )
                .expected("one file, `tokenizer.json`")
                .help("put the one that is meant in its place, and take this key away"));
        }
        if let Class::Other(name) = &self.class {
            let message = format!("the tokenizer's class `{name}` is not known");
            let done = "the file is taken as it stands: what the class itself adds to it is not computed";
            self.warn("tokenizer_class", message, done);
        }
        Ok(())
    }

    /// The special tokens by their keys, and the further ones.
    fn read_names(&mut self, file: &Path, names: Map<String, Value>) -> Result<()> {
        let mut merged = self.config.clone();
        let mut listed = list(&merged, "additional_special_tokens");
        for (key, mut value) in names {
            if self.by_decoder {
                self.compare(file, &key, &value);
                continue;
            }
            if key == "additional_special_tokens" {
                listed.extend(list_of(&value));
                continue;
            }
            if let Some(fields) = value.as_object_mut().filter(|_| is_name(&key, &Value::from(""))) {
                fields.insert("special".into(), true.into());
            }
            merged.insert(key, value);
        }
        let explicit = match merged.get("extra_special_tokens") {
            Some(Value::Array(items)) if !items.is_empty() => {
                if listed.iter().any(|token| !items.contains(token)) {
                    let message = "`additional_special_tokens` stands beside `extra_special_tokens`";
                    self.warn(
                        "additional_special_tokens",
                        message,
                        "it is passed over, as transformers 5 does",
                    );
                }
                listed = items.clone();
                None
            }
            Some(Value::Object(fields)) => Some(fields.clone()),
            _ => None,
        };
        for token in listed {
            self.further
                .push(self.token("additional_special_tokens", &token, true)?);
        }
        for map in [
            merged.get("model_specific_special_tokens").cloned(),
            explicit.map(Value::Object),
        ] {
            for (key, value) in map.iter().filter_map(Value::as_object).flatten() {
                let token = self.token(key, value, true)?;
                self.name(key, token);
                self.explicit.push(key.clone());
            }
        }
        for (key, value) in &merged {
            if NAMED.contains(&key.as_str()) && !value.is_null() || is_name(key, value) {
                let token = self.token(key, value, true)?;
                self.name(key, token);
            }
        }
        Ok(())
    }

    /// Warns where a file that is not read says something else than `tokenizer_config.json`.
    fn compare(&mut self, file: &Path, key: &str, value: &Value) {
        let content = |value: &Value| match value {
            Value::Object(fields) => fields.get("content").cloned().unwrap_or_default(),
            other => other.clone(),
        };
        let config = self.config.get(key).map(content).unwrap_or_default();
        if NAMED.contains(&key) && content(value) != config {
            let message = format!("`{key}` is {} here and {config} in {CONFIG}", content(value));
            let done = format!("{CONFIG} is followed, as transformers does where it has `{DECODER}`");
            self.warnings.push(
                Diagnostic::checkpoint(message)
                    .in_file(file)
                    .place(key)
                    .help(done)
                    .as_warning(),
            );
        }
    }

    /// The tokens that are listed with their ids.
    fn read_listed(&mut self, file: &Path, added: &Map<String, Value>) -> Result<()> {
        if let Some(decoder) = self.config.get(DECODER).filter(|value| !value.is_null()) {
            self.listed = self.decoded(decoder)?;
            let known = |text: &String| self.listed.values().any(|token| token.content == *text);
            if let Some(text) = added.keys().find(|text| !known(text)) {
                let message = format!("{text:?} is not in `{DECODER}` of {CONFIG}");
                let done = format!("{CONFIG} is followed, as transformers does: this token is not added");
                self.warnings
                    .push(Diagnostic::checkpoint(message).in_file(file).help(done).as_warning());
            }
            return Ok(());
        }
        for (text, id) in added {
            let id = id.as_u64().ok_or_else(|| {
                Diagnostic::checkpoint(format!("{text:?}: {id}"))
                    .in_file(file)
                    .expected("a token id")
            })?;
            // What no key calls special is text that is normalised like any other.
            let special = self.is_special(text);
            self.listed.insert(id, AddedToken::from(text.clone(), special));
        }
        Ok(())
    }

    /// The tokens of `added_tokens_decoder`.
    fn decoded(&self, decoder: &Value) -> Result<BTreeMap<u64, AddedToken>> {
        let wrong = |found: &Value| {
            self.error(DECODER, format!("`{DECODER}` has {found}"))
                .expected("ids, each with a token of `content` and its flags")
        };
        let mut listed = BTreeMap::new();
        for (id, value) in decoder.as_object().ok_or_else(|| wrong(decoder))? {
            let id = id.parse().map_err(|_| wrong(&Value::from(id.as_str())))?;
            if !value.is_object() {
                return Err(wrong(value));
            }
            listed.insert(id, self.token(DECODER, value, false)?);
        }
        Ok(listed)
    }

    /// Makes listed tokens match in the text as it is written, before spaces are inserted. With a `tokenizer.model`
    /// transformers 5 does so for all, while 4 finds those that are normalised only where a space precedes them.
    pub fn match_as_written(&mut self, prefix: Prefix) {
        let normalized = self.listed.values().filter(|token| token.normalized && !token.special);
        let names: Vec<String> = normalized.map(|token| format!("{:?}", token.content)).collect();
        for token in self.listed.values_mut() {
            token.normalized = false;
        }
        if prefix == Prefix::Legacy && !names.is_empty() {
            let message = format!(
                "{} are not listed as special tokens, and versions of transformers disagree about them",
                names.join(", ")
            );
            let done = "they are found wherever they are written, as in transformers 5; 4 finds them only behind a blank or at the start";
            self.warn(DECODER, message, done);
        }
    }

    /// Whether a key calls a token special.
    pub fn is_special(&self, text: &str) -> bool {
        let mut all = self.named.iter().map(|(_, token)| token).chain(&self.further);
        all.any(|token| token.content == text)
    }

    /// A token as text, or as an object with its flags. Without `normalized`, special tokens are matched before
    /// normalisation.
    fn token(&self, key: &str, value: &Value, special: bool) -> Result<AddedToken> {
        let wrong = |found: String| {
            self.error(key, found).expected(
                "a token's text, or `content` with `lstrip`, `rstrip`, `single_word`, `normalized`, `special`",
            )
        };
        let fields = match value {
            Value::String(content) => return Ok(AddedToken::from(content.clone(), special)),
            Value::Object(fields) => fields,
            other => return Err(wrong(format!("`{key}` is {other}"))),
        };
        let content = fields.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| wrong(format!("`{key}` has no `content`")))?;
        let mut token = AddedToken::from(content, false);
        let mut normalized = None;
        for (name, value) in fields {
            let flag = || {
                let flag = value.as_bool();
                flag.ok_or_else(|| wrong(format!("`{name}` of `{key}` is {value}")))
            };
            match name.as_str() {
                "content" | "__type" | "id" => {}
                "lstrip" => token.lstrip = flag()?,
                "rstrip" => token.rstrip = flag()?,
                "single_word" => token.single_word = flag()?,
                "normalized" => normalized = Some(flag()?),
                "special" => token.special = flag()?,
                other => return Err(wrong(format!("`{key}` has the flag `{other}`, which is not known"))),
            }
        }
        token.normalized = normalized.unwrap_or(!token.special);
        token.special |= special;
        Ok(token)
    }
}

/// Whether a key names a special token that only some models have, as `image_token` does.
fn is_name(key: &str, value: &Value) -> bool {
    key.ends_with("_token")
        && !NAMED.contains(&key)
        && keys::does(key) == Does::Unknown
        && (value.is_string() || value.get("content").is_some())
}

fn list(map: &Map<String, Value>, key: &str) -> Vec<Value> {
    map.get(key).map(list_of).unwrap_or_default()
}

fn list_of(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
