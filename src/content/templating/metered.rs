//! A template rewritten so that its work is counted ([`super::meter`]).
//!
//! Tera's interpreter has no place to count in, but calls our functions and filters. So calls are set in wherever a
//! template goes over something or makes something longer: at a loop, before and behind a filter, around what is shown,
//! joined, compared or looked up. Every call gives back what it gets. Nothing is taken out, and no line is added or
//! removed, so that places in errors can be translated back ([`Metered::original`]).

use std::collections::HashSet;
use std::ops::Range;

use super::lexer::{Tag, Token, tags};
use super::tokens::Tokens;
use crate::diagnostic::Position;

/// Counts what it costs to go over a value once.
const TAKEN: &str = " | igsite_taken ";
/// Counts what it costs to show or compare a value with all that is in it.
const WHOLE: &str = " | igsite_whole ";
/// Counts what it costs to compare all elements with each other.
const PAIRS: &str = " | igsite_pairs ";

/// Filters that take no arguments and give about as much as they get.
const EVEN: [&str; 7] = [
    "after_says",
    "capitalize",
    "lower",
    "speaker_name",
    "title",
    "trim",
    "upper",
];
/// A template may show a value this many times without being counted: that is less work than a prompt may do for each
/// byte of its row.
const SHOWN: usize = 32;

/// A rewritten template.
#[derive(Clone, Debug)]
pub struct Metered {
    /// What Tera gets.
    pub text: String,
    /// What was set in, in its order.
    inserted: Vec<Inserted>,
}

/// Where something was set in; columns in characters, from 1.
#[derive(Clone, Debug)]
struct Inserted {
    line: usize,
    /// In the new text.
    column: usize,
    length: usize,
    /// The place in the old text that an error here is about.
    about: Position,
}

impl Metered {
    /// Rewrites a template; `size` gives the length of another one by its name.
    pub fn new(text: &str, size: &dyn Fn(&str) -> Option<usize>) -> Self {
        if only_shows(text) {
            return Self {
                text: text.to_owned(),
                inserted: Vec::new(),
            };
        }
        let mut edits = Edits::default();
        let mut open: Vec<Open> = Vec::new();
        for tag in tags(text) {
            edits.tag(&tag, size, &mut open);
        }
        edits.apply(text)
    }

    /// The place in the author's text of a place in the rewritten one.
    pub fn original(&self, place: Position) -> Position {
        let before = self.inserted.iter().filter(|one| one.line == place.line);
        let mut taken = 0;
        for one in before.take_while(|one| one.column <= place.column) {
            if place.column < one.column + one.length {
                return one.about;
            }
            taken += one.length;
        }
        Position {
            column: place.column - taken,
            ..place
        }
    }
}

/// Whether a template only shows values, as most prompts do: then its work is bounded by its form, and counting would
/// be most of it.
fn only_shows(text: &str) -> bool {
    let mut tags = text.split("{{").skip(1);
    !text.contains("{%")
        && !text.contains("{#")
        && text.matches("{{").count() <= SHOWN
        && tags.all(|rest| rest.split_once("}}").is_some_and(|(tag, _)| is_a_value(tag)))
}

/// Whether a tag is a name, perhaps of a field, behind which stand two filters at most, all of [`EVEN`].
fn is_a_value(tag: &str) -> bool {
    let tag = tag.strip_prefix('-').unwrap_or(tag);
    let mut parts = tag.strip_suffix('-').unwrap_or(tag).split('|').map(str::trim);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let is_value = parts
        .next()
        .is_some_and(|name| !name.is_empty() && name.chars().all(is_name));
    let filters: Vec<&str> = parts.collect();
    is_value && filters.len() <= 2 && filters.iter().all(|filter| EVEN.contains(filter))
}

/// A loop or component whose end is still to come.
struct Open {
    /// The edit that counts a round of it.
    edit: usize,
    /// Where its body begins.
    from: usize,
    /// Bytes of loops within it, which count for themselves.
    inner: usize,
}

/// Something to set in.
#[derive(Debug)]
struct Edit {
    /// The byte before which it is set in.
    at: usize,
    /// Of two at one byte, that which belongs to the token before comes first.
    starts: bool,
    text: String,
    /// The byte that an error in it is about.
    about: usize,
}

#[derive(Default)]
struct Edits {
    edits: Vec<Edit>,
    /// Bytes of `in` that belong to a loop.
    loops: HashSet<usize>,
}

impl Edits {
    fn before(&mut self, token: &Token<'_>, text: impl Into<String>, about: usize) {
        self.edits.push(Edit {
            at: token.at,
            starts: true,
            text: text.into(),
            about,
        });
    }

    fn after(&mut self, token: &Token<'_>, text: impl Into<String>, about: usize) {
        self.edits.push(Edit {
            at: token.end(),
            starts: false,
            text: text.into(),
            about,
        });
    }

    fn tag(&mut self, tag: &Tag<'_>, size: &dyn Fn(&str) -> Option<usize>, open: &mut Vec<Open>) {
        let tokens = Tokens(&tag.tokens);
        let Some(first) = tag.tokens.first() else { return };
        let all = 0..tag.tokens.len();
        match first.text {
            _ if tag.output => self.output(tag, tokens),
            "<" => _ = self.component(tokens, 0),
            "for" => {
                let Some(from) = tokens.find(1..all.end, "in") else {
                    return;
                };
                let edit = self.looped(tokens, from + 1..all.end);
                open.push(Open {
                    edit,
                    from: tag.end,
                    inner: 0,
                });
            }
            "component" => {
                let edit = self.edits.len();
                self.enter_behind(tag, COUNT);
                open.push(Open {
                    edit,
                    from: tag.end,
                    inner: 0,
                });
            }
            "block" => self.enter_behind(tag, "16"),
            "endblock" => self.leave_before(tag),
            "endfor" | "endcomponent" => {
                if first.text == "endcomponent" {
                    self.leave_before(tag);
                }
                let Some(closed) = open.pop() else { return };
                let length = tag.at - closed.from;
                self.edits[closed.edit].text = self.edits[closed.edit]
                    .text
                    .replace(COUNT, &(16 + length - closed.inner.min(length)).to_string());
                if let Some(outer) = open.last_mut() {
                    outer.inner += length;
                }
            }
            "include" => {
                let name = tag.tokens.get(1).and_then(Token::quoted).unwrap_or_default();
                let units = 64 + size(name).unwrap_or_default();
                let (before, after) = dashes(tag);
                self.at_tag(
                    tag.at,
                    true,
                    format!("{{{{{before} igsite_enter(n={units}) }}}}"),
                    tag.at,
                );
                self.at_tag(tag.end, false, format!("{{{{ igsite_leave() {after}}}}}"), tag.at);
            }
            "filter" => {
                self.expression(tokens, 2..all.end);
            }
            "if" | "elif" | "set" | "set_global" => self.expression(tokens, 1..all.end),
            _ => {}
        }
    }

    fn at_tag(&mut self, at: usize, starts: bool, text: String, about: usize) {
        self.edits.push(Edit {
            at,
            starts,
            text,
            about,
        });
    }

    /// Counts what a component or block does, from its beginning.
    fn enter_behind(&mut self, tag: &Tag<'_>, units: &str) {
        let (_, after) = dashes(tag);
        self.at_tag(
            tag.end,
            false,
            format!("{{{{ igsite_enter(n={units}) {after}}}}}"),
            tag.at,
        );
    }

    /// Reports the end of a component or block.
    fn leave_before(&mut self, tag: &Tag<'_>) {
        let (before, _) = dashes(tag);
        self.at_tag(tag.at, true, format!("{{{{{before} igsite_leave() }}}}"), tag.at);
    }

    fn output(&mut self, tag: &Tag<'_>, tokens: Tokens<'_, '_>) {
        let all = 0..tokens.0.len();
        let (Some(first), Some(last)) = (tokens.0.first(), tokens.0.last()) else {
            return;
        };
        if first.text == "<" {
            self.component(tokens, 0);
        } else if tokens.is_path() {
            // A variable that does not exist is reported better where it is shown by itself.
            let (before, _) = dashes(tag);
            if first.text != "loop" {
                let path = tokens.joined(all);
                self.at_tag(
                    tag.at,
                    true,
                    format!("{{{{{before} igsite_note(v={path}) }}}}"),
                    first.at,
                );
            }
        } else if all.len() > 1 {
            self.before(first, "(", first.at);
            self.expression(tokens, all);
            self.after(last, format!("){WHOLE}"), first.at);
        }
    }

    /// Counts the rounds of a loop over what these tokens give; gives the edit that has their cost to fill in.
    fn looped(&mut self, tokens: Tokens<'_, '_>, over: Range<usize>) -> usize {
        let (Some(first), Some(last)) = (tokens.0.get(over.start), tokens.0.get(over.end.wrapping_sub(1))) else {
            return 0;
        };
        self.before(first, "(", first.at);
        self.expression(tokens, over);
        self.after(last, format!(") | igsite_each(n={COUNT}) "), first.at);
        self.edits.len() - 1
    }

    /// Counts a call of a component from its `<` on; gives the token that ends it.
    fn component(&mut self, tokens: Tokens<'_, '_>, start: usize) -> usize {
        let mut at = start + 1;
        while let Some(token) = tokens.0.get(at) {
            match token.text {
                ">" => return at,
                "{" => {
                    let end = tokens.closing(at);
                    let spread = usize::from(tokens.is(at + 1, "..."));
                    self.expression(tokens, at + 1 + spread..end);
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn expression(&mut self, tokens: Tokens<'_, '_>, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end.min(tokens.0.len()) {
            at = self.token(tokens, at);
        }
    }

    /// Looks at one token of an expression; gives the next to look at.
    fn token(&mut self, tokens: Tokens<'_, '_>, at: usize) -> usize {
        let token = &tokens.0[at];
        let left = tokens.0[tokens.start_of_chain(at)].at;
        match token.text {
            "|" => {
                let name = tokens.0.get(at + 1).map_or("", |name| name.text);
                let cost = match name {
                    "str" | "join" | "sort" => WHOLE,
                    "unique" => PAIRS,
                    "default" | "safe" => "",
                    _ => TAKEN,
                };
                if !cost.is_empty() {
                    self.before(token, cost, left);
                }
                let end = tokens.end_of_call(at + 1);
                if !matches!(name, "default" | "safe" | "length" | "first" | "last" | "nth" | "get")
                    && let Some(last) = tokens.0.get(end)
                {
                    self.after(last, TAKEN, token.at);
                }
                return at + 2;
            }
            "~" => {
                self.before(token, WHOLE, left);
                self.right(tokens, at, WHOLE);
            }
            "==" | "!=" | "<=" | ">=" | ">" => self.right(tokens, at, WHOLE),
            "<" if tokens.begins_operand(at) => return self.component(tokens, at) + 1,
            "<" => self.right(tokens, at, WHOLE),
            "..." => self.right(tokens, at, TAKEN),
            "in" if tokens.is_operator(at) && !self.loops.contains(&token.at) => self.right(tokens, at, WHOLE),
            "is" if tokens.is_operator(at) => {
                let test = at + 1 + usize::from(tokens.is(at + 1, "not"));
                match tokens.0.get(test).map(|test| test.text) {
                    Some("containing") => self.before(token, WHOLE, left),
                    Some("starting_with" | "ending_with") => self.before(token, TAKEN, left),
                    _ => {}
                }
                return test + 1;
            }
            "[" | "{" if tokens.begins_operand(at) => {
                let end = tokens.closing(at);
                if let Some(from) = tokens.comprehension(at, end) {
                    self.comprehension(tokens, at, from, end);
                } else {
                    self.expression(tokens, at + 1..end);
                }
                if let Some(last) = tokens.0.get(end) {
                    self.after(last, WHOLE, token.at);
                }
                return end + 1;
            }
            "[" | "?[" => return self.subscript(tokens, at),
            _ if token.is_word() && tokens.is(at + 1, "(") && tokens.begins_operand(at) => {
                let end = tokens.closing(at + 1);
                self.expression(tokens, at + 2..end);
                if let Some(last) = tokens.0.get(end) {
                    self.after(last, TAKEN, token.at);
                }
                return end + 1;
            }
            _ => {}
        }
        at + 1
    }

    /// Counts the operand behind an operator.
    fn right(&mut self, tokens: Tokens<'_, '_>, operator: usize, cost: &str) {
        let end = tokens.end_of_operand(operator + 1);
        if let (Some(first), Some(last)) = (tokens.0.get(operator + 1), tokens.0.get(end)) {
            let about = first.at;
            self.after(last, cost, about);
        }
    }

    /// `[value for name in list if condition]`, the list from a token on.
    fn comprehension(&mut self, tokens: Tokens<'_, '_>, start: usize, from: usize, end: usize) {
        self.loops.insert(tokens.0[from - 1].at);
        self.expression(tokens, start + 1..from - 1);
        let over = from..tokens.find(from..end, "if").unwrap_or(end);
        let edit = self.looped(tokens, over.clone());
        if let (Some(edit), Some(last)) = (self.edits.get_mut(edit), tokens.0.get(end)) {
            let length = 16 + last.at - tokens.0[start].at;
            edit.text = edit.text.replace(COUNT, &length.to_string());
        }
        self.expression(tokens, over.end..end);
    }

    /// `text[1]` and `list[2:]`: the whole text is taken apart for one character of it. Gives the token behind.
    fn subscript(&mut self, tokens: Tokens<'_, '_>, at: usize) -> usize {
        let end = tokens.closing(at);
        let first_end = tokens.find(at + 1..end, ":").unwrap_or(end);
        let base = tokens.start_of_chain(at);
        let token = tokens.0[at];
        if tokens.0[base].is_word() && !tokens.is(base + 1, "(") && !(base > 0 && tokens.is(base - 1, "|")) {
            let path = tokens.joined(base..at);
            let about = tokens.0[base].at;
            if first_end == at + 1 {
                self.after(&token, format!("igsite_at(v={path})"), about);
            } else {
                self.after(&token, format!("igsite_at(v={path}, i="), about);
                self.expression(tokens, at + 1..first_end);
                self.after(&tokens.0[first_end - 1], ")", about);
            }
        } else {
            self.before(&token, TAKEN, tokens.0[base].at);
            self.expression(tokens, at + 1..first_end);
        }
        self.expression(tokens, first_end..end);
        end + 1
    }

    fn apply(mut self, source: &str) -> Metered {
        self.edits.sort_by_key(|edit| (edit.at, edit.starts));
        let mut metered = Metered {
            text: String::with_capacity(source.len() * 2),
            inserted: Vec::with_capacity(self.edits.len()),
        };
        let (mut from, mut old, mut new) = (0, Place::START, Place::START);
        // An error is about something at or before the edit, mostly on its line.
        for edit in self.edits {
            let kept = &source[from..edit.at];
            metered.text.push_str(kept);
            (old, new) = (old.behind(kept), new.behind(kept));
            from = edit.at;
            let about = match source.get(edit.about..edit.at) {
                Some(between) if !between.contains('\n') => old.column - between.chars().count(),
                _ => old.column,
            };
            let text = edit.text.replace(COUNT, "16");
            metered.inserted.push(Inserted {
                line: new.line,
                column: new.column,
                length: text.chars().count(),
                about: Position {
                    line: old.line,
                    // What is about something behind it.
                    column: about + source.get(edit.at..edit.about).map_or(0, |ahead| ahead.chars().count()),
                },
            });
            new = new.behind(&text);
            metered.text.push_str(&text);
        }
        metered.text.push_str(&source[from..]);
        metered
    }
}

/// The dashes by which a tag takes away the blanks before and after it.
fn dashes(tag: &Tag<'_>) -> (&'static str, &'static str) {
    let dash = |trims: bool| if trims { "-" } else { "" };
    (dash(tag.trims_before), dash(tag.trims_after))
}

/// Stands for a cost that is known only at the end of what it is the cost of.
const COUNT: &str = "\u{1f}";

/// A place while a text is gone through.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    const START: Self = Self { line: 1, column: 1 };

    fn behind(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            Some((before, last)) => Self {
                line: self.line + before.matches('\n').count() + 1,
                column: 1 + last.chars().count(),
            },
            None => Self {
                column: self.column + text.chars().count(),
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests;
