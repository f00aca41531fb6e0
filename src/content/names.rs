//! Names that end up as file names and link parts, and the search for the name that an author meant.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Longest slug, in bytes; file systems end at 255, and an extension and a prefix come on top.
const LONGEST_SLUG: usize = 80;

/// Why `name` cannot name an experiment, a model or a page; `None` if it can.
///
/// Such names become folders and links as they are, on every operating system.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if !name.bytes().all(is_name_byte) {
        Some("it has characters other than A-Z, a-z, 0-9, `.`, `_` and `-`")
    } else if name.starts_with('.') || name.ends_with('.') {
        Some("it begins or ends with a dot")
    } else if name.len() > LONGEST_SLUG {
        Some("it is longer than 80 characters")
    } else if is_device_name(name) {
        Some("Windows keeps this name for a device")
    } else {
        None
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// `con`, `NUL.txt`, `com1`: names that Windows opens as devices, whatever their extension.
fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || (stem.len() == 4
            && (stem.starts_with("com") || stem.starts_with("lpt"))
            && stem.as_bytes()[3].is_ascii_digit())
}

/// A sample's id as a file name: `[A-Za-z0-9._-]` only, at most 80 bytes.
///
/// An id that is such a name already stays as it is (`3863.json`). Any other keeps what it can and gets `-` and the
/// first eight hexadecimal digits of its SHA-256, as do `index` and names that begin with a dot or that Windows keeps
/// for itself.
pub fn slug(id: &str) -> String {
    let is_index = id
        .split('.')
        .next()
        .is_some_and(|stem| stem.eq_ignore_ascii_case("index"));
    if name_problem(id).is_none() && !is_index {
        id.to_owned()
    } else {
        hashed_slug(id)
    }
}

fn hashed_slug(id: &str) -> String {
    let mut kept = String::new();
    for c in id.chars() {
        if kept.len() >= LONGEST_SLUG - 16 {
            break;
        }
        if c.is_ascii() && is_name_byte(c as u8) {
            kept.push(c);
        } else if !kept.ends_with('-') {
            kept.push('-');
        }
    }
    let kept = kept.trim_matches(['.', '-']);
    // `con.txt-…` would still be a device to Windows.
    let kept = if kept.is_empty() || is_device_name(kept) {
        "sample"
    } else {
        kept
    };
    format!("{kept}-{}", &sha256_hex(id)[..8])
}

fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// The [`slug`]s of distinct ids, made distinct too, whatever the case: ids that differ only in case all get the hash.
pub fn slugs(ids: &[&str]) -> Vec<String> {
    let mut slugs: Vec<String> = ids.iter().map(|id| slug(id)).collect();
    for attempt in 0..2 {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for slug in &slugs {
            *seen.entry(slug.to_ascii_lowercase()).or_default() += 1;
        }
        for (id, slug) in ids.iter().zip(&mut slugs) {
            if seen[&slug.to_ascii_lowercase()] > 1 {
                // The second form is longer than any other slug, so it can meet none of them.
                *slug = if attempt == 0 {
                    hashed_slug(id)
                } else {
                    format!("sample-id-sha256-{}", sha256_hex(id))
                };
            }
        }
    }
    slugs
}

/// The known name that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is no near miss, and comparing it would take its time.
    if word.chars().count() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (edit_distance(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Why two values that are not the same text are probably meant to be the same; data are compared as text.
pub fn near_miss(found: &str, wanted: &str) -> Option<&'static str> {
    // A float holds fifteen digits; longer numbers that differ may read as the same one.
    let short = |text: &&str| text.len() <= 15;
    let number = |text: &str| {
        Some(text.trim())
            .filter(short)?
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
    };
    let truth = |text: &str| match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" | "1.0" => Some(true),
        "false" | "no" | "off" | "n" | "f" | "0" | "0.0" => Some(false),
        _ => None,
    };
    if found == wanted {
        None
    } else if found.trim() == wanted.trim() {
        Some("only the blanks around it differ")
    } else if found.trim().to_lowercase() == wanted.trim().to_lowercase() {
        Some("only the case differs")
    } else if number(found).is_some() && number(found) == number(wanted) {
        Some("it is the same number, written otherwise")
    } else if truth(found).is_some() && truth(found) == truth(wanted) {
        Some("it may stand for the same truth value")
    } else {
        None
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Names for a message: `` `a`, `b`, `c` ``; a long list is cut.
pub fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = names.into_iter().collect();
    let mut text: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", shortened(name)))
        .collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

/// Text from a file, for a message: on one line, control characters made visible, cut when long.
pub fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN {
            short.push('…');
            break;
        }
        if c.is_control() {
            short.extend(c.escape_default())
        } else {
            short.push(c)
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn safe_ids_stay_as_they_are() {
        for id in ["3863.json", "a", "row-0", "A_b-c.d", "404"] {
            assert_eq!(slug(id), id);
        }
    }

    #[test]
    fn other_ids_get_a_hash() {
        assert_eq!(slug("a b"), "a-b-c8687a08");
        assert_eq!(
            slug("../../etc/passwd"),
            format!("etc-passwd-{}", &sha256_hex("../../etc/passwd")[..8])
        );
        for id in [
            "index",
            "INDEX",
            "index.html",
            ".hidden",
            "con",
            "nul.txt",
            "COM1",
            "trailing.",
            "",
            "ümlaut",
            "<script>",
        ] {
            let made = slug(id);
            assert!(
                made.len() > 9 && made != id && name_problem(&made).is_none(),
                "{id}: {made}"
            );
        }
        assert!(slug(&"x".repeat(10_000)).len() <= LONGEST_SLUG);
    }

    #[test]
    fn ids_that_differ_only_in_case_get_the_hash() {
        let made = slugs(&["a", "A", "b"]);
        assert_eq!(made[2], "b");
        assert!(made[0].starts_with("a-") && made[1].starts_with("A-"));
        assert_ne!(made[0].to_lowercase(), made[1].to_lowercase());
    }

    #[test]
    fn an_id_that_looks_like_the_slug_of_another_keeps_apart() {
        let first = slug("a b");
        let made = slugs(&["a b", &first]);
        assert_ne!(made[0], made[1]);
    }

    #[test]
    fn the_nearest_name_is_found_and_nonsense_is_not() {
        let known = ["models", "dataset", "title"];
        assert_eq!(nearest("modles", known), Some("models"));
        assert_eq!(nearest("Title", known), Some("title"));
        assert_eq!(nearest("quadrature", known), None);
    }

    #[test]
    fn values_that_are_nearly_the_same_are_told() {
        for (found, wanted, why) in [
            ("True", "true", "case"),
            ("true ", "true", "blanks"),
            ("1.0", "1", "number"),
            ("007", "7", "number"),
            ("yes", "true", "truth"),
            ("0", "False", "truth"),
        ] {
            assert!(
                near_miss(found, wanted).is_some_and(|told| told.contains(why)),
                "{found} {wanted}"
            );
        }
        for (found, wanted) in [("a", "a"), ("a", "b"), ("1", "2"), ("nan", "NaN2"), ("true", "false")] {
            assert_eq!(near_miss(found, wanted), None, "{found} {wanted}");
        }
    }

    #[test]
    fn names_that_cannot_be_folders_are_refused() {
        assert_eq!(name_problem("mistral-7b-instruct-v0.2"), None);
        for name in ["", ".a", "a b", "a/b", "aux", "é", "a."] {
            assert!(name_problem(name).is_some(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn slugs_are_safe_and_distinct(ids in prop::collection::hash_set("[a-cA-C ./é\u{0}-]{0,4}|index|\\PC{0,100}", 0..60)) {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let made = slugs(&ids);
            let lower: HashSet<String> = made.iter().map(|slug| slug.to_lowercase()).collect();
            prop_assert_eq!(lower.len(), ids.len());
            for slug in &made {
                prop_assert!(slug.bytes().all(is_name_byte) && !slug.starts_with('.') && slug.len() <= 81);
                prop_assert!(!is_device_name(slug) && !slug.eq_ignore_ascii_case("index"));
            }
        }
    }
}
