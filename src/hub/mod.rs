//! The Hugging Face hub: repositories of models and data sets, brought into the cache that all of Hugging Face's tools
//! share.
//!
//! [`Hub::list`] finds the commit of a revision and its files, [`Hub::files`] brings those that are wanted,
//! [`Hub::model`] knows which these are for a checkpoint. Nothing that is here is asked for again; what broke off goes
//! on where it stopped; a run that may not use the network asks nothing; what is here is held against the hash in its
//! name. This wing brings bytes and does not look into them, but for a checkpoint's index of shards.

mod cache;
mod check;
mod client;
mod download;
pub mod expected_hash;
mod failure;
mod limits;
mod model;
mod refusal;
mod settings;
pub mod standing;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;

use self::cache::{Cached, is_commit, is_inside};
use self::check::Check;
use self::client::{Client, Description, Patience, Tries};
use self::download::Download;
use self::failure::{Failure, Request, not_here};
use self::limits::{Limits, free_space};
use self::settings::Settings;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::progress::{Counted, Progress, bytes};

/// What a repository holds; the two kinds have addresses of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoKind {
    /// A checkpoint.
    Model,
    /// A data set.
    Dataset,
}

impl RepoKind {
    /// As the cache's folders begin.
    fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// As addresses of pages and files begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "data set",
        }
    }
}

/// What a repository holds at a revision.
#[derive(Clone, Debug)]
pub struct Listing {
    /// A model or a data set.
    pub kind: RepoKind,
    /// `owner/name`.
    pub repo: String,
    /// As the author wrote it.
    pub revision: String,
    /// What it is now: 40 hexadecimal digits.
    pub commit: String,
    /// The files' names in the repository, with `/` between folders; from a cache that another program filled, only
    /// those that are here.
    pub files: Vec<String>,
    /// Why it comes from the cache, if it does: what to say when a file is not there.
    from_cache: Option<Missing>,
}

impl Listing {
    /// Whether the repository has a file of this name (from the cache: whether it is here).
    pub fn has(&self, file: &str) -> bool {
        self.files.iter().any(|name| name == file)
    }

    fn request<'a>(&'a self, file: &'a str) -> Request<'a> {
        Request {
            kind: self.kind,
            repo: &self.repo,
            revision: &self.revision,
            file: Some(file),
        }
    }
}

/// Why only the cache can be had.
#[derive(Clone, Debug)]
enum Missing {
    Offline,
    Outage(Box<Diagnostic>),
}

/// Files of a repository, all here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where they lie, under their names in the repository.
    pub folder: PathBuf,
    /// The commit they are of.
    pub commit: String,
    /// How many of them this call brought.
    pub files: usize,
    /// How many bytes came for it.
    pub bytes: u64,
    /// The names of those that hold a checkpoint's weights.
    pub weights: Vec<String>,
}

/// The way to the hub and its cache. Nothing is read, made or requested before the first call.
#[derive(Debug)]
pub struct Hub {
    offline: bool,
    by_environment: bool,
    quiet: bool,
    /// Whether damaged files of the cache are downloaded again.
    mends: bool,
    patience: Patience,
    limits: Limits,
    settings: OnceCell<Settings>,
    connection: OnceCell<(tokio::runtime::Runtime, Client)>,
    warnings: RefCell<Diagnostics>,
    /// What the hub said: within a run a branch does not move.
    listings: RefCell<Vec<Listing>>,
    /// Whether the hub was out of reach once: then nobody waits for it again.
    unreachable: Cell<bool>,
    /// Whether the last question was for something that is not there.
    absent: Cell<bool>,
    /// Files of the cache whose bytes are what their names promise.
    checked: RefCell<BTreeSet<PathBuf>>,
    brought: Cell<(usize, u64)>,
}

impl Hub {
    /// `offline`: make no request (`HF_HUB_OFFLINE` has the same effect); `quiet`: show no progress.
    pub fn new(offline: bool, quiet: bool) -> Self {
        let by_environment = !offline && settings::offline_by_environment();
        Self {
            offline: offline || by_environment,
            by_environment,
            quiet,
            mends: false,
            patience: Patience::default(),
            limits: Limits::default(),
            settings: OnceCell::new(),
            connection: OnceCell::new(),
            warnings: RefCell::default(),
            listings: RefCell::default(),
            unreachable: Cell::new(false),
            absent: Cell::new(false),
            checked: RefCell::default(),
            brought: Cell::default(),
        }
    }

    /// Whether this run is offline.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Takes what was odd and did not stop anything, such as a copy that is used because the hub is out of reach.
    pub fn take_warnings(&self) -> Diagnostics {
        self.warnings.take()
    }

    /// The commit that a revision (a branch, a tag, `refs/convert/parquet`, a full commit hash) is at, and its files:
    /// one request for each run.
    ///
    /// Without the network, or when the hub is out of order, the cache answers if it can.
    ///
    /// # Errors
    /// The repository or revision does not exist, or access is refused; the hub cannot be reached and the cache does
    /// not know.
    pub fn list(&self, kind: RepoKind, repo: &str, revision: &str) -> Result<Listing> {
        let settings = self.settings()?;
        let cached = self.cached(kind, repo, revision)?;
        self.absent.set(false);
        let request = Request {
            kind,
            repo,
            revision,
            file: None,
        };
        let here = |from_cache: Missing| {
            let commit = cached.commit(revision)?;
            // What is here may be a part, and must not pass for the whole. Of a model that another program brought
            // nothing better is known.
            let files = match (kind, cached.listed(&commit)) {
                (_, Some(files)) => files,
                (RepoKind::Model, None) => cached.files(&commit),
                (RepoKind::Dataset, None) => return None,
            };
            (!files.is_empty()).then(|| Listing {
                kind,
                repo: repo.to_owned(),
                revision: revision.to_owned(),
                commit,
                files,
                from_cache: Some(from_cache),
            })
        };
        // A commit never changes: once it was listed, no request is needed.
        if let (RepoKind::Dataset, true, false) = (kind, is_commit(revision), self.offline)
            && let Some(files) = cached.listed(revision)
        {
            return Ok(Listing {
                kind,
                repo: repo.to_owned(),
                revision: revision.to_owned(),
                commit: revision.to_owned(),
                files,
                from_cache: None,
            });
        }
        if self.offline {
            // A file that should say what is here and does not is the reason to report.
            let unknown = || {
                cached
                    .odd_ref(revision)
                    .unwrap_or_else(|| not_here(request, settings, self.by_environment))
            };
            return here(Missing::Offline).ok_or_else(unknown);
        }
        let is_it = |known: &&Listing| known.kind == kind && known.repo == repo && known.revision == revision;
        if let Some(known) = self.listings.borrow().iter().find(is_it) {
            return Ok(known.clone());
        }
        let found = self.ask(request, async |client| {
            client.list(kind, repo, revision, &self.limits).await
        });
        match found {
            Ok((commit, files)) => {
                let listing = Listing {
                    kind,
                    repo: repo.to_owned(),
                    revision: revision.to_owned(),
                    commit,
                    files,
                    from_cache: None,
                };
                cached.note_listing(&listing.commit, &listing.files);
                self.listings.borrow_mut().push(listing.clone());
                Ok(listing)
            }
            Err(failure) => {
                let outage = failure.is_outage();
                self.absent.set(failure.is_absent());
                let error = failure.diagnostic(request, settings);
                let copy = outage.then(|| here(Missing::Outage(Box::new(error.clone())))).flatten();
                copy.ok_or(error)
            }
        }
    }

    /// Brings files of a listing that are not here yet. The answer's folder holds all that are wanted, each whole: as
    /// long as the hub says, and with the hash that it says, where it says one. The cache then knows the revision by
    /// this commit.
    ///
    /// # Errors
    /// A file is not in the repository, is not given to us, or does not come; one that is here is damaged; the cache
    /// cannot be written.
    pub fn files(&self, listing: &Listing, wanted: &[String]) -> Result<Snapshot> {
        let snapshot = self.bring(listing, wanted, Check::Now)?;
        self.settle(listing)?;
        Ok(snapshot)
    }

    /// [`Hub::list`], or none where the hub has no such repository or revision, or where only the cache can be had and
    /// does not know it.
    ///
    /// # Errors
    /// Anything else that stands in the way.
    pub fn list_if_there(&self, kind: RepoKind, repo: &str, revision: &str) -> Result<Option<Listing>> {
        let found = self.list(kind, repo, revision);
        if found.is_err() && (self.offline || self.absent.get()) {
            return Ok(None);
        }
        found.map(Some)
    }

    /// Files and bytes that came in this run.
    pub fn brought(&self) -> (usize, u64) {
        self.brought.get()
    }

    /// [`Hub::files`] without the last step.
    fn bring(&self, listing: &Listing, wanted: &[String], check: Check) -> Result<Snapshot> {
        let Listing {
            kind,
            repo,
            revision,
            commit,
            ..
        } = listing;
        let cached = self.cached(*kind, repo, revision)?;
        let mut snapshot = here(&cached, commit.clone());
        let wanted = wanted.iter().map(String::as_str);
        self.look_at(&cached, commit, wanted.clone(), listing.from_cache.is_none(), check)?;
        let missing: Vec<&str> = wanted.filter(|file| !cached.has(commit, file)).collect();
        let Some(first) = missing.first() else {
            return Ok(snapshot);
        };
        let request = listing.request(first);
        match &listing.from_cache {
            Some(Missing::Offline) => Err(not_here(request, self.settings()?, self.by_environment)),
            Some(Missing::Outage(error)) => Err((**error).clone()),
            None => {
                let done = self.download(listing, &cached, &missing, check, &mut snapshot);
                let (files, bytes) = self.brought.get();
                self.brought.set((files + snapshot.files, bytes + snapshot.bytes));
                done.map(|()| snapshot)
            }
        }
    }

    /// What is wanted is here: the cache shall know the revision by this commit; of a copy that stands in it is said
    /// why.
    fn settle(&self, listing: &Listing) -> Result<()> {
        let Listing {
            kind,
            repo,
            revision,
            commit,
            from_cache,
            ..
        } = listing;
        match from_cache {
            Some(Missing::Outage(error)) => {
                let message = format!("{}; the copy in the cache is used, commit {commit}", error.message);
                let warning = Diagnostic::download(message).as_warning();
                let mut warnings = self.warnings.borrow_mut();
                if !warnings.iter().any(|known| *known == warning) {
                    warnings.push(warning);
                }
                Ok(())
            }
            Some(Missing::Offline) => Ok(()),
            None => self.cached(*kind, repo, revision)?.remember(revision, commit),
        }
    }

    fn download(
        &self,
        listing: &Listing,
        cached: &Cached,
        missing: &[&str],
        check: Check,
        snapshot: &mut Snapshot,
    ) -> Result<()> {
        let settings = self.settings()?;
        let Listing { repo, commit, .. } = listing;
        let mut described: Vec<(&str, Description, bool)> = Vec::new();
        for &file in missing {
            let description = self.describe(listing, file)?;
            // Two names for the same bytes, or another commit's file that did not change: nothing to fetch.
            let here = self.lies_here(cached, &description, check)?;
            described.push((file, description, here));
        }
        let to_come = described.iter().filter(|(.., here)| !here);
        let sizes = to_come.clone().filter_map(|(_, description, _)| description.size);
        let total = sizes.fold(0, u64::saturating_add);
        self.needs_room(listing, cached, to_come.clone().map(|(_, description, _)| description))?;
        let mut progress = Progress::new(Counted::Bytes, total, self.quiet);
        progress.at(repo.clone());
        let count = to_come.count();
        if count > 0 {
            let files = if count == 1 { "file" } else { "files" };
            progress.note(&format!("fetching `{repo}`: {count} {files}, {}", bytes(total)));
        }
        for (file, description, here) in &described {
            if !here {
                progress.at(format!("{repo} {file}"));
                let (runtime, client) = self.connection()?;
                let download = Download {
                    client,
                    patience: &self.patience,
                    limits: &self.limits,
                    cached,
                    listing,
                    file,
                    description,
                };
                runtime
                    .block_on(download.run(&mut progress))
                    .map_err(|failure| failure.diagnostic(listing.request(file), settings))?;
            }
            cached.link(commit, file, &description.etag)?;
            self.checked.borrow_mut().insert(cached.snapshot(commit).join(file));
            snapshot.files += 1;
        }
        snapshot.bytes += progress.since();
        progress.finish();
        Ok(())
    }

    /// What the hub says of a file, if it says nothing absurd.
    fn describe(&self, listing: &Listing, file: &str) -> Result<Description> {
        let Listing { kind, repo, commit, .. } = listing;
        if !is_inside(file) {
            return Err(Diagnostic::download(format!("`{repo}`: {file:?} is no file's name")));
        }
        let request = listing.request(file);
        let settings = self.settings()?;
        let described = self.ask(request, async |client| client.describe(*kind, repo, commit, file).await);
        let description = described.map_err(|failure| failure.diagnostic(request, settings))?;
        match (description.size, self.limits.of(file, description.size)) {
            (Some(size), Some(most)) if size > most => {
                let what = format!("a file of {}; igsite takes at most {} of it", bytes(size), bytes(most));
                Err(Failure::TooMuch(what).diagnostic(request, settings))
            }
            _ => Ok(description),
        }
    }

    /// Whether the cache's disk has room for files, as far as their lengths are stated. Parts that came before lie
    /// there already.
    fn needs_room<'a>(
        &self,
        listing: &Listing,
        cached: &Cached,
        files: impl Iterator<Item = &'a Description>,
    ) -> Result<()> {
        let needed = |description: &Description| {
            let part = cached.blob(&format!("{}.incomplete", description.etag));
            let came = std::fs::metadata(part).map_or(0, |part| part.len());
            description.size.unwrap_or(0).saturating_sub(came)
        };
        let needed = files.map(needed).fold(0, u64::saturating_add);
        let cache = &self.settings()?.cache;
        match free_space(cache) {
            Some(free) if needed > free => Err(Diagnostic::download(format!(
                "no space for `{}` in the cache, {}: {} are to come, and {} are free",
                listing.repo,
                cache.display(),
                bytes(needed),
                bytes(free)
            ))
            .help("free some space, or set HF_HOME to a folder on a larger disk, and run the same command again")),
            _ => Ok(()),
        }
    }

    /// A small request, made again as far as our patience goes.
    fn ask<T>(&self, request: Request, question: impl AsyncFn(&Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let (runtime, client) = self.connection()?;
        runtime.block_on(async {
            let mut tries = Tries::default();
            loop {
                let failure = match question(client).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                let unreachable = matches!(failure, Failure::Network { unreachable: true, .. });
                if unreachable && self.unreachable.get() {
                    return Err(failure);
                }
                let paused = tries.pause(failure, &self.patience);
                if paused.is_err() {
                    self.unreachable.set(unreachable);
                }
                let (pause, said) = paused?;
                if !self.quiet {
                    eprintln!("{request}: {said}");
                }
                tokio::time::sleep(pause).await;
            }
        })
    }

    fn cached(&self, kind: RepoKind, repo: &str, revision: &str) -> Result<Cached> {
        if !is_inside(repo) || repo.split('/').count() > 2 {
            return Err(Diagnostic::download(format!("{repo:?} is no repository")).expected("`owner/name`"));
        }
        if !is_inside(revision) {
            return Err(Diagnostic::download(format!("{revision:?} is no revision of `{repo}`"))
                .expected("a branch, a tag, or a commit's 40 digits"));
        }
        Ok(Cached::new(&self.settings()?.cache, kind.plural(), repo))
    }

    /// The cache that all of Hugging Face's tools share.
    pub fn cache_folder() -> PathBuf {
        hf_hub::resolve_cache_dir()
    }

    fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::read()?;
        Ok(self.settings.get_or_init(|| settings))
    }

    fn connection(&self) -> Result<&(tokio::runtime::Runtime, Client)> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Diagnostic::download(format!("cannot prepare the network: {e}")))?;
        let client = Client::new(self.settings()?).map_err(|_| {
            Diagnostic::download("cannot prepare the network: no HTTPS client")
                .help("check HF_ENDPOINT, and that the system's certificates are installed")
        })?;
        Ok(self.connection.get_or_init(|| (runtime, client)))
    }
}

/// What is here already.
fn here(cached: &Cached, commit: String) -> Snapshot {
    Snapshot {
        folder: cached.snapshot(&commit),
        commit,
        files: 0,
        bytes: 0,
        weights: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
