//! Formulas, `$…$` and `$$…$$`, as MathML, which browsers draw and screen readers read: no script and no font is
//! loaded.
//!
//! The site's policy forbids inline styles. So colours are refused, and two refinements of distance that the crate
//! writes as styles are left out: negative space, and the extra height of a line of a table.

use pulldown_latex::config::DisplayMode;
use pulldown_latex::event::{Content, EnvironmentFlow, Event, StateChange};
use pulldown_latex::{Parser, ParserError, RenderConfig, Storage, push_mathml};

use crate::guard::guarded;

/// Bytes of the longest formula.
pub const LONGEST: usize = 20_000;
/// How deep brackets may be nested in a formula: the crate goes through what is in them once a level.
pub const DEEPEST: usize = 64;

/// Formulas longer than this are read on a stack of their own, as the crate goes by calls within calls from one command
/// to the next.
const SHORT: usize = 1_000;
/// Bytes of that stack.
const STACK: usize = 64 << 20;

/// A formula as MathML; a displayed one is a line of its own, to be scrolled when it is wide. The error says what is
/// wrong with it.
pub fn html(tex: &str, display: bool) -> Result<String, String> {
    if tex.len() > LONGEST {
        return Err(format!("a formula of {} bytes; {LONGEST} are the most", tex.len()));
    }
    if depth(tex) > DEEPEST {
        return Err(format!("brackets within brackets, more than {DEEPEST} deep"));
    }
    let read = || guarded(|| mathml(tex, display));
    let made = if tex.len() <= SHORT {
        read()
    } else {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
            let read = thread.map(|thread| thread.join().unwrap_or_else(|_| Err(String::new())));
            read.unwrap_or_else(|error| Err(error.to_string()))
        })
    };
    let made = made.map_err(|_| "a formula that the TeX reader cannot take".to_owned())?;
    made.map(|maths| {
        if display {
            format!("<span class=\"maths\" role=\"group\" aria-label=\"Formula\" tabindex=\"0\">{maths}</span>")
        } else {
            maths
        }
    })
}

/// How deep the brackets of a formula are nested: braces, `\left` and environments.
fn depth(tex: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let mut rest = tex;
    while let Some(at) = rest.find(['{', '}', '\\']) {
        let found = &rest[at..];
        let mut length = 1;
        if found.starts_with('{') {
            now += 1;
        } else if found.starts_with('}') {
            now = now.saturating_sub(1);
        } else if found.starts_with("\\left") || found.starts_with("\\begin") {
            now += 1;
        } else if found.starts_with("\\right") || found.starts_with("\\end") {
            now = now.saturating_sub(1);
        } else {
            // A brace behind a backslash is only shown.
            length += found[1..].chars().next().map_or(0, char::len_utf8);
        }
        deepest = deepest.max(now);
        rest = &found[length..];
    }
    deepest
}

fn mathml(tex: &str, display: bool) -> Result<String, String> {
    let storage = Storage::new();
    let mut events = Vec::new();
    for event in Parser::new(tex, &storage) {
        events.push(match event.map_err(|error| in_short(&error))? {
            Event::StateChange(StateChange::Color(_)) => {
                return Err("a colour in a formula: the site's policy forbids inline styles".to_owned());
            }
            Event::Space {
                width: Some(mut width),
                height,
                depth,
            } => {
                width.value = width.value.max(0.0);
                Event::Space {
                    width: Some(width),
                    height,
                    depth,
                }
            }
            Event::EnvironmentFlow(EnvironmentFlow::NewLine { horizontal_lines, .. }) => {
                Event::EnvironmentFlow(EnvironmentFlow::NewLine {
                    spacing: None,
                    horizontal_lines,
                })
            }
            Event::Content(Content::Function(name)) if name.contains(['<', '>', '&']) => {
                return Err(format!("an operator with the name `{name}`"));
            }
            other => other,
        });
    }
    let config = RenderConfig {
        display_mode: if display {
            DisplayMode::Block
        } else {
            DisplayMode::Inline
        },
        ..RenderConfig::default()
    };
    let mut maths = String::new();
    push_mathml(&mut maths, events.into_iter().map(Ok::<_, ParserError>), config).map_err(|error| error.to_string())?;
    // What the crate could not make sense of stands in `merror`, in a colour of its own.
    if maths.contains("<merror") || maths.contains(" style=") {
        return Err("a formula that the TeX reader cannot take".to_owned());
    }
    Ok(well_formed(&maths))
}

/// The crate writes the operators `<` and `&` as they are, and no blank before the size of a large bracket.
fn well_formed(maths: &str) -> String {
    let maths = &maths.replace("\"minsize=", "\" minsize=");
    let mut out = String::with_capacity(maths.len());
    let mut rest = maths.as_str();
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let is_tag = after
            .trim_start_matches('/')
            .starts_with(|c: char| c.is_ascii_lowercase());
        let is_entity = ["amp;", "lt;", "gt;", "nbsp;"]
            .iter()
            .any(|entity| after.starts_with(entity));
        match &rest[at..=at] {
            "<" if !is_tag => out.push_str("&lt;"),
            "&" if !is_entity => out.push_str("&amp;"),
            plain => out.push_str(plain),
        }
        rest = after;
    }
    out + rest
}

/// The crate's message without the picture of the place that follows it.
fn in_short(error: &ParserError) -> String {
    let told = error.to_string();
    let line = told.lines().next().unwrap_or_default();
    let line = line.strip_prefix("parsing error: ").unwrap_or(line);
    line.replace("unkown", "unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_brackets_are_valid() {
        let html = html(r"\bigl( x \bigr)", true).expect("fine");
        assert!(html.contains("\" minsize=") && !html.contains("\"minsize="), "{html}");
    }

    #[test]
    fn formulas_become_mathml_without_styles() {
        let inline = html(r"\alpha \in [0, 1]", false).expect("fine");
        assert!(inline.starts_with("<math") && inline.contains("<mi>α</mi>"), "{inline}");
        for tex in [
            r"\int_0^1 \frac{\partial F}{\partial x_i}\!\left(\alpha\right) \, d\alpha",
            r"\begin{aligned} a &= b \\[2em] &= c \end{aligned}",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
            r"\begin{array}{l|c} a & b \\ \hline c & d \end{array}",
            r"\text{if } x \not= y \kern-2em z",
        ] {
            let block = html(tex, true).unwrap_or_else(|error| panic!("{tex}: {error}"));
            assert!(
                block.contains("display=\"block\"") && !block.contains("style="),
                "{block}"
            );
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let found = html(r"\text{<script>alert(1)</script>} < a \not< b \& c > \mathbf{<}", false).expect("fine");
        assert!(!found.contains("<script") && found.contains("<mo>&lt;</mo>"), "{found}");
        assert!(!found.contains("<<") && found.contains("&amp;"), "{found}");
        assert!(html(r"\operatorname{<img src=x>}", false).is_err());
    }

    #[test]
    fn size_and_depth_have_bounds() {
        let nested = |depth: usize| format!("{}x{}", "{".repeat(depth), "}".repeat(depth));
        assert!(html(&nested(DEEPEST), false).is_ok());
        assert!(
            html(&nested(DEEPEST + 1), false)
                .expect_err("too deep")
                .contains("64 deep")
        );
        assert!(
            html(&"x".repeat(LONGEST + 1), true)
                .expect_err("too long")
                .contains("20000 are the most")
        );
        assert_eq!(depth(r"\{\{ {a}{b{c}} \left( \begin{x} \end{x} \right) \\{{"), 3);
    }

    #[test]
    fn the_longest_formulas_end_soon_and_on_a_small_stack() {
        let began = std::time::Instant::now();
        for piece in [
            r"\sqrt",
            r"\frac1",
            r"\sqrt[3]",
            r"\relax",
            r"\displaystyle",
            "x^",
            "x_a^b",
            "{}",
            "{",
            "}",
            r"\left(",
            r"\text{a}",
            r"\hat",
            r"\begin{matrix}",
            r"\def\a{\a\a}\a",
            r"\not",
            "&",
            r"\\",
            "'",
            r"\over",
            r"\mathbf",
            r"\operatorname{x}",
            r"\binom1",
            "a",
        ] {
            let tex = piece.repeat(LONGEST / piece.len());
            let small = std::thread::Builder::new().stack_size(512 << 10);
            let read = small.spawn(move || (html(&tex, true).is_ok(), html(&tex[..SHORT], false).is_ok()));
            read.expect("a thread").join().unwrap_or_else(|_| panic!("{piece}"));
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn errors_are_one_line() {
        assert_eq!(
            html(r"\frac{1}{", false),
            Err("unbalanced group found, expected it to be closed with `}`".to_owned())
        );
        assert_eq!(
            html(r"\nosuchthing", false),
            Err("unknown primitive command found".to_owned())
        );
        assert!(html(r"\color{red} x", false).expect_err("refused").contains("colour"));
    }
}
