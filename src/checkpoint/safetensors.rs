//! Safetensors files: the header is read and checked here, tensors are read one at a time by offset.
//!
//! The file is not mapped into memory: mapped pages count as resident, and a load would then hold the checkpoint twice.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::stored::{Stored, TensorEntry};
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
    let Header(mut tensors) = serde_json::from_slice(&header).map_err(|e| invalid(path, &e))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    // Checks shapes, dtypes and that the tensors' bytes follow each other without holes.
    let metadata = Metadata::new(None, tensors.clone()).map_err(|e| invalid(path, &e))?;
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
    let file: Arc<Path> = path.into();
    let entry = |(name, info): (String, TensorInfo)| {
        let (from, to) = info.data_offsets;
        let entry = TensorEntry {
            file: file.clone(),
            offset: start + from as u64,
            bytes: to - from,
            shape: info.shape,
            stored: match info.dtype {
                Dtype::F32 => Stored::F32,
                Dtype::F16 => Stored::F16,
                Dtype::BF16 => Stored::Bf16,
                // Codes of 4 bits and what goes with them; anything else of bytes is refused when it is taken.
                Dtype::U8 => Stored::U8,
                // It may be a mask, which is ignored; a layer that needs it reports what it is.
                other => Stored::Other(format!("{other:?}").into()),
            },
            strides: None,
            big_endian: false,
        };
        (name, entry)
    };
    Ok(tensors.into_iter().map(entry).collect())
}

/// The header: an object of tensors, and of texts under `__metadata__`, which say nothing of them.
///
/// (The crate's own type keeps the whole object in between, which takes seconds where there are a million of them.)
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        tensors.push((name, map.next_value()?));
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

fn truncated(path: &Path, size: u64, expected: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("the file ends after {size} bytes: it is truncated"))
        .in_file(path)
        .expected(expected)
        .help("the download was cut off; fetch the file again")
}

fn invalid(path: &Path, error: &dyn fmt::Display) -> Diagnostic {
    Diagnostic::checkpoint(format!("not a valid safetensors header: {error}"))
        .in_file(path)
        .help("download the file again")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &[u8], data: usize) -> Result<Vec<(String, TensorEntry)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &vec![0; data]].concat();
        std::fs::write(&path, bytes).unwrap();
        entries(&path)
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"I64","shape":[1,2],"data_offsets":[8,24]},"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}"#;

    #[test]
    fn tensors_are_placed_in_the_order_of_their_bytes() {
        let entries = read(TWO.as_bytes(), 24).unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.stored.name(), entry.bytes))
            .collect();
        assert_eq!(found, [("a", "F16", 8), ("b", "I64", 16)]);
        assert_eq!(entries[1].1.offset, 8 + TWO.len() as u64 + 8);
    }

    #[test]
    fn a_header_that_is_none_is_told() {
        for bad in [
            "[]",
            "{",
            r#"{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,7]}}"#,
            r#"{"a":{"dtype":"F16","shape":[4],"data_offsets":[8,16]}}"#,
            r#"{"a":{"dtype":"F99","shape":[4],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F16","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
        ] {
            assert!(
                read(bad.as_bytes(), 8)
                    .unwrap_err()
                    .message
                    .contains("not a valid safetensors header"),
                "{bad}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_change_of_a_header_makes_it_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), data in 0usize..40) {
            let mut header = TWO.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at % header.len();
                header[at] = byte;
            }
            _ = read(&header, data);
        }
    }
}
