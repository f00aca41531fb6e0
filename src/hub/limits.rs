//! Bounds on what comes from the hub. No honest answer meets them; whoever answers in the hub's place takes no disk,
//! memory or evening.

use std::path::Path;
use std::time::Duration;

use hyper::body::Bytes;
use reqwest::Response;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use crate::progress::bytes;

/// The bounds; tests have smaller ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of an answer that lists a repository's files. A name takes about 80; the hub advises against more than
    /// 100,000 files.
    pub listing_bytes: u64,
    /// Files of a repository.
    pub listing_files: usize,
    /// The longest time that such an answer may take.
    pub listing_time: Duration,
    /// Bytes of a file that describes a model: `config.json`, the files of a tokenizer, a chat template. The largest
    /// known have about 1 MB.
    pub description: u64,
    /// Bytes of a vocabulary (`tokenizer.json` and `tokenizer.model` have up to 40 MB) or of an index of shards.
    pub vocabulary: u64,
    /// Bytes of any other file whose length nobody states. The hub states the length of every file.
    pub unstated: u64,
    /// The slowest transfer that is waited for, in bytes a second: a fifth of what a telephone modem brought.
    pub rate: u64,
    /// How long a transfer may be slower.
    pub window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listing_bytes: 64 << 20,
            listing_files: 500_000,
            listing_time: Duration::from_secs(300),
            description: 16 << 20,
            vocabulary: 256 << 20,
            unstated: 1 << 30,
            rate: 1024,
            window: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The most bytes that a file of this name may have; none where its stated length is all that bounds it.
    pub fn of(&self, file: &str, stated: Option<u64>) -> Option<u64> {
        let name = file.rsplit('/').next().unwrap_or(file);
        match name {
            "tokenizer.json" | "tokenizer.model" => Some(self.vocabulary),
            name if name.ends_with(".index.json") => Some(self.vocabulary),
            "config.json"
            | "generation_config.json"
            | "tokenizer_config.json"
            | "special_tokens_map.json"
            | "added_tokens.json"
            | "chat_template.jinja"
            | "chat_template.json" => Some(self.description),
            _ if stated.is_none() => Some(self.unstated),
            _ => None,
        }
    }
}

/// How fast an answer comes, piece by piece.
#[derive(Debug)]
pub struct Pace<'a> {
    limits: &'a Limits,
    /// When the window that is looked at began.
    began: Instant,
    /// Bytes that came since.
    came: u64,
}

impl<'a> Pace<'a> {
    /// From now on.
    pub fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            began: Instant::now(),
            came: 0,
        }
    }

    /// Resets the clock: no request was made.
    pub fn restart(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The next piece of an answer, or none at its end.
    ///
    /// # Errors
    /// The line breaks; or some bytes came in a window, and too few. (That none come at all is for the time limit of
    /// one read.)
    pub async fn piece(&mut self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(left) = self.limits.window.checked_sub(self.began.elapsed()) else {
                self.look()?;
                continue;
            };
            if let Ok(piece) = timeout(left, response.chunk()).await {
                let piece = piece?;
                self.came += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                return Ok(piece);
            }
        }
    }

    /// The end of a window.
    fn look(&mut self) -> Result<(), Failure> {
        let window = self.limits.window;
        let least = (self.limits.rate as f64 * window.as_secs_f64()) as u64;
        let came = self.came;
        self.restart();
        if came > 0 && came < least {
            return Err(Failure::Slow(format!(
                "only {} came in {}",
                bytes(came),
                humantime::format_duration(window)
            )));
        }
        Ok(())
    }
}

/// Bytes that the disk of a folder has free for us, as far as the system says; the folder need not be there yet.
#[cfg(unix)]
pub fn free_space(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    // Some file systems have no such numbers, and say zero for all of them.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The standard library does not say.
#[cfg(not(unix))]
pub fn free_space(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_states_its_length_and_is_no_description_may_be_of_any_length() {
        let limits = Limits::default();
        assert_eq!(limits.of("config.json", Some(5)), Some(limits.description));
        assert_eq!(limits.of("a/tokenizer.json", None), Some(limits.vocabulary));
        assert_eq!(limits.of("model.safetensors.index.json", None), Some(limits.vocabulary));
        assert_eq!(limits.of("model.safetensors", Some(1 << 40)), None);
        assert_eq!(limits.of("model.safetensors", None), Some(limits.unstated));
    }

    #[cfg(unix)]
    #[test]
    fn the_disk_says_how_much_it_has() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(&folder.path().join("not/there/yet")).unwrap() > 0);
    }
}
