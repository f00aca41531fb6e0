//! What stands in the project's own templates against the rules of the site: read as they are written, so that `check`
//! tells of pages that need results, too.

use std::path::Path;

use super::Theme;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::render::places::Places;
use crate::site::links::{self, policy};

impl Theme {
    /// What in the project's templates is refused in a page, and as warnings what is dead in it.
    pub fn against_policy(&self) -> Diagnostics {
        // Who has a head of his own has a policy of his own.
        let own_head = self
            .own
            .get("base.html")
            .filter(|_| self.metered.contains_key("base.html"));
        let own_policy = own_head.is_some_and(|text| !text.contains("igsite/base.html"));
        let mut all = Diagnostics::new();
        for (name, text) in self.own.iter().filter(|(name, _)| self.metered.contains_key(*name)) {
            let text = without_comments(text);
            let mut places = Places::of(&text);
            links::tags(&text, true, |tag| {
                policy::judge(tag, &mut |finding| {
                    let told = Diagnostic::content(finding.message)
                        .in_file(Path::new("templates").join(name))
                        .at(places.at(finding.at))
                        .help(finding.help);
                    if finding.refused {
                        all.push(told);
                    } else if !own_policy {
                        all.push(told.as_warning());
                    }
                });
            });
        }
        all
    }
}

/// A template with its comments blanked out, every byte at its place.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{#") {
        kept.push_str(before);
        let length = after.find("#}").map_or(after.len(), |end| end + 2);
        let comment = &rest[before.len()..before.len() + 2 + length];
        kept.extend(comment.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        rest = &after[length..];
    }
    kept + rest
}
