//! The templates of an experiment's prompt: parsed once, rendered for each row.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tera::{Context, Kwargs, State, Tera, Value};

use super::{Role, filters};
use crate::content::dataset::Table;
use crate::content::names::{nearest, quoted, shortened};
use crate::content::templating::meter::{self, PROMPT_UNITS, PROMPT_UNITS_A_BYTE};
use crate::content::templating::{Metered, TemplateError, stopped};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// One entry of `prompt` as written.
#[derive(Clone, Debug)]
pub struct SegmentSource {
    /// The name of the part.
    pub name: String,
    /// Who says it, in a chat.
    pub role: Role,
    /// Its template.
    pub text: String,
    /// Where the template stands in the YAML.
    pub position: Position,
}

/// The parsed templates of one experiment, in the order of its segments.
#[derive(Clone)]
pub struct Templates {
    tera: Tera,
    file: PathBuf,
    segments: Vec<SegmentSource>,
    /// The templates as Tera has them, rewritten so that their work is counted.
    metered: Vec<Metered>,
    /// The first template that was stopped, and what is said of it: no other row is tried then, as each would cost as much.
    stopped: Arc<OnceLock<(usize, Diagnostic)>>,
    /// The columns that the templates mention; no others need to be handed over.
    variables: BTreeSet<String>,
    /// Where the only template stands, if it is no segment of a prompt.
    alone: Option<&'static str>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Templates")
            .field("file", &self.file)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

fn template_name(index: usize) -> String {
    format!("segment {index}")
}

impl Templates {
    /// The text of the first template, which is the only one where it is no segment of a prompt.
    pub fn only(&self) -> &str {
        self.segments.first().map_or("", |segment| segment.text.as_str())
    }

    /// Parses all segments; every one with an error is told.
    pub fn parse(file: &Path, segments: Vec<SegmentSource>) -> Result<Self, Diagnostics> {
        Self::parse_at(file, segments, None)
    }

    /// Parses a template that is no segment of a prompt, and stands at `place`.
    pub fn parse_alone(file: &Path, place: &'static str, source: SegmentSource) -> Result<Self, Diagnostics> {
        Self::parse_at(file, vec![source], Some(place))
    }

    fn parse_at(file: &Path, segments: Vec<SegmentSource>, alone: Option<&'static str>) -> Result<Self, Diagnostics> {
        let mut tera = Tera::default();
        // A prompt is text; nothing in it is to be escaped as HTML.
        tera.autoescape_on(Vec::<Cow<'static, str>>::new());
        tera.register_filter("speaker_name", |text: &str, _: Kwargs, _: &State| {
            filters::speaker_name(text)
        });
        tera.register_filter("after_says", |text: &str, _: Kwargs, _: &State| {
            filters::after_says(text).to_owned()
        });
        meter::register(&mut tera);
        let mut templates = Self {
            tera,
            file: file.to_path_buf(),
            segments,
            metered: Vec::new(),
            stopped: Arc::default(),
            variables: BTreeSet::new(),
            alone,
        };
        let mut errors = Diagnostics::new();
        for index in 0..templates.segments.len() {
            let name = template_name(index);
            match templates.tera.add_raw_template(&name, &templates.segments[index].text) {
                Err(error) => errors.push(templates.told(index, &error)),
                Ok(()) => {
                    let variables = templates.tera.get_template_variables(&name).unwrap_or_default();
                    templates.variables.extend(variables.into_iter().map(str::to_owned));
                }
            }
        }
        if !errors.has_errors()
            && let Err((index, error)) = templates.meter()
        {
            errors.push(templates.told(index, &error));
        }
        if errors.has_errors() {
            Err(errors)
        } else {
            Ok(templates)
        }
    }

    /// Puts the rewritten templates in the place of those as they are written.
    fn meter(&mut self) -> Result<(), (usize, tera::Error)> {
        let size = |name: &str| {
            let named = (0..self.segments.len()).find(|index| template_name(*index) == name)?;
            Some(self.segments[named].text.len())
        };
        let texts = self.segments.iter().map(|segment| &segment.text);
        self.metered = texts.map(|text| Metered::new(text, &size)).collect();
        let texts = self.metered.iter().enumerate();
        let texts = texts.map(|(index, metered)| (template_name(index), &metered.text));
        self.tera.add_raw_templates(texts).map_err(|error| (0, error))
    }

    /// The text of each segment for a row; the errors say which segments fail.
    pub fn render(&self, table: &Table, row: usize) -> Result<Vec<String>, Vec<(usize, Diagnostic)>> {
        if let Some(stopped) = self.stopped.get() {
            return Err(vec![stopped.clone()]);
        }
        let mut context = Context::new();
        let mut units = PROMPT_UNITS;
        for (column, value) in &table.rows[row].fields {
            if self.variables.contains(column) {
                units = units.saturating_add(PROMPT_UNITS_A_BYTE * bytes(value));
                context.insert_value(column.clone(), Value::from_serializable(value));
            }
        }
        let (mut texts, mut errors) = (Vec::new(), Vec::new());
        for index in 0..self.segments.len() {
            let render = || self.tera.render(&template_name(index), &context);
            match meter::within(units, render) {
                (Ok(text), _) => texts.push(text),
                (Err(error), None) => errors.push((index, self.render_error(index, &error, table, row))),
                (Err(error), Some(why)) => {
                    let message = stopped(why, units, &format!("row {row}"));
                    let Diagnostic {
                        file, position, place, ..
                    } = self.told(index, &error);
                    let told = Diagnostic {
                        file,
                        position,
                        place,
                        ..message
                    };
                    errors.push(self.stopped.get_or_init(|| (index, told)).clone());
                }
            }
        }
        if errors.is_empty() { Ok(texts) } else { Err(errors) }
    }

    /// Whether a template mentions a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.variables.contains(variable)
    }

    /// An error at the place of the only template.
    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        let error = Diagnostic::content(message).in_file(&self.file);
        let error = match self.segments.first() {
            Some(first) => error.at(first.position),
            None => error,
        };
        error.place(self.alone.unwrap_or("prompt"))
    }

    /// The names of the segments, and who says them.
    pub fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.segments
            .iter()
            .map(|segment| (segment.name.as_str(), segment.role))
    }

    /// A variable that no column fills is told as such, with the columns that there are.
    fn render_error(&self, index: usize, error: &tera::Error, table: &Table, row: usize) -> Diagnostic {
        let told = self.told(index, error);
        let fields = &table.rows[row].fields;
        let used = self
            .tera
            .get_template_variables(&template_name(index))
            .unwrap_or_default();
        let mut missing: Vec<&str> = used.into_iter().filter(|name| !fields.contains_key(*name)).collect();
        missing.sort_unstable();
        // Tera puts the name between backticks, or says only that a filter got nothing.
        let named = missing
            .iter()
            .find(|name| told.message.contains(&format!("Variable `{name}`")));
        let guess = missing.first().filter(|_| told.message.contains("undefined"));
        let Some(name) = named.or(guess) else {
            let id = format!("{}, for row {row}", told.message);
            return Diagnostic { message: id, ..told };
        };
        let message = if table.has_column(name) {
            format!("row {row} has no value in the column `{name}`")
        } else {
            format!("the data has no column `{name}`")
        };
        let known = || table.columns.iter().map(String::as_str);
        let help = nearest(name, known()).map(|meant| format!("did you mean `{meant}`?"));
        Diagnostic { message, help, ..told }.expected(format!("one of {}", quoted(known())))
    }

    /// Tera's error at the template's place in the YAML, with the line and column within the template.
    fn told(&self, index: usize, error: &tera::Error) -> Diagnostic {
        let SegmentSource { name, position, .. } = &self.segments[index];
        let mut place = match self.alone {
            Some(place) => place.to_owned(),
            None => format!("prompt[{index}].text (segment `{}`)", shortened(name)),
        };
        let TemplateError {
            message,
            position: inside,
            ..
        } = TemplateError::from(error);
        let inside = match self.metered.get(index) {
            Some(metered) => inside.map(|place| metered.original(place)),
            None => inside,
        };
        if let Some(Position { line, column }) = inside {
            place = format!("{place}, line {line}, column {column} of the template");
        }
        let message = message
            .split(" Available variables:")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        Diagnostic::content(message)
            .in_file(&self.file)
            .at(*position)
            .place(place)
    }
}

/// About how long a value of a row is.
fn bytes(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => text.len() as u64,
        serde_json::Value::Array(values) => 8 + values.iter().map(bytes).sum::<u64>(),
        serde_json::Value::Object(fields) => {
            8 + fields
                .iter()
                .map(|(key, value)| key.len() as u64 + bytes(value))
                .sum::<u64>()
        }
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::dataset::Row;

    const AT: Position = Position { line: 7, column: 11 };

    fn templates(texts: &[&str]) -> Result<Templates, Vec<String>> {
        let segment = |text: &&str| SegmentSource {
            name: "claim".into(),
            role: Role::User,
            text: (*text).into(),
            position: AT,
        };
        Templates::parse(Path::new("a.yaml"), texts.iter().map(segment).collect())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn render(text: &str, fields: serde_json::Value) -> Result<String, String> {
        let serde_json::Value::Object(fields) = fields else {
            unreachable!()
        };
        let columns = fields.keys().cloned().chain(["late".to_owned()]).collect();
        let rows = vec![Row {
            file: 0,
            position: Some(AT),
            fields,
        }];
        let table = Table {
            files: vec!["a.csv".into()],
            columns,
            rows,
            origin: None,
        };
        match templates(&[text]).unwrap().render(&table, 0) {
            Ok(texts) => Ok(texts.concat()),
            Err(mut errors) => Err(errors.remove(0).1.to_string()),
        }
    }

    #[test]
    fn text_is_rendered_as_it_is() {
        let row =
            json!({"speaker": "al-gore", "statement": "Says <b>\"x\" & 'y'\n", "n": 1.0, "yes": true, "none": null});
        let shown = render(
            "\n {{ speaker | speaker_name }}: {{ statement | after_says }}\n\n",
            row.clone(),
        );
        assert_eq!(shown.unwrap(), "\n Al Gore: <b>\"x\" & 'y'\n\n\n");
        assert_eq!(
            render("{{ n }} {{ yes }}{% if late is defined %}!{% endif %}", row).unwrap(),
            "1.0 true"
        );
    }

    #[test]
    fn a_template_that_is_stopped_is_not_tried_for_other_rows() {
        let text = format!(
            "{{{{ id }}}}{}{}",
            "{% for x in [0,1,2,3,4,5,6,7,8,9] %}".repeat(12),
            "{% endfor %}".repeat(12)
        );
        let rows = (0..2_000).map(|id| Row {
            file: 0,
            position: Some(AT),
            fields: serde_json::Map::from_iter([("id".to_owned(), json!(id))]),
        });
        let table = Table {
            files: vec!["a.csv".into()],
            columns: vec!["id".into()],
            rows: rows.collect(),
            origin: None,
        };
        let templates = templates(&[&text]).unwrap();
        let began = std::time::Instant::now();
        for row in 0..2_000 {
            let errors = templates.render(&table, row).unwrap_err();
            let error = errors[0].1.to_string();
            let start = "a.yaml:7:11: prompt[0].text (segment `claim`), line 1, column ";
            assert!(
                error.starts_with(start) && error.contains("1049088 units for row 0"),
                "{error}"
            );
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn a_missing_column_is_named() {
        assert_eq!(
            render("So {{ statment }}", json!({"id": 1, "statement": "x"})).unwrap_err(),
            "a.yaml:7:11: prompt[0].text (segment `claim`), line 1, column 7 of the template: the data has no column `statment`\n  expected: one of `id`, `statement`, `late`\n  help: did you mean `statement`?"
        );
        let error = render("{{ spaeker | speaker_name }}", json!({"speaker": "x"})).unwrap_err();
        assert!(error.contains("the data has no column `spaeker`\n"), "{error}");
        let error = render("{{ late }}", json!({"id": 1})).unwrap_err();
        assert!(error.contains(": row 0 has no value in the column `late`\n"), "{error}");
    }

    #[test]
    fn every_broken_template_is_told() {
        let errors = templates(&["{{ a", "fine", "{{ a | nonsense }}", "{% include \"x\" %}"]).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(
            errors[0].starts_with("a.yaml:7:11: prompt[0].text (segment `claim`), line 1, column "),
            "{}",
            errors[0]
        );
        assert!(errors[1].contains("nonsense"), "{}", errors[1]);
    }
}
