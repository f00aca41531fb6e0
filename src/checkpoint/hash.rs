//! SHA-256 of a checkpoint's files, by which a record's key and page name the weights; and git's hash, which names
//! small files of the hub.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1_smol::Sha1;
use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::hex::hex;
use crate::input;

/// SHA-256 of some bytes, in hexadecimal.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes, in hexadecimal, read in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let mut file = input::open(path, Kind::Checkpoint, "read")?;
    let mut hasher = Sha256::new();
    in_pieces(path, &mut file, |piece| hasher.update(piece))?;
    Ok(hex(&hasher.finalize()))
}

/// Git's hash of a file, in hexadecimal: SHA-1 over `blob <length>\0` and the bytes (see [Git
/// objects](https://git-scm.com/book/en/v2/Git-Internals-Git-Objects)).
///
/// # Errors
/// The file cannot be read.
pub fn git_blob(path: &Path) -> Result<String> {
    let mut file = input::open(path, Kind::Checkpoint, "read")?;
    let length = file
        .metadata()
        .map_err(|e| Diagnostic::io(Kind::Checkpoint, "read", path, &e))?
        .len();
    let mut hasher = git_hasher(length);
    in_pieces(path, &mut file, |piece| hasher.update(piece))?;
    Ok(hasher.digest().to_string())
}

/// The state of git's hash for a file of this length, before any of its bytes.
pub fn git_hasher(length: u64) -> Sha1 {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {length}\0").as_bytes());
    hasher
}

fn in_pieces(path: &Path, file: &mut File, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(|e| Diagnostic::io(Kind::Checkpoint, "read", path, &e))?;
        if count == 0 {
            return Ok(());
        }
        take(&buffer[..count]);
    }
}

/// One hash for several files: SHA-256 over the lines `<hash>  <name>\n` in the order given, as `sha256sum` prints
/// them.
pub fn of_listing<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = Sha256::new();
    for (name, hash) in files {
        hasher.update(format!("{hash}  {name}\n"));
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_sha256sum_prints() {
        assert_eq!(
            of_bytes(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn it_is_what_git_hash_object_prints() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(git_blob(&file).unwrap(), "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
        std::fs::write(&file, "").unwrap();
        assert_eq!(git_blob(&file).unwrap(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }
}
