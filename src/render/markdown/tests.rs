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
        content: Path::new("content"),
        book: None,
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
    assert!(error("<a href=\" java\tscript:x\">").contains("<a> leads to ` java"));
    assert!(error("<img src=\"http://evil/\">").contains("must not load"));
    assert!(error("x [a](\\\\\\\\evil/x)").starts_with("content/docs/page.md:5:3: link to `\\\\evil/x`"));
    assert!(error("![a](/\\evil/x.png)").contains("with its scheme"));
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

#[test]
fn raw_markup_is_told_with_its_line_also_where_a_tag_goes_over_several() {
    assert!(
        error("a\n\n> <div>\n> <img\n>   alt=\"\"\n>   src=\"//evil.example/x\">\n> </div>\n")
            .starts_with("content/docs/page.md:10:5: <img> leads to another host, `//evil.example/x`")
    );
    assert!(
        error("a <img\nsrcset=\"a.png, https://evil.example/x 2x\"> b").starts_with("content/docs/page.md:6:1: <img>")
    );
    assert!(
        error("a\n\n<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example/\">\n")
            .starts_with("content/docs/page.md:7:28: <meta> takes the reader to `https://evil.example/` unasked")
    );
    let dead = rendered("<p style=\"color:red\">a</p>\n\n<script>alert(1)</script>\n\nb <b onclick=\"x()\">c</b>\n")
        .expect("no error");
    let told: Vec<String> = dead.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("content/docs/page.md:5:4: an inline style, `style` of <p>: the site's policy forbids it")
    );
    assert!(
        told[1].starts_with("content/docs/page.md:7:9: a script within the page"),
        "{}",
        told[1]
    );
    assert!(
        told[2].starts_with("content/docs/page.md:9:6: an inline handler, `onclick` of <b>"),
        "{}",
        told[2]
    );
    assert!(dead.warnings.iter().all(|warning| warning.warning));
    assert!(
        rendered("`<script>` and\n\n```html\n<script>x</script>\n<img src=https://evil.example>\n```\n")
            .is_ok_and(|text| text.warnings.is_empty())
    );
}

#[test]
fn a_table_of_contents_stands_once() {
    assert!(error("[[toc]]\n\n# A\n\n[[toc]]\n").starts_with("content/docs/page.md:9:1: `[[toc]]` a second time"));
}

#[test]
fn long_and_deep_texts_take_time_by_their_length() {
    let times = |piece: &str, length: usize| piece.repeat(length / piece.len());
    let numbered = |write: &dyn Fn(usize) -> String, count: usize| (0..count).map(write).collect::<String>();
    const LENGTH: usize = 200_000;
    let texts = [
        times("# One name\n\n", LENGTH),
        times("> ", LENGTH),
        times(">", LENGTH),
        times("- ", LENGTH),
        times("1. ", LENGTH),
        times("*", LENGTH),
        times("*a ", LENGTH),
        times("**a_b_", LENGTH),
        times("~~a ", LENGTH),
        times("[", LENGTH),
        times("![", LENGTH),
        times("[a](", LENGTH),
        times("[a](<", LENGTH),
        times("[a][", LENGTH),
        times("]", LENGTH),
        times("`", LENGTH),
        times("` `` ``` ", LENGTH),
        times("$", LENGTH),
        times("$a$ ", LENGTH),
        times("$$a ", LENGTH),
        times("${", LENGTH),
        times("{{ ", LENGTH),
        times("{{ a(", LENGTH),
        times("{{ a() }}\n", LENGTH),
        times("<", LENGTH),
        times("<a ", LENGTH),
        times("<a href=\"", LENGTH),
        times("<!--", LENGTH),
        times("<![CDATA[", LENGTH),
        times("<?", LENGTH),
        times("<div>\n", LENGTH),
        times("<b>", LENGTH),
        format!("<p {}>", numbered(&|n| format!("a{n}=b "), 20_000)),
        format!("<p title=\"{}\">", times("&", LENGTH)),
        times("&", LENGTH),
        times("&amp", LENGTH),
        times("\\", LENGTH),
        times("a  \n", LENGTH),
        times("a\n\n", LENGTH),
        times("|", LENGTH),
        format!("|a|\n|-|\n{}", times("|b", LENGTH)),
        format!(
            "{}\n{}\n{}",
            times("|a", 20_000),
            times("|-", 20_000),
            times("|b\n", 20_000)
        ),
        format!("# {}\n\n{}", times("a", LENGTH / 2), times("|a|\n|-|\n\n", LENGTH / 2)),
        numbered(&|n| format!("[^{n}]\n\n[^{n}]: note\n\n"), 8_000),
        numbered(&|n| format!("[^{n}]: note\n\n"), 8_000),
        times("[^a]", LENGTH) + "\n\n[^a]: b\n",
        numbered(&|n| format!("[a{n}]: b{n}\n"), 12_000) + &numbered(&|n| format!("[a{n}] "), 12_000),
        numbered(&|n| format!("# a {n}\n"), 15_000),
        times("http://a.b ", LENGTH),
        times("<https://a.b> ", LENGTH),
        times("\"a\" 'b' -- ... ", LENGTH),
        times("[a](gone.md) ", LENGTH),
        times("```\na\n```\n", LENGTH),
        times("    a\n", LENGTH),
        times("- [ ] a\n", LENGTH),
        numbered(&|n| format!("{}- a\n", "  ".repeat(n)), 600),
        numbered(&|n| format!("{}a\n", "> ".repeat(n)), 600),
        format!("{{{{ a({}) }}}}", numbered(&|n| format!("a{n}=1,"), 20_000)),
    ];
    for text in texts {
        let began = std::time::Instant::now();
        _ = rendered(&text);
        _ = first_paragraph(&text);
        let took = began.elapsed();
        assert!(took.as_secs() < 10, "{} … takes {took:?}", &text[..text.len().min(40)]);
    }
}

/// Pieces that hostile texts are made of.
const PIECES: [&str; 44] = [
    "<",
    ">",
    "\"",
    "'",
    "`",
    "```",
    "\n",
    "\n\n",
    "    ",
    "> ",
    "- ",
    "[",
    "](",
    ")",
    "]: ",
    "!",
    "*",
    "_",
    "|",
    "|-|",
    "$",
    "$$",
    "\\",
    "&lt;",
    "&#60;",
    "&quot;",
    "{{ a(b=\"",
    "\") }}",
    "{#",
    "}",
    "[^",
    "[[toc]]",
    "# ",
    "script",
    "onclick=x ",
    "style=x ",
    "javascript:x",
    "//evil.example/x",
    "\\\\evil.example",
    "https://evil.example/x",
    "data:text/html,x",
    "</",
    "=",
    "a",
];
/// Further ones of an author's own markup.
const MARKUP: [&str; 22] = [
    "<img ",
    "<a ",
    "<svg>",
    "</svg>",
    "<style>",
    "</STYLE>",
    "<title>",
    "</title>",
    "<textarea>",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<!-->",
    "<meta http-equiv=refresh content='0;url=",
    "src=",
    "href=",
    "srcset=",
    "<iframe ",
    "<base ",
    "<div title=\"",
    "/>",
];

/// What a browser would see in a page: elements with their attributes.
fn elements(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let page = scraper::Html::parse_document(&format!("<!doctype html><body>{html}"));
    let elements = page.tree.values().filter_map(|node| node.as_element());
    elements
        .map(|element| {
            let attributes = element.attrs().map(|(name, value)| (name.to_owned(), value.to_owned()));
            (element.name().to_owned(), attributes.collect())
        })
        .collect()
}

/// What of an element leads to another host by itself.
fn leads_elsewhere((name, attributes): &(String, Vec<(String, String)>)) -> bool {
    let elsewhere = |value: &str| {
        let value = value
            .trim_matches(|c: char| c <= ' ')
            .replace(['\t', '\n', '\r'], "")
            .replace('\\', "/");
        let value = value.to_ascii_lowercase();
        value.starts_with("//")
            || value.starts_with("http:")
            || value.starts_with("https:")
            || value.starts_with("javascript:")
    };
    let refresh = name == "meta"
        && attributes
            .iter()
            .any(|(name, value)| name == "http-equiv" && value.eq_ignore_ascii_case("refresh"));
    attributes.iter().any(|(attribute, value)| match attribute.as_str() {
        "href" if name == "a" => elsewhere(value) && !value.trim().to_ascii_lowercase().starts_with("http"),
        "src" | "href" | "data" | "poster" | "action" | "background" => elsewhere(value),
        "srcset" => value.split(',').any(elsewhere),
        "content" if refresh => elsewhere(refreshed(value)),
        _ => name == "base",
    })
}

/// The address of a refresh, as the HTML standard finds it: what follows the first `;` or `,`, without `url=` and the
/// quotes around it.
fn refreshed(content: &str) -> &str {
    let blank = |c: char| c.is_ascii_whitespace();
    let rest = content
        .split_once([';', ','])
        .map_or("", |(_, rest)| rest)
        .trim_start_matches(blank);
    let named = rest.get(..3).filter(|start| start.eq_ignore_ascii_case("url"));
    let address = named.and_then(|_| rest[3..].trim_start_matches(blank).strip_prefix('='));
    let address = address.map_or(rest, |address| address.trim_start_matches(blank));
    match address.chars().next() {
        Some(quote @ ('\'' | '"')) => address[1..].split(quote).next().unwrap_or_default(),
        _ => address,
    }
}

fn refused_by_the_scan(html: &str) -> bool {
    let mut refused = false;
    crate::site::links::tags(html, true, |tag| {
        crate::site::links::policy::judge(tag, &mut |finding| refused |= finding.refused);
    });
    refused
}

proptest::proptest! {
    #[test]
    fn no_text_becomes_a_script_or_leads_elsewhere(pieces in proptest::collection::vec(0..PIECES.len(), 0..24)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        // What follows `<` may be markup, which is the author's right.
        let text = text.replace('<', "&lt;");
        if let Ok(rendered) = rendered(&text) {
            for element in elements(&rendered.html) {
                let (name, attributes) = &element;
                proptest::prop_assert!(!leads_elsewhere(&element), "{text:?}: {element:?}");
                proptest::prop_assert!(!matches!(name.as_str(), "script" | "style" | "iframe" | "object" | "meta"), "{text:?}");
                let live = attributes.iter().any(|(name, _)| name.starts_with("on") || name == "style");
                proptest::prop_assert!(!live, "{text:?}: {element:?}");
            }
        }
    }

    #[test]
    fn what_an_author_writes_leads_elsewhere_only_where_that_is_told(
        pieces in proptest::collection::vec(0..PIECES.len() + 2 * MARKUP.len(), 0..24)
    ) {
        let piece = |piece: &usize| match piece.checked_sub(PIECES.len()) {
            Some(own) => MARKUP[own % MARKUP.len()],
            None => PIECES[*piece],
        };
        let text: String = pieces.iter().map(piece).collect();
        if let Ok(rendered) = rendered(&text) {
            let led = elements(&rendered.html).into_iter().find(leads_elsewhere);
            proptest::prop_assert!(led.is_none() || refused_by_the_scan(&rendered.html), "{text:?}: {led:?}");
        }
    }
}

#[test]
fn a_text_holds_so_many_shortcodes_and_no_more() {
    let calls = |count: usize| "{{ map() }}\n\n".repeat(count);
    assert!(rendered(&calls(MOST_SHORTCODES)).is_ok());
    let told = error(&calls(MOST_SHORTCODES + 5));
    assert!(
        told.starts_with("content/docs/page.md:2005:4: more than 1000 shortcodes in one text"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
}
