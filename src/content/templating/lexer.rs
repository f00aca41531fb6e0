//! A template taken apart as Tera takes it apart (its `parsing/lexer.rs`): outputs, tags, and the tokens inside. What
//! Tera would refuse ends the list early; Tera itself says what is wrong with it.

/// A `{{ … }}` or `{% … %}`.
#[derive(Debug)]
pub struct Tag<'t> {
    /// Whether it is `{{ … }}`.
    pub output: bool,
    /// The byte on which it begins.
    pub at: usize,
    /// The byte behind it.
    pub end: usize,
    /// Whether it takes the blanks before it away (`{{-`).
    pub trims_before: bool,
    /// Whether it takes the blanks after it away (`-}}`).
    pub trims_after: bool,
    /// What is inside.
    pub tokens: Vec<Token<'t>>,
}

/// A word, number, text in quotes, or operator.
#[derive(Clone, Copy, Debug)]
pub struct Token<'t> {
    /// As written.
    pub text: &'t str,
    /// The byte on which it begins.
    pub at: usize,
}

impl Token<'_> {
    /// The byte behind it.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is a word.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    /// The text within its quotes, where it has any.
    pub fn quoted(&self) -> Option<&str> {
        let quote = self.text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
        self.text.strip_prefix(quote)?.strip_suffix(quote)
    }
}

/// Operators of several characters, the longer before what they begin with.
const LONG: [&str; 10] = ["...", "//", "**", "==", "!=", ">=", "<=", "</", "?.", "?["];

/// All tags of a template, in order.
pub fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = next_marker(text, at) {
        let trims_before = text.as_bytes().get(start + 2) == Some(&b'-');
        let inner = start + 2 + usize::from(trims_before);
        let next = match text.as_bytes()[start + 1] {
            b'#' => text[inner..].find("#}").map(|end| inner + end + 2),
            b'%' if skipped(&text[inner..], "raw").is_some() => behind_raw(text, inner),
            second => tag(text, start, inner, second == b'{').map(|tag| {
                let end = tag.end;
                found.push(Tag { trims_before, ..tag });
                end
            }),
        };
        let Some(next) = next else { break };
        at = next;
    }
    found
}

/// Where the next `{{`, `{%` or `{#` stands.
fn next_marker(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'{', &bytes[from..])
        .map(|at| from + at)
        .find(|at| matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#')))
}

/// The length of `-? NAME -?%}` where the text begins with it.
fn skipped(text: &str, name: &str) -> Option<usize> {
    let blanks = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let rest = rest[rest.len() - blanks(rest)..].strip_prefix(name)?;
    let rest = &rest[rest.len() - blanks(rest)..];
    let rest = rest.strip_prefix('-').unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

/// The byte behind `{% endraw %}`.
fn behind_raw(text: &str, inner: usize) -> Option<usize> {
    let mut starts = text[inner..].match_indices("{%").map(|(at, _)| inner + at + 2);
    starts.find_map(|at| Some(at + skipped(&text[at..], "endraw")?))
}

fn tag(text: &str, start: usize, inner: usize, output: bool) -> Option<Tag<'_>> {
    let closing = if output { "}}" } else { "%}" };
    let mut tokens = Vec::new();
    let mut at = inner;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
        let rest = &text[at..];
        let trims_after = rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(closing));
        if trims_after || rest.starts_with(closing) {
            return Some(Tag {
                output,
                at: start,
                end: at + usize::from(trims_after) + 2,
                trims_before: false,
                trims_after,
                tokens,
            });
        }
        let length = token_length(rest)?;
        tokens.push(Token {
            text: &rest[..length],
            at,
        });
        at += length;
    }
}

/// The length of the token that a text begins with; none where it is nothing that Tera knows.
fn token_length(rest: &str) -> Option<usize> {
    if let Some(long) = LONG.iter().find(|long| rest.starts_with(*long)) {
        return Some(long.len());
    }
    let bytes = rest.as_bytes();
    match *bytes.first()? {
        quote @ (b'"' | b'\'' | b'`') => {
            let mut escaped = false;
            let closing = bytes[1..].iter().position(|&byte| {
                let closes = !escaped && byte == quote;
                escaped = !escaped && byte == b'\\';
                closes
            });
            closing.map(|length| length + 2)
        }
        b'0'..=b'9' => {
            let mut point = false;
            let ends = |byte: &u8| {
                let first_point = *byte == b'.' && !point;
                point |= first_point;
                !(byte.is_ascii_digit() || first_point)
            };
            Some(bytes.iter().position(ends).unwrap_or(bytes.len()))
        }
        first if first.is_ascii_alphabetic() || first == b'_' => {
            let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || *byte == b'_');
            Some(bytes.iter().position(ends).unwrap_or(bytes.len()))
        }
        first if b"+-*/%!.,:~|=><()[]{}@".contains(&first) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tags(text)
            .iter()
            .map(|tag| tag.tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn tags_are_found_as_tera_finds_them() {
        let text = "a {{ b | c(d=\"}} \\\" {{\") }} {# {{ no }} #}{%- raw -%}{{ no }}{% endraw %}{%if x-%}{{-y-}}{{ 1.5~z?.w }}{{ {'a':1} }}";
        assert_eq!(
            words(text),
            [
                "b | c ( d = \"}} \\\" {{\" )",
                "if x",
                "y",
                "1.5 ~ z ?. w",
                "{ 'a' : 1 }"
            ]
        );
        let tags = tags(text);
        assert!(tags[1].trims_after && tags[2].trims_before && tags[2].trims_after && !tags[2].tokens.is_empty());
        assert_eq!(&text[tags[2].at..tags[2].end], "{{-y-}}");
    }

    #[test]
    fn what_never_ends_ends_the_list() {
        for text in [
            "{{ a",
            "{% raw %}{{ b }}",
            "{# c",
            "{{ \"d }}",
            "{{ ä }}",
            "{",
            "{{",
            "{%-",
        ] {
            assert!(tags(&format!("{{{{ x }}}}{text}")).len() == 1, "{text}");
        }
    }
}
