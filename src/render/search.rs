//! The search index: every word of the site's experiments, models, pages and samples with where it stands, in one
//! script that a page opened from disk may load too, and what results show of samples in many small ones.
//!
//! The whole index comes with the first search, so it must be small: words are written by what they add to the word
//! before, places as gaps in Rice's code, all of it deflated and written in 91 characters (`pack`). Ten thousand
//! statements take about 270 kB. `static/assets/search.js` reads it, ranks and shows. Nothing here knows what a page
//! looks like.

pub mod pack;
pub mod words;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::json;

use self::pack::Bits;
use self::words::words;
use crate::render::assets::short_hash;
use crate::render::text::visible;

/// Samples whose text one small script holds: a page of results must not load much more than it shows.
const SAMPLES_A_CHUNK: usize = 8;

/// An experiment, a model or a page.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its title; words of it count more.
    pub title: String,
    /// Where it is, from the search page.
    pub href: String,
    /// What results show below the title.
    pub about: String,
    /// Everything else it is found by.
    #[serde(skip)]
    pub text: String,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An experiment.
    Experiment,
    /// A model.
    Model,
    /// A Markdown page.
    Page,
}

/// The samples of an experiment.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The experiment's title.
    pub title: String,
    /// The address of a sample from the search page: what stands before its slug, and behind it.
    pub href: (String, String),
    /// The right options that samples can have, as results show them.
    pub golds: Vec<String>,
    /// Titles of the models.
    pub models: Vec<String>,
    /// The answers that models give, as results show them; those that are right as in [`Self::golds`].
    pub answers: Vec<String>,
    /// The samples, in order.
    pub samples: Vec<Sample>,
}

/// A sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its id.
    pub id: String,
    /// Its name in links.
    pub slug: String,
    /// Its right option, a place in [`Samples::golds`].
    pub gold: Option<usize>,
    /// What each model answers, a place in [`Samples::answers`].
    pub given: Vec<usize>,
    /// What it is about, all of it.
    pub text: String,
    /// The same, as short as results show it.
    pub excerpt: String,
}

/// The scripts that searching needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripts {
    /// The index.
    pub index: String,
    /// The samples' texts, eight a script.
    pub excerpts: Vec<String>,
}

/// Makes the index. Documents are numbered: the entries first, then the samples, set by set.
pub fn scripts(entries: &[Entry], sets: &[Samples]) -> Scripts {
    let mut places: HashMap<String, Vec<u32>> = HashMap::new();
    let mut count = 0;
    let mut add = |text: &str| {
        for word in words(text) {
            let found = places.entry(word).or_default();
            if found.last() != Some(&count) {
                found.push(count);
            }
        }
        count += 1;
    };
    for entry in entries {
        add(&format!("{} {}", entry.title, entry.text));
    }
    let samples = || sets.iter().flat_map(|set| &set.samples);
    for sample in samples() {
        add(&sample.text);
    }

    let texts: Vec<String> = samples().map(|sample| visible(&sample.excerpt)).collect();
    let excerpts: Vec<String> = texts
        .chunks(SAMPLES_A_CHUNK)
        .enumerate()
        .map(|(number, texts)| format!("igsiteSearch.excerpts({number},{});\n", json!(texts)))
        .collect();
    // A cached copy of an older site's texts must not be used with this site's links.
    let version = short_hash(excerpts.concat().as_bytes());
    let head = json!({
        "entries": entries,
        "sets": sets.iter().map(set).collect::<Vec<_>>(),
        "chunk": SAMPLES_A_CHUNK,
        "version": version,
    });
    let plain = blob(&head.to_string(), places, count);
    let packed = pack::deflate(&plain);
    Scripts {
        index: format!(
            "igsiteSearch.index({},\"{}\");\n",
            packed.len(),
            pack::printable(&packed)
        ),
        excerpts,
    }
}

/// A set for the script. Most slugs are the id itself and are left out.
fn set(set: &Samples) -> serde_json::Value {
    let samples = || set.samples.iter();
    let slugs: BTreeMap<usize, &str> = samples()
        .enumerate()
        .filter(|(_, sample)| sample.slug != sample.id)
        .map(|(number, sample)| (number, sample.slug.as_str()))
        .collect();
    json!({
        "title": visible(&set.title),
        "before": set.href.0,
        "behind": set.href.1,
        "golds": set.golds.iter().map(|gold| visible(gold)).collect::<Vec<_>>(),
        "ids": samples().map(|sample| visible(&sample.id)).collect::<Vec<_>>(),
        "slugs": slugs,
        "models": set.models.iter().map(|model| visible(model)).collect::<Vec<_>>(),
        "answers": set.answers.iter().map(|answer| visible(answer)).collect::<Vec<_>>(),
        "given": (0..set.models.len()).map(|model| given(set, model)).collect::<Vec<_>>(),
        "gold": samples().map(|sample| sample.gold.map_or(-1, |gold| gold as i64)).collect::<Vec<_>>(),
    })
}

/// A model's answers to all samples of a set, a character each: the place of the answer, counted from `0` on. What
/// stands behind the last character that has no need of escapes is one other answer.
fn given(set: &Samples, model: usize) -> String {
    let character = |place: usize| char::from(b'0' + place.min(OTHER_ANSWER) as u8);
    set.samples
        .iter()
        .map(|sample| character(sample.given[model]))
        .collect()
}

/// The place of the answers that are not told apart: `[`, before the first character that JSON escapes.
pub const OTHER_ANSWER: usize = 43;

/// Head, words and places behind each other, the first two with their lengths.
fn blob(head: &str, places: HashMap<String, Vec<u32>>, count: u32) -> Vec<u8> {
    let mut places: Vec<(String, Vec<u32>)> = places.into_iter().collect();
    // The order in which the script compares strings.
    places.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    let (mut list, mut bits) = (String::new(), Bits::default());
    let mut before = "";
    for (word, numbers) in &places {
        let shared = shared(before, word);
        list.push(char::from(1 + shared as u8));
        list.extend(word.chars().skip(shared));
        bits.gamma(numbers.len() as u32);
        bits.rising(numbers, count);
        before = word;
    }
    let mut bytes = Vec::new();
    for part in [head, &list] {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes.extend(bits.finish());
    bytes
}

/// How many characters two words begin with alike: at most 30, so that the number is a control character, which no word
/// holds; and none that is two units in a script's string.
fn shared(a: &str, b: &str) -> usize {
    let alike = a.chars().zip(b.chars()).take(30);
    alike.take_while(|(a, b)| a == b && a.len_utf16() == 1).count()
}

#[cfg(test)]
mod tests;
