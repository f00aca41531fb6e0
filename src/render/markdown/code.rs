//! Blocks of code, coloured when the site is built, by classes alone: the style sheet says what they look like in light
//! and dark.
//!
//! Grammars are those of Sublime Text that the crate brings along. A language that it does not have is shown without
//! colours; one that nobody has is told as a warning, as it may be misspelt.
//!
//! Grammars are hundreds of patterns, tried at every place of a line over the rest of it: some lines take seconds. So
//! only so much is coloured, by measures that are the same on every machine; past them code is shown plain, and that is
//! told. What these measures do not hold is an error, never a page that looks different the next time.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

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

/// Bytes of the longest line that is coloured; code is no longer to be read on one.
pub const LONGEST_LINE: usize = 500;
/// Bytes of the longest block that is coloured.
pub const LONGEST_BLOCK: usize = 20_000;
/// Bytes of all blocks of a text that are coloured.
pub const MOST: usize = 100_000;
/// How long colouring a text may take; where it does, it is refused.
pub const LONGEST: Duration = Duration::from_secs(60);

/// How much of a text was coloured so far.
#[derive(Default)]
pub struct Colours {
    bytes: usize,
    time: Duration,
}

/// A block of code as HTML.
pub struct Shown {
    /// The block.
    pub html: String,
    /// Why it has no colours, where its language has some.
    pub plain: Option<String>,
}

impl Colours {
    /// A block of code, in the language that its fence names.
    ///
    /// # Errors
    /// Colouring it takes too long.
    pub fn html(&mut self, code: &str, fence: &str) -> Result<Shown, String> {
        let language = language(fence);
        let Some(grammar) = grammar(&language) else {
            return Ok(Shown {
                html: block(&language, code, None),
                plain: None,
            });
        };
        let longest = code.split_inclusive('\n').map(str::len).max().unwrap_or(0);
        let plain = if longest > LONGEST_LINE {
            Some(format!(
                "a line of {longest} bytes; lines of {LONGEST_LINE} at most are coloured"
            ))
        } else if code.len() > LONGEST_BLOCK {
            Some(format!(
                "{} bytes; blocks of {LONGEST_BLOCK} at most are coloured",
                code.len()
            ))
        } else if self.bytes + code.len() > MOST {
            Some(format!("more code than is coloured on one page, {MOST} bytes"))
        } else {
            None
        };
        if plain.is_some() {
            return Ok(Shown {
                html: block(&language, code, None),
                plain,
            });
        }
        self.bytes += code.len();
        let began = Instant::now();
        let within = LONGEST.saturating_sub(self.time);
        let coloured = coloured(code, grammar, || began.elapsed() < within)?;
        self.time += began.elapsed();
        Ok(Shown {
            html: block(&language, code, coloured.as_deref()),
            plain: None,
        })
    }
}

/// A block; without colours where there are none.
fn block(language: &str, code: &str, coloured: Option<&str>) -> String {
    let mut html = String::with_capacity(code.len() * 2);
    html.push_str("<pre tabindex=\"0\"><code");
    if !language.is_empty() {
        html.push_str(" class=\"language-");
        escape_into(language, &mut html);
        html.push('"');
    }
    html.push('>');
    match coloured {
        Some(coloured) => html.push_str(coloured),
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

/// None where the grammar itself fails: the code is shown plain then. `in_time` is called after each line.
fn coloured(code: &str, grammar: &SyntaxReference, in_time: impl Fn() -> bool) -> Result<Option<String>, String> {
    let mut state = ParseState::new(grammar);
    let mut stack = ScopeStack::new();
    let mut painter = Painter::default();
    for line in code.split_inclusive('\n') {
        let mut from = 0;
        let Ok(operations) = state.parse_line(line, &GRAMMARS) else {
            return Ok(None);
        };
        for (at, operation) in operations {
            painter.add(&line[from..at], class(&stack));
            from = at;
            if stack.apply(&operation).is_err() {
                return Ok(None);
            }
        }
        painter.add(&line[from..], class(&stack));
        if !in_time() {
            return Err(format!(
                "code that takes more than {} s to be coloured, with what stands before it",
                LONGEST.as_secs()
            ));
        }
    }
    Ok(Some(painter.finish()))
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

    fn html(code: &str, fence: &str) -> String {
        Colours::default().html(code, fence).expect("in time").html
    }

    #[test]
    fn what_is_too_much_is_shown_plain_and_told() {
        let plain = |code: &str| {
            let shown = Colours::default().html(code, "json").expect("in time");
            assert_eq!(shown.plain.is_some(), !shown.html.contains("<span"));
            shown.plain.unwrap_or_default()
        };
        let line = |length: usize| format!("[{}]\n", "1".repeat(length - 3));
        assert_eq!(plain(&line(LONGEST_LINE)), "");
        assert!(plain(&line(LONGEST_LINE + 1)).starts_with("a line of 501 bytes"));
        assert_eq!(plain(&line(100).repeat(LONGEST_BLOCK / 100)), "");
        assert!(plain(&line(100).repeat(LONGEST_BLOCK / 100 + 1)).starts_with("20100 bytes"));
        let mut colours = Colours {
            bytes: MOST - 150,
            ..Colours::default()
        };
        assert!(
            colours
                .html(&line(100), "json")
                .is_ok_and(|shown| shown.plain.is_none())
        );
        assert!(
            colours
                .html(&line(100), "json")
                .is_ok_and(|shown| shown.plain.is_some())
        );
        assert!(
            colours
                .html(&line(100), "text")
                .is_ok_and(|shown| shown.plain.is_none())
        );
    }

    #[test]
    #[ignore = "takes minutes: what blocks of the largest size cost, by language"]
    fn the_slowest_code() {
        let mut all = Vec::new();
        for grammar in GRAMMARS.syntaxes() {
            for line in [
                "a b c ",
                "\"",
                "def a(b) = \"#{b}\" if b =~ /c/ # d ",
                "((((",
                "{[(<",
                "a.b::c->d ",
                "<a b='c'>",
                "\\\\a{",
                "    ",
                "aaaaaaaa",
                "/ / ",
                "%w[a] ",
                "$a @b #c ",
            ] {
                for length in [60, LONGEST_LINE - 1] {
                    let line: String = line.chars().cycle().take(length).chain(['\n']).collect();
                    let code = line.repeat(LONGEST_BLOCK / line.len());
                    let began = Instant::now();
                    let done = coloured(&code, grammar, || began.elapsed() < LONGEST);
                    all.push((
                        began.elapsed(),
                        grammar.name.clone(),
                        length,
                        line[..12].to_owned(),
                        done.is_ok(),
                    ));
                }
            }
        }
        all.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
        let told: Vec<String> = all.iter().take(40).map(|one| format!("{one:?}")).collect();
        eprintln!("{}", told.join("\n"));
    }

    #[test]
    fn what_takes_too_long_is_an_error() {
        let grammar = grammar("json").expect("a grammar");
        let error = coloured("[1]\n", grammar, || false).expect_err("too long");
        assert!(error.contains("60 s"), "{error}");
    }

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
