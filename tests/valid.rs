//! Every page of a built site is valid HTML: parsed by html5ever, which tells every parse error, and checked for what
//! the parser lets pass (content models, references, tables). `tests/browser.rs` runs the Nu checker as well.
mod support;

use std::collections::BTreeSet;

use scraper::{ElementRef, Html};
use support::project::Project;

/// Elements that hold running text only.
const RUNNING: [&str; 22] = [
    "p", "span", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "small", "b", "strong", "em", "i", "bdi", "mark", "code",
    "label", "button", "output", "legend", "abbr",
];
/// Elements that are no running text.
const BLOCKS: [&str; 27] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "details",
    "dialog",
    "div",
    "dl",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
];
/// Attributes that name ids of the same page.
const REFERENCES: [&str; 8] = [
    "for",
    "aria-labelledby",
    "aria-describedby",
    "aria-controls",
    "aria-owns",
    "aria-details",
    "headers",
    "list",
];

/// What is wrong with a page.
fn problems(page: &str) -> Vec<String> {
    let html = Html::parse_document(page);
    let mut problems: Vec<String> = html
        .errors
        .iter()
        .map(|error| format!("parse error: {error}"))
        .collect();
    let elements: Vec<ElementRef> = html.root_element().descendants().filter_map(ElementRef::wrap).collect();
    let mut ids = BTreeSet::new();
    for id in elements.iter().filter_map(|element| element.attr("id")) {
        if id.is_empty() || id.contains(char::is_whitespace) || !ids.insert(id) {
            problems.push(format!("the id `{id}` is empty, has a space, or is given twice"));
        }
    }
    for element in &elements {
        let name = element.value().name();
        let mut say = |text: String| problems.push(format!("<{name}>: {text}"));
        for reference in REFERENCES.iter().filter_map(|attribute| element.attr(attribute)) {
            for id in reference.split_whitespace().filter(|id| !ids.contains(id)) {
                say(format!("names `#{id}`, which is not there"));
            }
        }
        if element.attr("style").is_some() || element.value().attrs().any(|(name, _)| name.starts_with("on")) {
            say("has an inline style or script, which the policy forbids".into());
        }
        if matches!(name, "script" | "style") && !element.inner_html().trim().is_empty() {
            say("is inline, which the policy forbids".into());
        }
        if name == "img" && element.attr("alt").is_none() {
            say("has no alt".into());
        }
        if name == "svg"
            && element.attr("aria-hidden").is_none()
            && element.attr("aria-label").is_none()
            && element.attr("aria-labelledby").is_none()
        {
            say("is neither hidden nor named".into());
        }
        let above = || {
            element
                .ancestors()
                .filter_map(ElementRef::wrap)
                .map(|above| above.value().name().to_owned())
        };
        if BLOCKS.contains(&name)
            && let Some(outer) = above().find(|outer| RUNNING.contains(&outer.as_str()))
        {
            say(format!("stands in <{outer}>, which holds running text only"));
        }
        let interactive = matches!(
            name,
            "a" | "button" | "input" | "select" | "textarea" | "summary" | "label"
        );
        if interactive && let Some(outer) = above().find(|outer| outer == "a" || outer == "button") {
            say(format!("can be clicked inside <{outer}>, which can too"));
        }
        let parent = above().next().unwrap_or_default();
        let misplaced = match name {
            "li" => !matches!(parent.as_str(), "ul" | "ol" | "menu"),
            "dt" | "dd" => !matches!(parent.as_str(), "dl" | "div"),
            "caption" | "thead" | "tbody" => parent != "table",
            "tr" => !matches!(parent.as_str(), "thead" | "tbody" | "tfoot"),
            "figcaption" => parent != "figure",
            "summary" => parent != "details",
            _ => matches!(parent.as_str(), "ul" | "ol" | "dl" | "table" | "tr") && !belongs(&parent, name),
        };
        if misplaced {
            say(format!("does not belong into <{parent}>"));
        }
        if name == "table" {
            let widths: BTreeSet<usize> = rows(*element).into_iter().collect();
            if widths.len() > 1 {
                say(format!("has rows of {widths:?} cells"));
            }
        }
    }
    for (name, count) in [("main", 1), ("h1", 1), ("title", 1)] {
        let found = elements.iter().filter(|element| element.value().name() == name).count();
        if found != count {
            problems.push(format!("{found} of <{name}>"));
        }
    }
    problems
}

/// Whether an element may be a child of a list or a table's part.
fn belongs(parent: &str, name: &str) -> bool {
    match parent {
        "ul" | "ol" => name == "li",
        "dl" => matches!(name, "dt" | "dd" | "div"),
        "table" => matches!(name, "caption" | "colgroup" | "thead" | "tbody" | "tfoot"),
        _ => matches!(name, "th" | "td"),
    }
}

/// The columns that each row of a table fills; rows that another row's cell reaches into are left out.
fn rows(table: ElementRef) -> Vec<usize> {
    let cells = |row: ElementRef| -> Option<usize> {
        let cells: Vec<ElementRef> = row.children().filter_map(ElementRef::wrap).collect();
        let spans = cells.iter().all(|cell| cell.attr("rowspan").is_none());
        let span = |cell: &ElementRef| cell.attr("colspan").and_then(|span| span.parse().ok()).unwrap_or(1);
        spans.then(|| cells.iter().map(span).sum())
    };
    let all = table.descendants().filter_map(ElementRef::wrap);
    let rows: Vec<Option<usize>> = all
        .filter(|element| element.value().name() == "tr")
        .map(cells)
        .collect();
    if rows.iter().any(Option::is_none) {
        Vec::new()
    } else {
        rows.into_iter().flatten().collect()
    }
}

#[test]
fn every_page_of_a_site_is_valid() {
    let project = Project::small()
        .model("second")
        .file("content/index.md", "---\ntitle: Front\n---\nText with *all* sorts.\n\n1. one\n2. two\n\n> quoted\n")
        .file(
            "content/about.md",
            "---\ntitle: \"About <b> & \\\"quotes\\\"\"\n---\n# About\n\n## Twice\n\n## Twice\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n- [x] done\n\nA note.[^1]\n\n```rust\nfn main() {}\n```\n\n[^1]: The note.\n",
        )
        .edit("content/experiments/first.yaml", "[tiny]", "[tiny, second]")
        .edit("content/experiments/first.yaml", "title: First", "title: First\ndescription: |\n  What *it* asks.\n\n  - a\n  - b")
        .file(
            "content/experiments/second.yaml",
            support::project::EXPERIMENT.replace("quadrature: gauss_legendre\n  steps: 8", "max_evaluations: 40").replace(", gold]", ", all_options, {contrast: [A, B]}]"),
        );
    for base_url in [None, Some("https://me.github.io/repo/")] {
        let mut arguments = vec!["build", "--device", "cpu"];
        if let Some(base_url) = base_url {
            arguments.extend(["--base-url", base_url]);
        }
        project.run(&arguments).ended(0);
        let mut pages = 0;
        let mut wrong = Vec::new();
        for (path, bytes) in project
            .files("site")
            .into_iter()
            .filter(|(path, _)| path.ends_with(".html"))
        {
            let page = String::from_utf8(bytes).unwrap();
            pages += 1;
            wrong.extend(problems(&page).into_iter().map(|problem| format!("{path}: {problem}")));
        }
        assert!(pages > 20, "{pages}");
        assert!(wrong.is_empty(), "{} problems:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// The test above must be able to fail.
#[test]
fn what_is_wrong_is_seen() {
    let page = |body: &str| {
        let page = format!(
            "<!doctype html><html lang=\"en\"><head><title>t</title></head><body><main><h1>t</h1>{body}</main></body></html>"
        );
        problems(&page)
    };
    let fine = page("<p id=\"a\">x</p><p aria-labelledby=\"a\">y</p>");
    assert!(fine.is_empty(), "{fine:?}");
    for (body, expected) in [
        ("<p>a</p></p>", "parse error"),
        ("<p a=1 a=2>x</p>", "parse error"),
        ("<b><i>x</b></i>", "parse error"),
        ("<table><tr><td>1</td></tr><p>x</p></table>", "parse error"),
        ("<p id=\"a\"></p><p id=\"a\"></p>", "given twice"),
        ("<p aria-labelledby=\"b\"></p>", "names `#b`"),
        ("<span><p>x</p></span>", "running text only"),
        ("<a href=\"x\"><button>x</button></a>", "can be clicked inside"),
        ("<ul><p>x</p></ul>", "does not belong into <ul>"),
        (
            "<table><tbody><tr><td>1</td></tr><tr><td>1</td><td>2</td></tr></tbody></table>",
            "rows of {1, 2}",
        ),
        ("<p style=\"color:red\">x</p>", "inline style"),
        ("<script>alert(1)</script>", "is inline"),
        ("<svg></svg>", "neither hidden nor named"),
        ("<h1>x</h1>", "2 of <h1>"),
    ] {
        let found = page(body);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{body}: {found:?}"
        );
    }
}
