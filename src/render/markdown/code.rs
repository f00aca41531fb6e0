//! Blocks of code, coloured when the site is built, by classes alone: the style sheet says what they look like in light and dark.
//!
//! Grammars are those of Sublime Text that the crate brings along. A language that it does not have is shown without colours; one
//! that nobody has is told as a warning, as it may be misspelt.

use std::sync::LazyLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use crate::render::text::escape_into;

static GRAMMARS: LazyLock<SyntaxSet> = LazyLock::new(SyntaxSet::load_defaults_newlines);

/// Names of languages that are fine, and shown without colours.
const PLAIN: [&str; 13] = [
    "", "text", "txt", "plain", "console", "csv", "tsv", "toml", "tera", "jinja", "jinja2", "jsonl", "mermaid",
];

/// Names that the grammars do not know, of languages that they do.
const ALSO: [(&str, &str); 3] = [("shell", "sh"), ("zsh", "sh"), ("jsonc", "json")];

/// Scopes by what they begin with, and their class; the innermost scope that is here decides.
static CLASSES: LazyLock<Vec<(Scope, &str)>> = LazyLock::new(|| {
    let classes = [
        ("comment", "hc"),
        ("constant", "hn"),
        ("string", "hs"),
        ("keyword.operator", ""),
        ("keyword", "hk"),
        ("storage", "hk"),
        ("entity.other.attribute-name", "ha"),
        ("entity.name", "hf"),
        ("support", "hf"),
        ("variable.function", "hf"),
        ("markup.heading", "hk"),
        ("markup.raw", "hs"),
    ];
    classes
        .into_iter()
        .filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, class)))
        .collect()
});

/// A block of code, in the language that its fence names.
pub fn html(code: &str, fence: &str) -> String {
    let language = language(fence);
    let mut html = String::with_capacity(code.len() * 2);
    html.push_str("<pre tabindex=\"0\"><code");
    if !language.is_empty() {
        html.push_str(" class=\"language-");
        escape_into(&language, &mut html);
        html.push('"');
    }
    html.push('>');
    let coloured = grammar(&language).and_then(|grammar| coloured(code, grammar));
    match coloured {
        Some(coloured) => html.push_str(&coloured),
        None => escape_into(code, &mut html),
    }
    html + "</code></pre>\n"
}

/// Whether a fence names a language that nobody knows.
pub fn is_unknown(fence: &str) -> bool {
    let language = language(fence);
    !PLAIN.contains(&language.as_str()) && grammar(&language).is_none()
}

/// `rust,ignore` and `Rust` are both `rust`.
fn language(fence: &str) -> String {
    let first = fence.split([',', ' ', '{']).next().unwrap_or_default();
    first.trim().to_lowercase()
}

fn grammar(language: &str) -> Option<&'static SyntaxReference> {
    if PLAIN.contains(&language) {
        return None;
    }
    let name = ALSO.iter().find(|(also, _)| *also == language);
    GRAMMARS.find_syntax_by_token(name.map_or(language, |(_, name)| name))
}

/// None where the grammar itself fails: the code is shown plain then.
fn coloured(code: &str, grammar: &SyntaxReference) -> Option<String> {
    let mut state = ParseState::new(grammar);
    let mut stack = ScopeStack::new();
    let mut painter = Painter::default();
    for line in code.split_inclusive('\n') {
        let mut from = 0;
        for (at, operation) in state.parse_line(line, &GRAMMARS).ok()? {
            painter.add(&line[from..at], class(&stack));
            from = at;
            stack.apply(&operation).ok()?;
        }
        painter.add(&line[from..], class(&stack));
    }
    Some(painter.finish())
}

fn class(stack: &ScopeStack) -> &'static str {
    let found = stack.as_slice().iter().rev().find_map(|scope| {
        let class = CLASSES.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope));
        class.map(|(_, class)| *class)
    });
    found.unwrap_or("")
}

/// Joins neighbours of one class, and leaves blanks without any.
#[derive(Default)]
struct Painter {
    html: String,
    open: &'static str,
}

impl Painter {
    fn add(&mut self, text: &str, class: &'static str) {
        if text.is_empty() {
            return;
        }
        if class != self.open && !text.trim().is_empty() {
            self.close();
            if !class.is_empty() {
                self.html.push_str("<span class=\"");
                self.html.push_str(class);
                self.html.push_str("\">");
            }
            self.open = class;
        }
        escape_into(text, &mut self.html);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.html.push_str("</span>");
        }
        self.open = "";
    }

    fn finish(mut self) -> String {
        self.close();
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_coloured_by_class_alone() {
        let found = html("# note\ntitle: \"a <b>\"\nsteps: 8\n", "yaml");
        assert!(
            found.starts_with("<pre tabindex=\"0\"><code class=\"language-yaml\"><span class=\"hc\"># note"),
            "{found}"
        );
        assert!(
            found.contains("<span class=\"hf\">title</span>")
                && found.contains("&lt;b&gt;")
                && found.contains("class=\"hn\">8"),
            "{found}"
        );
        assert!(!found.contains("style") && !found.contains("<b>"));
        assert!(html("fn main() {}", "rust,ignore").contains("class=\"hk\">fn"));
    }

    #[test]
    fn what_is_not_coloured_is_text() {
        assert_eq!(
            html("a < b\n", ""),
            "<pre tabindex=\"0\"><code>a &lt; b\n</code></pre>\n"
        );
        assert_eq!(
            html("x", "no\"such"),
            "<pre tabindex=\"0\"><code class=\"language-no&quot;such\">x</code></pre>\n"
        );
        assert!(is_unknown("pyhton") && !is_unknown("python") && !is_unknown("") && !is_unknown("toml"));
        assert!(!is_unknown("sh") && !is_unknown("bash") && !is_unknown("json") && !is_unknown("html"));
    }
}
