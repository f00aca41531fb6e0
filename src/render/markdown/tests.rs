use super::headings::Ids;
use super::shortcode::Call;
use super::*;

/// Shows every shortcode as its own text, but for one that there is not.
struct Echo;

impl Shortcodes for Echo {
    fn html(&self, call: &Call, ids: &mut Ids) -> Result<Shown, Vec<Refusal>> {
        if call.name == "nothing" {
            return Err(vec![Refusal::at(call.at, Diagnostic::content("no such shortcode"))]);
        }
        Ok(Shown {
            html: format!(
                "<figure id=\"{}\">{}</figure>\n",
                ids.take("map"),
                escape(&call.to_string())
            ),
            warnings: Vec::new(),
        })
    }
}

fn rendered(text: &str) -> Result<Rendered, Diagnostics> {
    let pages = BTreeMap::from([(
        PathBuf::from("content/docs/other.md"),
        "docs/other/index.html".to_owned(),
    )]);
    let source = Source {
        text,
        file: Path::new("content/docs/page.md"),
        first_line: Some(5),
        folder: "docs".to_owned(),
        prefix: "",
    };
    let setting = Setting {
        links: &Links::on("docs/page/index.html"),
        pages: &pages,
        shortcodes: &Echo,
    };
    render(&source, "Title", &setting)
}

fn html(text: &str) -> String {
    rendered(text)
        .unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
        .html
}

fn error(text: &str) -> String {
    let errors = rendered(text).expect_err("an error");
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn headings_begin_below_the_title_and_have_anchors() {
    let found = html("# Title\n\n## How *it* works\n\n### Again {#own-id}\n\n## How it works\n");
    assert_eq!(
        found,
        "<div class=\"heading\"><h2 id=\"how-it-works\">How <em>it</em> works</h2>\
         <a class=\"anchor\" href=\"#how-it-works\" aria-label=\"Link to “How it works”\">#</a></div>\n\
         <div class=\"heading\"><h3 id=\"own-id\">Again</h3>\
         <a class=\"anchor\" href=\"#own-id\" aria-label=\"Link to “Again”\">#</a></div>\n\
         <div class=\"heading\"><h2 id=\"how-it-works-2\">How it works</h2>\
         <a class=\"anchor\" href=\"#how-it-works-2\" aria-label=\"Link to “How it works”\">#</a></div>\n"
    );
}

#[test]
fn an_id_that_the_author_chose_stays_whatever_comes_before() {
    let found = html("## Scores\n\n## Other {#scores}\n");
    assert!(
        found.contains("id=\"scores-2\">Scores") && found.contains("id=\"scores\">Other"),
        "{found}"
    );
    assert!(
        error("## A {#x}\n\n## B {#x}\n")
            .starts_with("content/docs/page.md:7:1: heading `{#x}`: an id that the page has")
    );
    assert!(error("## A {#main}\n").contains("an id that the page has"));
}

#[test]
fn contents_come_apart_or_where_the_text_says() {
    let apart = rendered("## A\n\n> ## Quoted\n\n### B & `c`\n").expect("fine");
    assert!(!apart.html.contains("<nav"));
    assert_eq!(
        apart.contents,
        "<nav class=\"toc\" aria-label=\"Contents\"><ol><li><a href=\"#a\">A</a><ol><li><a href=\"#b-c\">B &amp; c</a></li></ol></li></ol></nav>\n"
    );
    let within = rendered("Before\n\n[[toc]]\n\n## A\n").expect("fine");
    assert!(within.contents.is_empty());
    assert!(
        within.html.contains("<p>Before</p>\n<nav class=\"toc\""),
        "{}",
        within.html
    );
    assert!(!html("`[[toc]]`\n\n## A").contains("<nav"));
}

#[test]
fn a_first_paragraph_has_no_markup() {
    assert_eq!(first_paragraph("# T\n\nA **b** `c`\n[d](e.md).\n\nNext"), "A b c d.");
    assert_eq!(
        first_paragraph("{{ map(a=\"b\") }}\n\n[[toc]]\n\nText[^1]\n\n[^1]: n"),
        "Text"
    );
}

#[test]
fn tables_are_aligned_without_styles_and_have_names_of_their_own() {
    let found = html("## Rules\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n| a |\n|---|\n");
    assert!(found.contains("<th scope=\"col\" class=\"num\">b</th>") && found.contains("<td class=\"num\">2</td>"));
    assert!(found.contains("aria-label=\"Table 1: Rules\" tabindex=\"0\"") && found.contains("Table 2: Rules"));
    assert!(!found.contains("style="), "{found}");
}

#[test]
fn links_work_from_the_page() {
    let found =
        html("[o](other.md#x) [home](/) [e](/experiments/demo) [w](https://a.b/?c&d \"t\") ![i *x*](fig.png) <me@a.b>");
    for link in [
        "<a href=\"../other/index.html#x\">o</a>",
        "../../index.html",
        "../../experiments/demo/index.html",
        "<a href=\"https://a.b/?c&amp;d\" title=\"t\" rel=\"external\">w</a>",
        "<img src=\"../fig.png\" alt=\"i x\" />",
        "<a href=\"mailto:me@a.b\">me@a.b</a>",
    ] {
        assert!(found.contains(link), "{link} in {found}");
    }
}

#[test]
fn dangerous_and_broken_addresses_are_errors_with_their_line() {
    assert!(
        error("\n\nx [a](javascript:alert(1))").starts_with("content/docs/page.md:7:3: link to `javascript:alert(1)`")
    );
    assert!(error("![a](https://evil/x.png)").contains("another host"));
    assert!(error("[a](missing.md)").contains("missing.md"));
    assert!(error("[a](../../../etc)").contains("within the site"));
    assert!(error("<a href=\" java\tscript:x\">").contains("<a> with"));
    assert!(error("<img src=\"http://evil/\">").contains("loads"));
    assert!(rendered("<div class=\"x\"><a href=\"https://a.b\">ok</a></div>").is_ok());
}

#[test]
fn notes_stand_at_the_end_and_lead_back() {
    let found = html(
        "One[^b] two[^a] one again.[^b]\n\n[^a]: A *note*.\n[^b]: Another.\n\n    With a second paragraph.\n\nMore.",
    );
    assert!(
        found.contains("<sup class=\"note-ref\"><a id=\"to-note-1\" href=\"#note-1\" role=\"doc-noteref\" aria-label=\"Note 1\">1</a></sup>"),
        "{found}"
    );
    let end = &found[found.find("<section class=\"notes\"").expect("notes")..];
    assert_eq!(
        end,
        "<section class=\"notes\" role=\"doc-endnotes\" aria-label=\"Notes\">\n<ol>\n\
         <li id=\"note-1\"><p>Another.</p>\n<p>With a second paragraph. \
         <a class=\"back\" href=\"#to-note-1\" role=\"doc-backlink\" aria-label=\"Back to where note 1 is referred to\">↩</a> \
         <a class=\"back\" href=\"#to-note-1-2\" role=\"doc-backlink\" aria-label=\"Back to where note 1 is referred to, 2\">↩</a></p></li>\n\
         <li id=\"note-2\"><p>A <em>note</em>. \
         <a class=\"back\" href=\"#to-note-2\" role=\"doc-backlink\" aria-label=\"Back to where note 2 is referred to\">↩</a></p></li>\n\
         </ol>\n</section>\n"
    );
    assert!(error("a\n\n[^x]: Never.").starts_with("content/docs/page.md:7:1: nothing refers to the footnote `[^x]`"));
}

#[test]
fn quotation_marks_are_curly_in_text_and_as_typed_in_code() {
    assert_eq!(
        html("\"A\" isn't `\"B\"` -- so..."),
        "<p>“A” isn’t <code>\"B\"</code> – so…</p>\n"
    );
    assert_eq!(rendered("# Title\n").expect("fine").html, "");
}

#[test]
fn formulas_are_mathml_and_errors_have_their_place() {
    let found = html("So $x_i - x'_i$ costs \\$5.\n\n$$\\int_0^1 f$$\n");
    assert!(
        found.contains("<math") && found.contains("costs $5.") && !found.contains("style="),
        "{found}"
    );
    assert!(
        found.contains(
            "<p><span class=\"maths\" role=\"group\" aria-label=\"Formula\" tabindex=\"0\"><math display=\"block\""
        ),
        "{found}"
    );
    assert!(
        error("a\n\nb $\\nosuch$")
            .starts_with("content/docs/page.md:7:3: formula `\\nosuch`: unknown primitive command")
    );
    assert_eq!(html("`$x$`"), "<p><code>$x$</code></p>\n");
}

#[test]
fn a_shortcode_is_a_paragraph_of_its_own() {
    let found = html("## Map\n\nText.\n\n{{ map(a=\"_b_ *c*\",\n  n=2) }}\n{{ map() }}\n\n> {{ map() }}\n");
    assert!(
        found.contains(
            "<p>Text.</p>\n<figure id=\"map-2\">{{ map(a=&quot;_b_ *c*&quot;, n=2) }}</figure>\n<figure id=\"map-3\">"
        ),
        "{found}"
    );
    assert!(found.contains("<blockquote>\n<figure id=\"map-4\">"), "{found}");
    assert!(
        error("a\n\nb {{ map() }}")
            .starts_with("content/docs/page.md:7:3: a shortcode within other text\n  expected: a paragraph of its own")
    );
    assert!(error("- {{ map() }}").contains("within other text"));
    assert!(error("# A {{ map() }}").contains("within other text"));
    assert!(error("| a |\n|---|\n| {{ map() }} |").contains("within other text"));
    assert!(
        error("ä {{ x }}\n\n{{ map(a=1 }}")
            .starts_with("content/docs/page.md:7:12: shortcode: found `}}`\n  expected: `,` or `)` after an argument")
    );
    assert!(error("{{ map() }}\n{{ nothing() }}").starts_with("content/docs/page.md:6:4: no such shortcode"));
}

#[test]
fn code_and_escapes_show_shortcodes_as_they_are_written() {
    assert_eq!(html("`{{ map() }}`"), "<p><code>{{ map() }}</code></p>\n");
    assert!(html("```\n{{ map() }}\n```").contains("<code>{{ map() }}\n</code>"));
    assert!(html("    {{ map() }}").contains("<code>{{ map() }}</code>"));
    assert_eq!(
        html("{{/* map(a=\"b\") */}}"),
        "<p><code>{{ map(a=&quot;b&quot;) }}</code></p>\n"
    );
    assert_eq!(
        html("In text {{/* map() */}} too."),
        "<p>In text {{ map() }} too.</p>\n"
    );
    assert_eq!(html("{{ page.title }}"), "<p>{{ page.title }}</p>\n");
}

#[test]
fn code_is_coloured_and_an_unknown_language_is_told() {
    assert!(html("```yaml\na: 1\n```").contains("<code class=\"language-yaml\"><span class=\"hf\">a</span>"));
    let odd = rendered("x\n\n```pyhton\n1\n```").expect("fine");
    let warning = odd.warnings.iter().next().expect("a warning");
    assert!(
        warning.warning
            && warning
                .to_string()
                .starts_with("content/docs/page.md:7:1: code in the language `pyhton`")
    );
}

#[test]
fn hostile_text_stays_text() {
    let found = html(
        "# \"><script>\n\n[^\"><b>] {#\"><i>}\n\n`<script>` \\<script> &lt;script>\n\n[a](<x\"onmouseover=1> \"\\\"onclick=1\")",
    );
    assert!(!found.contains("\"onclick") && !found.contains("\"onmouse"), "{found}");
}
