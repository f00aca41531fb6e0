//! PyTorch `.bin` shards, read without running anything: a zip of one pickle and raw storages, or the format before
//! PyTorch 1.6, pickles and storages one after the other.
//!
//! A pickle is a program. This reader interprets the few instructions that `torch.save` writes for a dictionary of
//! tensors, and knows six names. A file that uses any other name is refused, with a message that says what it is.
//! Tensors are not loaded here: each becomes a place in the file, since storages are not compressed. Format:
//! torch/serialization.py (`_save`, `_legacy_save`), pickletools.py of Python's standard library.

mod archive;
mod legacy;

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::pickle::Tensor;
use super::stored::{Stored, Strides, TensorEntry};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// A pickle of tensor descriptions is small (a shard of 20,000 tensors has one of 3 MB); one of this size is something
/// else.
const LARGEST_PICKLE: u64 = 64 << 20;

/// The tensors of one shard, by name, with their place in it.
///
/// # Errors
/// The file cannot be read, is in neither format, is corrupt, names code to run, or holds something other than tensors.
pub fn entries(path: &Path) -> Result<Vec<(String, TensorEntry)>> {
    let io = |e: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read the weights", path, e);
    let mut file = input::open(path, Kind::Checkpoint, "read the weights")?;
    let length = file.metadata().map_err(|e| io(&e))?.len();
    let mut first = Vec::new();
    (&file).take(1).read_to_end(&mut first).map_err(|e| io(&e))?;
    file.rewind().map_err(|e| io(&e))?;
    // A zip archive begins with `PK`, a pickle with the instruction that names its protocol.
    let (tensors, storages) = if first == [0x80] {
        legacy::read(path, file, length)?
    } else {
        archive::read(path, file, length)?
    };
    let shared: Arc<Path> = path.into();
    let mut bound = Bound::new(length);
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let entry = storages
            .place(&shared, &tensor)
            .and_then(|entry| bound.add(&entry).map(|()| entry))
            .map_err(|e| e.place(format!("tensor `{name}`")))?;
        entries.push((String::from(&*name), entry));
    }
    Ok(entries)
}

/// The dictionary of a shard, and its storages.
type Contents = (Vec<(Rc<str>, Tensor)>, Storages);

fn corrupt(path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic::checkpoint(message)
        .in_file(path)
        .help("download the file again")
}

/// Where each storage's bytes lie.
struct Storages {
    /// Storage key to (offset in the file, length).
    places: HashMap<String, (u64, u64)>,
    /// The most significant byte of an element comes first.
    big_endian: bool,
}

impl Storages {
    fn place(&self, path: &Arc<Path>, tensor: &Tensor) -> Result<TensorEntry> {
        let stored = match &*tensor.storage.kind {
            "FloatStorage" => Stored::F32,
            "HalfStorage" => Stored::F16,
            "BFloat16Storage" => Stored::Bf16,
            // It may be a mask, which is ignored; a layer that needs it reports what it is.
            other => Stored::Other(format!("torch.{other}").into()),
        };
        let Some(&(start, length)) = self.places.get(&*tensor.storage.key) else {
            return Err(corrupt(
                path,
                format!("its storage `data/{}` is not in the file", tensor.storage.key),
            ));
        };
        let plain = TensorEntry {
            file: path.clone(),
            offset: start,
            bytes: 0,
            shape: tensor.shape.clone(),
            stored,
            strides: None,
            big_endian: self.big_endian,
        };
        let Some(width) = plain.stored.size() else {
            return Ok(plain);
        };
        let outside = || {
            corrupt(
                path,
                format!(
                    "shape {:?} needs more than the {length} bytes of its storage",
                    tensor.shape
                ),
            )
        };
        if tensor.stride.len() != tensor.shape.len() {
            return Err(corrupt(
                path,
                format!("shape {:?} with strides {:?}", tensor.shape, tensor.stride),
            ));
        }
        // The part of the storage that the tensor looks at, in elements.
        let whole = (length / width as u64) as usize;
        let (first, count) = match tensor.storage.view {
            Some((first, count)) => (first, count),
            None => (0, whole),
        };
        if first.checked_add(count).is_none_or(|end| end > whole) {
            return Err(outside());
        }
        let (elements, span) = extent(&tensor.shape, &tensor.stride).ok_or_else(outside)?;
        if tensor.offset.checked_add(span).is_none_or(|end| end > count) {
            return Err(outside());
        }
        let bytes = elements
            .checked_mul(width)
            .ok_or_else(|| corrupt(path, format!("impossible shape {:?}", tensor.shape)))?;
        Ok(TensorEntry {
            offset: start + ((first + tensor.offset) * width) as u64,
            bytes,
            strides: (!follow(&tensor.shape, &tensor.stride)).then(|| Strides {
                strides: tensor.stride.clone(),
                span: span * width,
            }),
            ..plain
        })
    }
}

/// Number of elements of a shape, and how many there are from its first to its last in the storage; none where that
/// overflows.
fn extent(shape: &[usize], strides: &[usize]) -> Option<(usize, usize)> {
    let elements = shape
        .iter()
        .try_fold(1usize, |product, &side| product.checked_mul(side))?;
    if elements == 0 {
        return Some((0, 0));
    }
    let last = shape.iter().zip(strides).try_fold(0usize, |sum, (&side, &stride)| {
        sum.checked_add((side - 1).checked_mul(stride)?)
    })?;
    Some((elements, last.checked_add(1)?))
}

/// Whether elements follow each other, the last side first.
fn follow(shape: &[usize], strides: &[usize]) -> bool {
    let mut stride = 1usize;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(&side, &found)| {
            let expected = stride;
            stride = stride.saturating_mul(side);
            side == 1 || found == expected
        })
}

/// The most that the tensors of a file may add up to. They may share their bytes (tied layers do), or repeat them (a
/// stride of 0), so a small file could require any amount of memory.
struct Bound {
    left: u64,
    spans: u64,
    file: u64,
}

impl Bound {
    /// An honest file has each byte once, or twice in a tied model.
    const TIMES: u64 = 4;
    /// Matrices that were cut out of a larger one across its rows are each read with all that lies between.
    const SPANS: u64 = 64;
    /// Files of a few bytes too may have a norm of ones that is one number repeated.
    const LEAST: u64 = 1 << 20;

    fn new(file: u64) -> Self {
        Self {
            left: file.saturating_mul(Self::TIMES).saturating_add(Self::LEAST),
            spans: file.saturating_mul(Self::SPANS),
            file,
        }
    }

    fn add(&mut self, entry: &TensorEntry) -> Result<()> {
        let span = entry.strides.as_ref().map_or(0, |strides| strides.span as u64);
        match (self.left.checked_sub(entry.bytes as u64), self.spans.checked_sub(span)) {
            (Some(left), Some(spans)) => {
                (self.left, self.spans) = (left, spans);
                Ok(())
            }
            _ => Err(Diagnostic::checkpoint(format!(
                "the tensors up to here repeat the file's {} bytes too often",
                self.file
            ))
            .in_file(&entry.file)
            .expected(format!(
                "at most {} times as many bytes in all its tensors",
                Self::TIMES
            ))
            .help("save the checkpoint again after calling `.contiguous()` on its tensors")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tensor_looks_at_is_counted() {
        assert_eq!(extent(&[2, 3], &[3, 1]), Some((6, 6)));
        assert_eq!(extent(&[3, 2], &[1, 3]), Some((6, 6)));
        assert_eq!(extent(&[2, 3], &[10, 1]), Some((6, 13)));
        assert_eq!(extent(&[5], &[0]), Some((5, 1)));
        assert_eq!(extent(&[0, 7], &[9, 9]), Some((0, 0)));
        assert_eq!(extent(&[], &[]), Some((1, 1)));
        assert_eq!(extent(&[usize::MAX, 2], &[1, 1]), None);
        assert_eq!(extent(&[2, 2], &[usize::MAX, 1]), None);
    }

    #[test]
    fn elements_follow_each_other_or_not() {
        for (shape, strides, expected) in [
            (&[2, 3][..], &[3, 1][..], true),
            (&[3, 2], &[1, 3], false),
            (&[1, 3], &[77, 1], true),
            (&[4], &[2], false),
            (&[4], &[0], false),
            (&[], &[], true),
            (&[0, 3], &[1, 1], true),
        ] {
            assert_eq!(follow(shape, strides), expected, "{shape:?} {strides:?}");
        }
    }
}
