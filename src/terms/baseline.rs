//! Where a path starts, or what an input is compared with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What stands before the text of a token.
const TOKEN: &str = "token:";

/// A baseline as an author names it: one vector, at every position of the prompt. Written `zero`, …, `token:…` in
/// records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Baseline {
    /// The zero vector.
    Zero,
    /// The mean of the embedding table's rows.
    Mean,
    /// The embedding of the padding token.
    Pad,
    /// The embedding of the end-of-text token.
    Eos,
    /// The embedding of the beginning-of-text token.
    Bos,
    /// The embedding of the unknown token.
    Unk,
    /// The embedding of any token, by its text.
    Token(String),
}

impl Baseline {
    /// Those that are one word.
    pub const WORDS: &[(&str, Self)] = &[
        ("zero", Self::Zero),
        ("mean", Self::Mean),
        ("pad", Self::Pad),
        ("eos", Self::Eos),
        ("bos", Self::Bos),
        ("unk", Self::Unk),
    ];
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(text) => write!(f, "{TOKEN}{text}"),
            word => {
                let known = Self::WORDS.iter().find(|(_, baseline)| baseline == word);
                f.write_str(known.map_or("", |(word, _)| word))
            }
        }
    }
}

impl From<Baseline> for String {
    fn from(baseline: Baseline) -> Self {
        baseline.to_string()
    }
}

impl TryFrom<String> for Baseline {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(token) = text.strip_prefix(TOKEN) {
            return Ok(Self::Token(token.to_owned()));
        }
        let known = Self::WORDS.iter().find(|(word, _)| *word == text);
        known
            .map(|(_, baseline)| baseline.clone())
            .ok_or_else(|| format!("`{text}` is no baseline"))
    }
}

/// Which vector a baseline is for a model. Written `zero`, `mean` or `token 2` in keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum BaselineVector {
    /// The zero vector.
    Zero,
    /// The mean of the embedding table's rows.
    Mean,
    /// The embedding of a token.
    Token(u32),
}

impl fmt::Display for BaselineVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("zero"),
            Self::Mean => f.write_str("mean"),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}

impl FromStr for BaselineVector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("token ").map(str::parse)) {
            ("zero", _) => Ok(Self::Zero),
            ("mean", _) => Ok(Self::Mean),
            (_, Some(Ok(id))) => Ok(Self::Token(id)),
            _ => Err(format!("`{text}` is no baseline vector")),
        }
    }
}

impl From<BaselineVector> for String {
    fn from(vector: BaselineVector) -> Self {
        vector.to_string()
    }
}

impl TryFrom<String> for BaselineVector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_reads_back_from_its_name() {
        let named = Baseline::WORDS.iter().map(|(_, baseline)| baseline.clone());
        for baseline in named.chain([Baseline::Token(" x".into()), Baseline::Token("token:".into())]) {
            let json = serde_json::to_string(&baseline).unwrap();
            assert_eq!(serde_json::from_str::<Baseline>(&json).unwrap(), baseline, "{json}");
        }
        assert!(serde_json::from_str::<Baseline>("\"zeros\"").is_err());
        for vector in [BaselineVector::Zero, BaselineVector::Mean, BaselineVector::Token(7)] {
            assert_eq!(vector.to_string().parse(), Ok(vector));
        }
        assert!("token -1".parse::<BaselineVector>().is_err());
    }
}
