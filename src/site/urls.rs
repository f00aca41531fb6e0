//! The one place where links are made, and where the address of each page is defined.
//!
//! Links are relative to the page they are on and name the file itself, so that one build works at `/`, under `/repo/`
//! and from `file://`. This file uses no other module; it is the one part of `site` that `render` uses.

use std::borrow::Cow;

/// The front page.
pub const HOME: &str = "index.html";
/// The list of models.
pub const MODELS: &str = "models/index.html";
/// The search page.
pub const SEARCH: &str = "search/index.html";
/// What a server shows for a page that does not exist.
pub const NOT_FOUND: &str = "404.html";

/// The page of an experiment.
pub fn experiment(id: &str) -> String {
    format!("experiments/{id}/index.html")
}

/// A page of an experiment's table of samples, after the first, which is on [`experiment`].
pub fn samples_page(experiment: &str, page: usize) -> String {
    format!("experiments/{experiment}/pages/{page}/index.html")
}

/// The rows of such a page as a script.
pub fn samples_part(experiment: &str, page: usize) -> String {
    format!("experiments/{experiment}/pages/{page}/rows.js")
}

/// The page of a sample: all models under each other.
pub fn sample(experiment: &str, slug: &str) -> String {
    format!("experiments/{experiment}/samples/{slug}/index.html")
}

/// The page of a map: one model, one sample. Not every map has one: links are made by `render/pages`' `map_link`.
pub fn map_page(experiment: &str, model: &str, slug: &str) -> String {
    format!("experiments/{experiment}/maps/{model}/{slug}/index.html")
}

/// The page that compares the models of an experiment.
pub fn comparison(experiment: &str) -> String {
    format!("experiments/{experiment}/comparison/index.html")
}

/// The page of a word of an experiment's samples.
pub fn word(experiment: &str, slug: &str) -> String {
    format!("experiments/{experiment}/words/{slug}/index.html")
}

/// The page of a model.
pub fn model(id: &str) -> String {
    format!("models/{id}/index.html")
}

/// A Markdown page, by its route.
pub fn page(route: &[String]) -> String {
    match route.split_last() {
        Some((last, folders)) if last == "index" => folders.iter().map(|f| format!("{f}/")).collect::<String>() + HOME,
        _ => route.iter().map(|part| format!("{part}/")).collect::<String>() + HOME,
    }
}

/// The records of all models for a sample, where data are packed.
pub fn records(experiment: &str, slug: &str) -> String {
    format!("data/{experiment}/{slug}.json")
}

/// The record of a map.
pub fn record(experiment: &str, model: &str, slug: &str) -> String {
    format!("data/{experiment}/{model}/{slug}.json")
}

/// The tokens of an experiment, one a row; `packed` by gzip or not.
pub fn csv(experiment: &str, packed: bool) -> String {
    format!("data/{experiment}.csv{}", if packed { ".gz" } else { "" })
}

/// The samples of an experiment, one a row.
pub fn samples_csv(experiment: &str) -> String {
    format!("data/{experiment}/{experiment}-samples.csv")
}

/// The words of an experiment, one a row for each answer.
pub fn words_csv(experiment: &str) -> String {
    format!("data/{experiment}/{experiment}-words.csv")
}

/// The models of an experiment, one a row.
pub fn models_csv(experiment: &str) -> String {
    format!("data/{experiment}/{experiment}-models.csv")
}

/// The tests of an experiment's maps, one a row.
pub fn tests(experiment: &str) -> String {
    format!("data/{experiment}/tests.csv")
}

/// What speaks for or against an experiment's maps, over all its samples.
pub fn evidence(experiment: &str) -> String {
    format!("data/{experiment}/evidence.json")
}

/// The records of an experiment, one a line; `packed` by gzip or not.
pub fn json_lines(experiment: &str, packed: bool) -> String {
    format!("data/{experiment}.jsonl{}", if packed { ".gz" } else { "" })
}

/// The card of a page for link previews: beside the page.
pub fn card(page: &str) -> String {
    format!("{}card.png", page.strip_suffix(HOME).unwrap_or(page))
}

/// How to cite an experiment.
pub fn bibtex(experiment: &str) -> String {
    format!("data/{experiment}.bib")
}

/// A style sheet, script or image, named with the hash of its content, so that a cached copy of an older one is never
/// used for it: `assets/igsite.1a2b3c4d.css`.
pub fn asset(name: &str, hash: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("assets/{stem}.{hash}.{extension}"),
        None => format!("assets/{name}.{hash}"),
    }
}

/// The search index, by the hash of what it holds.
pub fn search_index(hash: &str) -> String {
    format!("search/index.{hash}.js")
}

/// The script with the texts of samples of that number, for search results.
pub fn excerpts(number: usize) -> String {
    format!("search/excerpts/{number}.js")
}

/// How the links of one page begin: at the page itself, or for a page that is served at any address, at the base URL.
#[derive(Clone, Debug)]
pub struct Links {
    from: String,
    root: Option<String>,
}

impl Links {
    /// Links of the page at `from`.
    pub fn on(from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            root: None,
        }
    }

    /// Links of the 404 page, which a server shows at addresses of any depth: they start at the base URL's path.
    pub fn of_not_found(base_url: Option<&str>) -> Self {
        Self {
            from: NOT_FOUND.into(),
            root: base_url.map(root_path),
        }
    }

    /// Links that begin at `root`, or at the page at `from` where there is none.
    pub fn of(from: impl Into<String>, root: Option<String>) -> Self {
        Self {
            from: from.into(),
            root,
        }
    }

    /// Where links begin that do not begin at their page.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// The link to a file of the site, `to`, percent-encoded.
    pub fn to(&self, to: &str) -> String {
        match &self.root {
            Some(root) => format!("{root}{}", encode(to)),
            None => relative(&self.from, to),
        }
    }
}

/// The path of the base URL, with a slash at both ends: `/repo/`.
pub fn root_path(base_url: &str) -> String {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path).trim_matches('/');
    if path.is_empty() {
        "/".to_owned()
    } else {
        format!("/{path}/")
    }
}

/// The absolute address of a page; `index.html` is left out, as servers have it.
pub fn absolute(base_url: &str, to: &str) -> String {
    let short = to
        .strip_suffix(HOME)
        .filter(|rest| rest.is_empty() || rest.ends_with('/'))
        .unwrap_or(to);
    format!("{}/{}", base_url.trim_end_matches('/'), encode(short))
}

fn relative(from: &str, to: &str) -> String {
    // The folders that both are in end at the last slash of what both begin with.
    let same = from.bytes().zip(to.bytes()).take_while(|(a, b)| a == b).count();
    let shared = from.as_bytes()[..same]
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    let up = from.as_bytes()[shared..].iter().filter(|&&byte| byte == b'/').count();
    let mut link = String::with_capacity(3 * up + to.len() - shared);
    for _ in 0..up {
        link.push_str("../");
    }
    encode_into(&to[shared..], &mut link);
    link
}

/// Percent-encodes all but letters, digits, `-._~` and the slash between folders.
pub fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    encode_into(path, &mut encoded);
    encoded
}

fn encode_into(path: &str, encoded: &mut String) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    if path.as_bytes().iter().all(plain) {
        return encoded.push_str(path);
    }
    for byte in path.bytes() {
        if plain(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Undoes percent-encoding; none where it is broken or no UTF-8.
pub fn decode(link: &str) -> Option<Cow<'_, str>> {
    if !link.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(link));
    }
    let mut bytes = Vec::with_capacity(link.len());
    let mut rest = link.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_are_relative_and_name_the_file() {
        let map = Links::on(map_page("liar", "orca", "s1"));
        assert_eq!(map.to(HOME), "../../../../../index.html");
        assert_eq!(
            map.to(&record("liar", "orca", "s1")),
            "../../../../../data/liar/orca/s1.json"
        );
        assert_eq!(map.to(&map_page("liar", "orca", "s2")), "../s2/index.html");
        assert_eq!(
            Links::on(HOME).to(&experiment("a b:c")),
            "experiments/a%20b%3Ac/index.html"
        );
        assert_eq!(Links::on(MODELS).to(MODELS), "index.html");
    }

    #[test]
    fn the_404_page_starts_at_the_base_url() {
        assert_eq!(
            Links::of_not_found(Some("https://me.github.io/repo/")).to(HOME),
            "/repo/index.html"
        );
        assert_eq!(Links::of_not_found(Some("https://me.example")).to(HOME), "/index.html");
        assert_eq!(Links::of_not_found(None).to(MODELS), "models/index.html");
    }

    #[test]
    fn absolute_addresses_leave_index_html_out() {
        assert_eq!(absolute("https://x.org/r/", HOME), "https://x.org/r/");
        assert_eq!(absolute("https://x.org/r", "a/index.html"), "https://x.org/r/a/");
        assert_eq!(
            absolute("https://x.org", "a/not-index.html"),
            "https://x.org/a/not-index.html"
        );
    }

    #[test]
    fn a_route_becomes_a_folder_and_index_its_own_folder() {
        let page = |route: &[&str]| page(&route.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
        assert_eq!(page(&["index"]), "index.html");
        assert_eq!(page(&["docs", "method"]), "docs/method/index.html");
        assert_eq!(page(&["docs", "index"]), "docs/index.html");
    }

    proptest! {
        #[test]
        fn a_link_leads_where_it_was_meant_to(from in "([a-z %é]{1,3}/){0,4}x", to in "([a-z %é]{1,3}/){0,4}y") {
            let link = Links::on(from.clone()).to(&to);
            let link = decode(&link).expect("valid");
            let mut at: Vec<&str> = from.split('/').collect();
            at.pop();
            for part in link.split('/') {
                if part == ".." { at.pop(); } else { at.push(part); }
            }
            prop_assert_eq!(at.join("/"), to);
        }
    }
}
