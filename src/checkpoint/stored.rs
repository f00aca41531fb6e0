//! Where a tensor is in a file, and the form of its numbers there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::DType;

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::kernel::packed::BlockType;

/// The form of a tensor's elements in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Four bytes.
    F32,
    /// Two bytes, IEEE.
    F16,
    /// Two bytes: the upper half of a float32.
    Bf16,
    /// Bytes: codes of 4 bits and what goes with them.
    U8,
    /// Blocks of ggml, whole ones in each row.
    Blocks(BlockType),
    /// Something that is not computed with, by the name that the file gives it.
    Other(Arc<str>),
}

impl Stored {
    /// The dtype, if the elements are numbers that are computed with.
    pub fn float(&self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
            Self::U8 | Self::Blocks(_) | Self::Other(_) => None,
        }
    }

    /// Bytes of an element; unknown for what is not computed with.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::U8 => Some(1),
            other => other.float().map(|dtype| dtype.size()),
        }
    }

    /// As safetensors calls it, or ggml.
    pub fn name(&self) -> &str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::U8 => "U8",
            Self::Blocks(kind) => kind.name(),
            Self::Other(name) => name,
        }
    }
}

/// How a tensor's elements lie, where they do not simply follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strides {
    /// Elements between neighbours, for each side of the shape.
    pub strides: Vec<usize>,
    /// Bytes from its first element to the end of its last.
    pub span: usize,
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorEntry {
    /// The shard.
    pub file: Arc<Path>,
    /// First byte in the shard.
    pub offset: u64,
    /// Number of bytes, once its elements follow each other.
    pub bytes: usize,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
    /// As stored.
    pub stored: Stored,
    /// None: its elements follow each other, the last side first.
    pub strides: Option<Strides>,
    /// The most significant byte of an element comes first.
    pub big_endian: bool,
}

impl TensorEntry {
    /// Whether the file's bytes are the tensor's, as they stand.
    pub fn is_plain(&self) -> bool {
        self.strides.is_none() && !self.big_endian
    }

    /// The same matrix with rows and columns exchanged, gathered as it is read.
    pub fn transposed(mut self) -> Self {
        let [rows, columns] = self.shape[..] else { return self };
        let strides = match self.strides.take() {
            Some(Strides { strides, span }) => Strides {
                strides: strides.into_iter().rev().collect(),
                span,
            },
            None => Strides {
                strides: vec![1, columns],
                span: self.bytes,
            },
        };
        self.strides = Some(strides);
        self.shape = vec![columns, rows];
        self
    }

    /// One of the tensors that it is a list of, by its place on the first side.
    pub fn part(&self, index: usize) -> Self {
        let mut part = self.clone();
        let count = part.shape.remove(0).max(1);
        let size = self.stored.size().unwrap_or(1);
        part.bytes /= count;
        let step = match &mut part.strides {
            None => part.bytes,
            Some(Strides { strides, span }) => {
                let step = strides.remove(0) * size;
                *span -= step * (count - 1);
                step
            }
        };
        part.offset += (index * step) as u64;
        part
    }

    /// Its elements, one after the other, the least significant byte first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, file: &mut File) -> Result<Vec<u8>> {
        let io = |error: &std::io::Error| unreadable(self, error);
        let mut bytes = vec![0; self.strides.as_ref().map_or(self.bytes, |strides| strides.span)];
        file.seek(SeekFrom::Start(self.offset)).map_err(|e| io(&e))?;
        file.read_exact(&mut bytes).map_err(|e| io(&e))?;
        let size = self.stored.size().unwrap_or(1);
        if let Some(Strides { strides, .. }) = &self.strides {
            bytes = gathered(&bytes, size, &self.shape, strides, self.bytes);
        }
        if self.big_endian {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }
}

/// An error of the system while weights are read.
pub fn unreadable(entry: &TensorEntry, error: &std::io::Error) -> Diagnostic {
    Diagnostic::io(Kind::Checkpoint, "read the weights", &entry.file, error)
}

/// Elements of `size` bytes in the order of the shape, from where their strides say; `span` holds them all.
fn gathered(span: &[u8], size: usize, shape: &[usize], strides: &[usize], bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes);
    // A side of one element has no neighbours: what its stride says does not matter.
    let sides: Vec<(usize, usize)> = shape
        .iter()
        .copied()
        .zip(strides.iter().copied())
        .filter(|(side, _)| *side != 1)
        .collect();
    if shape.contains(&0) {
        return out;
    }
    let mut at = vec![0; sides.len()];
    let mut from = 0;
    loop {
        out.extend_from_slice(&span[from * size..(from + 1) * size]);
        // One further, as a counter with a digit for each side.
        let mut digit = sides.len();
        loop {
            let Some(next) = digit.checked_sub(1) else { return out };
            digit = next;
            let (side, stride) = sides[digit];
            at[digit] += 1;
            from += stride;
            if at[digit] < side {
                break;
            }
            from -= side * stride;
            at[digit] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_transposed_matrix_is_read_in_its_own_order() {
        // [[0, 1, 2], [3, 4, 5]] transposed.
        assert_eq!(
            gathered(&[0, 1, 2, 3, 4, 5], 1, &[3, 2], &[1, 3], 6),
            [0, 3, 1, 4, 2, 5]
        );
        // One element for a whole row.
        assert_eq!(gathered(&[7, 8], 2, &[3], &[0], 6), [7, 8, 7, 8, 7, 8]);
        assert_eq!(gathered(&[], 4, &[3, 0], &[9, 9], 0), [0u8; 0]);
        assert_eq!(gathered(&[1, 2], 2, &[], &[], 2), [1, 2]);
    }

    #[test]
    fn a_part_is_found_in_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        std::fs::write(&path, (0..13).collect::<Vec<u8>>()).unwrap();
        let plain = TensorEntry {
            file: path.as_path().into(),
            offset: 1,
            bytes: 12,
            shape: vec![3, 2, 2],
            stored: Stored::U8,
            strides: None,
            big_endian: false,
        };
        // The same numbers, the first side last.
        let strided = TensorEntry {
            strides: Some(Strides {
                strides: vec![1, 6, 3],
                span: 12,
            }),
            ..plain.clone()
        };
        let read = |entry: TensorEntry| entry.read(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!(read(plain.part(1)), [5, 6, 7, 8]);
        assert_eq!(read(plain.part(2).transposed()), [9, 11, 10, 12]);
        assert_eq!(read(strided.part(2)), [3, 6, 9, 12]);
    }

    proptest! {
        #[test]
        fn any_order_of_sides_is_gathered(sides in proptest::collection::vec(1usize..5, 1..4), seed in 0usize..6) {
            // Strides of an array whose sides were put into another order.
            let mut order: Vec<usize> = (0..sides.len()).collect();
            order.rotate_left(seed % sides.len());
            let mut strides = vec![0; sides.len()];
            let mut stride = 1;
            for &side in &order {
                strides[side] = stride;
                stride *= sides[side];
            }
            let span: Vec<u8> = (0..stride).map(|n| n as u8).collect();
            let out = gathered(&span, 1, &sides, &strides, stride);
            let mut expected = Vec::new();
            for index in 0..stride {
                let (mut left, mut from) = (index, 0);
                for (&side, &stride) in sides.iter().zip(&strides).rev() {
                    from += left % side * stride;
                    left /= side;
                }
                expected.push(span[from]);
            }
            prop_assert_eq!(out, expected);
        }
    }
}
