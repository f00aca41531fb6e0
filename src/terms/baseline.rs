//! Where a path starts, or what an input is compared with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What stands before the text of a token.
const TOKEN: &str = "token:";
/// What stands before the α at which a path from the zero vector is entered.
const ZERO_FROM: &str = "zero from ";

/// Where the straight path from the zero vector to the input is entered: at α of the input. Above 0, below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathStart(f64);

impl PathStart {
    /// An α this small still leaves an embedding a normal float32: 1e-30 of numbers around 1e-3 and more.
    pub const SMALLEST: f64 = 1e-30;

    /// None where α is not in [[`Self::SMALLEST`], 1).
    pub fn new(alpha: f64) -> Option<Self> {
        (Self::SMALLEST..1.0).contains(&alpha).then_some(Self(alpha))
    }

    /// α
    pub fn alpha(self) -> f64 {
        self.0
    }
}

// Numbers above 0 are equal, and sort, as their bits are and do.
impl Eq for PathStart {}

impl std::hash::Hash for PathStart {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl PartialOrd for PathStart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathStart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl fmt::Display for PathStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1e-4 {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:e}", self.0)
        }
    }
}

impl FromStr for PathStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let alpha = text.parse().ok().and_then(Self::new);
        alpha.ok_or_else(|| format!("`{text}` is no α from {:e} to 1", Self::SMALLEST))
    }
}

/// A baseline as an author names it: one vector, at every position of the prompt; or a point between the zero vector
/// and the input. Written `zero`, …, `token:…`, `zero from 0.0001` in records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Baseline {
    /// The zero vector.
    Zero,
    /// The input, made this many times smaller: a start of the path from the zero vector away from it.
    ZeroFrom(PathStart),
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

    /// Whether a test that puts this vector in the place of words favours maps from that one, as far as their names tell:
    /// see [`BaselineVector::is_as_good_as`], which knows what they are to a model.
    pub fn is_as_good_as(&self, other: &Self) -> bool {
        let zero = |baseline: &Self| matches!(baseline, Self::Zero | Self::ZeroFrom(_));
        self == other || zero(self) && zero(other)
    }

    /// It in words, behind "from the": `zero vector`, `token “.”`.
    pub fn name(&self) -> String {
        match self {
            Self::Zero => "zero vector".to_owned(),
            Self::ZeroFrom(start) => format!("zero vector, path from {start} of the input"),
            Self::Mean => "mean embedding".to_owned(),
            Self::Token(text) => format!("token “{text}”"),
            other => format!("{other} token"),
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(text) => write!(f, "{TOKEN}{text}"),
            Self::ZeroFrom(start) => write!(f, "{ZERO_FROM}{start}"),
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
        if let Some(start) = text.strip_prefix(ZERO_FROM) {
            return start.parse().map(Self::ZeroFrom);
        }
        let known = Self::WORDS.iter().find(|(word, _)| *word == text);
        known
            .map(|(_, baseline)| baseline.clone())
            .ok_or_else(|| format!("`{text}` is no baseline"))
    }
}

/// Which vector a baseline is for a model. Written `zero`, `zero from 0.0001`, `mean` or `token 2` in keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum BaselineVector {
    /// The zero vector.
    Zero,
    /// The input times this α.
    ZeroFrom(PathStart),
    /// The mean of the embedding table's rows.
    Mean,
    /// The embedding of a token.
    Token(u32),
}

impl BaselineVector {
    /// Where the path from the zero vector is entered; 0 where it is walked from its beginning.
    pub fn from(self) -> f64 {
        match self {
            Self::ZeroFrom(start) => start.alpha(),
            Self::Zero | Self::Mean | Self::Token(_) => 0.0,
        }
    }

    /// Whether the path is one from the zero vector, whole or in part.
    pub fn on_path_from_zero(self) -> bool {
        matches!(self, Self::Zero | Self::ZeroFrom(_))
    }

    /// Whether a test that puts this vector in the place of words favours maps from that one: it is the same, or both are
    /// the zero vector, wherever the path is entered.
    pub fn is_as_good_as(self, other: Self) -> bool {
        self == other || self.on_path_from_zero() && other.on_path_from_zero()
    }
}

impl fmt::Display for BaselineVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("zero"),
            Self::ZeroFrom(start) => write!(f, "{ZERO_FROM}{start}"),
            Self::Mean => f.write_str("mean"),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}

impl FromStr for BaselineVector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(start) = text.strip_prefix(ZERO_FROM) {
            return start.parse().map(Self::ZeroFrom);
        }
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
        let starts = [1e-30, 1e-4, 0.1 + 0.2].map(|alpha| PathStart::new(alpha).unwrap());
        let entered = starts.map(Baseline::ZeroFrom);
        let tokens = [Baseline::Token(" x".into()), Baseline::Token("token:".into())];
        for baseline in named.chain(tokens).chain(entered) {
            let json = serde_json::to_string(&baseline).unwrap();
            assert_eq!(serde_json::from_str::<Baseline>(&json).unwrap(), baseline, "{json}");
        }
        assert!(serde_json::from_str::<Baseline>("\"zeros\"").is_err());
        let entered = starts.map(BaselineVector::ZeroFrom);
        for vector in [BaselineVector::Zero, BaselineVector::Mean, BaselineVector::Token(7)]
            .into_iter()
            .chain(entered)
        {
            assert_eq!(vector.to_string().parse(), Ok(vector));
        }
        assert_eq!(entered[1].to_string(), "zero from 0.0001");
        for bad in [
            "zero from 0",
            "zero from 1",
            "zero from -0.1",
            "zero from NaN",
            "zero from 1e-31",
            "zero from ",
        ] {
            assert!(bad.parse::<BaselineVector>().is_err(), "{bad}");
            assert!(Baseline::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!("token -1".parse::<BaselineVector>().is_err());
    }
}
