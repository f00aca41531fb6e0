//! The tokens of one tag of a template: where operands, calls and brackets begin and end in them.

use std::ops::Range;

use super::lexer::Token;

/// Tera's words that are no names of variables.
const WORDS: [&str; 13] = [
    "and", "or", "not", "is", "in", "if", "elif", "else", "for", "true", "false", "none", "null",
];

/// The tokens of one tag.
#[derive(Clone, Copy)]
pub struct Tokens<'a, 't>(pub &'a [Token<'t>]);

impl Tokens<'_, '_> {
    /// These tokens as a text of one line.
    pub fn joined(self, range: Range<usize>) -> String {
        let texts = self.0[range].iter().map(|token| token.text.replace('\n', "\\n"));
        texts.collect::<Vec<_>>().join(" ")
    }

    /// Whether the token at a place reads so.
    pub fn is(self, at: usize, text: &str) -> bool {
        self.0.get(at).is_some_and(|token| token.text == text)
    }

    /// Whether this is only a variable, or a field of one.
    pub fn is_path(self) -> bool {
        let name = |token: &Token<'_>| token.is_word() && !WORDS.contains(&token.text.to_lowercase().as_str());
        let alternate = |(index, token): (usize, &Token<'_>)| match index % 2 {
            0 => name(token),
            _ => matches!(token.text, "." | "?."),
        };
        self.0.len() % 2 == 1 && self.0.iter().enumerate().all(alternate)
    }

    /// The bracket that closes the one at a token.
    pub fn closing(self, at: usize) -> usize {
        let mut depth = 0_usize;
        for (index, token) in self.0.iter().enumerate().skip(at) {
            match token.text {
                "(" | "[" | "{" | "?[" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.0.len()
    }

    /// The bracket that opens what the one at a token closes.
    pub fn opening(self, at: usize) -> usize {
        let mut depth = 0_usize;
        for index in (0..=at).rev() {
            match self.0[index].text {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" | "?[" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        0
    }

    /// The first of a text among these tokens that is not within brackets.
    pub fn find(self, range: Range<usize>, text: &str) -> Option<usize> {
        let mut at = range.start;
        while at < range.end.min(self.0.len()) {
            match self.0[at].text {
                found if found == text && (found != "if" || self.is_operator(at)) => return Some(at),
                "(" | "[" | "{" | "?[" => at = self.closing(at),
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Whether a word is an operator, and not the name of a field or an argument.
    pub fn is_operator(self, at: usize) -> bool {
        !(self.is(at + 1, "=") || at > 0 && matches!(self.0[at - 1].text, "." | "?." | "|"))
    }

    /// Whether an operand may begin here, rather than go on.
    pub fn begins_operand(self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| self.0[before]) else {
            return true;
        };
        if before.is_word() {
            return WORDS[..9].contains(&before.text) && self.is_operator(at - 1) && before.text != "is"
                || matches!(before.text, "set" | "set_global");
        }
        let ends = before
            .text
            .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '"' | '\'' | '`'));
        !ends && !matches!(before.text, ")" | "]" | "}" | "|" | "." | "?.")
    }

    /// Where the list of a comprehension begins, if these brackets are one.
    pub fn comprehension(self, start: usize, end: usize) -> Option<usize> {
        let at = self.find(start + 1..end, "for").filter(|at| self.is_operator(*at))?;
        let name = |at: usize| {
            self.0
                .get(at)
                .is_some_and(|token| token.is_word() && !WORDS.contains(&token.text))
        };
        if name(at + 1) && self.is(at + 2, "in") {
            return Some(at + 3);
        }
        (name(at + 1) && self.is(at + 2, ",") && name(at + 3) && self.is(at + 4, "in")).then_some(at + 5)
    }

    /// The last token of `name` or `name(…)`.
    pub fn end_of_call(self, name: usize) -> usize {
        if self.is(name + 1, "(") {
            self.closing(name + 1)
        } else {
            name
        }
    }

    /// The last token of an operand: `-a.b[0] | c(d=1)`.
    pub fn end_of_operand(self, at: usize) -> usize {
        let mut at = at;
        while self.is(at, "-") || self.is(at, "not") {
            at += 1;
        }
        if self.is(at, "(") || self.is(at, "[") || self.is(at, "{") {
            at = self.closing(at);
        } else if self.is(at, "<") {
            at = self.find(at..self.0.len(), ">").unwrap_or(self.0.len());
        }
        loop {
            at = match self.0.get(at + 1).map(|next| next.text) {
                Some("." | "?.") => at + 2,
                Some("[" | "?[") => self.closing(at + 1),
                Some("(") if self.0[at].is_word() => self.closing(at + 1),
                Some("|") => self.end_of_call(at + 2),
                _ => return at,
            };
        }
    }

    /// The first token of the operand that ends before a token: `a.b[0]` before `|`.
    pub fn start_of_chain(self, at: usize) -> usize {
        let Some(mut start) = at.checked_sub(1) else { return at };
        loop {
            if matches!(self.0[start].text, ")" | "]" | "}") {
                start = self.opening(start);
                let called = start > 0 && self.0[start - 1].is_word() && !self.begins_operand(start);
                let goes_on = start > 0 && matches!(self.0[start - 1].text, ")" | "]");
                if self.0[start].text != "{" && (called || goes_on) {
                    start -= 1;
                    continue;
                }
            }
            if start > 1 && matches!(self.0[start - 1].text, "." | "?.") {
                start -= 2;
                continue;
            }
            return start;
        }
    }
}
