//! GGUF files, the format of llama.cpp: metadata, then the tensors' names, shapes and places, then their bytes.
//!
//! After the [specification](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3,
//! little-endian. What the file says of lengths is held against its size before anything is allocated; its metadata
//! stays as the bytes that it is in the file and is read where it is asked for, since a vocabulary has hundreds of
//! thousands of texts.

mod header;
mod metadata;
mod model;
#[cfg(test)]
mod tests;
mod types;
#[cfg(test)]
pub(crate) mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Result};
use header::Header;
pub use metadata::Metadata;
use metadata::{Kind, Spans};
pub use model::{is_file, open};
pub use types::TensorType;

/// Tensors of one file; no model has a tenth of them.
const MOST_TENSORS: u64 = 1 << 20;
/// Keys of one file.
const MOST_KEYS: u64 = 1 << 16;
/// ggml's own bound on the sides of a tensor.
const MOST_SIDES: u32 = 4;
/// Where the tensors' bytes begin, unless `general.alignment` says otherwise.
const ALIGNMENT: u64 = 32;

/// A file's head: everything but the tensors' bytes.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: Arc<Path>,
    /// 2 or 3.
    pub version: u32,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its tensors, in the order of their bytes.
    pub tensors: Vec<Tensor>,
}

/// A tensor's place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape, outermost first (the file has it the other way round).
    pub shape: Vec<usize>,
    /// The form of its elements.
    pub kind: TensorType,
    /// Its first byte in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: usize,
}

/// A tensor as it is announced, before it is known where tensors begin.
struct Announced {
    name: String,
    shape: Vec<usize>,
    kind: TensorType,
    offset: u64,
    bytes: usize,
}

/// Reads a file's head, and checks that the tensors that it announces are in the file.
///
/// # Errors
/// The file cannot be read; it is of another format, version or byte order; it ends too early; a key, or a tensor's
/// name, occurs twice; a value or a tensor is of an unknown type; tensors overlap, or do not lie where they may.
pub fn read(path: &Path) -> Result<File> {
    let mut header = Header::open(path)?;
    let version = header.version()?;
    let tensors = header.u64("the number of tensors")?;
    let keys = header.u64("the number of metadata keys")?;
    for (count, most, what) in [(tensors, MOST_TENSORS, "tensors"), (keys, MOST_KEYS, "metadata keys")] {
        if count > most {
            return Err(header
                .wrong(format!("the head announces {count} {what}"))
                .expected(format!("at most {most}"))
                .download_again());
        }
    }
    let spans = header.metadata(keys)?;
    let alignment = alignment(&header, &spans)?;
    let announced = announced(&mut header, tensors, alignment)?;
    let start = header.at() as u64;
    let start = start.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let tensors = placed(&header, announced, start)?;
    Ok(File {
        path: path.into(),
        version,
        metadata: Metadata::new(path, header.into_bytes(), spans),
        tensors,
    })
}

fn alignment(header: &Header, spans: &Spans) -> Result<u64> {
    const KEY: &str = "general.alignment";
    let Some((kind, span)) = spans.get(KEY) else {
        return Ok(ALIGNMENT);
    };
    let number = match (kind, header.bytes(span.clone()).first_chunk::<4>()) {
        (Kind::U32, Some(bytes)) => Some(u64::from(u32::from_le_bytes(*bytes))),
        _ => None,
    };
    number.filter(|number| number.is_power_of_two()).ok_or_else(|| {
        header
            .wrong(match number {
                Some(number) => number.to_string(),
                None => format!("a value of type {}", kind.name()),
            })
            .place(format!("`{KEY}`"))
            .expected("a power of two, as u32")
    })
}

/// The tensors' names, shapes and types.
fn announced(header: &mut Header, count: u64, alignment: u64) -> Result<Vec<Announced>> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    for index in 0..count {
        let name = header.text(&format!("the name of tensor {index}"))?;
        let place = format!("tensor `{name}`");
        let sides = header.u32(&place)?;
        if sides == 0 || sides > MOST_SIDES {
            return Err(header
                .wrong(format!("{sides} sides"))
                .place(place)
                .expected(format!("1 to {MOST_SIDES}"))
                .download_again());
        }
        let mut inner_first = Vec::new();
        for _ in 0..sides {
            inner_first.push(header.u64(&place)?);
        }
        let number = header.u32(&place)?;
        let offset = header.u64(&place)?;
        let Some(kind) = TensorType::of(number) else {
            return Err(header
                .wrong(format!("stored in an unknown type (number {number})"))
                .place(place)
                .expected(format!("one of {}", types::known())));
        };
        let bytes = size(&inner_first, kind).filter(|_| !inner_first.contains(&0));
        let Some(bytes) = bytes else {
            let (elements, _) = kind.block();
            let shown: Vec<String> = inner_first.iter().rev().map(u64::to_string).collect();
            return Err(header
                .wrong(format!("shape [{}] of {}", shown.join(", "), kind.name()))
                .place(place)
                .expected(format!(
                    "sides of 1 or more, the last a multiple of {elements}, that fit into the file"
                ))
                .download_again());
        };
        if !offset.is_multiple_of(alignment) {
            return Err(header
                .wrong(format!("its bytes begin at {offset}"))
                .place(place)
                .expected(format!("a multiple of {alignment}"))
                .download_again());
        }
        if !names.insert(name.clone()) {
            return Err(header
                .wrong("announced twice")
                .place(place)
                .expected("each tensor once"));
        }
        let shape = inner_first.iter().rev().map(|&side| side as usize).collect();
        all.push(Announced {
            name,
            shape,
            kind,
            offset,
            bytes,
        });
    }
    Ok(all)
}

/// Bytes of a tensor; none where its rows are no whole blocks, or they are more than can be addressed.
fn size(inner_first: &[u64], kind: TensorType) -> Option<usize> {
    let (elements, bytes) = kind.block();
    let first = *inner_first.first()?;
    if !first.is_multiple_of(elements as u64) {
        return None;
    }
    let count = inner_first
        .iter()
        .try_fold(1u64, |product, &side| product.checked_mul(side))?;
    let bytes = (count / elements as u64).checked_mul(bytes as u64)?;
    usize::try_from(bytes).ok().filter(|_| isize::try_from(count).is_ok())
}

/// The tensors in the order of their bytes, each in the file and none in another.
fn placed(header: &Header, mut announced: Vec<Announced>, start: u64) -> Result<Vec<Tensor>> {
    announced.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
    let mut before: Option<(u64, &str)> = None;
    for tensor in &announced {
        let end = start
            .checked_add(tensor.offset)
            .and_then(|from| from.checked_add(tensor.bytes as u64));
        let place = || format!("tensor `{}`", tensor.name);
        match end {
            Some(end) if end <= header.size() => {}
            _ => {
                return Err(header
                    .truncated()
                    .place(place())
                    .expected(match end {
                        Some(end) => format!("{end} bytes or more, as its head says"),
                        None => "bytes that can be addressed".to_owned(),
                    })
                    .may_be_damaged());
            }
        }
        if let Some((end, other)) = before
            && tensor.offset < end
        {
            return Err(header
                .wrong(format!("its bytes are also those of `{other}`"))
                .place(place())
                .download_again());
        }
        before = Some((tensor.offset + tensor.bytes as u64, &tensor.name));
    }
    let tensor = |tensor: Announced| Tensor {
        name: tensor.name,
        shape: tensor.shape,
        kind: tensor.kind,
        offset: start + tensor.offset,
        bytes: tensor.bytes,
    };
    Ok(announced.into_iter().map(tensor).collect())
}

impl File {
    /// An error in this file.
    pub fn wrong(&self, what: impl Into<String>) -> Diagnostic {
        Diagnostic::checkpoint(what).in_file(&self.path)
    }
}
