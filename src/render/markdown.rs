//! The author's Markdown as HTML: tables, footnotes, formulas, code, heading anchors, shortcodes, links that work
//! wherever the site stands.
//!
//! Raw HTML is the author's right, but not an address that runs a script, nor an image from another host, since a site
//! loads nothing from elsewhere: each is an error that names file and line. A link is written as seen from the Markdown
//! file, with `content/` and `static/` as the root of the site; a link to another `.md` file becomes one to its page. A
//! paragraph that is a shortcode becomes what the shortcode stands for; what that is, is for [`Setting::shortcodes`] to
//! say.

pub mod addresses;
pub mod code;
pub mod headings;
mod markup;
pub mod maths;
pub mod notes;
pub mod shortcode;
pub mod tables;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{
    CodeBlockKind, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, TextMergeWithOffset, html,
};

use self::addresses::{Addresses, is_external};
use self::code::Colours;
use self::headings::{Heading, Ids};
use self::markup::Raw;
use self::notes::Notes;
use self::shortcode::Call;
use self::tables::Tables;
use crate::content::book::Book;
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};
use crate::render::places::Places;
use crate::render::text::escape;
use crate::site::urls::Links;

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
    /// What the ids of its headings begin with; empty on a page of its own.
    pub prefix: &'static str,
}

/// The page that a text stands on, and the site around it.
pub struct Setting<'a> {
    /// Links of the page.
    pub links: &'a Links,
    /// Markdown file → its page.
    pub pages: &'a BTreeMap<PathBuf, String>,
    /// The folder of the pages, relative to the project's.
    pub content: &'a Path,
    /// The book that they are, if they are one.
    pub book: Option<&'a Book>,
    /// What a shortcode stands for.
    pub shortcodes: &'a dyn Shortcodes,
}

/// Converts shortcodes into HTML.
pub trait Shortcodes {
    /// The HTML of a shortcode, its ids new on the page; or all that is wrong with it.
    fn html(&self, call: &Call, ids: &mut Ids) -> Result<Shown, Vec<Refusal>>;
}

/// What a shortcode became.
#[derive(Default)]
pub struct Shown {
    /// Its HTML, a block.
    pub html: String,
    /// What is worth telling and no error.
    pub warnings: Vec<Refusal>,
}

/// Something that is wrong in a text, and where.
pub struct Refusal {
    /// The place in bytes from the beginning of the text, or of the paragraph that holds a shortcode; none where the
    /// diagnostic names the place itself, as an error in a template does.
    pub at: Option<usize>,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

impl Refusal {
    /// At a place of the text.
    pub fn at(at: usize, diagnostic: Diagnostic) -> Self {
        Self {
            at: Some(at),
            diagnostic,
        }
    }
}

/// A text as HTML.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The text, its headings from level 2.
    pub html: String,
    /// Its table of contents; empty without headings, or where the text has set it in itself, by `[[toc]]`.
    pub contents: String,
    /// What is worth telling and no error.
    pub warnings: Diagnostics,
}

/// What all texts are read with.
const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_SMART_PUNCTUATION)
    .union(Options::ENABLE_HEADING_ATTRIBUTES)
    .union(Options::ENABLE_MATH);

/// Converts a text into HTML. The first heading is left out where it repeats `title`, which the page shows anyway.
pub fn render(source: &Source<'_>, title: &str, setting: &Setting<'_>) -> Result<Rendered, Diagnostics> {
    let parser = Parser::new_ext(source.text, OPTIONS).into_offset_iter();
    let mut events: Vec<(Event<'_>, Range<usize>)> = TextMergeWithOffset::new(parser).collect();
    drop_title(&mut events, title);
    let (mut ids, mut refused) = (Ids::new(source.prefix), Vec::new());
    let headings = headings::collect(&events, &mut ids, &mut refused);
    let mut writer = Writer {
        text: source.text,
        setting,
        addresses: Addresses {
            source,
            setting,
            refused,
        },
        ids,
        headings: &headings,
        next_heading: 0,
        notes: Notes::default(),
        tables: Tables::default(),
        out: vec![Vec::with_capacity(events.len())],
        noted: Vec::new(),
        has_contents: false,
        raw: Raw::default(),
        colours: Colours::default(),
        calls: 0,
        warnings: Vec::new(),
    };
    writer.write(events);
    let Writer {
        addresses: Addresses { mut refused, .. },
        notes,
        mut out,
        has_contents,
        warnings,
        ..
    } = writer;
    let notes = notes.finish(&mut refused);
    if !refused.is_empty() {
        let mut places = Places::of(source.text);
        return Err(refused
            .into_iter()
            .map(|refusal| source.located(refusal, &mut places))
            .collect());
    }
    let mut places = Places::of(source.text);
    let mut html = String::with_capacity(source.text.len() * 3 / 2);
    html::push_html(&mut html, out.pop().unwrap_or_default().into_iter());
    Ok(Rendered {
        html: html + &notes,
        contents: if has_contents {
            String::new()
        } else {
            headings::contents(&headings)
        },
        warnings: warnings
            .into_iter()
            .map(|refusal| source.located(refusal, &mut places).as_warning())
            .collect(),
    })
}

impl Source<'_> {
    /// The diagnostic with file and place.
    fn located(&self, Refusal { at, diagnostic }: Refusal, places: &mut Places<'_>) -> Diagnostic {
        let Some(at) = at else { return diagnostic };
        let diagnostic = diagnostic.in_file(self.file);
        let Position { line, column } = places.at(at);
        match self.first_line {
            Some(first_line) => diagnostic.at(Position {
                line: first_line + line - 1,
                column,
            }),
            // Where in the YAML a line of its text stands depends on how that is written.
            None => diagnostic.place(format!("description, line {line}")),
        }
    }
}

/// The first paragraph of a text, without its markup, for lists and previews.
pub fn first_paragraph(text: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for (event, range) in Parser::new_ext(text, OPTIONS).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) => inside = !is_block(&text[range]),
            Event::End(TagEnd::Paragraph) if inside => break,
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) if inside => plain.push_str(&text),
            Event::SoftBreak | Event::HardBreak if inside => plain.push(' '),
            _ => {}
        }
    }
    plain
}

/// Whether a paragraph is no text but a shortcode or the table of contents.
fn is_block(paragraph: &str) -> bool {
    shortcode::is_meant(paragraph) || paragraph.trim() == CONTENTS
}

/// Shortcodes in one text: each of a few words may become a map of fifty kilobytes.
pub const MOST_SHORTCODES: usize = 1_000;

/// Stands for the table of contents.
const CONTENTS: &str = "[[toc]]";

/// Takes the first heading away when it repeats the page's title.
fn drop_title(events: &mut Vec<(Event<'_>, Range<usize>)>, title: &str) {
    // The title has its quotation marks as they were typed.
    let typed = |text: &str| {
        let straight = text.replace(['“', '”'], "\"").replace(['‘', '’'], "'");
        straight.replace('—', "---").replace('–', "--").replace('…', "...")
    };
    let first = events.first().and_then(|(event, _)| headings::level(event));
    if first == Some(HeadingLevel::H1) && typed(headings::text(events).trim()) == typed(title.trim()) {
        let end = events
            .iter()
            .position(|(event, _)| matches!(event, Event::End(TagEnd::Heading(_))));
        events.drain(..=end.unwrap_or(0));
    }
}

/// HTML that is already written.
fn raw<'a>(html: String) -> Event<'a> {
    Event::Html(html.into())
}

struct Writer<'a, 'e> {
    text: &'a str,
    setting: &'a Setting<'a>,
    addresses: Addresses<'a>,
    ids: Ids,
    headings: &'a [Heading],
    next_heading: usize,
    notes: Notes<'e>,
    tables: Tables,
    /// The text; and while a footnote is read, its text.
    out: Vec<Vec<Event<'e>>>,
    /// The names of the footnotes that are being read, and where they begin.
    noted: Vec<(String, usize)>,
    has_contents: bool,
    /// The markup of the author's that is being read.
    raw: Raw,
    colours: Colours,
    /// Shortcodes so far.
    calls: usize,
    warnings: Vec<Refusal>,
}

impl<'e> Writer<'_, 'e> {
    fn write(&mut self, events: Vec<(Event<'e>, Range<usize>)>) {
        let mut events = events.into_iter();
        while let Some((event, range)) = events.next() {
            match event {
                Event::Start(Tag::Paragraph) => {
                    let paragraph = &self.text[range.clone()];
                    if let Some(html) = self.block(paragraph, range.start) {
                        // What the paragraph holds has been read as a whole.
                        for (event, _) in events.by_ref() {
                            if event == Event::End(TagEnd::Paragraph) {
                                break;
                            }
                        }
                        self.push(raw(html));
                    } else {
                        self.push(Event::Start(Tag::Paragraph));
                    }
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let fence = match &kind {
                        CodeBlockKind::Fenced(fence) => fence.as_ref(),
                        CodeBlockKind::Indented => "",
                    };
                    let mut text = String::new();
                    for (event, _) in events.by_ref() {
                        match event {
                            Event::Text(part) => text.push_str(&part),
                            _ => break,
                        }
                    }
                    if code::is_unknown(fence) {
                        let found = format!("code in the language `{}`, which has no colours here", shortened(fence));
                        let warning = Diagnostic::content(found).help("write `text` where that is meant");
                        self.warnings.push(Refusal::at(range.start, warning));
                    }
                    let html = self.code(&text, fence, range.start);
                    self.push(raw(html));
                }
                event => self.event(event, range),
            }
        }
    }

    fn push(&mut self, event: Event<'e>) {
        if let Some(out) = self.out.last_mut() {
            out.push(event);
        }
    }

    /// The heading that was met last.
    fn section(&self) -> Option<&Heading> {
        self.headings.get(self.next_heading.checked_sub(1)?)
    }

    fn event(&mut self, event: Event<'e>, range: Range<usize>) {
        let at = range.start;
        let written = match event {
            Event::Start(Tag::Heading { .. }) => {
                self.next_heading += 1;
                self.section()
                    .map_or_else(String::new, |heading| headings::tags(heading).0)
            }
            Event::End(TagEnd::Heading(_)) => self
                .section()
                .map_or_else(String::new, |heading| headings::tags(heading).1),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                ..
            }) => {
                let target = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    _ => self.addresses.link(&dest_url, at),
                };
                let title = match title.as_ref() {
                    "" => String::new(),
                    title => format!(" title=\"{}\"", escape(title)),
                };
                let rel = if is_external(&target) { " rel=\"external\"" } else { "" };
                format!("<a href=\"{}\"{title}{rel}>", escape(&target.replace(' ', "%20")))
            }
            Event::Start(Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let dest_url = self.addresses.image(&dest_url, at).into();
                return self.push(Event::Start(Tag::Image {
                    link_type,
                    dest_url,
                    title,
                    id,
                }));
            }
            Event::Html(ref html) => {
                self.raw.add(html, at);
                return self.push(event);
            }
            Event::InlineHtml(ref html) => {
                self.raw.add(html, at);
                self.judge_raw();
                return self.push(event);
            }
            Event::End(TagEnd::HtmlBlock) => {
                self.judge_raw();
                return self.push(event);
            }
            Event::TaskListMarker(done) => {
                let (state, label) = if done { (" checked", "done") } else { ("", "not done") };
                let marker = format!("<input type=\"checkbox\" disabled{state} aria-label=\"{label}\"> ");
                return self.push(Event::InlineHtml(marker.into()));
            }
            Event::InlineMath(tex) => return self.maths(&tex, false, at),
            Event::DisplayMath(tex) => return self.maths(&tex, true, at),
            Event::FootnoteReference(name) => {
                let reference = self.notes.refer(&name, &mut self.ids);
                return self.push(reference);
            }
            Event::Start(Tag::FootnoteDefinition(name)) => {
                self.noted.push((name.to_string(), at));
                return self.out.push(Vec::new());
            }
            Event::End(TagEnd::FootnoteDefinition) => {
                let (text, note) = (self.out.pop().unwrap_or_default(), self.noted.pop());
                if let Some((name, at)) = note
                    && !self.notes.define(&name, at, text)
                {
                    let error = Diagnostic::content(format!("a second footnote `[^{}]`", shortened(&name)));
                    let error = error.expected("one text for each footnote");
                    self.addresses.refused.push(Refusal::at(at, error));
                }
                return;
            }
            Event::Text(text) => {
                self.look_for_shortcodes(range);
                let text = text.replace("{{/*", "{{").replace("*/}}", "}}");
                return self.push(Event::Text(text.into()));
            }
            other => {
                let section = self.headings.get(self.next_heading.wrapping_sub(1));
                let event = self.tables.event(other, section.map(|heading| heading.text.as_str()));
                return self.push(event);
            }
        };
        self.push(raw(written));
    }

    /// Holds the markup that was collected against the rules.
    fn judge_raw(&mut self) {
        for (at, finding) in std::mem::take(&mut self.raw).judged() {
            let told = Refusal::at(at, Diagnostic::content(finding.message).help(finding.help));
            if finding.refused {
                self.addresses.refused.push(told);
            } else {
                self.warnings.push(told);
            }
        }
    }

    fn code(&mut self, text: &str, fence: &str, at: usize) -> String {
        match self.colours.html(text, fence) {
            Ok(shown) => {
                let warning = shown
                    .plain
                    .map(|why| Diagnostic::content(format!("code without its colours: {why}")));
                let warning = warning.map(|warning| warning.help("write `text` as its language where that is fine"));
                self.warnings.extend(warning.map(|warning| Refusal::at(at, warning)));
                shown.html
            }
            Err(found) => {
                let error =
                    Diagnostic::content(found).help("write `text` as its language: it is shown without colours then");
                self.addresses.refused.push(Refusal::at(at, error));
                String::new()
            }
        }
    }

    fn maths(&mut self, tex: &str, display: bool, at: usize) {
        match maths::html(tex, display) {
            Ok(html) => self.push(Event::InlineHtml(html.into())),
            Err(found) => {
                let error = Diagnostic::content(format!("formula `{}`: {found}", shortened(tex)));
                let error = error.expected("TeX, as LaTeX has it in maths; `\\$` is a dollar sign");
                self.addresses.refused.push(Refusal::at(at, error));
            }
        }
    }

    /// A paragraph that is no text: shortcodes, the table of contents, a formula, or a shortcode that is to be shown as
    /// it is written.
    fn block(&mut self, paragraph: &str, at: usize) -> Option<String> {
        let inner = paragraph.trim();
        if inner == CONTENTS {
            if std::mem::replace(&mut self.has_contents, true) {
                let error = Diagnostic::content(format!("`{CONTENTS}` a second time"));
                self.addresses
                    .refused
                    .push(Refusal::at(at, error.expected("one table of contents on a page")));
                return Some(String::new());
            }
            return Some(headings::contents(self.headings));
        }
        if let Some(shown) = inner.strip_prefix("{{/*").and_then(|rest| rest.strip_suffix("*/}}"))
            && !shown.contains("}}")
        {
            return Some(format!("<p><code>{{{{{}}}}}</code></p>\n", escape(shown)));
        }
        if !shortcode::is_meant(paragraph) {
            return None;
        }
        let calls = match shortcode::parse(paragraph) {
            Ok(calls) => calls,
            Err(error) => {
                let problem = Diagnostic::content(format!("shortcode: found {}", error.found)).expected(error.expected);
                self.addresses.refused.push(Refusal::at(at + error.at, problem));
                return Some(String::new());
            }
        };
        let moved = |refusal: Refusal| Refusal {
            at: refusal.at.map(|place| at + place),
            diagnostic: refusal.diagnostic,
        };
        let mut html = String::new();
        for call in &calls {
            self.calls += 1;
            if self.calls > MOST_SHORTCODES {
                if self.calls == MOST_SHORTCODES + 1 {
                    let error = Diagnostic::content(format!("more than {MOST_SHORTCODES} shortcodes in one text"));
                    let error = error.help("spread them over several pages");
                    self.addresses.refused.push(Refusal::at(at + call.at, error));
                }
                break;
            }
            match self.setting.shortcodes.html(call, &mut self.ids) {
                Ok(shown) => {
                    html += &shown.html;
                    self.warnings.extend(shown.warnings.into_iter().map(moved));
                }
                Err(refused) => self.addresses.refused.extend(refused.into_iter().map(moved)),
            }
        }
        Some(html)
    }

    /// A shortcode within a line would be shown as it is written, which nobody wants.
    fn look_for_shortcodes(&mut self, range: Range<usize>) {
        let text = &self.text[range.clone()];
        for (at, _) in text.match_indices("{{") {
            if shortcode::is_meant(&text[at..]) {
                let error = Diagnostic::content("a shortcode within other text").expected("a paragraph of its own");
                let error =
                    error.help("leave a blank line before and after it; `{{/* … */}}` shows it as it is written");
                self.addresses.refused.push(Refusal::at(range.start + at, error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
