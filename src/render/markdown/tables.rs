//! Tables: each in a region of its own, so that a wide one scrolls and the page does not.

use pulldown_cmark::{Alignment, CowStr, Event, Tag, TagEnd};

use super::raw;
use crate::content::names::shortened;
use crate::render::text::escape;

/// Writes tables event by event. Cells are aligned by class: `push_html` would write inline styles, which the site's
/// policy forbids.
#[derive(Default)]
pub struct Tables {
    count: usize,
    alignments: Vec<Alignment>,
    head: bool,
    cell: usize,
}

impl Tables {
    /// The event in place of this one; `section` is the heading that it stands under.
    pub fn event<'a>(&mut self, event: Event<'a>, section: Option<&str>) -> Event<'a> {
        let html = |text: &'static str| Event::Html(CowStr::Borrowed(text));
        match event {
            Event::Start(Tag::Table(alignments)) => {
                self.alignments = alignments;
                self.count += 1;
                // Regions that a screen reader lists should not all have one name.
                let under = section
                    .map(|section| format!(": {}", shortened(section)))
                    .unwrap_or_default();
                raw(format!(
                    "<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table>",
                    escape(&format!("Table {}{under}", self.count))
                ))
            }
            Event::End(TagEnd::Table) => html("</tbody></table></div>\n"),
            Event::Start(Tag::TableHead) => {
                (self.head, self.cell) = (true, 0);
                html("<thead><tr>")
            }
            Event::End(TagEnd::TableHead) => {
                self.head = false;
                html("</tr></thead><tbody>\n")
            }
            Event::Start(Tag::TableRow) => {
                self.cell = 0;
                html("<tr>")
            }
            Event::End(TagEnd::TableRow) => html("</tr>\n"),
            Event::Start(Tag::TableCell) => {
                let alignment = self.alignments.get(self.cell).copied().unwrap_or(Alignment::None);
                self.cell += 1;
                html(match (self.head, alignment) {
                    (true, Alignment::Right) => "<th scope=\"col\" class=\"num\">",
                    (true, Alignment::Center) => "<th scope=\"col\" class=\"mid\">",
                    (true, _) => "<th scope=\"col\">",
                    (false, Alignment::Right) => "<td class=\"num\">",
                    (false, Alignment::Center) => "<td class=\"mid\">",
                    (false, _) => "<td>",
                })
            }
            Event::End(TagEnd::TableCell) => html(if self.head { "</th>" } else { "</td>" }),
            other => other,
        }
    }
}
