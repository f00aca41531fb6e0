//! What may be a problem when a site is published on GitHub Pages: its size, single files, a domain that is not the one
//! it is built for.
//!
//! Only warnings: a site may be published elsewhere.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::render::OutputFile;

/// "Published GitHub Pages sites may be no larger than 1 GB."
const SITE: u64 = 1_000_000_000;
/// GitHub refuses a push with a file above 100 MiB.
const FILE: u64 = 100 << 20;
/// Parts and files that a warning names.
const NAMED: usize = 3;

/// Collects files one by one and reports at the end what to know before publishing them.
#[derive(Debug, Default)]
pub struct PublishCheck {
    /// Folder, at most two deep, → bytes.
    parts: BTreeMap<String, u64>,
    large: Vec<(String, u64)>,
    cname: Option<String>,
}

/// What is to be known of a file.
#[derive(Debug)]
pub struct Weighed {
    path: String,
    bytes: u64,
    cname: Option<String>,
}

impl Weighed {
    /// Of a data file of this length.
    pub fn of_data(path: &str, bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            bytes,
            cname: None,
        }
    }

    /// Of a file.
    pub fn of(file: &OutputFile) -> Self {
        Self {
            path: file.path.clone(),
            bytes: file.bytes.len() as u64,
            cname: (file.path == "CNAME").then(|| String::from_utf8_lossy(&file.bytes).trim().to_owned()),
        }
    }
}

impl PublishCheck {
    /// Takes note of a file.
    pub fn take(&mut self, file: Weighed) {
        self.count(&file.path, file.bytes);
        self.cname = self.cname.take().or(file.cname);
    }

    fn count(&mut self, path: &str, bytes: u64) {
        let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
        let part: Vec<&str> = folders.split('/').take(2).collect();
        *self.parts.entry(part.join("/")).or_default() += bytes;
        if bytes > FILE {
            self.large.push((path.to_owned(), bytes));
        }
    }

    /// The warnings.
    pub fn finish(self, base_url: Option<&str>) -> Diagnostics {
        let mut warnings = Diagnostics::new();
        for found in [self.size(), self.files(), self.domain(base_url)].into_iter().flatten() {
            warnings.push(found.as_warning());
        }
        warnings
    }

    fn size(&self) -> Option<Diagnostic> {
        let total: u64 = self.parts.values().sum();
        if total < SITE / 5 * 4 {
            return None;
        }
        let mut parts: Vec<(&str, u64)> = self.parts.iter().map(|(part, bytes)| (part.as_str(), *bytes)).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let named = parts
            .iter()
            .take(NAMED)
            .map(|(part, bytes)| format!("`{part}/` {}", megabytes(*bytes)));
        let message = format!(
            "the site has {}, {}% of what GitHub Pages publishes; its largest parts: {}",
            megabytes(total),
            total * 100 / SITE,
            named.collect::<Vec<_>>().join(", ")
        );
        Some(Diagnostic::output(message).expected("1 GB at most").help(
            "publish fewer experiments (`build --experiment NAME`), fewer samples or targets, or put it elsewhere",
        ))
    }

    fn files(&self) -> Option<Diagnostic> {
        let named = self
            .large
            .iter()
            .take(NAMED)
            .map(|(path, bytes)| format!("`{path}` {}", megabytes(*bytes)));
        let message = format!(
            "files larger than GitHub takes into a repository: {}",
            named.collect::<Vec<_>>().join(", ")
        );
        (!self.large.is_empty()).then(|| {
            Diagnostic::output(message)
                .expected("100 MiB a file at most")
                .help("split the experiment, or keep the file elsewhere and link to it")
        })
    }

    fn domain(&self, base_url: Option<&str>) -> Option<Diagnostic> {
        let (cname, base_url) = (self.cname.as_deref()?, base_url?);
        let host = host(base_url);
        let message = format!("static/CNAME says `{cname}`, and the site is built for `{host}` (--base-url)");
        (!cname.eq_ignore_ascii_case(host)).then(|| {
            Diagnostic::output(message)
                .expected("the same domain in both")
                .help("links to the site would lead to the wrong domain; change one of them")
        })
    }
}

/// The host of a base URL, without its port.
fn host(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or("");
    host.split(':').next().unwrap_or(host)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(check: PublishCheck, base_url: Option<&str>) -> Vec<String> {
        let warnings = check.finish(base_url);
        assert!(!warnings.has_errors());
        warnings.iter().map(|one| one.message.clone()).collect()
    }

    fn sized(files: &[(&str, u64)]) -> PublishCheck {
        let mut check = PublishCheck::default();
        files.iter().for_each(|(path, bytes)| check.count(path, *bytes));
        check
    }

    #[test]
    fn a_site_is_weighed_against_the_limit() {
        let half: Vec<(String, u64)> = (0..10)
            .map(|n| (format!("experiments/big/samples/{n}/index.html"), 50_000_000))
            .collect();
        let half: Vec<(&str, u64)> = half.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
        assert!(told(sized(&half), None).is_empty());
        let rest = [
            ("data/big/tiny/a.json", 90_000_000),
            ("data/big/a.json", 90_000_000),
            ("data/big.csv", 100_000_000),
            ("index.html", 20_000_000),
        ];
        let more = [half, rest.to_vec()].concat();
        assert_eq!(told(sized(&more[..13]), None).len(), 0, "780 MB");
        assert_eq!(
            told(sized(&more), None),
            [
                "the site has 800 MB, 80% of what GitHub Pages publishes; its largest parts: `experiments/big/` 500 MB, `data/big/` 180 MB, `data/` 100 MB"
            ]
        );
    }

    #[test]
    fn a_file_that_a_repository_does_not_take_is_named() {
        assert_eq!(
            told(sized(&[("data/a.jsonl", FILE + 1), ("data/b.jsonl", FILE)]), None),
            ["files larger than GitHub takes into a repository: `data/a.jsonl` 104 MB"]
        );
    }

    #[test]
    fn the_domain_is_the_one_it_is_built_for() {
        let with = |cname: &str, base_url| {
            let mut check = PublishCheck::default();
            check.take(Weighed::of(&OutputFile {
                path: "CNAME".into(),
                bytes: cname.as_bytes().to_vec(),
            }));
            told(check, base_url)
        };
        assert_eq!(with("example.org\n", Some("https://Example.org/")).len(), 0);
        assert_eq!(with("example.org", None).len(), 0);
        assert_eq!(
            with("www.example.org", Some("https://example.org:443/x/")),
            ["static/CNAME says `www.example.org`, and the site is built for `example.org` (--base-url)"]
        );
        assert_eq!(told(PublishCheck::default(), Some("https://example.org/")).len(), 0);
    }
}
