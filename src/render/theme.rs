//! The look: built-in templates, and the project's own, which win.
//!
//! A file in the project's `templates/` takes the place of the built-in one of the same name; the built-in one can
//! still be extended as `igsite/NAME`. An error in a template names its file, line and column.

mod against_policy;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use tera::{Context, ErrorKind, Tera};
use walkdir::WalkDir;

use crate::content::names::{nearest, quoted};
use crate::content::templating::meter::{self, PAGE_UNITS};
use crate::content::templating::{Metered, TemplateError, stopped, too_long_a_chain};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Position, Result};
use crate::input;
use crate::render::filters;
use crate::render::text::{escape, is_plain};

/// The built-in templates by name.
pub const TEMPLATES: [(&str, &str); 40] = [
    ("base.html", include_str!("../../templates/base.html")),
    ("figure.html", include_str!("../../templates/figure.html")),
    ("figure_table.html", include_str!("../../templates/figure_table.html")),
    ("index.html", include_str!("../../templates/index.html")),
    ("experiment.html", include_str!("../../templates/experiment.html")),
    ("samples.html", include_str!("../../templates/samples.html")),
    ("samples_table.html", include_str!("../../templates/samples_table.html")),
    ("sample.html", include_str!("../../templates/sample.html")),
    ("map.html", include_str!("../../templates/map.html")),
    ("methods/gim.html", include_str!("../../templates/methods/gim.html")),
    (
        "methods/gradient_x_input.html",
        include_str!("../../templates/methods/gradient_x_input.html"),
    ),
    (
        "methods/integrated_gradients.html",
        include_str!("../../templates/methods/integrated_gradients.html"),
    ),
    ("methods/facts.html", include_str!("../../templates/methods/facts.html")),
    (
        "methods/occlusion.html",
        include_str!("../../templates/methods/occlusion.html"),
    ),
    (
        "methods/shapley.html",
        include_str!("../../templates/methods/shapley.html"),
    ),
    ("quality_line.html", include_str!("../../templates/quality_line.html")),
    ("faithfulness.html", include_str!("../../templates/faithfulness.html")),
    (
        "methods_beside.html",
        include_str!("../../templates/methods_beside.html"),
    ),
    ("evidence.html", include_str!("../../templates/evidence.html")),
    (
        "methods/imported.html",
        include_str!("../../templates/methods/imported.html"),
    ),
    ("comparison.html", include_str!("../../templates/comparison.html")),
    ("map_note.html", include_str!("../../templates/map_note.html")),
    ("near_zero.html", include_str!("../../templates/near_zero.html")),
    ("jumps.html", include_str!("../../templates/jumps.html")),
    ("quality.html", include_str!("../../templates/quality.html")),
    ("interlinear.html", include_str!("../../templates/interlinear.html")),
    ("answer.html", include_str!("../../templates/answer.html")),
    ("quadrature.html", include_str!("../../templates/quadrature.html")),
    ("model_facts.html", include_str!("../../templates/model_facts.html")),
    ("models.html", include_str!("../../templates/models.html")),
    ("model.html", include_str!("../../templates/model.html")),
    ("page.html", include_str!("../../templates/page.html")),
    ("word.html", include_str!("../../templates/word.html")),
    ("search.html", include_str!("../../templates/search.html")),
    (
        "shortcodes/heatmap.html",
        include_str!("../../templates/shortcodes/heatmap.html"),
    ),
    (
        "shortcodes/comparison.html",
        include_str!("../../templates/shortcodes/comparison.html"),
    ),
    (
        "shortcodes/claim.html",
        include_str!("../../templates/shortcodes/claim.html"),
    ),
    (
        "shortcodes/verdict.html",
        include_str!("../../templates/shortcodes/verdict.html"),
    ),
    (
        "shortcodes/table.html",
        include_str!("../../templates/shortcodes/table.html"),
    ),
    (
        "shortcodes/plot.html",
        include_str!("../../templates/shortcodes/plot.html"),
    ),
];

/// Templates, compiled.
pub struct Theme {
    tera: Tera,
    /// The project's own, by name.
    own: BTreeMap<String, String>,
    /// The same, rewritten so that their work is counted.
    metered: BTreeMap<String, Metered>,
    /// Whether Tera has the rewritten ones.
    rewritten: bool,
    /// How long the last page of each built-in template was: the next one is about as long.
    lengths: [AtomicUsize; TEMPLATES.len()],
    /// What each template was given, for the test of their documentation.
    #[cfg(test)]
    pub(super) given: std::sync::Mutex<BTreeMap<String, Vec<serde_json::Value>>>,
}

impl Theme {
    /// The built-in templates with those of the project in `root`.
    pub fn load(root: &Path) -> Result<Self, Diagnostics> {
        let mut tera = Tera::new();
        tera.set_escape_fn(|text, out| write_escaped(text, out));
        meter::register(&mut tera);
        filters::register(&mut tera);
        let own = read_own(&root.join("templates"))?;
        if let Some((name, error)) = too_long_a_chain(&own) {
            return Err(error.in_file(Path::new("templates").join(name)).into());
        }
        let mut templates: BTreeMap<String, &str> = BTreeMap::new();
        for (name, text) in TEMPLATES {
            templates.insert(name.to_owned(), text);
            templates.insert(format!("{BUILT_IN}{name}"), text);
        }
        templates.extend(own.iter().map(|(name, text)| (name.clone(), text.as_str())));
        let size = |name: &str| templates.get(name).map(|text| text.len());
        let metered: BTreeMap<String, Metered> = own
            .iter()
            // The demo project has the built-in ones as its own.
            .filter(|(name, text)| {
                !TEMPLATES
                    .iter()
                    .any(|(known, built_in)| known == name && built_in == text)
            })
            .map(|(name, text)| (name.clone(), Metered::new(text, &size)))
            .collect();
        // First as they are written: what is wrong in them is reported at its place there.
        let loaded = tera.add_raw_templates(templates.iter());
        let rewritten = loaded.is_ok();
        let loaded = loaded.and_then(|()| {
            let texts = metered.iter().map(|(name, metered)| (name, &metered.text));
            if metered.is_empty() {
                Ok(())
            } else {
                tera.add_raw_templates(texts)
            }
        });
        let theme = Self {
            tera,
            own,
            metered,
            rewritten,
            lengths: [const { AtomicUsize::new(0) }; TEMPLATES.len()],
            #[cfg(test)]
            given: std::sync::Mutex::default(),
        };
        match loaded {
            Ok(()) => Ok(theme),
            Err(error) => Err(theme.problems("", &error).collect()),
        }
    }

    /// Renders a page.
    pub fn render(&self, template: &str, view: &impl Serialize) -> Result<Vec<u8>> {
        #[cfg(test)]
        self.given
            .lock()
            .expect("no test panics here")
            .entry(template.to_owned())
            .or_default()
            .push(serde_json::to_value(view).expect("a view is JSON"));
        // Rendering stops at the first error.
        let problem = |error: &tera::Error| self.told(template, error, TemplateError::from(error));
        let context = Context::from_serialize(view).map_err(|error| problem(&error))?;
        // The work of the built-in templates depends on the data only, and they are not deep in each other.
        if self.metered.is_empty() {
            return self
                .render_built_in(template, &context)
                .map_err(|error| problem(&error));
        }
        let (rendered, why) = meter::within(PAGE_UNITS, || self.tera.render(template, &context));
        rendered.map(String::into_bytes).map_err(|error| match why {
            None => problem(&error),
            Some(why) => {
                let at = problem(&error);
                Diagnostic {
                    file: at.file,
                    position: at.position,
                    ..stopped(why, PAGE_UNITS, "a page")
                }
            }
        })
    }

    /// Renders into bytes of about the length that is needed, which are not looked at again. This compiles Tera's
    /// interpreter once more, in this crate, where a build for tests does not optimise it: it takes more stack there.
    fn render_built_in(&self, template: &str, context: &Context) -> tera::TeraResult<Vec<u8>> {
        let mut known = TEMPLATES.iter().zip(&self.lengths);
        let length = known.find_map(|((name, _), length)| (*name == template).then_some(length));
        let expected = length.map_or(0, |length| length.load(Ordering::Relaxed));
        let mut page = Vec::with_capacity(expected + expected / 8);
        self.tera.render_to(template, context, &mut page)?;
        if let Some(length) = length {
            length.store(page.len(), Ordering::Relaxed);
        }
        Ok(page)
    }

    /// Whether there is a template of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tera.contains_template(name)
    }

    /// Whether the text of a template holds another.
    pub fn says(&self, name: &str, text: &str) -> bool {
        let built_in = || {
            TEMPLATES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| *text)
        };
        let whole = self.own.get(name).map(String::as_str).or_else(built_in);
        whole.is_some_and(|whole| whole.contains(text))
    }

    /// The names of the project's own shortcodes.
    pub fn own_shortcodes(&self) -> Vec<String> {
        let name = |name: &String| Some(name.strip_prefix("shortcodes/")?.strip_suffix(".html")?.to_owned());
        let own = self.own.keys().filter_map(name);
        own.filter(|name| {
            !TEMPLATES
                .iter()
                .any(|(known, _)| *known == format!("shortcodes/{name}.html"))
        })
        .collect()
    }

    /// The templates that a page may name: the project's own, and the one that all have.
    pub fn for_pages(&self) -> Vec<String> {
        let own = self.own.keys().filter(|name| !name.starts_with("shortcodes/"));
        let mut names: Vec<String> = own.cloned().collect();
        if !self.own.contains_key("page.html") {
            names.push("page.html".to_owned());
        }
        names
    }

    /// The project's templates that nothing uses, as warnings: a name that is misspelt takes the place of nothing.
    /// `used` are those that pages and shortcodes name.
    pub fn unused(&self, used: &[String]) -> Diagnostics {
        let named_by = |text: &str, name: &str| {
            text.contains(&format!("\"{name}\""))
                || text.contains(&format!("'{name}'"))
                || text.contains(&format!("`{name}`"))
        };
        let is_used = |name: &str, text: &str| {
            TEMPLATES.iter().any(|(known, _)| *known == name)
                || used.iter().any(|used| used == name)
                || self.own.iter().any(|(other, text)| other != name && named_by(text, name))
                // Components are called by their own names.
                || text.contains("{% component") || text.contains("{%- component")
        };
        let warning = |name: &String| {
            let warning = Diagnostic::content("nothing uses this template")
                .in_file(Path::new("templates").join(name))
                .expected("the name of a built-in template, or one that a page, a shortcode or another template names")
                .as_warning();
            match nearest(name, TEMPLATES.iter().map(|(known, _)| *known)) {
                Some(meant) => warning.help(format!("did you mean `{meant}`?")),
                None => warning,
            }
        };
        let unused = self.own.iter().filter(|(name, text)| !is_used(name, text));
        unused.map(|(name, _)| warning(name)).collect()
    }

    fn problems<'e>(&'e self, template: &'e str, error: &'e tera::Error) -> impl Iterator<Item = Diagnostic> + 'e {
        let all = || TemplateError::all(error).into_iter();
        // A built-in template is loaded under two names, of which Tera may name either.
        let is_first = |error: &TemplateError| {
            let built_in = error.template.as_ref().and_then(|name| name.strip_prefix(BUILT_IN));
            built_in.is_none_or(|name| self.own.contains_key(name))
        };
        let once: Vec<TemplateError> = all().filter(is_first).collect();
        let once = if once.is_empty() { all().collect() } else { once };
        once.into_iter().map(move |told| self.told(template, error, told))
    }

    /// An error with its file and place.
    fn told(&self, template: &str, error: &tera::Error, told: TemplateError) -> Diagnostic {
        let TemplateError {
            message,
            template: named,
            mut position,
        } = told;
        let name = named.as_deref().unwrap_or(template);
        if let Some((metered, place)) = self.metered.get(name).zip(position)
            && self.rewritten
        {
            position = Some(metered.original(place));
        }
        let (mut message, mut expected) = (in_short(&message), None);
        let mut meant = None;
        if let ErrorKind::MissingParent { current, parent } = error.kind() {
            // Tera has no place for it.
            position = self.own.get(current).and_then(|text| place_of(text, parent));
            message = format!("it extends `{parent}`, which is no template");
            (expected, meant) = self.templates_like(parent);
        } else if let Some(missing) = between(&message, "Unknown template `") {
            (expected, meant) = self.templates_like(missing);
        } else if let Some(missing) = between(&message, "Block `") {
            let known: Vec<&str> = self
                .texts()
                .flat_map(blocks)
                .filter(|known| *known != missing)
                .collect();
            meant = nearest(missing, known).map(str::to_owned);
        } else if message.contains("end of input")
            && let Some((tag, place)) = self.own.get(name).and_then(|text| unclosed(text))
        {
            message = format!("`{tag}` begins here and never ends");
            let word = tag.trim_start_matches(['{', '%', '-', ' ']).split_whitespace().next();
            expected = Some(format!("a tag `{{% end{} %}}` behind it", word.unwrap_or_default()));
            position = Some(place);
        } else if position.is_none() {
            // A circle of templates: it is in each of them.
            position = self.own.get(name).and_then(|text| place_of(text, ""));
        }
        let mut problem = Diagnostic::content(message);
        problem.expected = expected;
        problem.help = meant.map(|meant| format!("did you mean `{meant}`?"));
        if self.own.contains_key(name) {
            problem = problem.in_file(Path::new("templates").join(name));
        } else if !name.is_empty() {
            let name = name.strip_prefix(BUILT_IN).unwrap_or(name);
            problem = problem.in_file(Path::new("(built-in) templates").join(name));
            if problem.help.is_none() && !self.own.is_empty() {
                problem =
                    problem.help("it is the project's own template that this one builds on which lacks something");
            }
        }
        problem.position = position;
        problem
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let built_in = TEMPLATES.iter().map(|(_, text)| *text);
        built_in.chain(self.own.values().map(String::as_str))
    }

    /// What templates there are, and the one that was probably meant.
    fn templates_like(&self, name: &str) -> (Option<String>, Option<String>) {
        let built_in = TEMPLATES.iter().map(|(name, _)| format!("{BUILT_IN}{name}"));
        let known: Vec<String> = self.own.keys().cloned().chain(built_in).collect();
        let known = || known.iter().map(String::as_str);
        (
            Some(format!("one of {}", quoted(known()))),
            nearest(name, known()).map(str::to_owned),
        )
    }
}

/// What the names of the built-in templates begin with where the project has its own of the same name.
const BUILT_IN: &str = "igsite/";

/// Tera's words, on one line.
fn in_short(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name in backticks after `before`, with which the message begins.
fn between<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    message.strip_prefix(before)?.split('`').next()
}

/// Names of the blocks that a template defines.
pub(super) fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("{%").skip(1).filter_map(|tag| {
        let mut words = tag.trim_start_matches('-').split_whitespace();
        (words.next() == Some("block")).then(|| words.next()).flatten()
    })
}

/// The innermost tag of a template that needs an end and has none.
fn unclosed(text: &str) -> Option<(&str, Position)> {
    let mut open: Vec<(&str, usize, &str)> = Vec::new();
    let mut comment = 0;
    for (at, _) in text.match_indices("{%") {
        // What is in a comment is no tag.
        if let Some(from) = text[comment..at].rfind("{#").map(|from| comment + from) {
            match text[from..].find("#}") {
                Some(end) if from + end < at => comment = from + end,
                _ => continue,
            }
        }
        let tag = &text[at..text[at..].find("%}").map_or(text.len(), |end| at + end + 2)];
        let word = tag
            .trim_start_matches(['{', '%', '-'])
            .split_whitespace()
            .next()
            .unwrap_or_default();
        match word {
            "block" | "for" | "if" | "filter" | "component" => open.push((tag, at, word)),
            _ if word.starts_with("end") && open.last().is_some_and(|(.., of)| word[3..] == **of) => _ = open.pop(),
            _ => {}
        }
    }
    let (tag, at, _) = open.pop()?;
    let before = &text[..at];
    let place = Position {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
    };
    Some((tag, place))
}

/// Where a template extends or includes another: the place of the tag whose text has `name` in it.
fn place_of(text: &str, name: &str) -> Option<Position> {
    let mut tags = text.match_indices("{%").filter(|(at, _)| {
        let tag = text[*at..].split("%}").next().unwrap_or_default();
        let word = tag
            .trim_start_matches("{%")
            .trim_start_matches('-')
            .split_whitespace()
            .next();
        matches!(word, Some("extends" | "include")) && tag.contains(name)
    });
    let (at, _) = tags.next()?;
    let before = &text[..at];
    Some(Position {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
    })
}

fn write_escaped(text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    meter::charge(text.len() as u64).map_err(|_| std::io::Error::other("the template is stopped"))?;
    if is_plain(text) {
        return out.write_all(text.as_bytes());
    }
    out.write_all(escape(text).as_bytes())
}

/// Templates of the project, by name.
fn read_own(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut own = BTreeMap::new();
    for (name, path) in files(folder)? {
        let bytes = input::read(&path, Kind::Content, "read the template")?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Diagnostic::content("the template is not UTF-8")
                .in_file(&path)
                .expected("a Tera template in UTF-8")
        })?;
        own.insert(name, text);
    }
    Ok(own)
}

/// The files of a folder with their names relative to it, forward slashes; none when there is no such folder.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            Diagnostic::content(format!("cannot read the folder: {error}")).in_file(error.path().unwrap_or(folder))
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        if entry.file_type().is_symlink() {
            return Err(Diagnostic::content("this is a symbolic link, which is not followed")
                .in_file(entry.path())
                .help("put a copy of the file in its place"));
        }
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts: Option<Vec<&str>> = relative.components().map(|part| part.as_os_str().to_str()).collect();
        let Some(parts) = parts else {
            return Err(Diagnostic::content("the file’s name is not UTF-8").in_file(entry.path()));
        };
        found.push((parts.join("/"), entry.into_path()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn a_project_template_wins_and_can_extend_the_built_in_one() {
        let own = "{% extends \"igsite/page.html\" %}{% block title %}Mine: {{ super() }}{% endblock title %}";
        let folder = project(&[("templates/page.html", own)]);
        let theme = Theme::load(folder.path()).expect("loads");
        assert!(theme.tera.contains_template("page.html") && theme.own.contains_key("page.html"));
    }

    /// What loading these templates says, the folder's name taken out.
    fn errors(files: &[(&str, &str)]) -> Vec<String> {
        let folder = project(files);
        let errors = Theme::load(folder.path()).err().expect("an error");
        let root = format!("{}/", folder.path().display());
        errors
            .iter()
            .map(|error| error.to_string().replace(&root, ""))
            .collect()
    }

    #[test]
    fn an_error_at_load_names_file_line_and_column() {
        assert_eq!(
            errors(&[("templates/index.html", "<p>\n  {% if %}\n")]),
            [
                "templates/index.html:2:9: Found `%}` but expected one of: integer, float, string, bool, ident, `-`, `not`, `<`, `{`, `[` or `(`"
            ]
        );
        assert_eq!(
            errors(&[("templates/a.html", "\n {% extends \"igsite/pgae.html\" %}")])[0]
                .split("\n  expected")
                .next(),
            Some("templates/a.html:2:2: it extends `igsite/pgae.html`, which is no template")
        );
        assert!(
            errors(&[("templates/a.html", "{% extends \"igsite/pgae.html\" %}")])[0]
                .ends_with("did you mean `igsite/page.html`?")
        );
        assert_eq!(
            errors(&[("templates/a.html", "<p>\n {% block main %}{% if a %}x{% endif %}\n")]),
            [
                "templates/a.html:2:2: `{% block main %}` begins here and never ends\n  expected: a tag `{% endblock %}` behind it"
            ]
        );
        let included = &errors(&[("templates/a.html", "\n{% include \"bsae.html\" %}")])[0];
        assert!(
            included.starts_with("templates/a.html:2:") && included.contains("Unknown template `bsae.html`"),
            "{included}"
        );
        let circle = &errors(&[
            ("templates/a.html", "{% extends \"b.html\" %}"),
            ("templates/b.html", "{% extends \"a.html\" %}"),
        ])[0];
        assert!(
            circle.contains("templates/") && circle.contains(".html:1:1: Circular"),
            "{circle}"
        );
    }

    #[test]
    fn unknown_filters_and_blocks_are_all_told() {
        let own = "{% extends \"igsite/page.html\" %}\n{% block txet %}{% endblock txet %}\n{% block footer %}\n{{ heading | shout }}{% endblock footer %}";
        assert_eq!(
            errors(&[("templates/page.html", own), ("templates/z.html", "{{ a | shout }}")]),
            [
                "templates/page.html:2:10: Block `txet` is not defined in any parent template\n  help: did you mean `text`?",
                "templates/page.html:4:14: Unknown filter `shout`",
                "templates/z.html:1:8: Unknown filter `shout`"
            ]
        );
        let lacks = &errors(&[("templates/base.html", "{% block title %}{% endblock title %}")])[0];
        assert!(
            lacks.starts_with("(built-in) templates/comparison.html:2:")
                && lacks.contains("the project's own template"),
            "{lacks}"
        );
    }

    #[test]
    fn an_error_while_rendering_names_the_template_that_it_is_in() {
        let place = |files: &[(&str, &str)]| {
            let folder = project(files);
            let theme = Theme::load(folder.path())
                .map_err(|errors| format!("{errors:?}"))
                .expect("loads");
            let nothing = BTreeMap::<String, String>::new();
            let error = theme.render("x.html", &nothing).expect_err("an error").to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        let own = place(&[("templates/x.html", "<p>\n{{ nothing_here }}")]);
        assert!(
            own.starts_with("templates/x.html:2:4: ") && own.contains("nothing_here"),
            "{own}"
        );
        let included = place(&[
            ("templates/x.html", "{% include \"y.html\" %}"),
            ("templates/y.html", "\n\n {{ not_there }}"),
        ]);
        assert!(included.starts_with("templates/y.html:3:5: "), "{included}");
        let extended = place(&[
            ("templates/x.html", "{% extends \"y.html\" %}"),
            ("templates/y.html", "\n{{ not_there }}"),
        ]);
        assert!(extended.starts_with("templates/y.html:2:4: "), "{extended}");
        let built_in = place(&[("templates/x.html", "{% extends \"igsite/page.html\" %}")]);
        assert!(built_in.starts_with("(built-in) templates/"), "{built_in}");
        let of_a_kind = place(&[("templates/x.html", "{{ 1 | trim }}")]);
        assert!(of_a_kind.starts_with("templates/x.html:1:"), "{of_a_kind}");
    }

    #[test]
    fn the_longest_chains_within_each_other_fit_a_thread_s_stack() {
        let mut files: Vec<(String, String)> = (0..14)
            .map(|index| {
                (
                    format!("templates/t{index}.html"),
                    format!("{{% include \"t{}.html\" %}}", index + 1),
                )
            })
            .collect();
        files.push(("templates/t14.html".to_owned(), "{{ <again n={1} /> }}".to_owned()));
        let again = "{% component again(n) %}{% include \"t0.html\" %}{% endcomponent again %}x";
        files.push(("templates/again.html".to_owned(), again.to_owned()));
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let folder = project(&files);
        // Threads of the build have 2 MiB.
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let rendered = small.spawn(move || {
            let theme = Theme::load(folder.path()).map_err(|errors| format!("{errors:?}"))?;
            let nothing = BTreeMap::<String, String>::new();
            theme.render("t0.html", &nothing).map_err(|error| error.to_string())
        });
        let error = rendered
            .expect("a thread")
            .join()
            .expect("no overflow")
            .expect_err("no end");
        assert!(error.contains("blocks within each other, more than 64 deep"), "{error}");
    }

    #[test]
    fn what_is_against_the_policy_is_told_with_its_place() {
        let folder = project(&[
            (
                "templates/map.html",
                "{# <script>no</script> #}\n<p style=\"{{ x }}\">{% if a < b %}{% endif %}\n<script src=\"https://evil.example/{{ x }}\"></script>",
            ),
            ("templates/page.html", include_str!("../../templates/page.html")),
        ]);
        let told = |folder: &tempfile::TempDir| {
            let theme = Theme::load(folder.path())
                .map_err(|errors| format!("{errors:?}"))
                .expect("loads");
            let all = theme.against_policy();
            all.iter().map(|one| (one.warning, one.to_string())).collect::<Vec<_>>()
        };
        let found = told(&folder);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].0 && found[0].1.starts_with("templates/map.html:2:4: an inline style"),
            "{found:?}"
        );
        assert!(
            !found[1].0 && found[1].1.starts_with("templates/map.html:3:9: <script> leads to"),
            "{found:?}"
        );
        std::fs::write(
            folder.path().join("templates/base.html"),
            "<!doctype html>{% block main %}{% endblock main %}",
        )
        .expect("written");
        assert!(Theme::load(folder.path()).is_err() || told(&folder).iter().all(|(warning, _)| !warning));
    }

    #[test]
    fn a_template_that_nothing_uses_is_told() {
        let folder = project(&[
            ("templates/pgae.html", "a"),
            ("templates/page.html", "{% include \"part.html\" %}"),
            ("templates/part.html", "b"),
            ("templates/wide.html", "c"),
            ("templates/shortcodes/own.html", "d"),
            ("templates/shortcodes/heatmpa.html", "e"),
        ]);
        let theme = Theme::load(folder.path()).expect("loads");
        let told = theme.unused(&["wide.html".to_owned(), "shortcodes/own.html".to_owned()]);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("pgae.html: nothing uses") && told[0].ends_with("did you mean `page.html`?"));
        assert!(
            told[1].ends_with("did you mean `shortcodes/heatmap.html`?"),
            "{}",
            told[1]
        );
        assert_eq!(theme.own_shortcodes(), ["heatmpa", "own"]);
    }
}
