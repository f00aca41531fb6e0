//! What the cards of pages show: of a sample each model's answer and the words it rests on, of a map the text with its
//! colours, of an experiment its models.

use super::{CardLink, Renderer};
use crate::analysis::results::Results;
use crate::analysis::scale::{STEPS, Scale};
use crate::analysis::summary;
use crate::content::page::Cards;
use crate::content::units::CharText;
use crate::diagnostic::Result;
use crate::render::card::{
    ACCENT, AGAINST, BAD, Card, Colour, FOR, GOOD, INK, PANEL, SIZE, SOFT, Style, can_write, shaded,
};
use crate::render::markdown::first_paragraph;
use crate::render::text::{excerpt, percent, signed};
use crate::render::{Sink, labels};
use crate::site::urls;

/// Room at the sides.
const EDGE: f32 = 56.0;
/// What is left between them.
const WIDTH: f32 = SIZE.0 as f32 - 2.0 * EDGE;
/// Models that a card has rows for.
const ROWS: usize = 4;

impl Renderer<'_> {
    /// The picture that links to a page are shown with; none where the page has none, or the site's address is not
    /// known: previews want an absolute one.
    pub(super) fn card_of(&self, path: &str, alt: &str) -> Option<CardLink> {
        let base_url = self.site.base_url.as_deref()?;
        let parts: Vec<&str> = path.split('/').collect();
        let of = |id: &str| self.results.iter().find(|results| results.experiment.id == id);
        let has = self.settings.cards != Cards::None
            && match parts[..] {
                ["experiments", id, _] => of(id).is_some(),
                ["experiments", id, "samples" | "maps", ..] => of(id).is_some_and(|results| results.writes.cards),
                _ => false,
            };
        has.then(|| CardLink {
            address: urls::absolute(base_url, &urls::card(path)),
            alt: excerpt(alt, 300),
        })
    }

    /// The card of an experiment, where links to its page name one.
    pub fn experiment_card(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<()> {
        let path = urls::experiment(&results.experiment.id);
        if self.card_of(&path, "").is_none() {
            return Ok(());
        }
        let mut card = self.begun(&self.site_title);
        let mut y = heading(&mut card, &results.experiment.title, "", 2);
        // What it is about fills the room that a short title leaves.
        let about = first_paragraph(&results.experiment.description);
        if y <= 290.0 && can_write(&about) {
            let style = Style::plain(28.0, SOFT);
            for (place, line) in style.lines(&about, WIDTH, 3).iter().enumerate() {
                card.text(line, (EDGE, 190.0 + 36.0 * place as f32), style);
            }
            y = 310.0;
        }
        y = y.min(310.0);
        for (model, summary) in results.summaries.iter().enumerate().take(ROWS) {
            row(&mut card, y);
            named(&mut card, y, &results.models[model]);
            let share = summary.accuracy;
            let (left, width) = (EDGE + 320.0, WIDTH - 320.0 - 230.0);
            if let Some(value) = share.value() {
                card.rectangle((left, y + 18.0), (width, 22.0), shaded(FOR, 0.2));
                card.rectangle((left, y + 18.0), (width * value as f32, 22.0), FOR);
                let told = format!("{} of {} right", share.count, share.of);
                card.text(&told, (left + width + 20.0, y + 39.0), Style::plain(28.0, INK));
            } else {
                card.text("attribution maps", (left, y + 39.0), Style::plain(28.0, SOFT));
            }
            y += 64.0;
        }
        let samples = results.samples.len();
        let plural = if samples == 1 { "" } else { "s" };
        self.ended(
            card,
            &format!("{samples} sample{plural}, {} models", results.models.len()),
            &path,
            out,
        )
    }

    /// The card of a sample.
    pub fn sample_card(&self, results: &Results<'_>, sample: usize, out: &mut Sink<'_>) -> Result<()> {
        let path = urls::sample(&results.experiment.id, results.slug(sample));
        if self.card_of(&path, "").is_none() {
            return Ok(());
        }
        let mut card = self.begun(&self.place_of(results));
        let title = format!("Sample {}", results.sample_title(sample));
        let mut y = heading(&mut card, &results.samples[sample].subject, &title, 3);
        for model in 0..results.models.len().min(ROWS) {
            row(&mut card, y);
            named(&mut card, y, &results.models[model]);
            answer(&mut card, (EDGE + 320.0, y), results, (model, sample));
            if let Some(&(word, score)) = results.reasons(model, sample, 1).first() {
                let word = results.word(sample, word);
                if can_write(&word) {
                    strongest(&mut card, (EDGE + 640.0, y), &word, score);
                }
            }
            y += 64.0;
        }
        let gold = results.experiment.samples[sample].gold.as_deref();
        let told = gold.map_or_else(String::new, |gold| {
            format!("Right answer: {}", results.option_label(gold))
        });
        self.ended(card, &told, &path, out)
    }

    /// The card of a model's maps of a sample: the words of what the sample is about, as the first map colours them.
    pub fn map_card(&self, results: &Results<'_>, (model, sample): (usize, usize), out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let path = urls::map_page(&experiment.id, &experiment.models[model], results.slug(sample));
        if self.card_of(&path, "").is_none() || !results.has_map_page(model, sample) {
            return Ok(());
        }
        let mut card = self.begun(&self.place_of(results));
        let title = format!("{} on sample {}", results.models[model], results.sample_title(sample));
        let analysed = &results.samples[sample];
        let mut about = String::new();
        if let (Some(scores), Some(shown)) = (&analysed.words[model], summary::shown(results.record(model, sample))) {
            let text = CharText::new(&experiment.samples[sample].prompt.text);
            let mut words: Vec<Coloured<'_>> = Vec::new();
            let mut end = None;
            for &word in results.subject_words(sample) {
                let unit = &analysed.units.words[word];
                words.push(Coloured {
                    text: text.slice(unit.start, unit.end),
                    score: scores.units[word],
                    joined: end == Some(unit.start),
                });
                end = Some(unit.end);
            }
            if words.iter().all(|word| can_write(word.text)) {
                coloured(&mut card, &words);
            } else {
                heading(&mut card, "", &title, 1);
            }
            about = format!(
                "Why {}? From the {}{}",
                shown.target.shown(),
                labels::baseline_of(shown),
                shown
                    .error_estimate
                    .map_or_else(String::new, |error| format!(", error {}", percent(error)))
            );
        }
        let y = 480.0;
        row(&mut card, y);
        named(&mut card, y, &results.models[model]);
        answer(&mut card, (EDGE + 320.0, y), results, (model, sample));
        self.ended(card, &about, &path, out)
    }

    /// The site and the experiment, as cards of its samples and maps name them.
    fn place_of(&self, results: &Results<'_>) -> String {
        format!("{} · {}", self.site_title, results.experiment.title)
    }

    /// A card with what all have: above, where it belongs.
    fn begun(&self, place: &str) -> Card {
        let mut card = Card::default();
        card.rectangle((0.0, 0.0), (14.0, SIZE.1 as f32), ACCENT);
        let style = Style::plain(28.0, SOFT);
        if can_write(place) {
            card.text(&style.cut(place, WIDTH), (EDGE, 66.0), style);
        }
        card
    }

    /// Writes a card with its last line: what is to be said on the left, where the site stands on the right.
    fn ended(&self, mut card: Card, told: &str, page: &str, out: &mut Sink<'_>) -> Result<()> {
        let style = Style::plain(26.0, SOFT);
        let base_url = self.site.base_url.as_deref().unwrap_or_default();
        let place = base_url
            .split_once("://")
            .map_or(base_url, |(_, rest)| rest)
            .trim_end_matches('/');
        let place = style.cut(place, WIDTH * 0.5);
        let width = style.width(&place);
        card.text(&place, (EDGE + WIDTH - width, 590.0), style);
        if can_write(told) {
            card.text(&style.cut(told, WIDTH - width - 40.0), (EDGE, 590.0), style);
        }
        out.put(urls::card(page), card.png(), "igsite")
    }
}

/// What a card is about, in large letters; `otherwise` where the fonts lack some of it. Gives where the rest begins.
fn heading(card: &mut Card, text: &str, otherwise: &str, most: usize) -> f32 {
    let text = if text.is_empty() || !can_write(text) {
        otherwise
    } else {
        text
    };
    // Long texts in smaller letters.
    let size = if text.chars().count() > 110 { 40.0 } else { 50.0 };
    let style = Style::bold(size, INK);
    let mut y = 84.0;
    for line in style.lines(text, WIDTH, most) {
        y += size * 1.18;
        card.text(&line, (EDGE, y), style);
    }
    // The rows end at the same height on every card.
    (y + 36.0).max(290.0)
}

fn row(card: &mut Card, y: f32) {
    card.rectangle((EDGE - 12.0, y), (WIDTH + 24.0, 58.0), PANEL);
}

fn named(card: &mut Card, y: f32, model: &str) {
    let style = Style::plain(30.0, INK);
    if can_write(model) {
        card.text(&style.cut(model, 300.0), (EDGE, y + 40.0), style);
    }
}

/// What a model answers, how probable that is, and whether it is right.
fn answer(card: &mut Card, (x, y): (f32, f32), results: &Results<'_>, (model, sample): (usize, usize)) {
    let record = results.record(model, sample);
    let text = excerpt(summary::answer_text(record), 10);
    let colour = match record.correct {
        Some(true) => GOOD,
        Some(false) => BAD,
        None => INK,
    };
    let mut x = x;
    if can_write(&text) {
        x = card.text(&text, (x, y + 40.0), Style::bold(30.0, colour)) + 14.0;
    }
    if let Some(probability) = summary::answer_probability(record) {
        x = card.text(&percent(probability), (x, y + 40.0), Style::plain(30.0, INK)) + 14.0;
    }
    let verdict = match record.correct {
        Some(true) => "✓ right",
        Some(false) => "✗ wrong",
        None => "",
    };
    card.text(verdict, (x, y + 40.0), Style::plain(30.0, colour));
}

/// The word that an answer rests on most, with its score, in the colour of its sign.
fn strongest(card: &mut Card, (x, y): (f32, f32), word: &str, score: f64) {
    let style = Style::plain(30.0, INK);
    let (score_text, room) = (signed(score), EDGE + WIDTH - x);
    let word = style.cut(word, room - style.width(&score_text) - 40.0);
    let width = style.width(&word);
    card.rectangle((x - 8.0, y + 9.0), (width + 16.0, 40.0), shaded(colour_of(score), 0.75));
    card.text(&word, (x, y + 40.0), style);
    card.text(&score_text, (x + width + 20.0, y + 40.0), Style::plain(30.0, SOFT));
}

fn colour_of(score: f64) -> Colour {
    if score < 0.0 { AGAINST } else { FOR }
}

/// A word of a map.
struct Coloured<'t> {
    text: &'t str,
    score: f64,
    /// Whether nothing stands between it and the word before, as before a full stop in a segment of its own.
    joined: bool,
}

/// Where words lie that are set in a style, line after line: place and baseline of each, and how many lines there are.
fn set(words: &[Coloured<'_>], style: Style) -> (Vec<(f32, usize)>, usize) {
    let blank = style.width(" ") + 8.0;
    let (mut places, mut x, mut line) = (Vec::with_capacity(words.len()), 0.0_f32, 0);
    for word in words {
        let width = style.width(word.text);
        if x > 0.0 && !word.joined {
            x += blank;
        }
        if x > 0.0 && x + width > WIDTH {
            (x, line) = (0.0, line + 1);
        }
        places.push((x, line));
        x += width;
    }
    (places, line + 1)
}

/// Words, each on the shade of its score; as large as they fit.
fn coloured(card: &mut Card, words: &[Coloured<'_>]) {
    const ROOM: f32 = 370.0;
    let scale = Scale::over(words.iter().map(|word| &word.score));
    let fits = |size: &f32| set(words, Style::plain(*size, INK)).1 as f32 * size * 1.45 <= ROOM;
    let sizes = [60.0, 52.0, 44.0, 36.0, 30.0, 26.0];
    let size = sizes.into_iter().find(fits).unwrap_or(22.0);
    let style = Style::plain(size, INK);
    for (word, (x, line)) in words.iter().zip(set(words, style).0) {
        let (x, y) = (EDGE + x, 96.0 + size + line as f32 * size * 1.45);
        if y > 96.0 + ROOM {
            return;
        }
        let text = style.cut(word.text, WIDTH);
        let shade = scale.shade(word.score);
        if shade != 0 {
            let (share, width) = (shade.unsigned_abs() as f32 / STEPS as f32, style.width(&text));
            let colour = shaded(colour_of(word.score), share);
            card.rectangle((x - 4.0, y - size * 0.86), (width + 8.0, size * 1.14), colour);
        }
        card.text(&text, (x, y), style);
    }
}
