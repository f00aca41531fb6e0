use super::*;

fn page(place: &str, text: &str) -> Result<Page, Vec<String>> {
    let path = Path::new("content").join(place);
    let mut decoder = Decoder::new(&path);
    let page = read(&path, Path::new(place), text, &RESERVED, &mut decoder);
    page.ok_or_else(|| decoder.diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn front_matter_and_text() {
    let text = "\u{feff}---\r\ntitle: Method: ours\r\n---\r\n";
    assert!(
        page("a.md", text).unwrap_err()[0].starts_with("content/a.md:2:14: this is not valid YAML: mapping values")
    );
    let page = page(
        "docs/a.md",
        "---\ntitle: \"Method\"\ndescription: d\norder: -1\ndraft: true\ntoc: true\ntemplate: wide.html\n---\n\n# Not this\n",
    )
    .unwrap();
    assert_eq!(
        (page.title.as_str(), page.description.as_deref(), page.order, page.draft),
        ("Method", Some("d"), Some(-1), true)
    );
    assert_eq!((page.markdown.as_str(), page.first_line), ("\n# Not this\n", 9));
    assert_eq!(page.route, ["docs", "a"]);
    assert!(page.toc);
    let template = page.template.expect("a template");
    assert_eq!(
        (template.value.as_str(), template.position),
        ("wide.html", Position { line: 7, column: 11 })
    );
}

#[test]
fn a_title_comes_from_the_front_matter_a_heading_or_the_name() {
    assert_eq!(
        page("a.md", "text\n\n## How `it` *works*\n\n# Later").unwrap().title,
        "How it works"
    );
    assert_eq!(page("the-name.md", "---\n---\nno heading").unwrap().title, "the-name");
    let page = page("a.md", "# One\n---\n").unwrap();
    assert_eq!((page.first_line, page.title.as_str()), (1, "One"));
}

#[test]
fn errors_count_the_lines_of_the_file() {
    assert_eq!(
        page("a.md", "---\ntitle: x\norder: soon\nweight: 1\n---\n").unwrap_err(),
        [
            "content/a.md:4:1: unknown key `weight`\n  expected: one of `title`, `description`, `order`, `draft`, `toc`, `template`",
            "content/a.md:3:8: order: found text `soon`\n  expected: a whole number"
        ]
    );
    assert_eq!(
        page("a.md", "---\ntitle: x\n").unwrap_err(),
        ["content/a.md:1:1: the front matter that begins here never ends\n  expected: a line `---` after it"]
    );
    assert!(
        page("a b/c.md", "").unwrap_err()[0]
            .starts_with("content/a b/c.md:1:1: `a b` cannot be part of a page's address: it has characters")
    );
    assert!(page("404.md", "").unwrap_err()[0].contains("the site keeps `404` for itself"));
}

#[test]
fn the_front_page_says_what_holds_for_the_site() {
    let front = |yaml: &str| page("index.md", &format!("---\n{yaml}\n---\n"));
    let site = front("author: [Ada Example, Bo]\nwrite: {maps: needed, data: packed, cards: none}")
        .unwrap()
        .site;
    assert_eq!(site.authors, ["Ada Example", "Bo"]);
    assert_eq!(
        (site.maps, site.data, site.cards),
        (MapPages::Needed, DataFiles::Packed, Cards::None)
    );
    let one = front("author: Ada Example").unwrap().site;
    assert_eq!(
        (one.authors, one.maps),
        (vec!["Ada Example".to_owned()], MapPages::Auto)
    );
    assert!(!MapPages::Auto.only_needed(SMALL) && MapPages::Auto.only_needed(SMALL + 1));
    assert!(!DataFiles::Auto.packed(SMALL) && DataFiles::Auto.packed(SMALL + 1));
    assert!(Cards::Auto.of_samples(SMALL) && !Cards::Auto.of_samples(SMALL + 1));
    let wrong = front("write: {maps: some}").unwrap_err().concat();
    assert!(
        wrong.starts_with("content/index.md:2:15: write.maps: ") && wrong.contains("one of `auto`, `all`, `needed`"),
        "{wrong}"
    );
    assert_eq!(
        page("a.md", "---\nauthor: Ada\n---\n").unwrap_err(),
        ["content/a.md:2:1: `author` is of the whole site\n  expected: it in the front matter of content/index.md"]
    );
}
