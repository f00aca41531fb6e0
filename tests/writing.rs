//! What an author writes in addition to the results: pages with shortcodes, notes, formulas and code, and own
//! templates; and the messages for mistakes in them.
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
fn a_claim_that_is_no_longer_true_fails_the_build_with_its_line_and_numbers() {
    let claim = |is: &str| {
        let shortcode = format!(
            "{{{{ claim(experiment=\"first\", of=\"accuracy\", is=\"{is}\", value=\"2\", caption=\"both\") }}}}"
        );
        with_page(&format!("# A page\n\nThis is so:\n\n{shortcode}\n"))
    };
    let project = claim("below");
    project.run(&CHECK).ended(0);
    project.run(&BUILD).ended(0);
    let html = project.read("site/docs/page/index.html");
    assert!(
        html.contains("<p class=\"claim\" id=\"claim\">The share of right answers is below 200.0%"),
        "{html}"
    );
    let project = claim("above");
    // Only results tell.
    project.run(&CHECK).ended(0);
    let said = project.run(&BUILD).ended(2).to_owned();
    for told in [
        "content/docs/page.md:5:4: this claim is not true: the share of right answers: Tiny (",
        "expected: it is above 200.0%",
        "help: change the sentence",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(
        !project.path("site/index.html").exists(),
        "no site that says what is not so"
    );
}

#[test]
fn what_holds_for_the_whole_site_stands_in_the_front_page() {
    let front =
        "---\ntitle: Ours\nauthor: [Ada Example, Bo]\nwrite: {maps: needed, data: packed, cards: none}\n---\nHello.\n";
    let project = Project::small().file("content/index.md", front);
    project
        .run(&["build", "--device", "cpu", "--base-url", "https://me.example/r/"])
        .ended(0);
    assert!(
        project
            .read("site/index.html")
            .contains("<meta name=\"author\" content=\"Ada Example and Bo\">")
    );
    let cited = project.read("site/data/first.bib");
    assert!(
        cited.contains("author = {Ada Example and Bo}")
            && cited.contains("url = {https://me.example/r/experiments/first/}"),
        "{cited}"
    );
    assert!(project.path("site/data/first.csv.gz").exists() && project.path("site/data/first/a.json").exists());
    assert!(
        !project.path("site/data/first/tiny/a.json").exists()
            && !project.path("site/experiments/first/card.png").exists()
    );
    // A build with nothing to do sees that the front page says something else now.
    let project = project.edit("content/index.md", "cards: none", "cards: all");
    project
        .run(&["build", "--device", "cpu", "--base-url", "https://me.example/r/"])
        .ended(0);
    assert!(project.path("site/experiments/first/card.png").exists());
    let said = refused(&project.edit("content/index.md", "maps: needed", "maps: neded"));
    assert!(
        said.contains("content/index.md:4:15: write.maps: ") && said.contains("did you mean `needed`?"),
        "{said}"
    );
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

#[cfg(unix)]
/// The project's folder with a named pipe at a path.
fn with_pipe(path: &str) -> Project {
    let project = Project::small().file(&format!("{path}.beside"), "");
    std::fs::remove_file(project.path(&format!("{path}.beside"))).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(project.path(path))
        .status()
        .unwrap();
    assert!(made.success());
    project
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_texts_is_refused_by_name() {
    for path in ["static/pipe.txt", "templates/pipe.html", "content/pipe.md"] {
        let project = with_pipe(path);
        let said = refused(&project);
        assert!(
            said.contains(&format!("{path}: this is a named pipe, not a file")),
            "{path}: {said}"
        );
    }
}

#[test]
fn templates_without_end_are_refused_with_their_place() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let loops = format!(
        "{}{}",
        format!("{{% for x in {ten} %}}\n").repeat(12),
        "{% endfor %}".repeat(12)
    );
    let doubling = format!(
        "{{% set s = \"ab\" %}}\n{}{{{{ s }}}}",
        "{% set s = s ~ s %}".repeat(40)
    );
    for (name, text) in [("loops", &loops), ("doubling", &doubling)] {
        let project =
            with_page(&format!("# A\n\n{{{{ {name}() }}}}\n")).file(&format!("templates/shortcodes/{name}.html"), text);
        let said = refused(&project);
        assert!(said.contains(&format!("templates/shortcodes/{name}.html:")), "{said}");
        assert!(
            said.contains("the template does more work than it may: 134217728 units for a page"),
            "{said}"
        );
    }
    for text in [loops.replace('\n', ""), doubling.replace('\n', "")] {
        let prompt = format!("text: {}", serde_json::to_string(&text).unwrap());
        let project = Project::small();
        let before = project.read("content/experiments/first.yaml");
        let first = before
            .lines()
            .find(|line| line.trim_start().starts_with("text:"))
            .unwrap()
            .trim()
            .to_owned();
        let project = project.file("content/experiments/first.yaml", before.replacen(&first, &prompt, 1));
        let said = refused(&project);
        assert!(
            said.contains("content/experiments/first.yaml:") && said.contains("units for row 0"),
            "{said}"
        );
    }
    let project = Project::small();
    let project = (0..40).fold(project, |project, index| {
        project.file(
            &format!("templates/t{index}.html"),
            format!(
                "{{% extends \"t{}.html\" %}}{{% block a %}}{{{{ super() }}}}{{% endblock a %}}",
                index + 1
            ),
        )
    });
    let project = project.file("templates/t40.html", "{% block a %}{% endblock a %}");
    let said = refused(&project);
    assert!(
        said.contains("a chain of templates that is too long begins here"),
        "{said}"
    );
}

#[test]
fn what_a_site_refuses_is_refused_by_check_with_its_line() {
    for (text, what) in [
        (
            "<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example/\">",
            "takes the reader to `https://evil.example/`",
        ),
        (
            "<img srcset=\"a.png 1x, https://evil.example/b.png 2x\" alt=\"\">",
            "`https://evil.example/b.png`",
        ),
        ("<img src=\"//evil.example/b.png\" alt=\"\">", "`//evil.example/b.png`"),
        ("<img src=\"\\\\evil.example\\b.png\" alt=\"\">", "another host"),
        ("[a](\\\\\\\\evil.example/b)", "link to `\\\\evil.example/b`"),
        (
            "<style>@import \"https://evil.example/a.css\";</style>",
            "`https://evil.example/a.css`",
        ),
        (
            "<style>p { background: url(//evil.example/a.png) }</style>",
            "`//evil.example/a.png`",
        ),
        ("<base href=\"https://evil.example/\">", "<base>"),
        (
            "<object data=\"https://evil.example/a\"></object>",
            "`https://evil.example/a`",
        ),
        ("<embed src=\"https://evil.example/a\">", "`https://evil.example/a`"),
        (
            "<form action=\"https://evil.example/a\"></form>",
            "`https://evil.example/a`",
        ),
        (
            "<a href=\"https://a.example\" ping=\"https://evil.example/a\">x</a>",
            "`https://evil.example/a`",
        ),
        (
            "<svg><use href=\"https://evil.example/a#b\"/></svg>",
            "`https://evil.example/a#b`",
        ),
        (
            "<link rel=\"stylesheet\" href=\"https://evil.example/a.css\">",
            "`https://evil.example/a.css`",
        ),
        ("<a href=\"javascript:alert(1)\">x</a>", "`javascript:alert(1)`"),
        (
            "[a](gone/index.html)",
            "`docs/gone/index.html`, which the site does not have",
        ),
        ("<i id=\"b\">x</i> <i id=\"b\">y</i>", "given twice"),
    ] {
        let project = with_page(&format!("# A\n\nText.\n\n{text}\n"));
        let check = project.run(&CHECK);
        let build = project.run(&BUILD);
        for (ran, name) in [(&check, "check"), (&build, "build")] {
            assert!(matches!(ran.code, Some(1 | 2)), "{name}, {text}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("content/docs/page.md:5:"),
                "{name}, {text}: {}",
                ran.stderr
            );
            assert!(ran.stderr.contains(what), "{name}, {text}: {}", ran.stderr);
        }
        assert_eq!(check.stderr, build.stderr, "{text}");
    }
}

#[test]
fn what_is_dead_under_the_policy_is_a_warning_of_check_and_of_build() {
    for (text, what) in [
        ("<script>alert(1)</script>", "a script within the page"),
        ("<p style=\"color:red\">x</p>", "an inline style"),
        ("<style>p { color: red }</style>", "a style sheet within the page"),
        ("<p onclick=\"x()\">x</p>", "an inline handler"),
        ("<iframe srcdoc=\"x\" title=\"x\"></iframe>", "<iframe>"),
    ] {
        let project = with_page(&format!("# A\n\nText.\n\n{text}\n"));
        for command in [CHECK, BUILD] {
            let ran = project.run(&command);
            let line = ran
                .ended(0)
                .lines()
                .find(|line| line.contains("content/docs/page.md:5:"))
                .unwrap_or_default();
            assert!(
                line.contains(what) && ran.stderr.contains("policy forbids it"),
                "{command:?}, {text}: {}",
                ran.stderr
            );
        }
    }
    // In a template too; not in one that brings a policy of its own.
    let own = "{% extends \"igsite/sample.html\" %}\n{% block main %}\n<p style=\"color:red\">x</p>{% endblock main %}";
    let project = Project::small().file("templates/sample.html", own);
    let ran = project.run(&CHECK);
    assert!(
        ran.ended(0).contains("templates/sample.html:3:4: an inline style"),
        "{}",
        ran.stderr
    );
    let elsewhere = own.replace(
        "<p style=\"color:red\">",
        "<script src=\"https://evil.example/x.js\"></script>",
    );
    let said = refused(&project.file("templates/sample.html", elsewhere));
    assert!(
        said.contains("templates/sample.html:3:9: <script> leads to `https://evil.example/x.js`"),
        "{said}"
    );
}

#[test]
fn a_text_of_any_kind_takes_time_by_its_length() {
    let page = "# A\n\n".to_owned()
        + &"## One name\n\n".repeat(8_000)
        + "```ruby\n"
        + &"def a(b) = \"#{b}\" if b =~ /c/ # d\n".repeat(3_000)
        + "```\n";
    let project = with_page(&page);
    let began = std::time::Instant::now();
    let ran = project.run(&CHECK);
    assert!(
        ran.ended(0)
            .contains("content/docs/page.md:16003:1: code without its colours: 102000 bytes"),
        "{}",
        ran.stderr
    );
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn templates_whose_work_is_counted_give_the_same_pages() {
    let project = with_page(
        "# A\n\n{{ table(experiment=\"first\", of=\"models\") }}\n\n{{ comparison(experiment=\"first\", sample=\"b\") }}\n",
    );
    project.run(&BUILD).ended(0);
    let pages = |project: &Project| -> Vec<(String, Vec<u8>)> {
        let files = project.files("site").into_iter();
        files.filter(|(path, _)| path.ends_with(".html")).collect()
    };
    let before = pages(&project);
    // The built-in ones are not counted, and a project's own are: with a comment they are its own.
    let built_in = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let files = walkdir::WalkDir::new(&built_in).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let project = files.fold(project, |project, entry| {
        let name = entry
            .path()
            .strip_prefix(&built_in)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = std::fs::read_to_string(entry.path()).unwrap() + "{# own #}";
        project.file(&format!("templates/{name}"), text)
    });
    let ran = project.run(&BUILD);
    assert_eq!(ran.ended(0).matches("warning").count(), 0, "{}", ran.stderr);
    let after = pages(&project);
    assert!(before.len() > 8 && before.len() == after.len());
    for (one, other) in before.iter().zip(&after) {
        assert!(one == other, "{} is another page", one.0);
    }
}
