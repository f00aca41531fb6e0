//! What a Tera error says, taken apart: the message by itself, the template, the place in it.

use tera::ErrorKind;

use crate::diagnostic::Position;

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
    /// Everything that an error tells: Tera joins what is wrong with several places into one text.
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
