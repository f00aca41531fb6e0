//! Words, sentences and segments of a prompt, shared by all models although their tokenizers differ.
//!
//! Units are found in the prompt's characters, never in tokens, so that two models can be compared word by word. A
//! token belongs to the word that holds its first character that is no white space; a token of white space only belongs
//! to the word that follows it in the same segment (as the `▁` of a subword leads its word), else to the one before.
//! Special tokens are no text and belong to no word. Every token goes to exactly one place, so sums are conserved: the
//! words' scores and the score outside all words add up to the tokens' scores.

use unicode_segmentation::UnicodeSegmentation;

use crate::content::prompt::TEMPLATE;
use crate::terms::{Segment, Token, UnitKind};

/// A text that is sliced by character offsets, as records count.
#[derive(Clone, Debug)]
pub struct CharText<'a> {
    text: &'a str,
    /// Byte offset of each character, and one past the last.
    bytes: Vec<usize>,
}

impl<'a> CharText<'a> {
    /// Indexes `text`.
    pub fn new(text: &'a str) -> Self {
        let bytes = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect();
        Self { text, bytes }
    }

    /// Number of characters.
    pub fn len(&self) -> usize {
        self.bytes.len() - 1
    }

    /// Whether there is no character.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The characters from `start` up to `end`; what lies outside the text is left out.
    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        let end = end.min(self.len());
        let start = start.min(end);
        &self.text[self.bytes[start]..self.bytes[end]]
    }

    fn char_at_byte(&self, byte: usize) -> usize {
        self.bytes.partition_point(|&offset| offset < byte)
    }
}

/// A word, sentence or segment: a range of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// First character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Index of the unit of the next larger level that holds it (a word's sentence, a sentence's segment).
    pub parent: usize,
}

/// The units of one prompt; words lie within sentences, sentences within segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Words with the punctuation that touches them; white space lies between.
    pub words: Vec<Unit>,
    /// Sentences (a line break ends one), white space around them left out.
    pub sentences: Vec<Unit>,
    /// The prompt's segments, and any text outside them as segments without a name.
    pub segments: Vec<Segment>,
}

/// The size of the pieces that scores are summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A word.
    Word,
    /// A sentence.
    Sentence,
    /// A segment.
    Segment,
}

impl Units {
    /// Finds the units of a prompt.
    pub fn of(prompt: &str, segments: &[Segment]) -> Self {
        let text = CharText::new(prompt);
        let mut units = Self {
            segments: covering(segments, text.len()),
            ..Self::default()
        };
        for segment in 0..units.segments.len() {
            let Segment { start, end, .. } = units.segments[segment];
            let base = text.bytes[start];
            for (byte, sentence) in text.slice(start, end).split_sentence_bound_indices() {
                let trimmed = sentence.trim_start();
                let from = base + byte + (sentence.len() - trimmed.len());
                let trimmed = trimmed.trim_end();
                if trimmed.is_empty() {
                    continue;
                }
                let parent = units.sentences.len();
                for (word_from, word_to) in words(trimmed) {
                    units.words.push(Unit {
                        start: text.char_at_byte(from + word_from),
                        end: text.char_at_byte(from + word_to),
                        parent,
                    });
                }
                units.sentences.push(Unit {
                    start: text.char_at_byte(from),
                    end: text.char_at_byte(from + trimmed.len()),
                    parent: segment,
                });
            }
        }
        units
    }

    /// The segment that holds a word.
    pub fn segment_of_word(&self, word: usize) -> usize {
        self.sentences[self.words[word].parent].parent
    }

    /// The name of the segment that holds a word.
    pub fn segment_name(&self, word: usize) -> &str {
        &self.segments[self.segment_of_word(word)].name
    }

    /// The segment that holds a character.
    pub fn segment_at(&self, character: usize) -> Option<usize> {
        let index = self.segments.partition_point(|segment| segment.end <= character);
        (index < self.segments.len()).then_some(index)
    }

    /// The word of each token; none for special tokens, and for every token of a prompt without words.
    pub fn assign(&self, prompt: &str, tokens: &[Token]) -> Vec<Option<usize>> {
        let text = CharText::new(prompt);
        tokens
            .iter()
            .map(|token| {
                if token.special {
                    None
                } else {
                    self.word_of(&text, token)
                }
            })
            .collect()
    }

    fn word_of(&self, text: &CharText<'_>, token: &Token) -> Option<usize> {
        let slice = text.slice(token.start, token.end);
        let blanks = slice.chars().take_while(|c| c.is_whitespace()).count();
        let position = token.start + blanks;
        let segment = self.segment_at(if blanks == slice.chars().count() {
            token.start
        } else {
            position
        });
        let next = self.words.partition_point(|word| word.end <= position);
        let next = (next < self.words.len()).then_some(next);
        let previous = next.unwrap_or(self.words.len()).checked_sub(1);
        let here = |word: &usize| Some(self.segment_of_word(*word)) == segment;
        next.filter(here).or(previous.filter(here)).or(next).or(previous)
    }

    /// The places of the tokens of each unit of a prompt, in order; units without tokens are left out. Special tokens and
    /// what a chat template adds belong to none, and where `within` names segments, only what lies in those does.
    pub fn tokens(&self, kind: UnitKind, prompt: &str, tokens: &[Token], within: Option<&[String]>) -> Vec<Vec<usize>> {
        let words = self.assign(prompt, tokens);
        let mut units: Vec<(usize, Vec<usize>)> = Vec::new();
        for (place, word) in words.into_iter().enumerate() {
            let Some(word) = word else { continue };
            let segment = self.segment_of_word(word);
            let name = &self.segments[segment].name;
            if name == TEMPLATE || within.is_some_and(|within| !within.contains(name)) {
                continue;
            }
            let unit = match kind {
                UnitKind::Token => place,
                UnitKind::Word => word,
                UnitKind::Sentence => self.words[word].parent,
                UnitKind::Segment => segment,
            };
            match units.iter_mut().rev().find(|(known, _)| *known == unit) {
                Some((_, places)) => places.push(place),
                None => units.push((unit, vec![place])),
            }
        }
        units.into_iter().map(|(_, places)| places).collect()
    }

    /// Word scores of a prompt within a chat template, over the words of the prompt by itself: these are all words but
    /// the template's, in the same order, since segments end words and the template trims no more than white space.
    /// What lies on the template goes to [`UnitScores::outside`]. None if the words are not those of `common`.
    pub fn without_template(&self, words: &UnitScores, common: &Units) -> Option<UnitScores> {
        let mut shared = UnitScores {
            units: Vec::with_capacity(common.words.len()),
            outside: words.outside,
        };
        for (word, score) in words.units.iter().enumerate() {
            if self.segments[self.segment_of_word(word)].name == TEMPLATE {
                shared.outside += score;
            } else {
                shared.units.push(*score);
            }
        }
        (shared.units.len() == common.words.len()).then_some(shared)
    }

    /// Sums token scores over words.
    pub fn word_scores(&self, assignment: &[Option<usize>], scores: &[f64]) -> UnitScores {
        let mut sums = UnitScores {
            units: vec![0.0; self.words.len()],
            outside: 0.0,
        };
        for (word, score) in assignment.iter().zip(scores) {
            match word {
                Some(word) => sums.units[*word] += score,
                None => sums.outside += score,
            }
        }
        sums
    }

    /// Sums word scores over a larger level.
    pub fn sum(&self, level: Level, words: &UnitScores) -> UnitScores {
        let (count, unit_of): (usize, Box<dyn Fn(usize) -> usize>) = match level {
            Level::Word => return words.clone(),
            Level::Sentence => (self.sentences.len(), Box::new(|word| self.words[word].parent)),
            Level::Segment => (self.segments.len(), Box::new(|word| self.segment_of_word(word))),
        };
        let mut sums = UnitScores {
            units: vec![0.0; count],
            outside: words.outside,
        };
        for (word, score) in words.units.iter().enumerate() {
            sums.units[unit_of(word)] += score;
        }
        sums
    }
}

/// Scores summed over units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnitScores {
    /// One a unit, in the prompt's order.
    pub units: Vec<f64>,
    /// What lies outside all units: special tokens, and a chat template where the units are without it.
    pub outside: f64,
}

/// The segments in order, clipped to the text, with unnamed ones where the text has gaps.
fn covering(segments: &[Segment], length: usize) -> Vec<Segment> {
    let mut all = Vec::with_capacity(segments.len());
    let mut cursor = 0;
    let unnamed = |start, end| Segment {
        name: String::new(),
        start,
        end,
    };
    for segment in segments {
        let (start, end) = (segment.start.clamp(cursor, length), segment.end.clamp(cursor, length));
        if start > cursor {
            all.push(unnamed(cursor, start));
        }
        all.push(Segment {
            name: segment.name.clone(),
            start,
            end: end.max(start),
        });
        cursor = end.max(start);
    }
    if cursor < length {
        all.push(unnamed(cursor, length));
    }
    all
}

/// Byte ranges of the words of a sentence. Punctuation joins the word it touches, the one before it first; a hyphen
/// ends a word, so that `Barely-true` is two, and ideographs stand alone, as Unicode's word boundaries have them.
fn words(sentence: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    // Whether the word that is open holds a letter or digit; none is open after white space.
    let mut open: Option<bool> = None;
    for (start, piece) in sentence.split_word_bound_indices() {
        let end = start + piece.len();
        if piece.chars().all(char::is_whitespace) {
            open = None;
            continue;
        }
        let letters = piece.chars().any(char::is_alphanumeric);
        match open {
            Some(has_letters) if !(letters && has_letters) => {
                found.last_mut().expect("a word is open").1 = end;
                open = Some(has_letters || letters);
            }
            _ => {
                found.push((start, end));
                open = Some(letters);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(name: &str, start: usize, end: usize) -> Segment {
        Segment {
            name: name.into(),
            start,
            end,
        }
    }

    fn token(start: usize, end: usize) -> Token {
        Token {
            id: 0,
            text: String::new(),
            start,
            end,
            special: false,
        }
    }

    fn words_of(prompt: &str) -> Vec<&str> {
        let text = CharText::new(prompt);
        Units::of(prompt, &[])
            .words
            .iter()
            .map(|w| text.slice(w.start, w.end))
            .collect()
    }

    #[test]
    fn punctuation_joins_the_word_it_touches() {
        assert_eq!(words_of("Says \"no\" (twice)."), ["Says", "\"no\"", "(twice)."]);
        assert_eq!(words_of("A) True\nB) Half-true"), ["A)", "True", "B)", "Half-", "true"]);
        assert_eq!(words_of("don't, U.S. $1.5"), ["don't,", "U.S.", "$1.5"]);
        assert_eq!(words_of("日本 – ok"), ["日", "本", "–", "ok"]);
        assert_eq!(words_of("  \n "), Vec::<&str>::new());
    }

    #[test]
    fn a_line_break_ends_a_sentence_and_segments_hold_them() {
        let prompt = "By him:\nTaxes fell. Wages rose.\n\nA) True";
        let units = Units::of(
            prompt,
            &[
                segment("instruction", 0, 8),
                segment("claim", 8, 31),
                segment("options", 31, 40),
            ],
        );
        let text = CharText::new(prompt);
        let sentences: Vec<&str> = units.sentences.iter().map(|s| text.slice(s.start, s.end)).collect();
        assert_eq!(sentences, ["By him:", "Taxes fell.", "Wages rose.", "A) True"]);
        assert_eq!(
            units.sentences.iter().map(|s| s.parent).collect::<Vec<_>>(),
            [0, 1, 1, 2]
        );
    }

    #[test]
    fn a_token_goes_to_the_word_of_its_first_visible_character() {
        let prompt = "ab cd\n\nef";
        let units = Units::of(prompt, &[segment("x", 0, 6), segment("y", 6, 9)]);
        let mut tokens = vec![
            token(0, 1),
            token(1, 4),
            token(3, 5),
            token(5, 6),
            token(6, 7),
            token(7, 9),
        ];
        tokens.insert(
            0,
            Token {
                special: true,
                ..token(0, 0)
            },
        );
        // `b c` starts in `ab`; the line break that ends x has no word after it in x; the one that starts y leads `ef`.
        let assigned = units.assign(prompt, &tokens);
        assert_eq!(assigned, [None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)]);
        let words = units.word_scores(&assigned, &[10.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(
            words,
            UnitScores {
                units: vec![3.0, 7.0, 11.0],
                outside: 10.0
            }
        );
        assert_eq!(units.sum(Level::Segment, &words).units, [10.0, 11.0]);
    }

    #[test]
    fn gaps_between_segments_become_unnamed_segments() {
        let units = Units::of("abc def", &[segment("d", 4, 7)]);
        assert_eq!(units.segments, [segment("", 0, 4), segment("d", 4, 7)]);
    }

    #[test]
    fn a_chat_template_is_outside_the_words_that_models_share() {
        let common = Units::of(
            " Is it so?\nYes ",
            &[segment("question", 0, 11), segment("claim", 11, 15)],
        );
        // Trimmed at both ends, with words of the template on both sides and between.
        let prompt = "[INST] Is it so?\n<<SYS>>Yes [/INST]";
        let all = [
            segment(TEMPLATE, 0, 7),
            segment("question", 7, 17),
            segment(TEMPLATE, 17, 24),
            segment("claim", 24, 27),
            segment(TEMPLATE, 27, 35),
        ];
        let own = Units::of(prompt, &all);
        let tokens: Vec<Token> = own.words.iter().map(|word| token(word.start, word.end)).collect();
        let scores: Vec<f64> = (0..tokens.len()).map(|index| f64::from(1 << index)).collect();
        let words = own.word_scores(&own.assign(prompt, &tokens), &scores);
        let shared = own.without_template(&words, &common).unwrap();
        assert_eq!(shared.units, [2.0, 4.0, 8.0, 32.0]);
        assert_eq!(shared.outside, 1.0 + 16.0 + 64.0);
        assert_eq!(own.without_template(&words, &Units::of("other", &[])), None);
    }

    proptest! {
        #[test]
        fn sums_are_conserved_at_every_level(
            prompt in "[a-z .,\n\u{feff}é日🙂-]{0,60}",
            cuts in proptest::collection::vec(0usize..60, 0..20),
            split in 0usize..60,
        ) {
            let length = prompt.chars().count();
            let split = split.min(length);
            let units = Units::of(&prompt, &[segment("a", 0, split), segment("b", split, length)]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(length)).chain([0, length]).collect();
            cuts.sort_unstable();
            let mut tokens: Vec<Token> = cuts.windows(2).map(|w| token(w[0], w[1])).collect();
            tokens.push(Token { special: true, ..token(0, 0) });
            // Whole numbers, so that the sums are exact whatever their order.
            let scores: Vec<f64> = (0..tokens.len()).map(|i| i as f64 * 3.0 - 20.0).collect();
            let total: f64 = scores.iter().sum();
            let words = units.word_scores(&units.assign(&prompt, &tokens), &scores);
            for level in [Level::Word, Level::Sentence, Level::Segment] {
                let sums = units.sum(level, &words);
                prop_assert_eq!(sums.units.iter().sum::<f64>() + sums.outside, total);
            }
            for pair in units.words.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start && pair[0].start < pair[0].end);
            }
        }
    }
}
