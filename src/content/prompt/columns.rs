//! Columns in the templates of prompts: which of them a template names, which it cannot name, and what to write
//! instead.

use std::collections::BTreeSet;

use crate::content::names::{nearest, shortened};

/// What a template calls the whole row; `row["job title"]` is a column that has no name which a template could say.
pub const ROW: &str = "row";

/// The words of the template language, which no column can have as its name.
const WORDS: [&str; 16] = [
    "true", "True", "false", "False", "loop", "self", "and", "or", "not", "is", "in", "continue", "break", "none",
    "None", "null",
];

/// Whether a template can say a column's name.
fn is_name(column: &str) -> bool {
    let mut bytes = column.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !WORDS.contains(&column)
}

/// A column as a template says it.
pub fn said(column: &str) -> String {
    if is_name(column) {
        column.to_owned()
    } else {
        format!("{ROW}[\"{}\"]", shortened(column))
    }
}

/// The columns that a template takes out of the row by name: `row["job title"]`, `row.party`.
pub fn of_row(template: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in template.match_indices(ROW) {
        let before = template[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '"' | '\'')) {
            continue;
        }
        let rest = template[at + ROW.len()..].trim_start();
        let quoted = |rest: &str| {
            let rest = rest.trim_start();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
            rest[1..].split_once(quote).map(|(name, _)| name.to_owned())
        };
        let name = match rest.chars().next() {
            Some('[') => quoted(&rest[1..]),
            Some('.') => {
                let rest = &rest[1..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                Some(rest[..end.unwrap_or(rest.len())].to_owned()).filter(|name| !name.is_empty())
            }
            _ => None,
        };
        found.extend(name);
    }
    found
}

/// The names between single braces, which to the template language are text: `{statement}`, as Python's `format` has
/// it.
pub fn in_single_braces(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in template.match_indices('{') {
        let rest = &template[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let is_single = !template[..at].ends_with('{') && behind.starts_with('}') && !behind.starts_with("}}");
        if is_single && is_name(name) {
            found.push(name);
        }
    }
    found
}

/// What to do about a name that no column has.
pub fn advice<'a>(name: &str, columns: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    // `{{ job-title }}` is the difference of two columns to Tera, `{{ job.title }}` a field of one.
    let begins = |column: &str| {
        column
            .strip_prefix(name)
            .is_some_and(|rest| !is_name(&format!("_{rest}")))
    };
    let unnamed = columns
        .clone()
        .into_iter()
        .find(|column| !is_name(column) && (plain(column) == plain(name) || begins(column)));
    let near = nearest(name, columns.clone());
    match unnamed.or(near) {
        Some(column) if is_name(column) => Some(format!("did you mean `{column}`?")),
        Some(column) => Some(unsayable(column, columns.into_iter().any(|other| other == ROW))),
        None => None,
    }
}

/// The two ways to have a column whose name no template can say.
fn unsayable(column: &str, row_is_taken: bool) -> String {
    let short = shortened(column);
    let why = format!(
        "a template cannot say the name `{short}`, which is not of A-Z, a-z, 0-9 and `_` alone, or is a word of the language"
    );
    if row_is_taken {
        format!("{why}: rename the column in the data")
    } else {
        format!(
            "{why}: write `{{{{ {} }}}}`, or rename the column in the data",
            said(column)
        )
    }
}

/// What to do about a template that does not parse, where it seems to say the name of such a column.
pub fn advice_on_syntax(template: &str) -> Option<String> {
    let says_one = template.split("{{").skip(1).any(|rest| {
        let inside = rest.split("}}").next().unwrap_or_default();
        let said = inside.split(['|', '"', '\'', '`']).next().unwrap_or_default();
        let words: Vec<&str> = said.split_whitespace().collect();
        let two = words
            .windows(2)
            .any(|pair| is_name(pair[0]) && is_name(pair[1]) && !["if", "else"].iter().any(|word| pair.contains(word)));
        two || said.chars().any(|c| c.is_alphabetic() && !c.is_ascii())
            || words.first().is_some_and(|word| {
                word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic())
            })
    });
    says_one.then(|| {
        "a column whose name is not of A-Z, a-z, 0-9 and `_` alone is written `{{ row[\"its name\"] }}`; or rename it in the data".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_in_the_row() {
        let found = of_row(
            "{{ row[\"job title\"] }} {{ row['a.b'] | upper }} {{ row.party }} {{ arrow[\"x\"] }} row {{ a.row.y }}",
        );
        assert_eq!(Vec::from_iter(found), ["a.b", "job title", "party"]);
    }

    #[test]
    fn a_name_that_cannot_be_said_is_told_with_the_remedy() {
        let columns = ["id", "job title", "party-affiliation", "a.b", "é", "statement"];
        for (name, meant) in [
            ("job_title", "job title"),
            ("jobtitle", "job title"),
            ("job", "job title"),
            ("party", "party-affiliation"),
            ("a", "a.b"),
        ] {
            let advice = advice(name, columns).unwrap();
            assert!(
                advice.contains(&format!("write `{{{{ row[\"{meant}\"] }}}}`, or rename the column")),
                "{name}: {advice}"
            );
        }
        assert_eq!(
            advice("statment", columns).as_deref(),
            Some("did you mean `statement`?")
        );
        assert_eq!(advice("nothing_like_it", columns), None);
        assert!(
            advice("job_title", ["row", "job title"])
                .unwrap()
                .ends_with("rename the column in the data")
        );
        assert!(!advice("job_title", ["row", "job title"]).unwrap().contains("row["));
    }

    #[test]
    fn single_braces_are_found() {
        let text = "{statement} {{ a }} {{b}} {\"json\": 1} {two words} { x }{y}";
        assert_eq!(in_single_braces(text), ["statement", "y"]);
    }

    #[test]
    fn syntax_errors_of_such_names_are_known() {
        for template in ["{{ job title }}", "{{ é }}", "{{ 2nd }}"] {
            assert!(advice_on_syntax(template).is_some(), "{template}");
        }
        for template in [
            "{{ a",
            "{{ a | nonsense }}",
            "{{ x if y else z }}",
            "{{ \"two words\" }}",
        ] {
            assert!(advice_on_syntax(template).is_none(), "{template}");
        }
    }
}
