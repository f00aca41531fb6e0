//! How this machine stands to the hub, for bug reports: nothing is asked of the network, and no token is told.

use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use super::limits::free_space;
use super::settings::{Settings, offline_by_environment};

/// How this machine stands to the hub.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The host that answers for the hub; what is wrong with the settings where they cannot be read.
    pub host: Result<String, String>,
    /// Whether `HF_ENDPOINT` names it.
    pub endpoint_set: bool,
    /// Whether there is a token, and whether `HF_TOKEN` has it or a file.
    pub token: TokenPlace,
    /// Whether the environment forbids the network.
    pub offline: bool,
    /// The cache.
    pub cache: Cache,
    /// The token itself, to keep it out of what is told.
    #[serde(skip)]
    pub secret: Option<String>,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    /// Nowhere.
    None,
    /// In `HF_TOKEN`.
    Variable,
    /// In a file.
    File,
    /// It cannot be read, or is no token.
    Broken,
}

/// The cache that all of Hugging Face's tools share.
#[derive(Clone, Debug, Serialize)]
pub struct Cache {
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// Files in it; links do not count.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether it can be written to, or made.
    pub can_be_written: bool,
    /// Bytes that its disk has free, where the system says.
    pub free: Option<u64>,
}

impl Standing {
    /// As the environment and the disk are now.
    pub fn read() -> Self {
        let set = |name: &str| std::env::var(name).is_ok_and(|text| !text.trim().is_empty());
        let settings = Settings::read();
        let token = match &settings {
            Ok(Settings { token: None, .. }) => TokenPlace::None,
            Ok(Settings { token: Some(token), .. }) if token.from == "HF_TOKEN" => TokenPlace::Variable,
            Ok(_) => TokenPlace::File,
            Err(_) => TokenPlace::Broken,
        };
        let folder = match &settings {
            Ok(settings) => settings.cache.clone(),
            Err(_) => hf_hub::resolve_cache_dir(),
        };
        Self {
            secret: settings
                .as_ref()
                .ok()
                .and_then(|settings| Some(settings.token.as_ref()?.secret().to_owned())),
            host: match settings {
                Ok(settings) => Ok(settings.endpoint.host_str().unwrap_or_default().to_owned()),
                Err(error) => Err(error.message),
            },
            endpoint_set: set("HF_ENDPOINT"),
            token,
            offline: offline_by_environment(),
            cache: Cache::of(folder),
        }
    }
}

impl Cache {
    fn of(folder: PathBuf) -> Self {
        let files = WalkDir::new(&folder).into_iter().flatten();
        let sizes = files
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.metadata().map_or(0, |found| found.len()));
        let (files, bytes) = sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size));
        Self {
            exists: folder.is_dir(),
            files,
            bytes,
            can_be_written: can_be_written(&folder),
            free: free_space(&folder),
            folder,
        }
    }
}

/// Bytes that the disk of a folder has free, where the system says; the folder need not be there yet.
pub fn free(folder: &Path) -> Option<u64> {
    free_space(folder)
}

/// Whether files can be made in a folder, or the folder itself: nothing is written.
fn can_be_written(folder: &Path) -> bool {
    let Some(there) = folder.ancestors().find(|folder| folder.exists()) else {
        return false;
    };
    #[cfg(unix)]
    let may = rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    let may = there.metadata().is_ok_and(|found| !found.permissions().readonly());
    there.is_dir() && may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_weighed_and_one_that_is_not_there_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("hub");
        let found = Cache::of(cache.clone());
        assert!(!found.exists && found.can_be_written && found.files == 0, "{found:?}");
        std::fs::create_dir_all(cache.join("models--a--b/blobs")).unwrap();
        std::fs::write(cache.join("models--a--b/blobs/1"), [0; 7]).unwrap();
        let found = Cache::of(cache);
        assert_eq!((found.exists, found.files, found.bytes), (true, 1, 7));
        // A file where the folder should be.
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(!Cache::of(folder.path().join("file/hub")).can_be_written);
    }
}
