//! Weights as other programs have packed them: the block types of ggml, of which GGUF files are made, and groups
//! ([`Groups`]), to which the packed checkpoints of transformers come.
//!
//! A block is some consecutive weights of one row: small integers, and the scales that make numbers of them. Every type
//! expands to the bits that `gguf.quants.dequantize` of the Python package `gguf` gives: the same float32 operations in
//! the same order.

mod groups;
mod small;
mod super_blocks;

pub use groups::{Codes, Groups};

use super::matrix::{Elements, Half, float16};

/// A type of tensor of ggml.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "ggml's own names")]
pub enum BlockType {
    /// float32
    F32,
    /// float16
    F16,
    /// bfloat16
    BF16,
    /// 4 bits, a scale.
    Q4_0,
    /// 4 bits, a scale and a least value.
    Q4_1,
    /// 5 bits, a scale.
    Q5_0,
    /// 5 bits, a scale and a least value.
    Q5_1,
    /// 8 bits, a scale.
    Q8_0,
    /// 2 bits; scales and least values of 4 bits for each 16.
    Q2_K,
    /// 3 bits; scales of 6 bits for each 16.
    Q3_K,
    /// 4 bits; scales and least values of 6 bits for each 32.
    Q4_K,
    /// 5 bits; scales and least values of 6 bits for each 32.
    Q5_K,
    /// 6 bits; scales of 8 bits for each 16.
    Q6_K,
    /// 4 bits: codes of a fixed table that is denser near zero; a scale.
    IQ4_NL,
    /// 4-bit floating point (E2M1), the scale a power of two.
    MXFP4,
}

/// Number, name, elements of a block, bytes of a block.
type Row = (u32, &'static str, usize, usize);

impl BlockType {
    /// Those that are computed with.
    pub const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::IQ4_NL,
        Self::MXFP4,
    ];

    fn row(self) -> Row {
        match self {
            Self::F32 => (0, "F32", 1, 4),
            Self::F16 => (1, "F16", 1, 2),
            Self::Q4_0 => (2, "Q4_0", 32, 18),
            Self::Q4_1 => (3, "Q4_1", 32, 20),
            Self::Q5_0 => (6, "Q5_0", 32, 22),
            Self::Q5_1 => (7, "Q5_1", 32, 24),
            Self::Q8_0 => (8, "Q8_0", 32, 34),
            Self::Q2_K => (10, "Q2_K", 256, 84),
            Self::Q3_K => (11, "Q3_K", 256, 110),
            Self::Q4_K => (12, "Q4_K", 256, 144),
            Self::Q5_K => (13, "Q5_K", 256, 176),
            Self::Q6_K => (14, "Q6_K", 256, 210),
            Self::IQ4_NL => (20, "IQ4_NL", 32, 18),
            Self::BF16 => (30, "BF16", 1, 2),
            Self::MXFP4 => (39, "MXFP4", 32, 17),
        }
    }

    /// The type that a GGUF file means by this number; none: one that is not computed with.
    pub fn from_ggml(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number in a GGUF file.
    pub fn number(self) -> u32 {
        self.row().0
    }

    /// As ggml calls it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Elements of a block.
    pub fn elements(self) -> usize {
        self.row().2
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.row().3
    }

    /// Bytes of this many elements; none where they are no whole blocks, or too many to count.
    pub fn size(self, elements: usize) -> Option<usize> {
        let blocks = elements / self.elements();
        if elements.is_multiple_of(self.elements()) {
            blocks.checked_mul(self.bytes())
        } else {
            None
        }
    }

    /// Writes the elements from `first` on as float32.
    ///
    /// # Panics
    /// If there are fewer elements than that.
    pub fn expand(self, bytes: &[u8], first: usize, to: &mut [f32]) {
        match self {
            Self::F32 => {
                let (floats, _) = bytes.as_chunks::<4>();
                let floats = &floats[first..first + to.len()];
                for (to, &float) in to.iter_mut().zip(floats) {
                    *to = f32::from_le_bytes(float);
                }
            }
            Self::F16 => Elements::Halves(bytes, Half::F16).expand(first, to),
            Self::BF16 => Elements::Halves(bytes, Half::Bf16).expand(first, to),
            _ => expand_blocks(self, bytes, first, to),
        }
    }
}

/// Weights in blocks.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// What blocks they are.
    pub kind: BlockType,
    /// Block after block.
    pub bytes: &'a [u8],
    /// Where among the elements the matrix begins.
    pub first: usize,
}

impl Blocks<'_> {
    /// Elements from the first of the matrix on.
    pub fn len(&self) -> usize {
        (self.bytes.len() / self.kind.bytes() * self.kind.elements()).saturating_sub(self.first)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the elements from `first` on as float32.
    ///
    /// # Panics
    /// If there are fewer elements than that.
    pub fn expand(&self, first: usize, to: &mut [f32]) {
        self.kind.expand(self.bytes, self.first + first, to);
    }
}

/// Weights as codes of one size, for a device: a weight is (value of its code − zero point) · scale − least value, in
/// float32, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    /// One for each weight, row by row.
    pub codes: Vec<u8>,
    /// What a code stands for: 16 numbers (codes of 4 bits) or 256.
    pub values: Vec<f32>,
    /// One for each group of weights.
    pub scales: Vec<f32>,
    /// The same of zero points; empty: none.
    pub zeros: Vec<f32>,
    /// The same of least values; empty: none.
    pub leasts: Vec<f32>,
    /// Which group a weight belongs to.
    pub groups: Grouping,
}

/// Which group a weight belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum Grouping {
    /// So many consecutive weights are a group, and a row is whole groups.
    Consecutive(usize),
    /// The group of each column, of so many that each row has of its own.
    ByColumn {
        /// One for each column.
        of: Vec<u32>,
        /// Groups of a row.
        per_row: usize,
    },
}

impl BlockType {
    /// The same weights as codes; none where they are numbers without blocks.
    ///
    /// # Panics
    /// If `bytes` are no whole blocks.
    pub fn coded(self, bytes: &[u8]) -> Option<Coded> {
        let few: Option<Vec<i32>> = match self {
            Self::F32 | Self::F16 | Self::BF16 => return None,
            Self::Q4_0 => Some((-8..8).collect()),
            Self::Q4_1 | Self::Q4_K | Self::Q2_K => Some((0..16).collect()),
            Self::Q3_K => Some((-4..12).collect()),
            Self::IQ4_NL => Some(small::NOT_LINEAR.to_vec()),
            // Its two zeros are one value.
            Self::MXFP4 => Some((0..16).map(small::twice_e2m1).collect()),
            Self::Q5_0 | Self::Q5_1 | Self::Q5_K | Self::Q6_K | Self::Q8_0 => None,
        };
        let group = match self {
            Self::Q2_K | Self::Q3_K | Self::Q6_K => 16,
            _ => 32,
        };
        let least = matches!(self, Self::Q4_1 | Self::Q5_1 | Self::Q2_K | Self::Q4_K | Self::Q5_K);
        // The code of each integer, in the place of its lowest byte.
        let mut code_of: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        for (code, &value) in few.as_deref().unwrap_or_default().iter().enumerate().rev() {
            code_of[usize::from(value as u8)] = code as u8;
        }
        let values = match few {
            Some(values) => values.into_iter().map(|value| value as f32).collect(),
            None => (0..=255u8).map(|byte| f32::from(byte as i8)).collect(),
        };
        let count = bytes.len() / self.bytes() * self.elements();
        let mut coded = Coded {
            codes: Vec::with_capacity(count),
            values,
            scales: Vec::with_capacity(count / group),
            zeros: vec![],
            leasts: vec![],
            groups: Grouping::Consecutive(group),
        };
        let mut of_block = vec![(0, 0.0, 0.0); self.elements()];
        for block in bytes.chunks_exact(self.bytes()) {
            each(self, block, 0, &mut of_block, |q, scale, least| (q, scale, least));
            coded
                .codes
                .extend(of_block.iter().map(|&(q, ..)| code_of[usize::from(q as u8)]));
            let firsts = of_block.iter().step_by(group);
            coded.scales.extend(firsts.clone().map(|&(_, scale, _)| scale));
            if least {
                coded.leasts.extend(firsts.map(|&(_, _, least)| least));
            }
        }
        Some(coded)
    }
}

impl Groups<'_> {
    /// The same weights as codes; from the first of a row on.
    pub fn coded(&self) -> Coded {
        let first = self.first;
        let rows = self.len() / self.width;
        let of_groups = first / self.width * self.per_row..(first / self.width + rows) * self.per_row;
        let (codes, values) = match self.kind {
            Codes::Four => {
                let of = |index: usize| self.codes[index / 2] >> (index % 2 * 4) & 15;
                (
                    (first..first + self.len()).map(of).collect(),
                    (0..16).map(|q| q as f32).collect(),
                )
            }
            Codes::Eight => (self.codes[first..].to_vec(), (0..256).map(|q| q as f32).collect()),
            Codes::E4m3 => (self.codes[first..].to_vec(), (0..=255).map(groups::e4m3).collect()),
        };
        let zeros = match (self.kind, self.zeros) {
            (Codes::E4m3, _) => vec![],
            (kind, []) => vec![f32::from(kind.middle()); of_groups.len()],
            (_, zeros) => zeros[of_groups.clone()].iter().copied().map(f32::from).collect(),
        };
        let even = self.columns.is_none() && self.width.is_multiple_of(self.group);
        Coded {
            codes,
            values,
            scales: self.scales[of_groups].to_vec(),
            zeros,
            leasts: vec![],
            groups: match self.columns {
                // Words of a device hold eight codes, and a group is whole words.
                None if even && self.group.is_multiple_of(8) => Grouping::Consecutive(self.group),
                columns => Grouping::ByColumn {
                    of: columns.map_or_else(
                        || (0..self.width).map(|column| (column / self.group) as u32).collect(),
                        <[u32]>::to_vec,
                    ),
                    per_row: self.per_row,
                },
            },
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn expand_blocks(kind: BlockType, bytes: &[u8], first: usize, to: &mut [f32]) {
    // Where nothing is subtracted `least` is the constant 0.0, which the compiler leaves out.
    each(kind, bytes, first, to, |q, scale, least| scale * q as f32 - least);
}

/// What `number` makes of each weight from `first` on.
#[inline(always)]
fn each<T: Copy + Default>(
    kind: BlockType,
    bytes: &[u8],
    first: usize,
    to: &mut [T],
    number: impl Fn(i32, f32, f32) -> T + Copy,
) {
    match kind {
        BlockType::Q4_0 => whole(bytes, first, to, |block, to| small::q4_0(block, to, number)),
        BlockType::Q4_1 => whole(bytes, first, to, |block, to| small::q4_1(block, to, number)),
        BlockType::Q5_0 => whole(bytes, first, to, |block, to| small::q5_0(block, to, number)),
        BlockType::Q5_1 => whole(bytes, first, to, |block, to| small::q5_1(block, to, number)),
        BlockType::Q8_0 => whole(bytes, first, to, |block, to| small::q8_0(block, to, number)),
        BlockType::IQ4_NL => whole(bytes, first, to, |block, to| small::iq4_nl(block, to, number)),
        BlockType::MXFP4 => whole(bytes, first, to, |block, to| small::mxfp4(block, to, number)),
        BlockType::Q2_K => whole(bytes, first, to, |block, to| super_blocks::q2_k(block, to, number)),
        BlockType::Q3_K => whole(bytes, first, to, |block, to| super_blocks::q3_k(block, to, number)),
        BlockType::Q4_K => whole(bytes, first, to, |block, to| super_blocks::q4_k(block, to, number)),
        BlockType::Q5_K => whole(bytes, first, to, |block, to| super_blocks::q5_k(block, to, number)),
        BlockType::Q6_K => whole(bytes, first, to, |block, to| super_blocks::q6_k(block, to, number)),
        BlockType::F32 | BlockType::F16 | BlockType::BF16 => unreachable!("expanded without blocks"),
    }
}

/// Blocks by `block`; of the first and of the last one a part may be wanted.
#[inline(always)]
fn whole<T: Copy + Default, const BYTES: usize, const COUNT: usize>(
    bytes: &[u8],
    first: usize,
    to: &mut [T],
    block: impl Fn(&[u8; BYTES], &mut [T; COUNT]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let mut blocks = blocks[(first / COUNT).min(blocks.len())..].iter();
    let mut next = || {
        blocks
            .next()
            .unwrap_or_else(|| panic!("a matrix ends within what is read"))
    };
    let part = |from: usize, to: &mut [T], bytes: &[u8; BYTES]| {
        let mut all = [T::default(); COUNT];
        block(bytes, &mut all);
        to.copy_from_slice(&all[from..from + to.len()]);
    };
    let mut to = to;
    let into = first % COUNT;
    if into > 0 && !to.is_empty() {
        let (now, later) = to.split_at_mut((COUNT - into).min(to.len()));
        part(into, now, next());
        to = later;
    }
    let (now, rest) = to.as_chunks_mut::<COUNT>();
    for now in now {
        block(next(), now);
    }
    if !rest.is_empty() {
        part(0, rest, next());
    }
}

/// The float16 at a place of a block.
#[inline(always)]
fn half(block: &[u8], at: usize) -> f32 {
    float16(u16::from_le_bytes([block[at], block[at + 1]]))
}

#[cfg(test)]
mod tests;
