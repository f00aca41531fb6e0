//! What is explained.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an author asks to have explained.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The token that the model itself predicts.
    Predicted,
    /// The option that is right for the sample.
    Gold,
    /// Each option in turn.
    AllOptions,
    /// One option, by its letter.
    Option(String),
    /// Any token, by its text.
    Token(String),
    /// A text behind the prompt, of one token or several.
    Text(String),
    /// What the model itself says (`generate`).
    Generated,
    /// The first minus the second.
    Contrast(Box<Target>, Box<Target>),
}

/// As shortcodes name it: `predicted`, an option's letter, `token:…`, `text:…`, `generated`, `B-D`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Predicted => f.write_str("predicted"),
            Self::Gold => f.write_str("gold"),
            Self::AllOptions => f.write_str("all_options"),
            Self::Option(letter) => f.write_str(letter),
            Self::Token(text) => write!(f, "token:{text}"),
            Self::Text(text) => write!(f, "text:{text}"),
            Self::Generated => f.write_str("generated"),
            Self::Contrast(first, second) => write!(f, "{first}-{second}"),
        }
    }
}

words! {
    /// What kind of thing a map explains.
    pub enum TargetKind {
        /// The token that the model predicts.
        Predicted = "predicted",
        /// The right option.
        Gold = "gold",
        /// An option.
        Option = "option",
        /// Any token.
        Token = "token",
        /// One token minus another.
        Contrast = "contrast",
        /// A text of one token or several.
        Text = "text",
        /// What the model said.
        Generated = "generated",
    }
}

words! {
    /// Why there is no map of a target.
    pub enum Absent {
        /// The model generated nothing: it stopped at once.
        NothingGenerated = "nothing_generated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_users_committed_are_keyed_by_these_words() {
        let option = |letter: &str| Box::new(Target::Option(letter.to_owned()));
        for (target, json) in [
            (Target::Predicted, r#""predicted""#),
            (Target::Gold, r#""gold""#),
            (Target::AllOptions, r#""all_options""#),
            (Target::Token(" x".to_owned()), r#"{"token":" x"}"#),
            (Target::Text(" x y".to_owned()), r#"{"text":" x y"}"#),
            (Target::Generated, r#""generated""#),
            (
                Target::Contrast(option("B"), Box::new(Target::Gold)),
                r#"{"contrast":[{"option":"B"},"gold"]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&target).unwrap(), json);
            assert_eq!(serde_json::from_str::<Target>(json).unwrap(), target);
        }
    }
}
