//! What an author writes round the results: pages with shortcodes, notes, formulas and code, and templates of their own; and what is
//! said of those that are wrong.
mod support;

use support::project::{EXPERIMENT, Project};

const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const CHECK: [&str; 3] = ["check", "--device", "cpu"];

/// The small project with a page.
fn with_page(text: &str) -> Project {
    Project::small().file("content/docs/page.md", text)
}

/// A page's markup as it is on any machine: no map, drawing or number.
fn without_numbers(html: &str) -> String {
    let mut html = html.to_owned();
    for (start, end) in [
        ("<div class=\"map\"", "</div>"),
        ("<p class=\"legend\"", "</p>"),
        ("<svg", "</svg>"),
    ] {
        let mut kept = String::new();
        let mut parts = html.split(start);
        kept.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let rest = part.split_once(end).map_or("", |(_, rest)| rest);
            kept.push_str(&format!("{start}…{end}{rest}"));
        }
        html = kept;
    }
    let mut text = String::new();
    for c in html.chars() {
        match c {
            '0'..='9' if text.ends_with('0') => {}
            '0'..='9' => text.push('0'),
            c => text.push(c),
        }
    }
    text
}

/// What `check` says of a project that is wrong.
fn refused(project: &Project) -> String {
    project.run(&CHECK).ended(2).to_owned()
}

#[test]
fn a_page_holds_maps_tables_plots_notes_formulas_and_code() {
    let page = r#"---
title: A page
toc: true
---
# A page

Look.[^1] It is $x^2$.

## Maps

{{ heatmap(experiment="first", model="tiny", sample="b", target="gold", baseline="zero", level="segment", caption="Mine & ours") }}
{{ heatmap(experiment="first", model="tiny", sample="b", level="token") }}

{{ comparison(experiment="first", sample="b") }}

## Numbers

{{ table(experiment="first", of="models") }}

{{ table(experiment="first", of="samples", first=2) }}

{{ table(experiment="first", of="segments") }}

{{ table(experiment="first", of="options") }}

{{ table(experiment="first", of="confusion", model="tiny") }}

{{ plot(experiment="first", of="accuracy") }}

{{ plot(experiment="first", of="segments") }}

{{ plot(experiment="first", of="options") }}

{{ plot(experiment="first", of="convergence", model="tiny", sample="b") }}

```yaml
of: models
```

[^1]: A note.
"#;
    let project = with_page(page)
        .file("content/docs/index.md", "# Docs\n\nAll of them:\n")
        .edit(
            "content/experiments/first.yaml",
            "models:",
            "description: |\n  ## Models\n\n  {{ table(of=\"models\") }}\nmodels:",
        )
        .file("templates/shortcodes/aside.html", "<aside>{{ text }}</aside>\n")
        .file("content/own.md", "# Own\n\n{{ aside(text=\"a < b\") }}\n");
    project.run(&BUILD).ended(0);
    let html = project.read("site/docs/page/index.html");
    let main = &html[html.find("<article").unwrap()..html.find("</article>").unwrap()];
    insta::assert_snapshot!("page", without_numbers(main));
    assert!(!html.contains(" style="), "no inline style gets past the policy");
    let docs = project.read("site/docs/index.html");
    assert!(docs.contains("<ul class=\"pages\"><li><a href=\"page/index.html\"><bdi>A page</bdi></a></li></ul>"));
    assert!(
        html.contains("<a href=\"../index.html\">Docs</a>"),
        "in the navigation and on the way"
    );
    assert!(project.read("site/own/index.html").contains("<aside>a &lt; b</aside>"));
    let experiment = project.read("site/experiments/first/index.html");
    assert!(experiment.contains("<h2 id=\"text-models\">Models</h2>") && experiment.contains("id=\"text-table\""));
}

#[test]
fn wrong_shortcodes_are_told_with_their_place_before_anything_is_computed() {
    let page = r#"# Wrong

{{ heatmap(experiment="frist", model="tiny", sample="a") }}

{{ heatmap(experiment="first", model="tyni", sample="z", target="golden", baseline="one", level="words") }}

{{ heatmap(model="tiny", smaple="a") }}

{{ table(experiment="first", of="model", first=0) }}

{{ table(experiment="first", of="samples", first=0, model="tiny") }}

{{ table(experiment="first", of="confusion") }}

{{ comparison(experiment="first", sample="a", models="tiny") }}

{{ comparison(experiment="first", sample="a", models=["tiny", "tinny"], caption=3) }}

{{ plot(experiment=1, of="accuracy") }}

{{ heatmpa() }}

Text {{ plot(experiment="first", of="accuracy") }}.

{{ plot(experiment="first" of="accuracy") }}

A formula, $\nosuch$, and [a link](gone.md).
"#;
    insta::assert_snapshot!("wrong", refused(&with_page(page)));
    let described = Project::small().edit(
        "content/experiments/first.yaml",
        "models:",
        "description: |\n  Text.\n\n  {{ table(of=\"modles\") }}\nmodels:",
    );
    insta::assert_snapshot!("wrong_description", refused(&described));
}

#[test]
fn a_page_and_the_experiments_that_a_build_leaves_out() {
    let page = "# A\n\n{{ table(experiment=\"second\", of=\"models\") }}\n";
    let project = with_page(page).file(
        "content/experiments/second.yaml",
        EXPERIMENT.replace("title: First", "title: Second\ndraft: true"),
    );
    insta::assert_snapshot!("draft", refused(&project));
    project.run(&[&CHECK[..], &["--drafts"]].concat()).ended(0);

    let chosen = [&BUILD[..], &["--experiment", "first"]].concat();
    let ran = project.run(&chosen);
    assert!(
        ran.ended(0)
            .contains("content/docs/page.md:3:4: experiment `second` is not in this build, and the page says so"),
        "{}",
        ran.stderr
    );
    let html = project.read("site/docs/page/index.html");
    assert!(html.contains("<p class=\"left-out\">Not in this build: experiment <code>second</code>.</p>"));
}

#[test]
fn templates_override_pages_and_blocks_and_their_errors_have_a_place() {
    // The example of the demo's docs, as it stands there.
    let docs = include_str!("../content/docs/changing-the-look.md");
    let own = docs
        .split("```jinja\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let project = with_page("---\ntemplate: wide.html\n---\n# A\n\nB\n")
        .file("templates/base.html", own)
        .file("static/assets/ours.css", "p{}")
        .file(
            "templates/wide.html",
            "{% extends \"igsite/page.html\" %}{% block text %}<div>{{ super() }}</div>{% endblock text %}",
        )
        .file("templates/pgae.html", "unused");
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(0).contains("templates/pgae.html: nothing uses this template"),
        "{}",
        ran.stderr
    );
    let page = project.read("site/docs/page/index.html");
    assert!(
        page.contains("<link rel=\"stylesheet\" href=\"../../assets/ours.css\">"),
        "{page}"
    );
    assert!(page.contains("<div><p>B</p>\n</div>"), "{page}");
    for page in [
        "docs/page/index.html",
        "experiments/first/index.html",
        "index.html",
        "404.html",
    ] {
        let page = project.read(&format!("site/{page}"));
        assert!(
            page.contains("<p>Made by the reading group.</p>") && !page.contains("<p>Attribution maps by"),
            "{page}"
        );
    }

    let project = project.file(
        "templates/sample.html",
        "{% extends \"igsite/sample.html\" %}\n{% block mian %}{% endblock mian %}\n",
    );
    insta::assert_snapshot!("wrong_block", refused(&project));
    let project = project
        .file("templates/sample.html", "{{ a }}")
        .file("templates/wide.html", "\n<p>{{ headnig }}</p>");
    insta::assert_snapshot!("wrong_variable", refused(&project));
    let project = project
        .file("templates/wide.html", "")
        .edit("content/docs/page.md", "wide.html", "wdie.html");
    insta::assert_snapshot!("wrong_template", refused(&project));
}
