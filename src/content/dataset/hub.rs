//! Data sets of the Hugging Face hub: a repository, a split, its files joined to one table.
//!
//! This knows repositories, not the network: [`Repositories`] brings files, and tells in its own words why it cannot.
//! It is the hub, or in tests a shelf of folders.

use std::path::{Path, PathBuf};

use super::layout::{self, Found, Missing};
use super::{Origin, Table};
use crate::content::names::{nearest, quoted, shortened};
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::hub::{Hub, Listing, RepoKind};

/// Where the hub itself keeps every public data set as Parquet, whatever its authors wrote.
pub const CONVERTED: &str = "refs/convert/parquet";
/// The authors' own files.
const MAIN: &str = "main";

/// A place that has data set repositories.
pub trait Repositories {
    /// A repository at a branch, tag or commit.
    ///
    /// # Errors
    /// There is no such repository or revision, or nobody answers.
    fn open(&self, repository: &str, revision: &str) -> Result<Box<dyn Repository + '_>>;

    /// The same, or none where there is no such revision.
    ///
    /// # Errors
    /// Nobody answers.
    fn open_if_there(&self, repository: &str, revision: &str) -> Result<Option<Box<dyn Repository + '_>>>;
}

/// A data set repository at one commit.
pub trait Repository {
    /// The commit that the revision stands for.
    fn commit(&self) -> &str;

    /// The names of its files, with `/` between folders.
    fn files(&self) -> &[String];

    /// Brings files, and says in which folder they lie under their names.
    ///
    /// # Errors
    /// A file cannot be brought.
    fn fetch(&self, files: &[String]) -> Result<PathBuf>;
}

impl Repositories for Hub {
    fn open(&self, repository: &str, revision: &str) -> Result<Box<dyn Repository + '_>> {
        let listing = self.list(RepoKind::Dataset, repository, revision)?;
        Ok(Box::new(OnHub { hub: self, listing }))
    }

    fn open_if_there(&self, repository: &str, revision: &str) -> Result<Option<Box<dyn Repository + '_>>> {
        let listing = self.list_if_there(RepoKind::Dataset, repository, revision)?;
        Ok(listing.map(|listing| Box::new(OnHub { hub: self, listing }) as Box<dyn Repository + '_>))
    }
}

struct OnHub<'a> {
    hub: &'a Hub,
    listing: Listing,
}

impl Repository for OnHub<'_> {
    fn commit(&self) -> &str {
        &self.listing.commit
    }

    fn files(&self) -> &[String] {
        &self.listing.files
    }

    fn fetch(&self, files: &[String]) -> Result<PathBuf> {
        Ok(self.hub.files(&self.listing, files)?.folder)
    }
}

/// A split of a data set, as an experiment names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// `owner/name`.
    pub repository: String,
    /// Branch, tag or commit; absent, the hub's own Parquet files, else `main`.
    pub revision: Option<String>,
    /// Which of several data sets in one repository.
    pub config: Option<String>,
    /// `train`, `test`, …; absent, the only one.
    pub split: Option<String>,
}

/// Finds, fetches and reads what a query names.
pub fn read(repositories: &dyn Repositories, query: &Query) -> Result<Table, Diagnostics> {
    let (revision, opened, found) = locate(repositories, query)?;
    let mut table = fetch(query, &*opened, &found)?;
    table.origin = Some(Origin {
        repository: query.repository.clone(),
        revision,
        commit: opened.commit().to_owned(),
        config: found.config,
        split: Some(found.split),
    });
    Ok(table)
}

/// The files of a split that [`layout::find`] found, fetched and joined.
pub fn fetch(query: &Query, opened: &dyn Repository, found: &Found) -> Result<Table, Diagnostics> {
    let folder = opened.fetch(&found.files)?;
    let commit: String = opened.commit().chars().take(7).collect();
    let shown = PathBuf::from(format!("{}@{commit}", query.repository));
    let mut whole = Table::default();
    for file in &found.files {
        match found.format.read(&folder, Path::new(file)) {
            Ok(mut part) => {
                part.files = vec![shown.join(file)];
                whole.append(part);
            }
            Err(errors) => {
                let mut told = Diagnostics::new();
                // The cache's folder means nothing to the author; the repository does.
                errors
                    .into_iter()
                    .for_each(|error| told.push(error.in_file(shown.join(file))));
                return Err(told);
            }
        }
    }
    Ok(whole)
}

/// The revision that has the split, and its files.
fn locate<'a>(repositories: &'a dyn Repositories, query: &Query) -> Result<(String, Box<dyn Repository + 'a>, Found)> {
    let found = |revision: &str, opened: Box<dyn Repository + 'a>| {
        let found = find(query, revision, opened.files())?;
        Ok((revision.to_owned(), opened, found))
    };
    let at = |revision: &str| found(revision, repositories.open(&query.repository, revision)?);
    if let Some(revision) = &query.revision {
        return at(revision);
    }
    // Not every data set is converted, and a large one only in part; then the authors' files are used. A failed request
    // is no reason to read others. If neither has the split, the converted ones show best which splits there are.
    match repositories.open_if_there(&query.repository, CONVERTED)? {
        None => at(MAIN),
        Some(converted) => found(CONVERTED, converted).or_else(|error| at(MAIN).map_err(|_| error)),
    }
}

/// [`layout::find`], with its errors in words.
pub fn find(query: &Query, revision: &str, files: &[String]) -> Result<Found> {
    let Query {
        repository,
        config,
        split,
        ..
    } = query;
    let here = format!("`{repository}` at revision `{revision}`");
    layout::find(files, config.as_deref(), split.as_deref()).map_err(|missing| match missing {
        Missing::Files => Diagnostic::content(format!("{here} has no data file that igsite reads"))
            .expected("files that end in .parquet, .jsonl, .ndjson, .csv or .tsv"),
        Missing::Config(known) => one_of("configuration", "config", config.as_deref(), &known, &here),
        Missing::Split(known) => one_of("split", "split", split.as_deref(), &known, &here),
        Missing::Parts(there, of) => Diagnostic::content(format!("{here} has {there} of the {of} files of this split"))
            .help("run the command again without `--offline`, or choose another `revision`"),
    })
}

fn one_of(what: &str, key: &str, asked: Option<&str>, known: &[String], here: &str) -> Diagnostic {
    let words = || known.iter().map(String::as_str);
    let message = match asked {
        Some(asked) => format!("{here} has no {what} `{}`", shortened(asked)),
        None => format!("{here} has several {what}s, and none is named"),
    };
    let mut error = Diagnostic::content(message).expected(format!("`{key}`: one of {}", quoted(words())));
    error.help = asked
        .and_then(|asked| nearest(asked, words()))
        .map(|meant| format!("did you mean `{meant}`?"));
    error
}
