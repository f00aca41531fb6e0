//! Checks a template's source before it is parsed: is it small enough for a parser's recursion, and does it have the
//! one statement of transformers that Jinja does not have?
//!
//! `{% generation %} … {% endgeneration %}` marks the assistant's text, for training. It does not change the text.
//! Names that are set within it are not known outside, as in a `with` block, which replaces it.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Result};

/// Bytes of a template. Those of models have up to some ten thousand.
const LONGEST: usize = 1 << 18;
/// Words and signs of one tag, which may all be nested: `not not …`, `a.b.c…`. Those of models have up to some hundred.
const MOST_WORDS: usize = 5_000;
/// Tags, which may all be nested: `{% elif … %}`. Those of models have up to some hundred.
const MOST_TAGS: usize = 5_000;

/// The source as it is parsed.
///
/// # Errors
/// It is too long, or what may be nested is too much.
pub fn prepared(source: &str) -> Result<String> {
    let too_large = |what: String, most: usize| {
        Err(Diagnostic::checkpoint(format!("the chat template has {what}"))
            .expected(format!("at most {most}"))
            .help("no template of a model is this large: get the file from where the model is published, or write `prompt_style: plain`"))
    };
    if source.len() > LONGEST {
        return too_large(format!("{} bytes", source.len()), LONGEST);
    }
    let tags = tags(source);
    if tags.len() > MOST_TAGS {
        return too_large(format!("{} tags", tags.len()), MOST_TAGS);
    }
    let mut prepared = String::with_capacity(source.len());
    let mut copied = 0;
    for tag in tags {
        let text = &source[tag.clone()];
        let words = words(text);
        if words > MOST_WORDS {
            return too_large(format!("a tag of {words} words and signs"), MOST_WORDS);
        }
        if let Some(other) = block(text) {
            prepared += &source[copied..tag.start];
            prepared += &other;
            copied = tag.end;
        }
    }
    prepared += &source[copied..];
    Ok(prepared)
}

/// What replaces a tag that Jinja does not have.
fn block(tag: &str) -> Option<String> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let name = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
    let other = match name {
        "generation" => "with",
        "endgeneration" => "endwith",
        _ => return None,
    };
    Some(format!("{{%{}%}}", inner.replacen(name, other, 1)))
}

/// Where the tags `{{ … }}` and `{% … %}` are; not those of comments and of raw text. One that is not closed ends with
/// the source.
fn tags(source: &str) -> Vec<Range<usize>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(found) = source[at..].find('{').map(|found| at + found) {
        let rest = &source[found..];
        let end = match rest.as_bytes().get(1) {
            Some(b'#') => {
                at = rest.find("#}").map_or(source.len(), |end| found + end + 2);
                continue;
            }
            Some(b'{') => found + length(rest, "}}"),
            Some(b'%') => found + length(rest, "%}"),
            _ => {
                at = found + 1;
                continue;
            }
        };
        tags.push(found..end);
        at = end;
        if is_statement(&source[found..end], "raw") {
            at = after_raw(source, end);
        }
    }
    tags
}

/// Where raw text ends: at the start of its `{% endraw %}`.
fn after_raw(source: &str, mut at: usize) -> usize {
    while let Some(found) = source[at..].find("{%").map(|found| at + found) {
        let end = source[found..].find("%}").map_or(source.len(), |end| found + end + 2);
        if is_statement(&source[found..end], "endraw") {
            return found;
        }
        at = found + 2;
    }
    source.len()
}

fn is_statement(tag: &str, name: &str) -> bool {
    let inner = tag.strip_prefix("{%").and_then(|tag| tag.strip_suffix("%}"));
    inner.is_some_and(|inner| inner.trim_matches(['-', '+']).trim() == name)
}

/// Bytes of a tag up to its end, which may also stand within a text in quotes.
fn length(rest: &str, end: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(mark) if c == mark => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if rest[at..].starts_with(end) => return at + end.len(),
            None => {}
        }
    }
    rest.len()
}

/// Words and signs of a tag, a text in quotes as one: no nesting has more levels.
fn words(tag: &str) -> usize {
    let (mut count, mut within, mut quote, mut escaped) = (0, false, None, false);
    for c in tag.chars() {
        if let Some(mark) = quote {
            if !escaped && c == mark {
                quote = None;
            }
            escaped = !escaped && c == '\\';
            continue;
        }
        if c == '"' || c == '\'' {
            quote = Some(c);
        }
        let word = c.is_alphanumeric() || c == '_';
        if !(c.is_whitespace() || word && within) {
            count += 1;
        }
        within = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_assistant_says_becomes_a_block() {
        for (source, expected) in [
            ("{% generation %}x{% endgeneration %}", "{% with %}x{% endwith %}"),
            ("{%- generation -%}x{%-endgeneration+%}", "{%- with -%}x{%-endwith+%}"),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            (
                "{% raw %}{% generation %}{% endraw %}",
                "{% raw %}{% generation %}{% endraw %}",
            ),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            ("{{ \"\\\"}}\" }}{% generation %}", "{{ \"\\\"}}\" }}{% with %}"),
            ("{% set generation = 1 %}{ % {%", "{% set generation = 1 %}{ % {%"),
        ] {
            assert_eq!(prepared(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn what_may_be_nested_is_bounded() {
        let nested = format!("{{{{ {}1 }}}}", "not ".repeat(20_000));
        assert!(
            prepared(&nested).unwrap_err().message.contains("a tag of 20005 words"),
            "{nested:.40}"
        );
        assert!(
            prepared(&"{%elif a%}".repeat(6_000))
                .unwrap_err()
                .message
                .contains("6000 tags")
        );
        assert!(prepared(&" ".repeat(LONGEST + 1)).is_err());
        // A long text is no nesting.
        assert!(prepared(&"word ".repeat(40_000)).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(source in "[{}%#'\"\\\\ a-é\n-]{0,60}(raw|generation)?[{}%# a]{0,20}") {
            _ = prepared(&source);
        }
    }
}
