//! Safetensors files: the header is read and checked here, tensors are read one at a time by offset.
//!
//! The file is not mapped into memory: mapped pages count as resident, and a load would then hold the checkpoint twice.

use std::io::Read;
use std::path::Path;

use burn::tensor::DType;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::TensorEntry;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// The format's own bound on its header.
const LARGEST_HEADER: u64 = 100_000_000;

/// The tensors of one file, by name, with their place in it.
///
/// # Errors
/// The file cannot be read, is truncated or longer than its header says, or its header is not valid.
pub fn entries(path: &Path) -> Result<Vec<(String, TensorEntry)>> {
    let io = |e: &std::io::Error| Diagnostic::io(Kind::Checkpoint, "read the weights", path, e);
    let mut file = input::open(path, Kind::Checkpoint, "read the weights")?;
    let size = file.metadata().map_err(|e| io(&e))?.len();
    let mut length = [0u8; 8];
    file.read_exact(&mut length)
        .map_err(|_| truncated(path, size, "at least the 8 bytes of the header's length"))?;
    let header_size = u64::from_le_bytes(length);
    if header_size > LARGEST_HEADER {
        return Err(
            Diagnostic::checkpoint(format!("a header of {header_size} bytes: not a safetensors file"))
                .in_file(path)
                .help("download the file again"),
        );
    }
    if header_size > size.saturating_sub(8) {
        return Err(truncated(
            path,
            size,
            &format!("a header of {header_size} bytes and the tensors after it"),
        ));
    }
    let mut header = vec![0u8; header_size as usize];
    file.read_exact(&mut header).map_err(|e| io(&e))?;
    // Deserialising checks names, shapes, dtypes and that the tensors' bytes follow each other without holes.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| invalid(path, &e))?;
    let start = 8 + header_size;
    let end = start + metadata.data_len() as u64;
    if end > size {
        return Err(truncated(path, size, &format!("{end} bytes, as its header says")));
    }
    if end < size {
        return Err(
            Diagnostic::checkpoint(format!("{size} bytes, more than the header accounts for"))
                .in_file(path)
                .expected(format!("{end} bytes"))
                .help("download the file again"),
        );
    }
    let mut entries = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            // Codes of 4 bits and what goes with them; anything else of bytes is refused when it is taken.
            Dtype::U8 => DType::U8,
            other => {
                return Err(Diagnostic::checkpoint(format!("stored as {other:?}"))
                    .in_file(path)
                    .place(format!("tensor `{name}`"))
                    .expected("F32, F16 or BF16"));
            }
        };
        let (from, to) = info.data_offsets;
        entries.push((
            name,
            TensorEntry {
                file: path.to_path_buf(),
                offset: start + from as u64,
                bytes: to - from,
                shape: info.shape.clone(),
                dtype,
            },
        ));
    }
    Ok(entries)
}

fn truncated(path: &Path, size: u64, expected: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("the file ends after {size} bytes: it is truncated"))
        .in_file(path)
        .expected(expected)
        .help("the download was cut off; fetch the file again")
}

fn invalid(path: &Path, error: &serde_json::Error) -> Diagnostic {
    Diagnostic::checkpoint(format!("not a valid safetensors header: {error}"))
        .in_file(path)
        .help("download the file again")
}
