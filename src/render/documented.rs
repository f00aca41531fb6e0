//! The tables in the demo's docs that list blocks and variables of each template say what there is.
//!
//! `INSTA_UPDATE=always` writes them anew, as it does with snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::fixture::{self, Fixture};
use super::pages::Renderer;
use super::results::Results;
use super::theme::{TEMPLATES, blocks};
use super::{OutputFile, Sink};

const DOCS: &str = "content/docs/changing-the-look.md";

/// Shortcodes of each built-in kind.
const SHORTCODES: &str = r#"{{ heatmap(experiment="claims", model="llama-toy", sample="2600.json") }}
{{ comparison(experiment="claims", sample="2600.json") }}
{{ table(experiment="claims", of="models") }}
{{ plot(experiment="claims", of="accuracy") }}
"#;

/// The variables of each template, as a site gives them.
fn variables() -> BTreeMap<String, BTreeSet<String>> {
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
    // A table of samples that is long enough to go on in pages of its own.
    let samples = (0..251).map(|i| fixture::sample(&i.to_string(), &i.to_string(), "Taxes fell.", "Ada", "D"));
    let long = Fixture::of(samples.collect(), &["llama-toy"]);
    let long_site = long.site(None);
    let long_results = [Results::of(&long.project, &long_site.results[0]).expect("whole")];
    let long_renderer = Renderer::new(&long_site, &long_results).expect("templates");
    long_renderer
        .samples(&long_results[0], 2, &mut out)
        .expect("pages of samples");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut take = |name: &str, view: &Value| {
        let view = view.as_object().expect("an object");
        found.entry(name.to_owned()).or_default().extend(view.keys().cloned());
    };
    for (name, views) in renderer.given().into_iter().chain(long_renderer.given()) {
        for view in views {
            take(&name, &view);
            // Templates that others include have a part of their view.
            for (name, part) in [
                ("figure.html", "/headline/0"),
                ("figure_table.html", "/headline/0/table"),
                ("samples_table.html", "/samples"),
            ] {
                if let Some(part) = view.pointer(part).filter(|part| part.is_object()) {
                    take(name, part);
                }
            }
            if let Some(page) = view.get("page") {
                take("base.html", page);
            }
        }
    }
    found
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
    let head = format!("{head}\n|---|---|\n");
    let start = text.find(&head).unwrap_or_else(|| panic!("{DOCS} has no table {head}")) + head.len();
    let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
    format!("{}{rows}{}", &text[..start], &text[end..])
}

#[test]
fn the_docs_list_the_blocks_and_variables_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCS);
    let text = std::fs::read_to_string(&path).expect("the docs");
    let known = variables();
    let of_blocks = TEMPLATES.iter().map(|(name, text)| {
        let all: Vec<String> = blocks(text).map(str::to_owned).collect();
        ((*name).to_owned(), all)
    });
    let of_variables = TEMPLATES.iter().map(|(name, _)| {
        let all = known.get(*name).unwrap_or_else(|| panic!("{name} was never shown"));
        let prefix = match *name {
            "base.html" => "page.",
            "figure.html" => "figure.",
            "figure_table.html" => "table.",
            "samples_table.html" => "samples.",
            _ => "",
        };
        let words = all.iter().map(|word| format!("{prefix}{word}")).collect();
        ((*name).to_owned(), words)
    });
    let right = holds(&text, "| template | its blocks |", &table(of_blocks));
    let right = holds(&right, "| template | variables |", &table(of_variables));
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
            crate::site::TOLD as u64,
        ),
    ] {
        let row = format!("| {limit} | {} |\n", grouped(value));
        assert!(text.contains(&row), "docs/limits.md has no row {row}");
    }
}
