//! One file: from the hub into the cache, going on where it broke off, checked before it gets its name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use sha2::{Digest, Sha256};

use super::Listing;
use super::cache::{Cached, cannot, make_parent, refuse_irregular, set_aside_name};
use super::client::{Client, Description, Patience, Tries};
use super::expected_hash::ExpectedHash;
use super::failure::Failure;
use super::limits::{Limits, Pace};
use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::hex::hex;
use crate::input;
use crate::progress::{Progress, bytes};

/// What a download needs to know.
pub struct Download<'a> {
    pub client: &'a Client,
    pub patience: &'a Patience,
    pub limits: &'a Limits,
    pub cached: &'a Cached,
    pub listing: &'a Listing,
    /// Its name in the repository.
    pub file: &'a str,
    pub description: &'a Description,
}

impl Download<'_> {
    /// Brings the bytes to their place in the cache, under the lock of their name.
    pub async fn run(&self, progress: &mut Progress) -> Result<(), Failure> {
        let Description { etag, size } = self.description;
        let blob = self.cached.blob(etag);
        let lock = self.cached.lock(etag, || {
            progress.note(&format!(
                "`{}` is being fetched by another process; waiting for it",
                self.file
            ));
        })?;
        let there = std::fs::metadata(&blob);
        if there.is_ok_and(|there| there.is_file() && size.is_none_or(|size| size == there.len())) {
            // The other process brought it.
            progress.skip(size.unwrap_or_default());
            return Ok(());
        }
        let mut partial = Partial::open(&self.cached.partial(etag, &lock), *size)?;
        progress.skip(partial.length);
        self.fetch(&mut partial, progress).await?;
        self.check(&partial)?;
        partial.file.sync_data().map_err(|e| self.not_written(&partial, &e))?;
        std::fs::rename(&partial.path, &blob).map_err(|e| cannot("name", &blob, &e))?;
        // What was damaged, and was set aside until this came.
        _ = std::fs::remove_file(set_aside_name(&blob));
        drop(lock);
        Ok(())
    }

    async fn fetch(&self, partial: &mut Partial, progress: &mut Progress) -> Result<(), Failure> {
        let size = self.description.size;
        let mut tries = Tries::default();
        let mut pace = Pace::new(self.limits);
        while size.is_none_or(|size| partial.length < size) {
            let before = partial.length;
            let done = self.go_on(partial, &mut pace, progress).await;
            // Without a size the end of the answer is the end of the file.
            if done.is_ok() && size.is_none() || size == Some(partial.length) {
                return Ok(());
            }
            let failure = done.err().unwrap_or_else(|| Failure::Network {
                cause: "the answer ended early".to_owned(),
                unreachable: false,
            });
            // Faults are forgiven when something came; a few bytes a try would go on for ever.
            let came = partial.length.saturating_sub(before);
            if came >= self.limits.rate && !matches!(failure, Failure::Slow(_)) {
                tries.progress();
            }
            self.wait(&mut tries, failure, progress).await?;
            pace.restart();
        }
        Ok(())
    }

    async fn wait(&self, tries: &mut Tries, failure: Failure, progress: &mut Progress) -> Result<(), Failure> {
        let (pause, said) = tries.pause(failure, self.patience)?;
        progress.note(&format!("`{}`: {said}", self.file));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// One answer: appended as far as it comes.
    async fn go_on(&self, partial: &mut Partial, pace: &mut Pace<'_>, progress: &mut Progress) -> Result<(), Failure> {
        let Listing { kind, repo, commit, .. } = self.listing;
        let answer = self.client.bytes(*kind, repo, commit, self.file, partial.length).await;
        let (start, mut response) = match answer {
            Err(Failure::Status(refusal))
                if refusal.status == StatusCode::RANGE_NOT_SATISFIABLE && partial.length > 0 =>
            {
                // What is here is longer than the file: it is no part of it.
                self.restart(partial, progress)?;
                return Err(Failure::Network {
                    cause: "the server has no such part of the file".to_owned(),
                    unreachable: false,
                });
            }
            other => other?,
        };
        if start == 0 && partial.length > 0 {
            progress.note(&format!(
                "`{}`: the server cannot go on in the middle; from the start",
                self.file
            ));
            self.restart(partial, progress)?;
        } else if start != partial.length {
            return Err(Failure::Malformed(format!(
                "a part of `{}` from byte {start} instead of {}",
                self.file, partial.length
            )));
        }
        let size = self.description.size;
        let most = self.limits.of(self.file, size);
        while let Some(piece) = pace.piece(&mut response).await? {
            let length = partial.length.saturating_add(piece.len() as u64);
            if size.is_some_and(|size| length > size) {
                partial.delete();
                return Err(self.another("longer than it says").into());
            }
            if let Some(most) = most.filter(|most| length > *most) {
                partial.delete();
                return Err(self.too_long(most).into());
            }
            partial.append(&piece).map_err(|e| self.not_written(partial, &e))?;
            progress.add(piece.len() as u64);
        }
        Ok(())
    }

    fn restart(&self, partial: &mut Partial, progress: &mut Progress) -> Result<(), Failure> {
        progress.back(partial.length);
        partial.restart().map_err(|e| self.not_written(partial, &e))?;
        Ok(())
    }

    /// Where the name of the bytes is a hash of them, they have to have it; and a pointer of Git LFS is no file of
    /// anything.
    fn check(&self, partial: &Partial) -> Result<()> {
        let found = match self.description.expected_hash() {
            Some(ExpectedHash::Sha256(expected)) => ("SHA-256", hex(&partial.hasher.clone().finalize()), expected),
            Some(ExpectedHash::Git(expected)) => {
                let found = hash::git_blob(&partial.path).map_err(|error| self.unusable(partial, &error))?;
                ("git hash", found, expected)
            }
            None => {
                let opened = input::open(&partial.path, Kind::Download, "read");
                return opened.map(drop).map_err(|error| self.unusable(partial, &error));
            }
        };
        let (name, found, expected) = found;
        if found == expected {
            return Ok(());
        }
        partial.delete();
        Err(self
            .another(&format!("its {name} is {found}"))
            .expected(format!("{name} {expected}")))
    }

    fn unusable(&self, partial: &Partial, error: &Diagnostic) -> Diagnostic {
        partial.delete();
        self.another(&error.message)
    }

    fn too_long(&self, most: u64) -> Diagnostic {
        let (file, repo, most) = (self.file, &self.listing.repo, bytes(most));
        Diagnostic::download(format!(
            "`{file}` of `{repo}` is longer than {most}, and the hub does not say how long it is"
        ))
        .help(
            "what came was deleted; check HF_ENDPOINT and the network's proxy: the hub itself states the length of every file",
        )
    }

    fn another(&self, what: &str) -> Diagnostic {
        Diagnostic::download(format!(
            "`{}` of `{}` came as another file than the hub describes: {what}",
            self.file, self.listing.repo
        ))
        .help("what came was deleted; run the same command again, and if it happens again check HF_ENDPOINT and the network's proxy")
    }

    fn not_written(&self, partial: &Partial, error: &io::Error) -> Diagnostic {
        if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return cannot("write", &partial.path, error);
        }
        let left = self.description.size.map(|size| size.saturating_sub(partial.length));
        let folder = partial.path.parent().unwrap_or(Path::new(""));
        no_space(self.file, &self.listing.repo, folder, left)
    }
}

/// The disk is full.
fn no_space(file: &str, repo: &str, folder: &Path, left: Option<u64>) -> Diagnostic {
    let left = left.map_or_else(String::new, |left| format!("; {} of it are still to come", bytes(left)));
    let folder = folder.display();
    Diagnostic::download(format!(
        "no space is left for `{file}` of `{repo}` in the cache, {folder}{left}"
    ))
    .help("free some space, or set HF_HOME to a folder on a larger disk, and run the same command again: what came is kept")
}

/// Bytes that came, with their hash so far.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    /// Opens what an earlier run left, if it can be a part of the file.
    fn open(path: &Path, size: Option<u64>) -> Result<Self> {
        make_parent(path)?;
        refuse_irregular(path)?;
        let io = |e: &io::Error| cannot("open", path, e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| io(&e))?;
        let length = file.metadata().map_err(|e| io(&e))?.len();
        let mut partial = Self {
            path: path.to_path_buf(),
            file,
            length,
            hasher: Sha256::new(),
        };
        // Without a size nobody can say whether what is here is all of it already.
        if size.is_none_or(|size| length > size) && length > 0 {
            partial.restart().map_err(|e| io(&e))?;
        } else {
            partial.hash().map_err(|e| cannot("read", path, &e))?;
        }
        Ok(partial)
    }

    fn hash(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut left = (&self.file).take(self.length);
        loop {
            let count = left.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
        }
    }

    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.length = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    /// A part of something else is worth nothing.
    fn delete(&self) {
        _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_how_much_is_missing() {
        insta::assert_snapshot!(no_space(
            "model.safetensors",
            "org/tiny",
            Path::new("HUB/blobs"),
            Some(63_060)
        ));
    }
}
