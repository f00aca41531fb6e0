//! What the forms have in common: tensors beside each other that are checked, read and laid out anew.

use rayon::prelude::*;

use super::super::Loader;
use super::super::stored::{Stored, TensorEntry};
use crate::diagnostic::{Diagnostic, Result};
use crate::kernel::matrix::float16;
use crate::tensor::matrix::{Grouped, Matrix, groups};

/// Types of numbers that scales are stored in.
pub const NUMBERS: [&str; 4] = ["F32", "F16", "BF16", "F8_E8M0"];

impl Loader<'_> {
    /// Takes a tensor that belongs to a quantised layer.
    ///
    /// # Errors
    /// It is missing, or of another type.
    pub(super) fn part(&mut self, name: &str, types: &[&str]) -> Result<TensorEntry> {
        let Some(entry) = self.left.remove(name) else {
            return Err(Diagnostic::checkpoint("missing from the checkpoint")
                .in_file(&self.checkpoint.folder)
                .place(format!("tensor `{name}`"))
                .expected("what its kind of quantisation saves with a layer's codes")
                .help("a shard may be missing, or `quantization_config` belongs to another checkpoint"));
        };
        let stored = entry.stored.name();
        let size = size(stored);
        let count = entry
            .shape
            .iter()
            .try_fold(1usize, |count, side| count.checked_mul(*side));
        let whole = count.zip(size).and_then(|(count, size)| count.checked_mul(size));
        if !types.contains(&stored) || whole != Some(entry.bytes) || !entry.is_plain() {
            return Err(unfit(&entry, name, format!("stored as {stored}")).expected(types.join(" or ")));
        }
        Ok(entry)
    }

    /// As [`Self::part`], if it is there.
    ///
    /// # Errors
    /// It is of another type.
    pub(super) fn part_if_there(&mut self, name: &str, types: &[&str]) -> Result<Option<TensorEntry>> {
        self.has(name).then(|| self.part(name, types)).transpose()
    }

    /// The numbers of scales.
    pub(super) fn numbers(&mut self, entry: &TensorEntry) -> Result<Vec<f32>> {
        let bytes = self.read(entry)?;
        let half = |float: fn(u16) -> f32| -> Vec<f32> {
            let (pairs, _) = bytes.as_chunks::<2>();
            pairs.iter().map(|&pair| float(u16::from_le_bytes(pair))).collect()
        };
        Ok(match entry.stored {
            Stored::F32 => {
                let (floats, _) = bytes.as_chunks::<4>();
                floats.iter().map(|&float| f32::from_le_bytes(float)).collect()
            }
            Stored::F16 => half(float16),
            Stored::Bf16 => half(|bits| f32::from_bits(u32::from(bits) << 16)),
            // Powers of two: an exponent each.
            _ => bytes.iter().map(|&exponent| power_of_two(exponent)).collect(),
        })
    }

    /// The codes laid out row by row, where the model computes with them.
    pub(super) fn grouped(&self, grouped: Grouped, rows: usize) -> Matrix {
        groups(grouped, rows, &self.device, self.precision)
    }
}

/// 2^(exponent − 127); 255 is no number.
fn power_of_two(exponent: u8) -> f32 {
    match exponent {
        0 => 2f32.powi(-127),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(exponent) << 23),
    }
}

/// Bytes of an element of a type as safetensors calls it.
fn size(stored: &str) -> Option<usize> {
    Some(match stored {
        "I64" => 8,
        "F32" | "I32" => 4,
        "F16" | "BF16" => 2,
        "U8" | "I8" | "F8_E4M3" | "F8_E8M0" => 1,
        _ => return None,
    })
}

/// An error about a tensor.
pub fn unfit(entry: &TensorEntry, name: &str, what: String) -> Diagnostic {
    Diagnostic::checkpoint(what)
        .in_file(&entry.file)
        .place(format!("tensor `{name}`"))
}

/// Checks a shape.
///
/// # Errors
/// It is another.
pub fn shaped(entry: &TensorEntry, name: &str, shape: &[usize]) -> Result<()> {
    if entry.shape == shape {
        return Ok(());
    }
    Err(unfit(entry, name, format!("shape {:?}", entry.shape))
        .expected(format!("{shape:?}, by config.json and its `quantization_config`"))
        .help("config.json and weights belong to different models"))
}

/// Codes row by row from words `[words, rows]`, each of which has consecutive codes of one row: `spread` writes the
/// `bytes` that become of one.
pub fn turned(words: &[[u8; 4]], rows: usize, bytes: usize, spread: impl Fn([u8; 4], &mut [u8]) + Sync) -> Vec<u8> {
    let count = words.len() / rows;
    let line = count * bytes;
    // Rows whose words lie in one line of the cache.
    const TILE: usize = 16;
    let mut codes = vec![0; rows * line];
    codes.par_chunks_mut(TILE * line).enumerate().for_each(|(tile, codes)| {
        for at in 0..count {
            let words = &words[at * rows + tile * TILE..];
            for (&word, line) in words.iter().zip(codes.chunks_mut(line)) {
                spread(word, &mut line[at * bytes..(at + 1) * bytes]);
            }
        }
    });
    codes
}

/// `[columns, rows]` as `[rows, columns]`.
pub fn transposed<T: Copy>(from: &[T], rows: usize) -> Vec<T> {
    let columns = from.len() / rows;
    let row = |row| (0..columns).map(move |column| from[column * rows + row]);
    (0..rows).flat_map(row).collect()
}

/// Integers of so many bits, the lowest bits of a byte first.
pub fn integers(bytes: &[u8], bits: usize) -> impl Iterator<Item = u8> + '_ {
    let mask = ((1u16 << bits) - 1) as u8;
    let of = move |&byte: &u8| (0..8 / bits).map(move |index| byte >> (index * bits) & mask);
    bytes.iter().flat_map(of)
}

/// The group of each column, unless groups are simply consecutive, `group` columns each: `columns` are little-endian
/// int32.
///
/// # Errors
/// A group that there is not.
pub fn columns(
    entry: &TensorEntry,
    name: &str,
    columns: &[u8],
    group: usize,
    groups: usize,
) -> Result<Option<Vec<u32>>> {
    let (columns, _) = columns.as_chunks::<4>();
    let columns: Vec<u32> = columns.iter().map(|&column| u32::from_le_bytes(column)).collect();
    if let Some(wrong) = columns.iter().find(|&&column| column as usize >= groups) {
        return Err(unfit(entry, name, format!("a column of group {}", *wrong as i32))
            .expected(format!("groups 0 to {}", groups - 1))
            .download_again());
    }
    let consecutive = |(index, &column): (usize, &u32)| index / group == column as usize;
    let simple = columns.len().div_ceil(group) == groups && columns.iter().enumerate().all(consecutive);
    Ok((!simple).then_some(columns))
}

/// Scales of a matrix `[rows, width]` and how many consecutive elements share one, from a tensor that has one for the
/// whole, one for each row, one for each group of a row, or one for each block of `block` rows and columns.
pub struct Spread {
    /// Groups in a row.
    pub per_row: usize,
    /// Elements in a group.
    pub group: usize,
    /// Rows that share their scales.
    rows: usize,
}

impl Spread {
    /// By the shape of the scales; none: it is none of these.
    pub fn of(shape: &[usize], [rows, width]: [usize; 2], blocks: &[[usize; 2]]) -> Option<Self> {
        let by = |per_row: usize, group: usize, rows: usize| Some(Self { per_row, group, rows });
        match *shape {
            [] | [1] | [1, 1] => by(1, width, rows),
            [count] | [count, 1] if count == rows => by(1, width, 1),
            [down, along] => {
                let fits =
                    |&&[height, group]: &&[usize; 2]| rows.div_ceil(height) == down && width.div_ceil(group) == along;
                match blocks.iter().find(fits) {
                    Some(&[height, group]) => by(along, group, height),
                    None if down == rows && along > 0 && width.is_multiple_of(along) => by(along, width / along, 1),
                    None => None,
                }
            }
            _ => None,
        }
    }

    /// One for each group of each row.
    pub fn spread<T: Copy>(&self, of: &[T], rows: usize) -> Vec<T> {
        let row = |row: usize| &of[row / self.rows * self.per_row..(row / self.rows + 1) * self.per_row];
        (0..rows).flat_map(row).copied().collect()
    }
}
