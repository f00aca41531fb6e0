//! The tables in the demo's docs that list blocks, variables and filters of templates say what there is.
//!
//! `INSTA_UPDATE=always` writes them anew, as it does with snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fixture::{self, Fixture};
use super::pages::Renderer;
use super::theme::{TEMPLATES, blocks};
use super::{OutputFile, Sink, filters};
use crate::analysis::results::Results;
use crate::analysis::summary::Share;
use crate::content::book::{Book, Chapter, Part};

const DOCS: &str = "content/docs/changing-the-look.md";

/// Shortcodes of each built-in kind.
const SHORTCODES: &str = r#"{{ heatmap(experiment="claims", model="llama-toy", sample="2600.json") }}
{{ comparison(experiment="claims", sample="2600.json") }}
{{ table(experiment="claims", of="models") }}
{{ plot(experiment="claims", of="accuracy") }}
{{ claim(experiment="claims", of="accuracy", is="above") }}
"#;

/// A filter as the docs have it: its name, what it is for, and an example.
struct Documented {
    /// Its name.
    name: &'static str,
    /// What it writes.
    what: &'static str,
    /// A use of it, which the docs show with what comes of it.
    example: &'static str,
}

/// Every filter of [`filters::register`].
const FILTERS: [Documented; 26] = [
    filter("number", "four significant digits", "{{ 0.5 | number }}"),
    filter("signed", "a score: a number with its sign", "{{ 0.012345 | signed }}"),
    filter(
        "plus_minus",
        "an error, to two significant digits",
        "{{ 0.00123 | plus_minus }}",
    ),
    filter(
        "percent",
        "a share; never rounded to none or all",
        "{{ 0.5734 | percent }}",
    ),
    filter(
        "points",
        "a difference of two shares, in percentage points",
        "{{ 0.0512 | points }}",
    ),
    filter(
        "correlation",
        "a correlation: a sign and two decimals",
        "{{ 0.123 | correlation }}",
    ),
    filter(
        "verdict",
        "whether an answer is right; nothing where that is not known",
        "{{ true | verdict }}",
    ),
    filter("interval", "an interval of shares", "{{ [0.51, 0.846] | interval }}"),
    filter(
        "decimals",
        "so many decimals; none without `places`",
        "{{ 12.345 | decimals(places=1) }}",
    ),
    filter(
        "shortest",
        "the shortest digits that read back to the same number, as in YAML",
        "{{ 0.010 | shortest }}",
    ),
    filter(
        "written",
        "a number by the filter that `as` names",
        "{{ 0.25 | written(as=\"percent\") }}",
    ),
    filter("bar", "a share as a drawing", "{{ 0.25 | bar }}"),
    filter(
        "interval_bar",
        "a share with its interval as a drawing, and a tick at `guessing`",
        "{{ model.accuracy | interval_bar(guessing=guessing) }}",
    ),
    filter("shade", "the class of a shade from −20 to 20", "{{ -7 | shade }}"),
    filter("list", "several texts as one", "{{ [\"a\", \"b\", \"c\"] | list }}"),
    filter(
        "excerpt",
        "the first characters of a text",
        "{{ \"one two three\" | excerpt(length=7) }}",
    ),
    filter(
        "target",
        "what a map explains, in 60 characters; spaces at the ends of a text of your own as `␣`",
        "{{ {\"kind\": \"text\", \"text\": \" A\"} | target }}",
    ),
    filter("unit", "the unit of an output", "{{ \"log_probability\" | unit }}"),
    filter("method", "an attribution method", "{{ \"gradient_x_input\" | method }}"),
    filter("baseline", "a baseline", "{{ \"token:x\" | baseline }}"),
    filter(
        "quadrature",
        "a quadrature rule",
        "{{ \"gauss_legendre\" | quadrature }}",
    ),
    filter("badge", "the state of a map, as a badge", "{{ \"converged\" | badge }}"),
    filter(
        "standing",
        "how maps fare against their controls, as a badge",
        "{{ \"no_better\" | standing }}",
    ),
    filter("json", "a value as JSON; a text stays as it is", "{{ [1, 2] | json }}"),
    filter("encode", "a text as a part of an address", "{{ \"a b\" | encode }}"),
    filter(
        "link",
        "the link from the page to a file of the site",
        "{{ \"assets/ours.css\" | link }}",
    ),
];

const fn filter(name: &'static str, what: &'static str, example: &'static str) -> Documented {
    Documented { name, what, example }
}

/// What each template was given, as a site gives it; parts of it for templates that others include.
fn given() -> BTreeMap<String, Vec<Value>> {
    let mut fixture = Fixture::demo();
    fixture.project.pages[1].markdown = SHORTCODES.to_owned();
    let site = fixture.site(Some("https://me.github.io/repo/"));
    let results: Vec<Results<'_>> = site
        .results
        .iter()
        .map(|results| Results::of(&fixture.project, results).expect("whole"))
        .collect();
    let renderer = Renderer::new(&site, &results).expect("templates");
    let mut ignored = |_: &OutputFile, _: &str| Ok(());
    let mut out = Sink::to(&mut ignored);
    let results = &results[0];
    renderer.markdown_pages(&mut out).expect("pages");
    renderer.front(&mut out).expect("the front page");
    renderer.models(&mut out).expect("models");
    renderer.search(&mut out).expect("the search page");
    renderer.experiment(results, &mut out).expect("an experiment");
    renderer.comparison(results, &mut out).expect("a comparison");
    renderer.sample(results, 0, &mut out).expect("a sample");
    renderer.map(results, 0, 0, &mut out).expect("a map");
    renderer.word(results, 0, &mut out).expect("a word");
    // Maps whose errors and history are known.
    let adaptive = Fixture::demo().adaptive();
    let adaptive_site = adaptive.site(None);
    let adaptive_results = [Results::of(&adaptive.project, &adaptive_site.results[0]).expect("whole")];
    let adaptive_renderer = Renderer::new(&adaptive_site, &adaptive_results).expect("templates");
    let results = &adaptive_results[0];
    adaptive_renderer.experiment(results, &mut out).expect("an experiment");
    adaptive_renderer.comparison(results, &mut out).expect("a comparison");
    adaptive_renderer.sample(results, 0, &mut out).expect("a sample");
    adaptive_renderer.map(results, 0, 0, &mut out).expect("a map");
    // Maps of a deep model, one from a path that is entered and one lost near the zero vector.
    let deep = Fixture::demo().near_zero();
    let deep_site = deep.site(None);
    let deep_results = [Results::of(&deep.project, &deep_site.results[0]).expect("whole")];
    let deep_renderer = Renderer::new(&deep_site, &deep_results).expect("templates");
    deep_renderer.map(&deep_results[0], 0, 0, &mut out).expect("a map");
    // Of a mixture of experts.
    let routed = Fixture::demo().routed();
    let routed_site = routed.site(None);
    let routed_results = [Results::of(&routed.project, &routed_site.results[0]).expect("whole")];
    let routed_renderer = Renderer::new(&routed_site, &routed_results).expect("templates");
    routed_renderer
        .sample(&routed_results[0], 0, &mut out)
        .expect("a sample");
    routed_renderer.map(&routed_results[0], 0, 0, &mut out).expect("a map");
    // By every method, and put to the test.
    let mut methods = Fixture::demo().methods();
    methods.project.pages[1].markdown = "{{ verdict(experiment=\"claims\") }}\n".to_owned();
    let methods_site = methods.site(None);
    let methods_results = [Results::of(&methods.project, &methods_site.results[0]).expect("whole")];
    let methods_renderer = Renderer::new(&methods_site, &methods_results).expect("templates");
    methods_renderer.front(&mut out).expect("the front page");
    methods_renderer.markdown_pages(&mut out).expect("pages");
    methods_renderer
        .experiment(&methods_results[0], &mut out)
        .expect("an experiment");
    for sample in 0..2 {
        methods_renderer
            .sample(&methods_results[0], sample, &mut out)
            .expect("a sample");
        methods_renderer
            .map(&methods_results[0], 0, sample, &mut out)
            .expect("a map");
    }
    // Of another program.
    let foreign = Fixture::demo().imported();
    let foreign_site = foreign.site(None);
    let foreign_results = [Results::of(&foreign.project, &foreign_site.results[0]).expect("whole")];
    let foreign_renderer = Renderer::new(&foreign_site, &foreign_results).expect("templates");
    foreign_renderer
        .experiment(&foreign_results[0], &mut out)
        .expect("an experiment");
    foreign_renderer
        .map(&foreign_results[0], 0, 0, &mut out)
        .expect("a map");
    // A book of three chapters, of which the last has a page behind it.
    let mut book = Fixture::demo();
    let chapter = |page: &str, below: &[&str]| Chapter {
        page: page.into(),
        below: below.iter().map(PathBuf::from).collect(),
    };
    let mut pages = vec![];
    for (path, route) in [("README.md", "index"), ("a.md", "a"), ("b.md", "b"), ("c.md", "c")] {
        let mut page = book.project.pages[1].clone();
        page.markdown = String::new();
        page.path = path.into();
        page.route = vec![route.to_owned()];
        pages.push(page);
    }
    book.project.pages = pages;
    book.project.book = Some(Book {
        parts: vec![
            Part {
                title: None,
                chapters: vec![chapter("README.md", &[]), chapter("a.md", &[])],
            },
            Part {
                title: Some("More".to_owned()),
                chapters: vec![chapter("b.md", &["c.md"])],
            },
        ],
        ..Book::default()
    });
    let mut book_site = book.site(None);
    book_site.results.clear();
    let book_renderer = Renderer::new(&book_site, &[]).expect("templates");
    book_renderer.markdown_pages(&mut out).expect("pages");
    // A table of samples that is long enough to go on in pages of its own.
    let samples = (0..251).map(|i| fixture::sample(&i.to_string(), &i.to_string(), "Taxes fell.", "Ada", "D"));
    let long = Fixture::of(samples.collect(), &["llama-toy"]);
    let long_site = long.site(None);
    let long_results = [Results::of(&long.project, &long_site.results[0]).expect("whole")];
    let long_renderer = Renderer::new(&long_site, &long_results).expect("templates");
    long_renderer
        .samples(&long_results[0], 2, &mut out)
        .expect("pages of samples");
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let all = [
        renderer.given(),
        adaptive_renderer.given(),
        deep_renderer.given(),
        routed_renderer.given(),
        methods_renderer.given(),
        long_renderer.given(),
        foreign_renderer.given(),
        book_renderer.given(),
    ];
    for (name, views) in all.into_iter().flatten() {
        for view in views {
            for (name, part) in PARTS {
                found
                    .entry((*name).to_owned())
                    .or_default()
                    .extend(view.pointer(part).filter(|part| part.is_object()).cloned());
            }
            // Each map is shown by the template of its method, too.
            for map in view
                .pointer("/attributions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                if let Some(method) = map["method"].as_str() {
                    found
                        .entry(format!("methods/{method}.html"))
                        .or_default()
                        .push(map.clone());
                }
                for of_every_method in ["quality_line.html", "methods/facts.html"] {
                    found.entry(of_every_method.to_owned()).or_default().push(map.clone());
                }
                let tests = map["tests"].as_array().into_iter().flatten();
                found
                    .entry("faithfulness.html".to_owned())
                    .or_default()
                    .extend(tests.cloned());
            }
            found.entry(name.clone()).or_default().push(view);
        }
    }
    found
}

/// Templates that all others extend or include, and what they are given of a view.
const PARTS: &[(&str, &str)] = &[
    ("base.html", "/page"),
    ("figure.html", "/headline/0"),
    ("figure_table.html", "/headline/0/table"),
    ("samples_table.html", "/samples"),
    ("map_note.html", "/shown"),
    ("interlinear.html", "/lines"),
    ("answer.html", "/answer"),
    ("near_zero.html", "/attribution"),
    ("jumps.html", "/attribution"),
    ("methods_beside.html", "/methods/0"),
    ("evidence.html", "/evidence"),
    ("quality.html", "/attribution"),
    ("quadrature.html", "/rule"),
    ("model_facts.html", "/facts/0/model"),
    ("methods/imported.html", "/attributions/0"),
];

/// Under which name a template that is included has its values.
fn prefix(template: &str) -> &str {
    match template {
        "base.html" => "page.",
        "figure.html" => "figure.",
        "figure_table.html" => "table.",
        "samples_table.html" => "samples.",
        "map_note.html" => "shown.",
        "interlinear.html" => "lines.",
        "answer.html" => "answer.",
        "near_zero.html" | "jumps.html" | "quality.html" | "quality_line.html" | "methods/facts.html" => "attribution.",
        "faithfulness.html" => "test.",
        "methods_beside.html" => "beside.",
        "evidence.html" => "evidence.",
        "quadrature.html" => "rule.",
        "model_facts.html" => "made_by.",
        name if name.starts_with("methods/") => "attribution.",
        _ => "",
    }
}

/// What a value is, in a word or two; nothing is known of null.
fn kind(value: &Value) -> Option<&'static str> {
    let is = |names: &[&str]| {
        let object = value.as_object();
        object.is_some_and(|object| object.len() == names.len() && names.iter().all(|name| object.contains_key(*name)))
    };
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => "yes or no",
        Value::Number(_) => "number",
        Value::String(text) if text.starts_with('<') => "HTML",
        Value::String(_) => "text",
        Value::Array(values) => match values.first().and_then(kind) {
            Some("number") => "numbers",
            Some("text") => "texts",
            Some("link") => "links",
            Some("figure") => "figures",
            _ => "list",
        },
        _ if is(&["count", "of", "value", "interval"]) => "share",
        _ if is(&["value", "of"]) => "mean",
        _ if is(&["title", "href"]) => "link",
        _ if is(&["name", "title", "note", "svg", "keys", "table"]) => "figure",
        Value::Object(_) => "map",
    })
}

/// The fields of every value that is a map, by its path.
type Fields = BTreeMap<String, BTreeMap<String, BTreeSet<&'static str>>>;

/// Adds the fields of a value, and those of what is in it.
fn look_into(value: &Value, path: &str, found: &mut Fields) {
    match value {
        Value::Array(values) => values
            .iter()
            .for_each(|value| look_into(value, &format!("{path}[]"), found)),
        Value::Object(object) => {
            // The names of columns and options are the author's.
            if path.ends_with("fields") || path.ends_with("record.options") {
                let any = object.values().next().unwrap_or(&Value::Null);
                return look_into(any, &format!("{path}.NAME"), found);
            }
            for (name, value) in object {
                let fields = found.entry(path.to_owned()).or_default();
                fields.entry(name.clone()).or_default().extend(kind(value));
                // These have a row of their own, or are the same everywhere.
                let known = name == "page"
                    || matches!(
                        kind(value),
                        Some("share" | "mean" | "link" | "figure" | "figures" | "links")
                    );
                if !known {
                    let within = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    look_into(value, &within, found);
                }
            }
        }
        _ => {}
    }
}

fn table(rows: impl Iterator<Item = (String, Vec<String>)>) -> String {
    let row = |(name, words): (String, Vec<String>)| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        format!("| `{name}` | {} |\n", words.join(", "))
    };
    rows.map(row).collect()
}

/// The rows of the table with this head are these.
fn holds(text: &str, head: &str, rows: &str) -> String {
    let head = format!("{head}\n|{}\n", "---|".repeat(head.matches('|').count() - 1));
    let start = text.find(&head).unwrap_or_else(|| panic!("{DOCS} has no table {head}")) + head.len();
    let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
    format!("{}{rows}{}", &text[..start], &text[end..])
}

/// A field with what it is: `score` (number).
fn written((name, kinds): (&String, &BTreeSet<&str>)) -> String {
    match kinds.iter().next() {
        None => format!("`{name}`"),
        Some(_) => format!("`{name}` ({})", kinds.iter().copied().collect::<Vec<_>>().join(" or ")),
    }
}

/// What an example of a filter gives, on a page whose first model is right 17 times of 24.
fn example(template: &str) -> String {
    let mut tera = tera::Tera::new();
    filters::register(&mut tera);
    tera.add_raw_template("example", template).expect("it compiles");
    let given = serde_json::json!({
        "page": {"path": "models/demo/index.html", "root": null},
        "model": {"accuracy": Share { count: 17, of: 24 }},
        "guessing": 0.25,
    });
    let context = tera::Context::from_serialize(&given).expect("an object");
    let shown = tera.render("example", &context).expect("it renders");
    if shown.starts_with("<svg") {
        "a drawing".to_owned()
    } else {
        format!("`{shown}`")
    }
}

#[test]
fn every_filter_is_documented_once() {
    let source = include_str!("filters.rs");
    let named = source
        .split("register_filter(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let mut registered: Vec<&str> = named.chain(filters::NUMBERS.iter().map(|(name, _)| *name)).collect();
    let mut documented: Vec<&str> = FILTERS.iter().map(|filter| filter.name).collect();
    registered.sort_unstable();
    documented.sort_unstable();
    assert_eq!(registered, documented);
}

#[test]
fn the_docs_list_the_blocks_and_variables_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCS);
    let text = std::fs::read_to_string(&path).expect("the docs");
    let given = given();
    let of_blocks = TEMPLATES.iter().map(|(name, text)| {
        let all: Vec<String> = blocks(text).map(str::to_owned).collect();
        ((*name).to_owned(), all)
    });
    let mut variables = Vec::new();
    let mut within = String::new();
    for (name, _) in TEMPLATES {
        let views = given.get(name).filter(|views| !views.is_empty());
        let mut fields = Fields::new();
        for view in views.unwrap_or_else(|| panic!("{name} was never shown")) {
            look_into(view, "", &mut fields);
        }
        let own = fields.remove("").unwrap_or_default();
        let words = own.keys().map(|word| format!("{}{word}", prefix(name))).collect();
        variables.push((name.to_owned(), words));
        for (path, fields) in fields {
            let fields: Vec<String> = fields.iter().map(written).collect();
            within += &format!("| `{name}` | `{}{path}` | {} |\n", prefix(name), fields.join(", "));
        }
    }
    let right = holds(&text, "| template | its blocks |", &table(of_blocks));
    let right = holds(&right, "| template | variables |", &table(variables.into_iter()));
    let right = holds(&right, "| template | value | its fields |", &within);
    let filters = FILTERS.iter().map(|filter| {
        let shown = example(filter.example);
        // A bar would end the cell.
        let example = filter.example.replace('|', "\\|");
        format!("| `{}` | {} | `{example}` | {shown} |\n", filter.name, filter.what)
    });
    let right = holds(
        &right,
        "| filter | writes | for example | which gives |",
        &filters.collect::<String>(),
    );
    if text != right && std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &right).expect("written");
    } else {
        assert_eq!(text, right, "run this test with INSTA_UPDATE=always");
    }
}

/// A number as the docs write it: `20,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

#[test]
fn the_docs_list_the_limits_that_there_are() {
    use crate::content::templating::{LONGEST_CHAIN, meter};
    use crate::render::markdown::{code, maths, shortcode};
    let text = include_str!("../../docs/limits.md");
    for (limit, value) in [
        ("units of work for a page", meter::PAGE_UNITS),
        ("units of work for a row's prompt", meter::PROMPT_UNITS),
        (
            "and for each byte of the row's columns that the prompt uses",
            meter::PROMPT_UNITS_A_BYTE,
        ),
        (
            "templates of which each extends or includes the next",
            LONGEST_CHAIN as u64,
        ),
        (
            "templates, components and blocks at work within each other",
            meter::DEEPEST_CALLS as u64,
        ),
        (
            "lists and maps nested in each other, in a template",
            meter::DEEPEST as u64,
        ),
        ("bytes of a formula", maths::LONGEST as u64),
        ("brackets nested in a formula", maths::DEEPEST as u64),
        ("bytes of a line of code that is coloured", code::LONGEST_LINE as u64),
        ("bytes of a block of code that is coloured", code::LONGEST_BLOCK as u64),
        ("bytes of all code of a text that is coloured", code::MOST as u64),
        (
            "seconds that colouring the code of a text may take",
            code::LONGEST.as_secs(),
        ),
        (
            "shortcodes in one text",
            crate::render::markdown::MOST_SHORTCODES as u64,
        ),
        ("shortcodes: lists nested in each other", shortcode::DEEPEST as u64),
        (
            "faults of links that are reported with their place",
            crate::site::MOST_REPORTED as u64,
        ),
    ] {
        let row = format!("| {limit} | {} |\n", grouped(value));
        assert!(text.contains(&row), "docs/limits.md has no row {row}");
    }
}
