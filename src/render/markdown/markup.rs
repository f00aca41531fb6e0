//! The author's own markup, put together and held against the rules of the site.
//!
//! A block of it comes line by line, without what a quotation or a list has before each line. A tag may go over several
//! lines, so lines are judged together.

use crate::site::links::policy::{Finding, judge};
use crate::site::links::tags;

/// Markup that was read so far.
#[derive(Default)]
pub struct Raw {
    html: String,
    /// Where pieces begin: in `html`, and in the author's text.
    pieces: Vec<(usize, usize)>,
}

impl Raw {
    /// Adds what stands at `at` in the author's text.
    pub fn add(&mut self, html: &str, at: usize) {
        self.pieces.push((self.html.len(), at));
        self.html.push_str(html);
    }

    /// What the rules say, each with its place in the author's text.
    pub fn judged(self) -> Vec<(usize, Finding)> {
        let mut found = Vec::new();
        tags(&self.html, true, |tag| {
            judge(tag, &mut |finding| found.push((self.place(finding.at), finding)));
        });
        found
    }

    fn place(&self, at: usize) -> usize {
        let after = self.pieces.partition_point(|(from, _)| *from <= at);
        let (from, place) = self.pieces[after.saturating_sub(1)];
        place + at - from
    }
}
