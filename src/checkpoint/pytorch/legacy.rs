//! The format before PyTorch 1.6 (`_legacy_save` in torch/serialization.py): four pickles (a magic number, a version,
//! facts about the machine, the dictionary), the list of storages as a fifth, and the storages in its order, each after
//! its number of elements (eight bytes). All numbers are little-endian, on any machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Contents, LARGEST_PICKLE, Storages, corrupt};
use crate::checkpoint::pickle::{self, Legacy};
use crate::diagnostic::{Diagnostic, Kind, Result};

/// The pickles are looked for in so much of the file first.
const FIRST: u64 = 1 << 20;

/// Reads the pickles, and where the storages lie.
///
/// # Errors
/// It is another format, or damaged.
pub fn read(path: &Path, mut file: File, length: u64) -> Result<Contents> {
    let io = |e: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read the weights", path, e);
    let Legacy { tensors, storages, end } = pickles(path, &mut file, length)?;
    let mut at = end as u64;
    let mut places = HashMap::with_capacity(storages.len());
    for (key, kind) in storages {
        let short = || {
            corrupt(
                path,
                format!("the file ends after {length} bytes, before storage `{key}` does"),
            )
        };
        let width = width(&kind).ok_or_else(|| corrupt(path, format!("a storage of kind torch.{kind}")))?;
        if at.checked_add(8).is_none_or(|start| start > length) {
            return Err(short());
        }
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut count))
            .map_err(|e| io(&e))?;
        let start = at + 8;
        let bytes = u64::from_le_bytes(count).checked_mul(width).ok_or_else(short)?;
        at = start
            .checked_add(bytes)
            .filter(|&end| end <= length)
            .ok_or_else(short)?;
        places.insert(String::from(&*key), (start, bytes));
    }
    let storages = Storages {
        places,
        big_endian: false,
    };
    Ok((tensors, storages))
}

/// The pickles end somewhere near the beginning: more and more of the file is tried.
fn pickles(path: &Path, file: &mut File, length: u64) -> Result<Legacy> {
    let mut size = FIRST;
    loop {
        let mut bytes = Vec::new();
        file.rewind()
            .and_then(|()| Read::take(&mut *file, size).read_to_end(&mut bytes))
            .map_err(|e| Diagnostic::io(Kind::Checkpoint, "read the weights", path, &e))?;
        if let Some(found) = pickle::legacy(&bytes).map_err(|problem| problem.in_file(path).place("its pickles"))? {
            return Ok(found);
        }
        if size >= length {
            return Err(corrupt(
                path,
                format!("the file ends after {length} bytes, within its pickles"),
            ));
        }
        if size >= LARGEST_PICKLE {
            return Err(corrupt(
                path,
                format!("pickles of more than {LARGEST_PICKLE} bytes, too large for a list of tensors"),
            ));
        }
        size *= 8;
    }
}

/// Bytes of an element.
fn width(kind: &str) -> Option<u64> {
    match kind {
        "BoolStorage" | "ByteStorage" | "CharStorage" => Some(1),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "FloatStorage" | "IntStorage" => Some(4),
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => Some(8),
        "ComplexDoubleStorage" => Some(16),
        _ => None,
    }
}
