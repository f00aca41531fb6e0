//! Bytes of a text as lines and columns, at once for any of them: a text with a hundred thousand faults is not gone
//! through for each.

use crate::diagnostic::Position;

/// Bytes between two places that are remembered.
const STEP: usize = 256;

/// The places of a text.
pub struct Places<'t> {
    text: &'t str,
    /// The place of the first character at or after each multiple of [`STEP`]; computed when it is first needed.
    known: Vec<(usize, Position)>,
}

impl<'t> Places<'t> {
    /// Of a text.
    pub fn of(text: &'t str) -> Self {
        Self {
            text,
            known: Vec::new(),
        }
    }

    /// The line and column of a byte, both from 1; the last ones for a byte behind the end.
    pub fn at(&mut self, byte: usize) -> Position {
        if self.known.is_empty() {
            self.remember();
        }
        let byte = byte.min(self.text.len());
        let (from, mut place) = self.known[(byte / STEP).min(self.known.len() - 1)];
        for (at, c) in self.text[from.min(byte)..].char_indices() {
            if from + at >= byte {
                break;
            }
            place = behind(place, c);
        }
        place
    }

    fn remember(&mut self) {
        let mut place = Position { line: 1, column: 1 };
        for (at, c) in self.text.char_indices() {
            if at >= self.known.len() * STEP {
                self.known.push((at, place));
            }
            place = behind(place, c);
        }
        if self.known.is_empty() {
            self.known.push((0, place));
        }
    }
}

fn behind(place: Position, c: char) -> Position {
    match c {
        '\n' => Position {
            line: place.line + 1,
            column: 1,
        },
        _ => Position {
            column: place.column + 1,
            ..place
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_that_which_counting_gives(text in "(\\PC|\n|é|🦀){0,900}", byte in 0_usize..4000) {
            let mut byte = byte.min(text.len());
            while !text.is_char_boundary(byte) {
                byte -= 1;
            }
            let before = &text[..byte];
            let line = 1 + before.matches('\n').count();
            let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
            prop_assert_eq!(Places::of(&text).at(byte), Position { line, column });
        }
    }
}
