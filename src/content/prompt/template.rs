//! The templates of an experiment's prompt: parsed once, rendered for each row.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tera::{Kwargs, State, Tera, Value};

use super::columns::{self, ROW};
use super::filters;
use super::holes::{self, Hole, Holes};
use crate::content::dataset::Table;
use crate::content::names::{quoted, shortened};
use crate::content::templating::meter::{self, PROMPT_UNITS, PROMPT_UNITS_A_BYTE};
use crate::content::templating::{Metered, TemplateError, stopped};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};
use crate::terms::Role;

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
    /// The same templates, as they are rendered to find what they show of missing values; made when a row lacks
    /// something.
    holes: OnceLock<Holes>,
    file: PathBuf,
    segments: Vec<SegmentSource>,
    /// The templates as Tera has them, rewritten so that their work is counted.
    metered: Vec<Metered>,
    /// The first template that was stopped, and its message: no other row is tried then, as each would cost as much.
    stopped: Arc<OnceLock<(usize, Diagnostic)>>,
    /// The columns that the templates mention, and [`ROW`] where they take columns from it; no others need to be handed
    /// over.
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

    /// Parses all segments; every one with an error is reported.
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
        tera.register_filter("default", |value: Value, kwargs: Kwargs, _: &State| {
            holes::default(value.is_none() || value.is_undefined(), value, &kwargs)
        });
        meter::register(&mut tera);
        let mut templates = Self {
            holes: OnceLock::new(),
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
                Err(error) => {
                    let mut told = templates.told(index, &error);
                    told.help = columns::advice_on_syntax(&templates.segments[index].text);
                    errors.push(told);
                }
                Ok(()) => {
                    let text = &templates.segments[index].text;
                    let mentioned = mentioned(&templates.tera, &name, text);
                    templates.variables.extend(mentioned);
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
        let texts = self.segments.iter().map(|segment| &segment.text);
        self.metered = texts.map(|text| Metered::new(text, &|name| self.size(name))).collect();
        let texts = self.metered.iter().zip(&self.segments).enumerate();
        let rewritten = texts.filter(|(_, (metered, segment))| metered.text != segment.text);
        let texts = rewritten.map(|(index, (metered, _))| (template_name(index), &metered.text));
        self.tera.add_raw_templates(texts).map_err(|error| (0, error))
    }

    /// How long a template is, by its name.
    fn size(&self, name: &str) -> Option<usize> {
        let named = (0..self.segments.len()).find(|index| template_name(*index) == name)?;
        Some(self.segments[named].text.len())
    }

    fn holes(&self) -> &Holes {
        self.holes.get_or_init(|| {
            let mut holes = Holes::new(&self.tera);
            for (index, segment) in self.segments.iter().enumerate() {
                holes.add(&template_name(index), &segment.text, &|name| self.size(name));
            }
            holes
        })
    }

    /// How much work the templates may do for a row.
    fn units(&self, fields: &serde_json::Map<String, serde_json::Value>) -> u64 {
        let all = self.uses(ROW);
        let used = fields.iter().filter(|(column, _)| all || self.uses(column));
        used.fold(PROMPT_UNITS, |units, (_, value)| {
            units.saturating_add(PROMPT_UNITS_A_BYTE * bytes(value))
        })
    }

    /// The text of each segment for a row; the errors say which segments fail.
    pub fn render(&self, table: &Table, row: usize) -> Result<Vec<String>, Vec<(usize, Diagnostic)>> {
        if let Some(stopped) = self.stopped.get() {
            return Err(vec![stopped.clone()]);
        }
        let fields = &table.rows[row].fields;
        let units = self.units(fields);
        let context = holes::context(fields, &self.variables, None);
        let missing = Holes::candidates(fields, &self.variables);
        let (mut texts, mut errors) = (Vec::new(), Vec::new());
        for index in 0..self.segments.len() {
            let name = template_name(index);
            match meter::within(units, || self.tera.render(&name, &context)) {
                (Ok(text), _) if missing.is_empty() => texts.push(text),
                (Ok(text), _) => match self.holes().find(&name, fields, &self.variables, &missing, units) {
                    None => texts.push(text),
                    Some(hole) => errors.push((index, self.shown_hole(index, hole, table, row))),
                },
                (Err(error), None) => errors.push((index, self.render_error(index, &error, table, row))),
                (Err(error), Some(why)) => {
                    let stopped = stopped(why, units, &format!("row {row}"));
                    let Diagnostic {
                        file, position, place, ..
                    } = self.told(index, &error);
                    let told = Diagnostic {
                        file,
                        position,
                        place,
                        ..stopped
                    };
                    errors.push(self.stopped.get_or_init(|| (index, told)).clone());
                }
            }
        }
        if errors.is_empty() { Ok(texts) } else { Err(errors) }
    }

    /// A column as a template says it.
    pub fn said(&self, column: &str) -> String {
        columns::said(column)
    }

    /// Whether a template mentions a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.variables.contains(variable)
    }

    /// Whether a template mentions a column of the data, or the whole row.
    pub fn mentions_a_column(&self, table: &Table) -> bool {
        let all = [ROW, "__tera_context"];
        let says_all = self.segments.iter().any(|segment| segment.text.contains(all[1]));
        says_all || self.uses(ROW) || self.variables.iter().any(|name| table.has_column(name))
    }

    /// Warnings about what a template does without a message and its author may not mean: a name that is no column is
    /// false in a condition, and a column between single braces is text.
    pub fn doubts(&self, table: &Table) -> Vec<Diagnostic> {
        let mut told = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            for name in mentioned(&self.tera, &template_name(index), &segment.text) {
                if name != ROW && !table.has_column(&name) {
                    told.push(self.no_column(self.at(index, None), &name, table).as_warning());
                }
            }
            for name in columns::in_single_braces(&segment.text) {
                if table.has_column(name) {
                    let message = format!("`{{{name}}}` is text here, and the data has a column of that name");
                    let warning = Diagnostic {
                        message,
                        ..self.at(index, None)
                    };
                    told.push(
                        warning
                            .help(format!("a template writes `{{{{ {name} }}}}`"))
                            .as_warning(),
                    );
                }
            }
        }
        told
    }

    /// The columns of the data that the templates mention.
    pub fn columns<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = &'a str> {
        let names = table.columns.iter().map(String::as_str);
        names.filter(|name| self.uses(name))
    }

    /// Whether a template shows the empty cell that a row has in a column.
    pub fn shows_empty(&self, table: &Table, row: usize, column: &str) -> bool {
        let fields = &table.rows[row].fields;
        let is_empty = fields.get(column).is_some_and(|cell| cell.as_str() == Some(""));
        is_empty
            && (0..self.segments.len()).any(|index| {
                let name = template_name(index);
                self.holes()
                    .shows_empty(&name, fields, &self.variables, column, self.units(fields))
            })
    }

    /// How a template would write out the list or the mapping that a row has in a column.
    pub fn written_out(&self, table: &Table, row: usize, column: &str) -> Option<String> {
        let value = table.rows[row].fields.get(column)?;
        let is_empty = match value {
            serde_json::Value::Array(items) => items.is_empty(),
            serde_json::Value::Object(fields) => fields.is_empty(),
            _ => true,
        };
        (!is_empty).then(|| Value::from_serializable(value).to_string())
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

    /// A variable that is no column is reported as such, with the columns that exist.
    fn render_error(&self, index: usize, error: &tera::Error, table: &Table, row: usize) -> Diagnostic {
        let told = self.told(index, error);
        let fields = &table.rows[row].fields;
        let used = mentioned(&self.tera, &template_name(index), &self.segments[index].text);
        let is_missing = |name: &&String| *name != ROW && !fields.contains_key(*name);
        let missing: Vec<&String> = used.iter().filter(is_missing).collect();
        // Tera puts the name between backticks, or says only that a filter got nothing.
        let named = missing
            .iter()
            .find(|name| told.message.contains(&format!("Variable `{name}`")));
        let guess = missing
            .first()
            .filter(|_| told.message.contains("undefined") || told.message.contains("not defined"));
        if let Some(name) = named.or(guess) {
            let hole = Hole {
                column: (*name).clone(),
                null: None,
            };
            return self.with_hole(told, &hole, table, row);
        }
        // Or that a filter cannot do anything with null.
        let nulls = Holes::candidates(fields, &used);
        if told.message.contains("none")
            && let Some(hole) = nulls.iter().find(|hole| hole.null.is_some())
        {
            return self.with_hole(told, hole, table, row);
        }
        let message = format!("{}, for row {row}", told.message);
        Diagnostic { message, ..told }
    }

    /// An error for a value that a template shows and a row does not have.
    fn shown_hole(&self, index: usize, hole: &Hole, table: &Table, row: usize) -> Diagnostic {
        self.with_hole(self.at(index, None), hole, table, row)
    }

    fn with_hole(&self, told: Diagnostic, hole: &Hole, table: &Table, row: usize) -> Diagnostic {
        let Hole { column, null } = hole;
        if !table.has_column(column) {
            return self.no_column(told, column, table);
        }
        let mut message = format!("row {row} has no value in the column `{}`", shortened(column));
        if let Some(way) = null {
            let what = if way == column {
                "it".to_owned()
            } else {
                format!("`{}`", shortened(way))
            };
            message += &format!(": {what} is null");
        }
        if let (Some(file), Some(at)) = (table.files.get(table.rows[row].file), table.rows[row].position) {
            message += &format!(" ({}, line {})", file.display(), at.line);
        }
        Diagnostic { message, ..told }.help(format!(
            "leave such rows out with `select`; where an empty text is meant, write \"\" into the data; or ask for it in the template: `{{{{ {} | default(value=\"\") }}}}`",
            null.as_ref().map_or_else(|| columns::said(column), |way| columns::said(column) + &way[column.len()..])
        ))
    }

    /// An error for a name that no column has.
    fn no_column(&self, told: Diagnostic, name: &str, table: &Table) -> Diagnostic {
        let known = || table.columns.iter().map(String::as_str);
        let message = format!("the data has no column `{}`", shortened(name));
        let help = match table.left_out.iter().any(|column| column == name) {
            true => Some(format!(
                "the file has a column `{}`, which holds bytes that are no text, and is left out",
                shortened(name)
            )),
            false => columns::advice(name, known()),
        };
        Diagnostic { message, help, ..told }.expected(format!("one of {}", quoted(known())))
    }

    /// An error at a template's place in the YAML, and in the template, to be filled in.
    fn at(&self, index: usize, inside: Option<Position>) -> Diagnostic {
        let SegmentSource { name, position, .. } = &self.segments[index];
        let mut place = match self.alone {
            Some(place) => place.to_owned(),
            None => format!("prompt[{index}].text (segment `{}`)", shortened(name)),
        };
        let inside = match self.metered.get(index) {
            Some(metered) => inside.map(|place| metered.original(place)),
            None => inside,
        };
        if let Some(Position { line, column }) = inside {
            place = format!("{place}, line {line}, column {column} of the template");
        }
        Diagnostic::content("").in_file(&self.file).at(*position).place(place)
    }

    /// Tera's error at the template's place in the YAML, with the line and column within the template.
    fn told(&self, index: usize, error: &tera::Error) -> Diagnostic {
        let TemplateError { message, position, .. } = TemplateError::from(error);
        let message = message
            .split(" Available variables:")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        Diagnostic {
            message: message.to_owned(),
            ..self.at(index, position)
        }
    }
}

/// The columns that a template mentions, and [`ROW`].
fn mentioned(tera: &Tera, name: &str, text: &str) -> BTreeSet<String> {
    let variables = tera.get_template_variables(name).unwrap_or_default();
    let mut mentioned: BTreeSet<String> = variables.into_iter().map(str::to_owned).collect();
    if mentioned.contains(ROW) {
        mentioned.extend(columns::of_row(text));
    }
    mentioned
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
            ..Table::default()
        };
        match templates(&[text]).unwrap().render(&table, 0) {
            Ok(texts) => Ok(texts.concat()),
            Err(mut errors) => Err(errors.remove(0).1.to_string()),
        }
    }

    #[test]
    fn text_is_rendered_as_it_is() {
        let row =
            json!({"speaker": "al-gore", "statement": "Says <b>\"x\" & 'y'\n", "n": 1.0, "yes": true, "nothing": null});
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
            ..Table::default()
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
        assert!(
            error.contains(": row 0 has no value in the column `late` (a.csv, line 7)\n"),
            "{error}"
        );
    }

    #[test]
    fn null_is_an_error_unless_the_template_asks_for_it() {
        let row = || json!({"id": 1, "x": null, "who": {"age": null}, "job title": "Mayor", "tags": [null]});
        let error = render("So {{ x }}", row()).unwrap_err();
        assert!(
            error.contains(
                ": row 0 has no value in the column `x`: it is null (a.csv, line 7)\n  help: leave such rows out"
            ),
            "{error}"
        );
        let error = render("{{ who.age }}", row()).unwrap_err();
        assert!(
            error.ends_with("in the template: `{{ who.age | default(value=\"\") }}`"),
            "{error}"
        );
        assert!(
            error.contains("no value in the column `who`: `who.age` is null"),
            "{error}"
        );
        for filtered in [
            "{{ x | upper }}",
            "{{ x | after_says }}",
            "{% for y in x %}{% endfor %}",
        ] {
            let error = render(filtered, row()).unwrap_err();
            assert!(
                error.contains("no value in the column `x`: it is null"),
                "{filtered}: {error}"
            );
        }
        assert_eq!(render("{% if x %}{{ x }}{% endif %}.", row()).unwrap(), ".");
        assert_eq!(render("{{ x | default(value=\"-\") }}", row()).unwrap(), "-");
        assert_eq!(render("{{ row[\"job title\"] }}", row()).unwrap(), "Mayor");
        let error = render("{{ \"a\" ~ row[\"job titel\"] }}", row()).unwrap_err();
        assert!(error.contains("the data has no column `job titel`"), "{error}");
        let error = render("{{ job_title }}", row()).unwrap_err();
        assert!(
            error.contains("write `{{ row[\"job title\"] }}`, or rename the column"),
            "{error}"
        );
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
