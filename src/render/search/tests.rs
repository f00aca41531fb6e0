//! What comes out of the scripts is what went in, and ten thousand samples stay small.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pack::undo::{Reader, inflate, printable};
use super::*;
use crate::random::SplitMix64;

/// The script that searches, which is loaded too.
const SCRIPT: usize = include_str!("../../../static/assets/search.js").len();

/// The index as the script reads it: its head, and every word with its places.
fn read(index: &str) -> (Value, Vec<(String, Vec<u32>)>) {
    let (length, text) = index
        .strip_prefix("igsiteSearch.index(")
        .and_then(|rest| rest.strip_suffix("\");\n"))
        .and_then(|rest| rest.split_once(",\""))
        .expect("a call");
    let bytes = inflate(&printable(text, length.parse().unwrap()));
    let part = |at: usize| {
        let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        std::str::from_utf8(&bytes[at + 4..at + 4 + size]).unwrap()
    };
    let head: Value = serde_json::from_str(part(0)).unwrap();
    let list = part(4 + part(0).len());
    let sets = head["sets"].as_array().unwrap();
    let total = head["entries"].as_array().unwrap().len()
        + sets
            .iter()
            .map(|set| set["ids"].as_array().unwrap().len())
            .sum::<usize>();
    let mut bits = Reader::new(&bytes[8 + part(0).len() + list.len()..]);
    let mut before = String::new();
    let mut added: Vec<(usize, String)> = Vec::new();
    for c in list.chars() {
        match c {
            '\u{1}'..='\u{1f}' => added.push((c as usize - 1, String::new())),
            c => added.last_mut().unwrap().1.push(c),
        }
    }
    let words = added
        .into_iter()
        .map(|(kept, rest)| {
            before = before.chars().take(kept).collect::<String>() + &rest;
            let count = bits.gamma();
            (before.clone(), bits.rising(count, total as u32))
        })
        .collect();
    (head, words)
}

fn entry(title: &str, text: &str) -> Entry {
    Entry {
        kind: Kind::Page,
        title: title.into(),
        href: "../x/index.html".into(),
        about: "About it.".into(),
        text: text.into(),
    }
}

fn set(texts: Vec<(String, String)>) -> Samples {
    Samples {
        title: "Claims".into(),
        href: ("../experiments/claims/samples/".into(), "/index.html".into()),
        golds: vec!["A (true)".into(), "B (false)".into()],
        models: vec!["Ünïcode".into(), "Other".into()],
        answers: vec!["A (true)".into(), "B (false)".into(), "neither".into()],
        samples: texts
            .into_iter()
            .enumerate()
            .map(|(number, (id, text))| Sample {
                slug: crate::content::names::slug(&id),
                id,
                gold: Some(number % 2),
                given: vec![number % 3, OTHER_ANSWER + 7],
                excerpt: text.clone(),
                text,
            })
            .collect(),
    }
}

#[test]
fn what_goes_in_comes_out() {
    let texts = (0..40).map(|n| (format!("row {n}"), format!("Ünïcode 🦀 天空 tax{n} taxes \u{1d49c}{n}")));
    let sets = [set(texts.collect())];
    let entries = [entry("Reading \"maps\"", "</script> and \\ slashes")];
    let scripts = scripts(&entries, &sets);
    assert_eq!(scripts, super::scripts(&entries, &sets), "the same bytes each time");
    let (head, words) = read(&scripts.index);
    assert_eq!(head["entries"][0]["title"], "Reading \"maps\"");
    assert_eq!(head["entries"][0]["kind"], "page");
    assert_eq!(head["sets"][0]["ids"][3], "row 3");
    assert_eq!(head["sets"][0]["slugs"]["3"], sets[0].samples[3].slug.as_str());
    assert_eq!(head["sets"][0]["gold"][3], 1);
    assert_eq!(head["sets"][0]["models"][1], "Other");
    let given = head["sets"][0]["given"][0].as_str().unwrap();
    assert!(given.starts_with("012012") && given.len() == 40, "{given}");
    // What is beyond the answers that are told apart is one answer.
    assert_eq!(head["sets"][0]["given"][1].as_str().unwrap(), "[".repeat(40));

    let mut expected: BTreeSet<(String, u32)> = BTreeSet::new();
    let texts = [format!("{} {}", entries[0].title, entries[0].text)];
    let all = texts.iter().chain(sets[0].samples.iter().map(|sample| &sample.text));
    for (number, text) in all.enumerate() {
        expected.extend(super::words(text).into_iter().map(|word| (word, number as u32)));
    }
    let found = words
        .iter()
        .flat_map(|(word, places)| places.iter().map(|place| (word.clone(), *place)));
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
    assert!(words.is_sorted_by(|(a, _), (b, _)| a.encode_utf16().lt(b.encode_utf16())));
    assert_eq!(scripts.excerpts.len(), 5);
    assert!(scripts.excerpts[1].starts_with("igsiteSearch.excerpts(1,[\"Ünïcode 🦀 天空 tax8"));
}

#[test]
fn controls_that_turn_text_round_are_shown_and_searched_past() {
    let mut set = set(vec![("x\u{202e}y".into(), "one \u{202e}two\0".into())]);
    set.title = "T\u{2066}".into();
    set.golds = vec!["A\u{7f}".into()];
    let made = scripts(&[], &[set]);
    assert!(made.excerpts[0].contains("one ⟨U+202E⟩two␀"), "{}", made.excerpts[0]);
    let (head, _) = read(&made.index);
    let set = &head["sets"][0];
    assert_eq!(
        (&set["title"], &set["golds"][0], &set["ids"][0]),
        (&"T⟨U+2066⟩".into(), &"A␡".into(), &"x⟨U+202E⟩y".into())
    );
    // The link is the sample's own all the same.
    let slug = crate::content::names::slug("x\u{202e}y");
    assert_eq!(set["slugs"]["0"], slug.as_str());
}

#[test]
fn a_site_without_samples_has_an_index_too() {
    let (head, words) = read(&scripts(&[entry("Alone", "")], &[]).index);
    assert_eq!(head["sets"], Value::Array(vec![]));
    assert_eq!(words, [("alone".to_owned(), vec![0])]);
    assert_eq!(read(&scripts(&[], &[]).index).1, []);
}

/// Ten thousand statements of eighteen words, drawn from twelve thousand as often as words of a language come (Zipf's
/// law). What one search loads is the index, the scripts and a chunk for each result shown.
#[test]
fn ten_thousand_samples_stay_below_300_kb() {
    const SYLLABLES: [&str; 24] = [
        "ta", "re", "on", "mi", "sta", "ver", "lo", "ing", "pre", "con", "ed", "ly", "tion", "ba", "cu", "dis", "en",
        "for", "gra", "hi", "jo", "ment", "nu", "ous",
    ];
    let mut random = SplitMix64::new(7);
    let mut below = |bound: f64| random.next_u64() as f64 / u64::MAX as f64 * bound;
    let vocabulary: Vec<String> = (0..12_000)
        .map(|_| {
            (0..2 + below(2.9) as usize)
                .map(|_| SYLLABLES[below(23.99) as usize])
                .collect()
        })
        .collect();
    let mut texts = Vec::new();
    for _ in 0..10_000 {
        // The inverse of the harmonic sum, roughly: the rank of a word is exponential in a uniform number.
        let words: Vec<&str> = (0..18)
            .map(|_| vocabulary[(12_000f64.powf(below(0.99999)) - 1.0) as usize].as_str())
            .collect();
        texts.push((format!("{}.json", below(14_000.0) as usize), words.join(" ")));
    }
    let scripts = scripts(&[entry("A page", "with some text")], &[set(texts)]);
    assert!(scripts.index.len() < 270_000, "{}", scripts.index.len());
    let chunk = scripts.excerpts.iter().map(String::len).max().unwrap();
    let loaded = scripts.index.len() + 10 * chunk + SCRIPT;
    assert!(loaded < 300_000, "{} and 10 times {chunk}", scripts.index.len());
}

/// The same of real statements, LIAR's, where they are on this machine; nothing of them is kept.
#[test]
fn ten_thousand_real_statements_stay_below_300_kb() {
    let Some(folder) = crate::needs::shared("liar") else {
        return;
    };
    let mut texts = Vec::new();
    for file in ["train.tsv", "test.tsv", "valid.tsv"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        texts.extend(text.lines().map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells[0].to_owned(), cells[2].to_owned())
        }));
    }
    texts.truncate(10_000);
    let scripts = scripts(&[entry("A page", "with some text")], &[set(texts)]);
    let mut chunks: Vec<usize> = scripts.excerpts.iter().map(String::len).collect();
    chunks.sort_unstable();
    let largest: usize = chunks.iter().rev().take(10).sum();
    let told = format!(
        "index {}, ten largest chunks {largest}, {} chunks",
        scripts.index.len(),
        chunks.len()
    );
    assert!(scripts.index.len() + largest + SCRIPT < 300_000, "{told}");
}
