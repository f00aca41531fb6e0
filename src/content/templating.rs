//! What a Tera error says, taken apart: the message by itself, the template, the place in it. And how much work a
//! template may do: `metered.rs` rewrites it so that its work is counted, `meter.rs` counts.

mod lexer;
pub mod meter;
mod metered;
mod tokens;

use std::collections::BTreeMap;

use tera::ErrorKind;

pub use self::metered::Metered;
use crate::diagnostic::{Diagnostic, Position};

/// How long a chain of templates may be, of which each extends or includes the next.
pub const LONGEST_CHAIN: usize = 16;

/// A template at the start of a chain of others that is too long, or of which too many form a circle. Tera follows such
/// a chain by nested calls, which use the stack.
pub fn too_long_a_chain(templates: &BTreeMap<String, String>) -> Option<(&str, Diagnostic)> {
    let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, text) in templates {
        let tags = lexer::tags(text);
        let named = tags.iter().filter_map(|tag| match tag.tokens.first()?.text {
            "extends" | "include" => Some(tag.tokens.get(1)?.quoted()?.to_owned()),
            _ => None,
        });
        left.insert(name, named.filter(|named| templates.contains_key(named)).collect());
    }
    let refused = |message: String| {
        Diagnostic::content(message)
            .expected(format!(
                "at most {LONGEST_CHAIN} templates, of which each extends or includes the next"
            ))
            .help("bring some of them together")
    };
    for _ in 0..LONGEST_CHAIN {
        let ended: Vec<&str> = left
            .iter()
            .filter(|(_, named)| !named.iter().any(|named| left.contains_key(named.as_str())))
            .map(|(name, _)| *name)
            .collect();
        for name in &ended {
            left.remove(name);
        }
    }
    // Tera reports a small circle, with the names in it.
    let first = left.keys().next()?;
    (left.len() > LONGEST_CHAIN || !in_a_circle(&left, first)).then(|| {
        (
            *first,
            refused("a chain of templates that is too long begins here".to_owned()),
        )
    })
}

/// Whether a template leads to itself, or to one that does.
fn in_a_circle(left: &BTreeMap<&str, Vec<String>>, first: &str) -> bool {
    let mut seen = vec![first];
    let mut at = 0;
    while at < seen.len() {
        let next = left.get(seen[at]).into_iter().flatten().map(String::as_str);
        for name in next.filter(|name| left.contains_key(name)) {
            if seen.contains(&name) {
                return true;
            }
            seen.push(name);
        }
        at += 1;
    }
    false
}

/// The error of a template that was stopped, without its place.
pub fn stopped(why: meter::Stopped, units: u64, of: &str) -> Diagnostic {
    match why {
        meter::Stopped::Spent => Diagnostic::content(format!(
            "the template does more work than it may: {units} units for {of}, about one for each byte that it makes or goes over"
        ))
        .help("look for a loop within a loop, or a text that is put to itself again and again"),
        meter::Stopped::TooDeep => Diagnostic::content("the template puts lists into lists, too deep to be shown")
            .help("lists and maps may be nested 128 deep"),
        meter::Stopped::Calls => Diagnostic::content(format!(
            "templates, components and blocks within each other, more than {} deep",
            meter::DEEPEST_CALLS
        ))
        .help("look for a component that calls itself"),
    }
}

/// A Tera error in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong, in one line.
    pub message: String,
    /// The template it is wrong in, where Tera says.
    pub template: Option<String>,
    /// Where in the template.
    pub position: Option<Position>,
}

impl TemplateError {
    /// Everything that an error says: Tera joins the faults of several places into one text.
    pub fn all(error: &tera::Error) -> Vec<Self> {
        match error.kind() {
            ErrorKind::Msg(text) => text
                .split("\n\nerror: ")
                .map(|one| printed(one.trim_start_matches("error: ")))
                .collect(),
            _ => vec![Self::from(error)],
        }
    }
}

impl From<&tera::Error> for TemplateError {
    fn from(error: &tera::Error) -> Self {
        match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                let span = report.span();
                Self {
                    message: report.message().to_owned(),
                    template: Some(report.filename().to_owned()),
                    position: Some(Position {
                        line: span.start_line,
                        column: span.start_col + 1,
                    }),
                }
            }
            ErrorKind::MissingParent { current: name, .. }
            | ErrorKind::CircularExtend { tpl: name, .. }
            | ErrorKind::CircularInclude { tpl: name, .. } => Self {
                message: error.to_string(),
                template: Some(name.clone()),
                position: None,
            },
            _ => printed(&error.to_string()),
        }
    }
}

/// An error that Tera has only as the text it would print: `error: Unknown filter`, then ` --> map.html:1:8`.
fn printed(text: &str) -> TemplateError {
    let mut lines = text.lines();
    let message = lines.next().unwrap_or_default();
    let place = lines.find_map(|line| line.trim_start().strip_prefix("--> "));
    let parts = place.and_then(|place| {
        let (rest, column) = place.trim().rsplit_once(':')?;
        let (template, line) = rest.rsplit_once(':')?;
        Some((
            template.to_owned(),
            Position {
                line: line.parse().ok()?,
                column: column.parse().ok()?,
            },
        ))
    });
    let (template, position) = parts.unzip();
    TemplateError {
        message: message.strip_prefix("error: ").unwrap_or(message).to_owned(),
        template,
        position,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_filter_is_told_with_its_place() {
        let mut tera = tera::Tera::new();
        let error = tera
            .add_raw_templates(vec![("map.html", "{{ a | no_such_filter }}")])
            .unwrap_err();
        let told = TemplateError::from(&error);
        assert!(
            !told.message.starts_with("error") && !told.message.contains('\n'),
            "{told:?}"
        );
        assert_eq!(told.template.as_deref(), Some("map.html"));
        assert_eq!(told.position.map(|position| position.line), Some(1));
    }
}
