//! The author's Markdown as HTML: tables, footnotes, heading anchors, links that work wherever the site stands.
//!
//! Raw HTML is the author's right, but not an address that runs a script, nor an image from another host, since a site
//! loads nothing from elsewhere: each is an error that names file and line. A link is written as seen from the Markdown
//! file, with `content/` and `static/` as the root of the site; a link to another `.md` file becomes one to its page.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Alignment, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::diagnostic::{Diagnostic, Diagnostics, Position};
use crate::render::text::escape;
use crate::site::links::{attributes, scheme};
use crate::site::urls::{self, Links};

/// A Markdown text and where it stands.
pub struct Source<'a> {
    /// The text.
    pub text: &'a str,
    /// The file that holds it, relative to the project's root.
    pub file: &'a Path,
    /// The line of the file on which it begins; none where it is a value in YAML.
    pub first_line: Option<usize>,
    /// The folder that relative links start from, within the site: `docs`.
    pub folder: String,
}

/// Turns a text into HTML whose headings begin at level 2. `pages` maps the path of each Markdown file to its page.
pub fn render(
    source: &Source<'_>,
    title: &str,
    links: &Links,
    pages: &BTreeMap<PathBuf, String>,
) -> Result<String, Diagnostics> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut events: Vec<(Event<'_>, Range<usize>)> = Parser::new_ext(source.text, options).into_offset_iter().collect();
    drop_title(&mut events, title);
    let mut writer = Writer {
        source,
        links,
        pages,
        problems: Diagnostics::new(),
    };
    let shift = events
        .iter()
        .filter_map(|(event, _)| heading_level(event))
        .min()
        .map_or(0, |top| 2 - top as i32);
    let mut ids = Ids::default();
    let mut out = Vec::with_capacity(events.len());
    let mut table = TableState::default();
    let mut index = 0;
    while index < events.len() {
        let (event, range) = events[index].clone();
        match event {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let text = heading_text(&events[index..]);
                let id = ids.take(id.as_deref().unwrap_or(&text));
                out.push(Event::Html(
                    format!("<h{0} id=\"{1}\">", shifted(level, shift), escape(&id)).into(),
                ));
            }
            Event::End(TagEnd::Heading(level)) => {
                out.push(Event::Html(format!("</h{}>\n", shifted(level, shift)).into()));
            }
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let dest_url = writer.link(&dest_url, range.start).into();
                out.push(Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }));
            }
            Event::Start(Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let dest_url = writer.image(&dest_url, range.start).into();
                out.push(Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    title,
                    id,
                }));
            }
            Event::Html(ref raw) | Event::InlineHtml(ref raw) => {
                writer.check_raw(raw, range.start);
                out.push(event);
            }
            other => out.extend(table.event(other)),
        }
        index += 1;
    }
    if writer.problems.has_errors() {
        return Err(writer.problems);
    }
    let mut rendered = String::with_capacity(source.text.len() * 3 / 2);
    html::push_html(&mut rendered, out.into_iter());
    Ok(rendered)
}

/// The first paragraph of a text, without its markup, for lists and previews.
pub fn first_paragraph(text: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Paragraph) => inside = true,
            Event::End(TagEnd::Paragraph) => break,
            Event::Text(text) | Event::Code(text) if inside => plain.push_str(&text),
            Event::SoftBreak | Event::HardBreak if inside => plain.push(' '),
            _ => {}
        }
    }
    plain
}

/// Takes the first heading away when it repeats the page's title, which the page shows anyway.
fn drop_title(events: &mut Vec<(Event<'_>, Range<usize>)>, title: &str) {
    let first = events.first().and_then(|(event, _)| heading_level(event));
    if first == Some(HeadingLevel::H1) && heading_text(events).trim() == title.trim() {
        let end = events
            .iter()
            .position(|(event, _)| matches!(event, Event::End(TagEnd::Heading(_))));
        events.drain(..=end.unwrap_or(0));
    }
}

fn heading_level(event: &Event<'_>) -> Option<HeadingLevel> {
    match event {
        Event::Start(Tag::Heading { level, .. }) => Some(*level),
        _ => None,
    }
}

fn heading_text(events: &[(Event<'_>, Range<usize>)]) -> String {
    let inside = events
        .iter()
        .take_while(|(event, _)| !matches!(event, Event::End(TagEnd::Heading(_))));
    inside
        .filter_map(|(event, _)| match event {
            Event::Text(text) | Event::Code(text) => Some(text.to_string()),
            _ => None,
        })
        .collect()
}

fn shifted(level: HeadingLevel, shift: i32) -> i32 {
    (level as i32 + shift).clamp(2, 6)
}

/// Ids that were given on this page.
#[derive(Default)]
struct Ids(BTreeMap<String, usize>);

impl Ids {
    /// The id for a heading: its letters and digits, numbered when it comes again. `main` is the page's own.
    fn take(&mut self, text: &str) -> String {
        let words = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty());
        let mut id = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
        if id.is_empty() || id == "main" {
            id = format!("section{id}");
        }
        loop {
            let seen = self.0.entry(id.clone()).or_default();
            *seen += 1;
            if *seen == 1 {
                return id;
            }
            id = format!("{id}-{seen}");
        }
    }
}

/// Cells are aligned by class: `push_html` would write inline styles, which the site's policy forbids.
#[derive(Default)]
struct TableState {
    alignments: Vec<Alignment>,
    head: bool,
    cell: usize,
}

impl TableState {
    fn event<'a>(&mut self, event: Event<'a>) -> Vec<Event<'a>> {
        let html = |text: &'static str| Event::Html(CowStr::Borrowed(text));
        match event {
            Event::Start(Tag::Table(alignments)) => {
                self.alignments = alignments;
                vec![html(
                    "<div class=\"scroll\" role=\"region\" aria-label=\"Table\" tabindex=\"0\"><table>",
                )]
            }
            Event::End(TagEnd::Table) => vec![html("</tbody></table></div>\n")],
            Event::Start(Tag::TableHead) => {
                (self.head, self.cell) = (true, 0);
                vec![html("<thead><tr>")]
            }
            Event::End(TagEnd::TableHead) => {
                self.head = false;
                vec![html("</tr></thead><tbody>\n")]
            }
            Event::Start(Tag::TableRow) => {
                self.cell = 0;
                vec![html("<tr>")]
            }
            Event::End(TagEnd::TableRow) => vec![html("</tr>\n")],
            Event::Start(Tag::TableCell) => {
                let alignment = self.alignments.get(self.cell).copied().unwrap_or(Alignment::None);
                self.cell += 1;
                vec![html(match (self.head, alignment) {
                    (true, Alignment::Right) => "<th scope=\"col\" class=\"num\">",
                    (true, Alignment::Center) => "<th scope=\"col\" class=\"mid\">",
                    (true, _) => "<th scope=\"col\">",
                    (false, Alignment::Right) => "<td class=\"num\">",
                    (false, Alignment::Center) => "<td class=\"mid\">",
                    (false, _) => "<td>",
                })]
            }
            Event::End(TagEnd::TableCell) => vec![html(if self.head { "</th>" } else { "</td>" })],
            other => vec![other],
        }
    }
}

struct Writer<'a> {
    source: &'a Source<'a>,
    links: &'a Links,
    pages: &'a BTreeMap<PathBuf, String>,
    problems: Diagnostics,
}

impl Writer<'_> {
    fn link(&mut self, target: &str, at: usize) -> String {
        match scheme(target).as_deref() {
            Some("http" | "https" | "mailto" | "tel") => target.to_owned(),
            Some(_) => self.refuse(
                format!("link to `{target}`"),
                "an address with http, https or mailto, or a path",
                at,
            ),
            None if target.starts_with('#') || target.is_empty() => target.to_owned(),
            None => self.internal(target, at),
        }
    }

    fn image(&mut self, target: &str, at: usize) -> String {
        match scheme(target) {
            Some(_) => self.refuse(
                format!("image from `{target}`"),
                "a file of the project: a site loads nothing from another host; put the image into static/",
                at,
            ),
            None => self.internal(target, at),
        }
    }

    /// A path within the site, as a link from the page.
    fn internal(&mut self, target: &str, at: usize) -> String {
        if target.starts_with("//") {
            return self.refuse(
                format!("link to `{target}`"),
                "an address with its scheme, or a path",
                at,
            );
        }
        let (path, fragment) = target
            .split_once('#')
            .map_or((target, None), |(path, rest)| (path, Some(rest)));
        let Some(path) = urls::decode(path) else {
            return self.refuse(format!("link to `{target}`"), "a percent-encoded path", at);
        };
        let Some(file) = resolve(&self.source.folder, &path) else {
            return self.refuse(format!("link to `{target}`"), "a path within the site", at);
        };
        let page = match file.rsplit('/').next().unwrap_or("") {
            name if name.ends_with(".md") => match self.pages.get(&Path::new("content").join(&file)) {
                Some(page) => page.clone(),
                None => {
                    return self.refuse(
                        format!("link to `{target}`"),
                        "a Markdown file that is built (not a draft)",
                        at,
                    );
                }
            },
            "" => format!("{file}{}", urls::HOME),
            name if !name.contains('.') => format!("{file}/{}", urls::HOME),
            _ => file,
        };
        let fragment = fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
        self.links.to(&page) + &fragment
    }

    /// Looks through raw HTML for addresses that run scripts or load from another host.
    fn check_raw(&mut self, raw: &str, at: usize) {
        for (tag, name, value) in attributes(raw) {
            let is_address = matches!(
                name.as_str(),
                "href" | "src" | "action" | "formaction" | "xlink:href" | "data" | "poster"
            );
            let loads = is_address && !(tag == "a" || tag == "area");
            match scheme(&value).as_deref() {
                Some("http" | "https") if loads => {
                    self.refuse(
                        format!("<{tag}> loads `{value}`"),
                        "a file of the project; put it into static/",
                        at,
                    );
                }
                Some("http" | "https" | "mailto" | "tel") | None => {}
                Some("data") if tag == "img" => {}
                Some(_) if is_address => {
                    self.refuse(
                        format!("<{tag}> with `{value}`"),
                        "an address with http, https or mailto, or a path",
                        at,
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn refuse(&mut self, found: String, expected: &str, at: usize) -> String {
        let mut problem = Diagnostic::content(found).in_file(self.source.file).expected(expected);
        if let Some(first_line) = self.source.first_line {
            let before = &self.source.text[..at];
            let line = first_line + before.matches('\n').count();
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            problem = problem.at(Position { line, column });
        }
        self.problems.push(problem);
        String::new()
    }
}

/// A path as seen from a folder of the site, from the root when it starts with a slash; none when it leaves the site.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let (base, path) = match path.strip_prefix('/') {
        Some(path) => ("", path),
        None => (folder, path),
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> Result<String, Diagnostics> {
        let pages = BTreeMap::from([(
            PathBuf::from("content/docs/other.md"),
            "docs/other/index.html".to_owned(),
        )]);
        let source = Source {
            text,
            file: Path::new("content/docs/page.md"),
            first_line: Some(5),
            folder: "docs".to_owned(),
        };
        render(&source, "Title", &Links::on("docs/page/index.html"), &pages)
    }

    fn error(text: &str) -> String {
        html(text)
            .expect_err("an error")
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn headings_begin_below_the_title_and_have_anchors() {
        let found = html("# Title\n\n## How *it* works\n\n### Again\n\n## How it works\n").expect("fine");
        assert_eq!(
            found,
            "<h2 id=\"how-it-works\">How <em>it</em> works</h2>\n<h3 id=\"again\">Again</h3>\n<h2 id=\"how-it-works-2\">How it works</h2>\n"
        );
    }

    #[test]
    fn a_first_paragraph_has_no_markup() {
        assert_eq!(first_paragraph("# T\n\nA **b** `c`\n[d](e.md).\n\nNext"), "A b c d.");
    }

    #[test]
    fn tables_are_aligned_without_styles() {
        let found = html("| a | b |\n|---|--:|\n| 1 | 2 |\n").expect("fine");
        assert!(found.contains("<th scope=\"col\" class=\"num\">b</th>") && found.contains("<td class=\"num\">2</td>"));
        assert!(!found.contains("style="), "{found}");
    }

    #[test]
    fn links_work_from_the_page() {
        let found = html(
            "[o](other.md#x) [home](/) [e](/experiments/demo) [w](https://a.b/) ![i](fig.png) [^1]\n\n[^1]: Note.",
        )
        .expect("fine");
        for link in [
            "../other/index.html#x",
            "../../index.html",
            "../../experiments/demo/index.html",
            "https://a.b/",
            "../fig.png",
        ] {
            assert!(found.contains(&format!("=\"{link}\"")), "{link} in {found}");
        }
        assert!(found.contains("footnote"));
    }

    #[test]
    fn dangerous_and_broken_addresses_are_errors_with_their_line() {
        assert!(
            error("\n\nx [a](javascript:alert(1))")
                .starts_with("content/docs/page.md:7:3: link to `javascript:alert(1)`")
        );
        assert!(error("![a](https://evil/x.png)").contains("another host"));
        assert!(error("[a](missing.md)").contains("missing.md"));
        assert!(error("[a](../../../etc)").contains("within the site"));
        assert!(error("<a href=\" java\tscript:x\">").contains("<a> with"));
        assert!(error("<img src=\"http://evil/\">").contains("loads"));
        assert!(html("<div class=\"x\"><a href=\"https://a.b\">ok</a></div>").is_ok());
    }
}
