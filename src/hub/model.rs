//! Which files of a repository make a checkpoint, and whether they are all here.

use std::path::Path;

use super::cache::{Cached, is_commit};
use super::check::Check;
use super::{Hub, Listing, RepoKind, Snapshot, here};
use crate::checkpoint::{WEIGHTS, gguf, shard_names};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// Always there.
const CONFIG: &str = "config.json";
/// Taken where the repository has them.
const SMALL: [&str; 8] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
];
/// Those of them that decide what a prompt becomes.
const OF_PROMPTS: [&str; 4] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

/// The weights of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    /// One file.
    Single(&'static str),
    /// The shards that this index names.
    Sharded(&'static str),
}

impl Hub {
    /// Brings a checkpoint: config, tokenizer, and the weights as safetensors, or as `.bin` where there are none.
    ///
    /// # Errors
    /// As [`Hub::list`] and [`Hub::files`]; the repository is no checkpoint.
    pub fn model(&self, repo: &str, revision: &str) -> Result<Snapshot> {
        Ok(self.checkpoint(repo, revision, true)?.0)
    }

    /// As [`Hub::model`], but brings no weights, and says whether they are here.
    ///
    /// # Errors
    /// As [`Hub::model`].
    pub fn model_without_weights(&self, repo: &str, revision: &str) -> Result<(Snapshot, bool)> {
        self.checkpoint(repo, revision, false)
    }

    /// Brings a GGUF file, which is a model by itself: nothing else of the repository is taken.
    ///
    /// # Errors
    /// As [`Hub::list`] and [`Hub::files`]; the repository has no file of this name.
    pub fn gguf(&self, repo: &str, revision: &str, file: &str) -> Result<Snapshot> {
        let cached = self.cached(RepoKind::Model, repo, revision)?;
        if is_commit(revision)
            && let Some(snapshot) = self.gguf_of(&cached, revision, file)?
        {
            return Ok(snapshot);
        }
        let listing = self.list(RepoKind::Model, repo, revision)?;
        if listing.from_cache.is_none() && !listing.has(file) {
            return Err(no_such_file(&listing, file));
        }
        let wanted = [file.to_owned()];
        let snapshot = self.bring(&listing, &wanted, Check::Later)?;
        self.settle(&listing)?;
        Ok(Snapshot {
            weights: wanted.into(),
            ..snapshot
        })
    }

    /// As [`Hub::gguf`], where the file is here already.
    ///
    /// # Errors
    /// It is not: nothing else of the model can be looked at.
    pub fn gguf_that_is_here(&self, repo: &str, revision: &str, file: &str) -> Result<Snapshot> {
        let cached = self.cached(RepoKind::Model, repo, revision)?;
        let listing = match is_commit(revision) {
            true => None,
            false => Some(self.list(RepoKind::Model, repo, revision)?),
        };
        let commit = listing.as_ref().map_or(revision, |listing| &listing.commit);
        match (self.gguf_of(&cached, commit, file)?, &listing) {
            (Some(found), Some(listing)) => {
                self.settle(listing)?;
                Ok(found)
            }
            (Some(found), None) => Ok(found),
            (None, Some(listing)) if listing.from_cache.is_none() && !listing.has(file) => {
                Err(no_such_file(listing, file))
            }
            (None, _) => Err(Diagnostic::download(format!(
                "`{file}` of `{repo}` is not on this machine (commit {commit})"
            ))
            .help("`igsite fetch` brings it; a GGUF file is checked as a whole, tokenizer and all")),
        }
    }

    /// The file of a commit, if it is here and undamaged.
    fn gguf_of(&self, cached: &Cached, commit: &str, file: &str) -> Result<Option<Snapshot>> {
        self.look_at(cached, commit, [file], !self.is_offline(), Check::Later)?;
        Ok(cached.has(commit, file).then(|| Snapshot {
            weights: vec![file.to_owned()],
            ..here(cached, commit.to_owned())
        }))
    }

    fn checkpoint(&self, repo: &str, revision: &str, with_weights: bool) -> Result<(Snapshot, bool)> {
        let cached = self.cached(RepoKind::Model, repo, revision)?;
        if let Some(commit) = cached.commit(revision).filter(|_| is_commit(revision))
            && let Some(snapshot) = self.complete(&cached, commit)?
        {
            return Ok((snapshot, true));
        }
        let listing = self.list(RepoKind::Model, repo, revision)?;
        if listing.from_cache.is_some() && cached.listed(&listing.commit).is_none() {
            self.warn_of_the_unknown(&cached, repo, &listing.commit);
        }
        let lacks = |what: &str| {
            let at = &listing.commit;
            Diagnostic::download(format!("`{repo}` holds no {what} (revision `{revision}`, commit {at})"))
        };
        let mut wanted = vec![CONFIG.to_owned()];
        let small = SMALL.iter().filter(|file| listing.has(file));
        wanted.extend(small.map(|file| (*file).to_owned()));
        let weights = weights_of(|file| listing.has(file));
        match weights {
            Some(Weights::Sharded(index)) => wanted.push(index.to_owned()),
            Some(Weights::Single(_)) => {}
            // From the cache: they may be on the hub. `files` says so where it matters.
            None if listing.from_cache.is_some() => {}
            None => {
                let file = listing.files.iter().find(|name| is_gguf(name));
                return Err(lacks("weights")
                    .expected("`model.safetensors` or `pytorch_model.bin`, or an index with shards")
                    .help(match file {
                        Some(file) => format!("a GGUF file is a model by itself: name one, as in `file: {file}`"),
                        None => {
                            "a repository of GGUF or adapter files is no checkpoint: name the one that it was made from"
                                .to_owned()
                        }
                    }));
            }
        }
        if listing.from_cache.is_none() && !listing.has(CONFIG) {
            return Err(lacks("config.json").help("name a repository with a whole checkpoint"));
        }
        let mut snapshot = self.bring(&listing, &wanted, Check::Now)?;
        if listing.from_cache.is_none() {
            note_absent(&cached, &listing.commit, |file| listing.has(file));
        }
        if !with_weights {
            let files = weights
                .map(|weights| weight_files(&snapshot.folder, weights))
                .transpose()?;
            let files = files.unwrap_or_default();
            // Those that are here will be read as they are.
            let names = files.iter().map(String::as_str);
            self.look_at(
                &cached,
                &listing.commit,
                names,
                listing.from_cache.is_none(),
                Check::Later,
            )?;
            let whole = !files.is_empty() && files.iter().all(|file| cached.has(&listing.commit, file));
            // A whole copy of an older commit stays the one that runs without a network find.
            let older = cached
                .commit(revision)
                .is_some_and(|commit| weights_are_here(&cached, &commit));
            if whole || !older {
                self.settle(&listing)?;
            }
            return Ok((snapshot, whole));
        }
        let Some(weights) = weights else {
            // Only from the cache: names what is missing.
            self.bring(&listing, &["model.safetensors".to_owned()], Check::Later)?;
            return Ok((snapshot, true));
        };
        let files = weight_files(&snapshot.folder, weights)?;
        if listing.from_cache.is_none()
            && let Some(file) = files.iter().find(|file| !listing.has(file))
        {
            return Err(lacks(&format!("file `{file}`, which its index of shards names"))
                .help("the repository is not whole: try another revision"));
        }
        let more = self.bring(&listing, &files, Check::Later)?;
        self.settle(&listing)?;
        snapshot.files += more.files;
        snapshot.bytes += more.bytes;
        snapshot.weights = files;
        Ok((snapshot, true))
    }

    /// A commit that is in the cache with all that the repository has of a checkpoint, and undamaged; no request is
    /// needed.
    fn complete(&self, cached: &Cached, commit: String) -> Result<Option<Snapshot>> {
        if !is_complete(cached, &commit) {
            return Ok(None);
        }
        let indices = WEIGHTS.map(|(_, index)| index);
        let small = SMALL.into_iter().chain(indices).chain([CONFIG]);
        self.look_at(cached, &commit, small, !self.is_offline(), Check::Now)?;
        let files = weight_names(cached, &commit);
        let names = files.iter().map(String::as_str);
        self.look_at(cached, &commit, names, !self.is_offline(), Check::Later)?;
        // A damaged one may have been moved aside.
        Ok(is_complete(cached, &commit).then(|| Snapshot {
            weights: files,
            ..here(cached, commit)
        }))
    }

    /// Another program may have filled the cache, with a part of what the repository holds.
    fn warn_of_the_unknown(&self, cached: &Cached, repo: &str, commit: &str) {
        // Only who brings the whole repository brings git's own file.
        let whole = cached.has(commit, ".gitattributes");
        let known = |file: &&&str| cached.has(commit, file) || cached.is_absent(commit, file);
        let unknown: Vec<String> = OF_PROMPTS
            .iter()
            .filter(|file| !known(file))
            .map(|file| format!("`{file}`"))
            .collect();
        if whole || unknown.is_empty() {
            return;
        }
        let warning = Diagnostic::download(format!(
            "the cache does not say whether `{repo}` has {} (commit {commit}): it is read as if it had not",
            unknown.join(", ")
        ))
        .help("`igsite fetch` asks the hub where there is a network")
        .as_warning();
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.iter().any(|known| *known == warning) {
            warnings.push(warning);
        }
    }
}

/// Whether a name is that of a GGUF file.
fn is_gguf(name: &str) -> bool {
    gguf::is_file(Path::new(name))
}

/// An error: what is wanted is not there; which files are.
fn no_such_file(listing: &Listing, file: &str) -> Diagnostic {
    const TOLD: usize = 12;
    let all = listing.files.iter().filter(|name| is_gguf(name));
    let names: Vec<String> = all.map(|name| format!("`{name}`")).collect();
    let Listing {
        repo, revision, commit, ..
    } = listing;
    let error = Diagnostic::download(format!(
        "`{repo}` holds no file `{file}` (revision `{revision}`, commit {commit})"
    ));
    match names.len() {
        0 => error.help("it has no GGUF file at all"),
        count => {
            let more = match count.saturating_sub(TOLD) {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            error.expected(format!("one of {}{more}", names[..count.min(TOLD)].join(", ")))
        }
    }
}

/// The weights that would be taken, by the files that are there: one whole file before an index, which may be older,
/// as transformers does it.
fn weights_of(has: impl Fn(&str) -> bool) -> Option<Weights> {
    WEIGHTS.iter().find_map(|&(single, index)| {
        if has(single) {
            Some(Weights::Single(single))
        } else {
            has(index).then_some(Weights::Sharded(index))
        }
    })
}

/// The files that hold the weights; an index must be in the folder already.
///
/// # Errors
/// The index is no index, or names files elsewhere.
fn weight_files(folder: &Path, weights: Weights) -> Result<Vec<String>> {
    let index = match weights {
        Weights::Single(name) => return Ok(vec![name.to_owned()]),
        Weights::Sharded(index) => folder.join(index),
    };
    let text = input::read(&index, Kind::Download, "read")?;
    shard_names(&text).map_err(|mut error| {
        error.kind = Kind::Download;
        error.in_file(&index)
    })
}

/// Whether a commit is here with all that the repository has of a checkpoint: each file is here, or known not to exist.
fn is_complete(cached: &Cached, commit: &str) -> bool {
    let listed = cached.listed(commit);
    let has = |file: &str| cached.has(commit, file);
    // What the hub said itself comes before notes of single files.
    let is_absent = |file: &str| match &listed {
        Some(files) => !files.iter().any(|name| name == file),
        None => cached.is_absent(commit, file),
    };
    let known = |file: &str| has(file) || is_absent(file);
    let sure = WEIGHTS
        .iter()
        .flat_map(|&(single, index)| [single, index])
        .find(|name| !is_absent(name));
    has(CONFIG)
        && SMALL.iter().all(|file| known(file))
        // The first that is not known to be absent must be here, or a better one may be on the hub.
        && sure.is_some_and(has)
        && weights_are_here(cached, commit)
}

/// Whether some weights are here as a whole.
fn weights_are_here(cached: &Cached, commit: &str) -> bool {
    !weight_names(cached, commit).is_empty()
}

/// The files of the weights that are here as a whole; none if they are not.
fn weight_names(cached: &Cached, commit: &str) -> Vec<String> {
    let folder = cached.snapshot(commit);
    let files = weights_of(|file| cached.has(commit, file)).and_then(|weights| weight_files(&folder, weights).ok());
    files
        .filter(|files| files.iter().all(|file| cached.has(commit, file)))
        .unwrap_or_default()
}

/// Notes which of these files the repository does not have, so that a complete copy differs from a part of one.
fn note_absent(cached: &Cached, commit: &str, has: impl Fn(&str) -> bool) {
    let weights = WEIGHTS.iter().flat_map(|&(single, index)| [single, index]);
    for file in SMALL.into_iter().chain(weights) {
        if !has(file) {
            cached.note_absent(commit, file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safetensors_come_before_bin_and_a_single_file_before_an_index() {
        let of = |names: &[&str]| weights_of(|name| names.contains(&name));
        assert_eq!(
            of(&["pytorch_model.bin", "model.safetensors"]),
            Some(Weights::Single("model.safetensors"))
        );
        assert_eq!(
            of(&["model.safetensors", "model.safetensors.index.json"]),
            Some(Weights::Single("model.safetensors"))
        );
        assert_eq!(
            of(&["pytorch_model.bin", "model.safetensors.index.json"]),
            Some(Weights::Sharded("model.safetensors.index.json"))
        );
        assert_eq!(of(&["pytorch_model.bin"]), Some(Weights::Single("pytorch_model.bin")));
        assert_eq!(of(&["model.gguf"]), None);
    }

    #[test]
    fn an_index_that_is_none_is_an_error_of_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let index = WEIGHTS[0].1;
        std::fs::write(folder.path().join(index), "<html>").unwrap();
        let error = weight_files(folder.path(), Weights::Sharded(index)).unwrap_err();
        assert!(
            error.kind == Kind::Download && error.message.contains("not JSON"),
            "{error}"
        );
    }

    #[test]
    fn a_commit_is_complete_when_nothing_of_it_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        let cached = Cached::new(root.path(), "models", "m");
        let commit = "0".repeat(40);
        let put = |file: &str| {
            let place = cached.snapshot(&commit).join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "{}").unwrap();
        };
        for file in [CONFIG, "tokenizer.json", "model.safetensors"] {
            put(file);
        }
        assert!(weights_are_here(&cached, &commit) && !is_complete(&cached, &commit));
        note_absent(&cached, &commit, |file| cached.has(&commit, file));
        assert!(is_complete(&cached, &commit));
        std::fs::remove_file(cached.snapshot(&commit).join("tokenizer.json")).unwrap();
        assert!(!is_complete(&cached, &commit));
    }
}
