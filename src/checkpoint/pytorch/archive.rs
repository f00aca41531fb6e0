//! The format since PyTorch 1.6: a zip archive of `data.pkl`, `byteorder`, and a file `data/<key>` for each storage.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::read::ZipFile;
use zip::{CompressionMethod, ZipArchive};

use super::{Contents, LARGEST_PICKLE, Storages, corrupt};
use crate::checkpoint::pickle;
use crate::diagnostic::Result;

/// Reads the pickle of an archive, and where its storages lie.
///
/// # Errors
/// It is no archive, or a part of it is damaged, missing or not as `torch.save` writes it.
pub fn read(path: &Path, file: File, length: u64) -> Result<Contents> {
    let mut archive = ZipArchive::new(file).map_err(|e| corrupt(path, format!("not a PyTorch zip archive: {e}")))?;
    let mut found = None;
    let mut storages = Storages {
        places: HashMap::new(),
        big_endian: false,
    };
    for index in 0..archive.len() {
        let broken = |e: &dyn std::fmt::Display| corrupt(path, format!("corrupt zip entry {index}: {e}"));
        let entry = archive.by_index(index).map_err(|e| broken(&e))?;
        let name = entry.name().map_err(|e| broken(&e))?.into_owned();
        let Some((_, inner)) = name.split_once('/') else {
            continue;
        };
        match inner {
            "data.pkl" => found = Some(small(path, &name, entry, LARGEST_PICKLE)?),
            "byteorder" => {
                storages.big_endian = match &*small(path, &name, entry, 16)? {
                    b"little" => false,
                    b"big" => true,
                    other => {
                        let other = String::from_utf8_lossy(other);
                        return Err(corrupt(path, format!("byte order `{other}`")).expected("`little` or `big`"));
                    }
                };
            }
            _ => {
                let Some(key) = inner.strip_prefix("data/") else {
                    continue;
                };
                if entry.compression() != CompressionMethod::Stored {
                    return Err(corrupt(path, format!("`{name}` is compressed"))
                        .expected("storages kept uncompressed, as torch.save writes them"));
                }
                let start = entry
                    .data_start()
                    .ok_or_else(|| corrupt(path, format!("`{name}`: its place in the file is not known")))?;
                if start.checked_add(entry.size()).is_none_or(|end| end > length) {
                    return Err(corrupt(
                        path,
                        format!("`{name}` ends behind the {length} bytes of the file"),
                    ));
                }
                storages.places.insert(key.to_owned(), (start, entry.size()));
            }
        }
    }
    let found = found.ok_or_else(|| corrupt(path, "the archive has no `data.pkl`"))?;
    let tensors = pickle::state_dict(&found).map_err(|problem| problem.in_file(path))?;
    Ok((tensors, storages))
}

/// A part of the archive that is read whole.
fn small<R: Read>(path: &Path, name: &str, entry: ZipFile<'_, R>, largest: u64) -> Result<Vec<u8>> {
    let size = entry.size();
    if size > largest {
        return Err(corrupt(
            path,
            format!("`{name}` is {size} bytes, more than the {largest} that igsite reads of it"),
        ));
    }
    let mut bytes = Vec::new();
    entry
        .take(largest)
        .read_to_end(&mut bytes)
        .map_err(|e| corrupt(path, format!("cannot read `{name}`: {e}")))?;
    Ok(bytes)
}
