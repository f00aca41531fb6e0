//! PyTorch `.bin` shards: a zip of one pickle and raw storages, read without running anything.
//!
//! A pickle is a program. This reader interprets the handful of instructions that `torch.save` writes for a dictionary of
//! tensors, and knows five names; a file that asks for any other name is refused, and told as what it is. Tensors are not
//! loaded here: each becomes a place in the file, since storages are kept uncompressed.
//! Format: torch/serialization.py (`_save`), pickletools.py of Python's standard library.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::tensor::DType;
use zip::{CompressionMethod, ZipArchive};

use super::TensorEntry;
use super::pickle::{self, Tensor};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// A pickle of tensor descriptions is small; one of this size is something else.
const LARGEST_PICKLE: u64 = 256 << 20;

/// The tensors of one shard, by name, with their place in it.
///
/// # Errors
/// The file cannot be read, is not a zip (PyTorch before 1.6 wrote another format), is corrupt, names code to run, or holds
/// something other than tensors.
pub fn entries(path: &Path) -> Result<Vec<(String, TensorEntry)>> {
    let file = input::open(path, Kind::Checkpoint, "read the weights")?;
    let mut archive = ZipArchive::new(file).map_err(|e| {
        corrupt(path, format!("not a PyTorch zip archive: {e}"))
            .help("download the file again; if PyTorch before 1.6 wrote it, load and save it once with a newer one")
    })?;
    let storages = Storages::read(path, &mut archive)?;
    let tensors = pickle::state_dict(&storages.pickle).map_err(|problem| problem.in_file(path))?;
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let entry = storages
            .place(path, &tensor)
            .map_err(|e| e.place(format!("tensor `{name}`")))?;
        entries.push((name, entry));
    }
    Ok(entries)
}

fn corrupt(path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic::checkpoint(message)
        .in_file(path)
        .help("download the file again")
}

/// The archive's parts: the pickle, and where each storage's bytes lie.
struct Storages {
    pickle: Vec<u8>,
    /// Storage key to (offset in the file, length).
    places: HashMap<String, (u64, u64)>,
}

impl Storages {
    fn read(path: &Path, archive: &mut ZipArchive<File>) -> Result<Self> {
        let mut pickle = None;
        let mut places = HashMap::new();
        for index in 0..archive.len() {
            let mut entry = archive
                .by_index(index)
                .map_err(|e| corrupt(path, format!("corrupt zip entry {index}: {e}")))?;
            let name = entry
                .name()
                .map_err(|e| corrupt(path, format!("corrupt zip entry {index}: {e}")))?
                .into_owned();
            let Some((_, inner)) = name.split_once('/') else {
                continue;
            };
            let size = entry.size();
            match inner {
                "data.pkl" => {
                    if size > LARGEST_PICKLE {
                        return Err(corrupt(
                            path,
                            format!("`{name}` is {size} bytes, too large for a list of tensors"),
                        ));
                    }
                    let mut bytes = Vec::new();
                    entry
                        .read_to_end(&mut bytes)
                        .map_err(|e| corrupt(path, format!("cannot read `{name}`: {e}")))?;
                    pickle = Some(bytes);
                }
                "byteorder" => {
                    let mut order = String::new();
                    entry
                        .take(16)
                        .read_to_string(&mut order)
                        .map_err(|e| corrupt(path, format!("cannot read `{name}`: {e}")))?;
                    if order != "little" {
                        return Err(corrupt(path, format!("byte order `{order}`")).expected("`little`"));
                    }
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
                    places.insert(key.to_owned(), (start, size));
                }
            }
        }
        let pickle = pickle.ok_or_else(|| corrupt(path, "the archive has no `data.pkl`"))?;
        Ok(Self { pickle, places })
    }

    fn place(&self, path: &Path, tensor: &Tensor) -> Result<TensorEntry> {
        let dtype = match tensor.storage.kind.as_str() {
            "FloatStorage" => DType::F32,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            other => {
                return Err(Diagnostic::checkpoint(format!("stored as torch.{other}"))
                    .in_file(path)
                    .expected("FloatStorage, HalfStorage or BFloat16Storage"));
            }
        };
        let Some(&(start, length)) = self.places.get(&tensor.storage.key) else {
            return Err(corrupt(
                path,
                format!("its storage `data/{}` is not in the archive", tensor.storage.key),
            ));
        };
        let width = dtype.size();
        let elements = tensor
            .shape
            .iter()
            .try_fold(1usize, |product, &side| product.checked_mul(side))
            .ok_or_else(|| corrupt(path, format!("impossible shape {:?}", tensor.shape)))?;
        let mut stride = 1;
        for (&side, &found) in tensor.shape.iter().zip(&tensor.stride).rev() {
            if side > 1 && found != stride {
                return Err(Diagnostic::checkpoint(format!(
                    "shape {:?} with strides {:?}: not contiguous",
                    tensor.shape, tensor.stride
                ))
                .in_file(path)
                .help("save the checkpoint again after calling `.contiguous()` on its tensors"));
            }
            stride *= side;
        }
        let ends = tensor.offset.checked_add(elements).and_then(|n| n.checked_mul(width));
        match ends {
            Some(end) if end as u64 <= length => Ok(TensorEntry {
                file: path.to_path_buf(),
                offset: start + (tensor.offset * width) as u64,
                bytes: elements * width,
                shape: tensor.shape.clone(),
                dtype,
            }),
            _ => Err(corrupt(
                path,
                format!(
                    "shape {:?} needs more than the {length} bytes of its storage",
                    tensor.shape
                ),
            )),
        }
    }
}
