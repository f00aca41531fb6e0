//! How to cite an experiment or a map: a BibTeX entry, made of what is known of it and nothing else.

use indexmap::IndexSet;

use crate::render::text::{list, visible};
use crate::site::urls;
use crate::store::record::SampleRecord;
use crate::terms::Method;

/// What is cited.
pub struct Cited<'a> {
    /// What the key of the entry is made of.
    pub name: &'a str,
    /// The title.
    pub title: &'a str,
    /// Titles of the models whose maps it shows.
    pub models: &'a [String],
    /// Its page, in the site.
    pub path: &'a str,
    /// Where the site stands, if that is known.
    pub base_url: Option<&'a str>,
    /// Who made the site, as the front page's `author` says; empty where it does not.
    pub authors: &'a [String],
}

/// A `@misc` entry: who made the site and where it stands, as far as that is known; title, models, and the date of the
/// newest record, as BibTeX (`year`, `month`) and as biblatex (`date`) read it.
pub fn bibtex<'r>(cited: &Cited<'_>, records: impl Iterator<Item = &'r SampleRecord>) -> String {
    let (mut newest, mut methods, mut tools) = (None::<(&str, &str)>, IndexSet::new(), IndexSet::new());
    for record in records {
        let made = record.provenance.as_ref();
        let made = made
            .map(|made| (made.created.as_str(), made.igsite.as_str()))
            .or_else(|| {
                let imported = record.imported.as_ref()?;
                Some((imported.created.as_deref()?, imported.igsite.as_deref()?))
            });
        if let Some(made) = made
            && newest.is_none_or(|(created, _)| created <= made.0)
        {
            newest = Some(made);
        }
        methods.extend(record.attributions.iter().map(|map| map.method_name().to_owned()));
        tools.extend(
            record
                .attributions
                .iter()
                .filter_map(|map| Some(map.imported.as_ref()?.by())),
        );
    }
    if methods.is_empty() {
        methods.insert(Method::default().name().to_owned());
    }
    let methods: Vec<String> = methods.into_iter().collect();
    // RFC 3339: `2026-11-29T…`.
    let date = newest.and_then(|(created, _)| created.get(..10)).unwrap_or_default();
    let year = date.get(..4).unwrap_or_default();
    let month = date.get(5..7).and_then(|month| month.parse::<usize>().ok());
    let month = month.and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let version = newest.map_or(env!("CARGO_PKG_VERSION"), |(_, igsite)| igsite);
    let tools: Vec<String> = tools.into_iter().collect();
    let made = if tools.is_empty() {
        "made with".to_owned()
    } else {
        format!("computed with {}; shown with", latex(&list(&tools)))
    };
    // A key is letters, digits and hyphens whatever the file is called.
    let mut key: String = format!("igsite-{}-{year}", cited.name)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    key.truncate(key.trim_end_matches('-').len());
    let mut lines = vec![format!("@misc{{{key},")];
    if !cited.authors.is_empty() {
        // In braces of its own a name that holds "and", such as an institute's, is one name.
        let names = cited.authors.iter().map(|name| match latex(name) {
            name if name.split_whitespace().any(|word| word == "and") => format!("{{{name}}}"),
            name => name,
        });
        lines.push(format!("  author = {{{}}},", names.collect::<Vec<_>>().join(" and ")));
    }
    lines.push(format!("  title = {{{{{}}}}},", latex(cited.title)));
    if !year.is_empty() {
        lines.push(format!("  year = {{{year}}},"));
    }
    if let Some(month) = month {
        // Styles know the months by these names, without braces.
        lines.push(format!("  month = {month},"));
        lines.push(format!("  date = {{{date}}},"));
    }
    if let Some(base_url) = cited.base_url {
        lines.push(format!("  url = {{{}}},", urls::absolute(base_url, cited.path)));
    }
    lines.push(format!(
        "  note = {{Attribution maps by {} of {}; {made} igsite {}}}",
        latex(&list(&methods)),
        latex(&list(cited.models)),
        latex(version)
    ));
    lines.join("\n") + "\n}\n"
}

/// The months as BibTeX's styles name them.
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// Text as LaTeX reads it.
fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '&' | '%' | '$' | '#' | '_' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn an_entry_says_what_is_known() {
        let fixture = Fixture::demo();
        let mut cited = Cited {
            name: "claims.2",
            title: "50% of {A} & B",
            models: &["Falcon Toy".into(), "Llama_Toy".into()],
            path: "experiments/claims/index.html",
            base_url: Some("https://me.example/r/"),
            authors: &["Ada Example".into(), "Institute of A and B".into()],
        };
        let entry = |cited: &Cited<'_>| bibtex(cited, fixture.records[0].iter().flatten());
        insta::assert_snapshot!(entry(&cited), @r"
        @misc{igsite-claims-2-2026,
          author = {Ada Example and {Institute of A and B}},
          title = {{50\% of \{A\} \& B}},
          year = {2026},
          month = jan,
          date = {2026-01-02},
          url = {https://me.example/r/experiments/claims/},
          note = {Attribution maps by Integrated Gradients of Falcon Toy and Llama\_Toy; made with igsite 0.1.0}
        }
        ");
        (cited.base_url, cited.authors) = (None, &[]);
        assert!(!entry(&cited).contains("url") && !entry(&cited).contains("author"));
    }

    #[test]
    fn braces_stay_balanced_whatever_the_title() {
        for title in ["}}}", "\\", "{", "a\nb"] {
            let text = latex(title).replace("\\{", "").replace("\\}", "");
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{title}");
            assert!(!text.contains('\n'));
        }
        assert_eq!(latex("a\u{202e}b"), "a⟨U+202E⟩b");
    }
}
