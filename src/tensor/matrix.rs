//! A model's matrices: tensors, or a form smaller than the one they are computed in.
//!
//! Where the CPU's kernels compute in float32, half precision stays as the checkpoint has it: they expand it while they
//! read it, to the bit what a float32 copy would be, in half the memory. Packed weights (4 bits of bitsandbytes, blocks of
//! ggml, groups of GPTQ and its like) stay packed where the kernels compute. On a device those of linear layers are codes
//! of 4 or 8 bits with what makes numbers of them, and a matrix is expanded while it computes, one at a time; the
//! embedding table and the output layer, of which single rows are wanted, are there in what is computed in.

use std::sync::Arc;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, bf16};

use super::host;
use crate::kernel::matrix::{BLOCK, Code, Elements, Four, Half};
use crate::kernel::packed::{BlockType, Blocks, Coded, Codes, Grouping, Groups};
use crate::random::{self, SplitMix64};

/// The form in which a model's weights are in memory, and what it computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// What it computes in.
    pub dtype: DType,
    /// How the linear layers but the output layer are quantised while they are read. None: not at all, or as the
    /// checkpoint has it.
    pub quantization: Option<Code>,
    /// The CPU's kernels compute with it: half precision stays as it is stored, and all of it in main memory.
    pub kernels: bool,
}

impl From<DType> for Precision {
    /// Everything as a tensor in one dtype.
    fn from(dtype: DType) -> Self {
        Self {
            dtype,
            quantization: None,
            kernels: false,
        }
    }
}

/// A matrix of weights, `[out, in]`.
#[derive(Module, Debug)]
pub struct Matrix {
    /// None where it has another form.
    whole: Option<Param<Tensor<2>>>,
    #[module(skip)]
    kept: Option<Compact>,
}

impl From<Param<Tensor<2>>> for Matrix {
    fn from(param: Param<Tensor<2>>) -> Self {
        Self {
            whole: Some(param),
            kept: None,
        }
    }
}

impl From<Compact> for Matrix {
    fn from(kept: Compact) -> Self {
        Self {
            whole: None,
            kept: Some(kept),
        }
    }
}

impl Matrix {
    /// `[out, in]`
    pub fn dims(&self) -> [usize; 2] {
        match (&self.whole, &self.kept) {
            (Some(whole), _) => whole.dims(),
            (None, kept) => kept.as_ref().map_or([0; 2], |kept| kept.dims),
        }
    }

    /// As a tensor; another form is expanded.
    pub fn val(&self) -> Tensor<2> {
        match (&self.whole, &self.kept) {
            (Some(whole), _) => whole.val(),
            (None, Some(kept)) => kept.tensor(),
            (None, None) => unreachable!("made from the one or the other"),
        }
    }

    /// The smaller form, where it has one.
    pub fn kept(&self) -> Option<&Compact> {
        self.kept.as_ref()
    }

    /// Some of its rows; what is in main memory is not copied.
    pub fn rows(&self, from: usize, count: usize) -> Self {
        match &self.kept {
            Some(kept) => kept.rows(from, count).into(),
            None => {
                let rows = self.val().narrow(0, from, count);
                Param::initialized(ParamId::new(), rows).into()
            }
        }
    }

    /// Rows in this order, in the form in which they are stored; a copy.
    pub fn gather(&self, rows: &[usize]) -> Self {
        match &self.kept {
            Some(kept) => kept.gather(rows),
            None => {
                let whole = self.val();
                let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows.len()]), &whole.device());
                Param::initialized(ParamId::new(), whole.select(0, ids)).into()
            }
        }
    }

    /// The same numbers, each in a random place. Half precision and tensors stay what they are; another form is expanded
    /// first, into bfloat16 in main memory where the kernels read it, else into a tensor of what is computed in.
    pub fn shuffled(&self, random: &mut SplitMix64) -> Self {
        let dims = self.dims();
        match &self.kept {
            Some(Compact {
                form: Form::Halves(bytes, half),
                first,
                ..
            }) => {
                let size = 2 * dims.into_iter().product::<usize>();
                let mut numbers: Vec<[u8; 2]> = bytes[2 * first..][..size]
                    .chunks_exact(2)
                    .map(|number| [number[0], number[1]])
                    .collect();
                random::shuffle(&mut numbers, random);
                Compact::halves(numbers.concat(), *half, dims).into()
            }
            kept => {
                let whole = self.val();
                let (device, dtype) = (whole.device(), whole.dtype());
                let in_memory = kept.as_ref().is_some_and(|kept| kept.elements().is_some());
                if in_memory {
                    let mut numbers = host::floats(whole);
                    random::shuffle(&mut numbers, random);
                    let halves = numbers.iter().map(|&number| bf16::from_f32(number).to_le_bytes());
                    let bytes: Vec<[u8; 2]> = halves.collect();
                    return Compact::halves(bytes.concat(), Half::Bf16, dims).into();
                }
                let mut numbers = host::doubles(whole);
                random::shuffle(&mut numbers, random);
                let tensor = Tensor::from_data(TensorData::new(numbers, dims), (&device, dtype));
                Param::initialized(ParamId::new(), tensor).into()
            }
        }
    }

    /// Chosen rows, `[rows, in]`, as float32 or the tensor's own dtype.
    pub fn select(&self, rows: &[u32]) -> Tensor<2> {
        match &self.kept {
            Some(kept) => kept.select(rows),
            None => {
                let table = self.val();
                let ids: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows.len()]), &table.device());
                table.select(0, ids)
            }
        }
    }
}

/// A matrix in a smaller form than it is computed in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Compact {
    form: Form,
    dims: [usize; 2],
    /// Elements before it in what it is a part of.
    first: usize,
}

#[derive(Clone, Debug)]
enum Form {
    Halves(Arc<Vec<u8>>, Half),
    Four(Arc<FourBit>),
    Blocks(Arc<Vec<u8>>, BlockType),
    Groups(Arc<Grouped>),
    OnDevice(Arc<OnDevice>),
}

/// 4-bit codes in main memory.
#[derive(Debug)]
pub struct FourBit {
    /// Two a byte, the even element in the high half.
    pub codes: Vec<u8>,
    /// One for each [`BLOCK`].
    pub scales: Vec<f32>,
    /// What a code stands for.
    pub values: [f32; 16],
}

impl FourBit {
    /// The same weights as codes. Their blocks reach over rows, and the last one may be short.
    fn coded(self, dims: [usize; 2]) -> Coded {
        let nibbles = self.codes.iter().flat_map(|&pair| [pair >> 4, pair & 15]);
        Coded {
            codes: nibbles.take(dims[0] * dims[1]).collect(),
            values: self.values.to_vec(),
            scales: self.scales,
            zeros: vec![],
            leasts: vec![],
            groups: Grouping::Consecutive(BLOCK),
        }
    }
}

/// A matrix in groups, as [`Groups`] describes it.
#[derive(Debug)]
pub struct Grouped {
    /// Row by row.
    pub codes: Vec<u8>,
    /// What they are.
    pub kind: Codes,
    /// One for each group, row by row.
    pub scales: Vec<f32>,
    /// The same of zero points; empty: the middle of the codes.
    pub zeros: Vec<u8>,
    /// Elements in a row.
    pub width: usize,
    /// Groups in a row.
    pub per_row: usize,
    /// Consecutive elements that are a group.
    pub group: usize,
    /// Instead: the group of each column.
    pub columns: Option<Vec<u32>>,
}

impl Grouped {
    fn view(&self, first: usize) -> Groups<'_> {
        Groups {
            codes: &self.codes,
            kind: self.kind,
            scales: &self.scales,
            zeros: &self.zeros,
            width: self.width,
            per_row: self.per_row,
            group: self.group,
            columns: self.columns.as_deref(),
            first,
        }
    }

    fn gather(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        fn lines<T: Copy>(from: &[T], length: usize, rows: impl Iterator<Item = usize>) -> Vec<T> {
            rows.flat_map(|row| &from[row * length..(row + 1) * length])
                .copied()
                .collect()
        }
        Self {
            codes: lines(&self.codes, self.kind.bytes(self.width), rows.clone()),
            scales: lines(&self.scales, self.per_row, rows.clone()),
            zeros: match &self.zeros[..] {
                [] => vec![],
                zeros => lines(zeros, self.per_row, rows),
            },
            columns: self.columns.clone(),
            ..*self
        }
    }
}

/// Codes on a device, as [`Coded`] describes them.
#[derive(Debug)]
struct OnDevice {
    /// As many codes as fit, the first in the highest bits.
    words: Tensor<1, Int>,
    /// Bits of a code: 4 or 8.
    bits: usize,
    /// What a code stands for, float32.
    values: Tensor<1>,
    /// One for each group, float32.
    scales: Tensor<1>,
    /// The same of zero points.
    zeros: Option<Tensor<1>>,
    /// The same of least values.
    leasts: Option<Tensor<1>>,
    groups: Grouping,
    /// What it is computed in.
    dtype: DType,
}

/// Bits of a word.
const WORD: usize = 32;

impl OnDevice {
    /// `rows`: where the columns name their groups, in which each row begins a word.
    fn new(coded: Coded, rows: usize, device: &Device, dtype: DType) -> Self {
        let bits = if coded.values.len() == 16 { 4 } else { 8 };
        let pack = |codes: &[u8]| {
            let codes = codes.chunks(WORD / bits).map(|codes| {
                let word = codes.iter().fold(0u32, |word, &code| word << bits | u32::from(code));
                // The last word of a matrix may be short.
                (word << (bits * (WORD / bits - codes.len()))) as i32
            });
            codes.collect::<Vec<i32>>()
        };
        let words: Vec<i32> = match coded.groups {
            Grouping::Consecutive(_) => pack(&coded.codes),
            Grouping::ByColumn { .. } => coded
                .codes
                .chunks((coded.codes.len() / rows).max(1))
                .flat_map(pack)
                .collect(),
        };
        let floats = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), (device, DType::F32))
        };
        let some = |values: Vec<f32>| (!values.is_empty()).then(|| floats(values));
        let count = words.len();
        Self {
            words: Tensor::from_data(TensorData::new(words, [count]), (device, DType::I32)),
            bits,
            values: floats(coded.values),
            scales: floats(coded.scales),
            zeros: some(coded.zeros),
            leasts: some(coded.leasts),
            groups: coded.groups,
            dtype,
        }
    }

    /// Codes in a word.
    fn in_word(&self) -> usize {
        WORD / self.bits
    }

    /// What the codes of some words stand for, `[count · in_word]`.
    fn values(&self, first: usize, count: usize) -> Tensor<1> {
        let in_word = self.in_word();
        let shifts: Vec<i32> = (0..in_word).rev().map(|code| (self.bits * code) as i32).collect();
        let shifts = TensorData::new(shifts, [1, in_word]);
        let shifts = Tensor::<2, Int>::from_data(shifts, (&self.words.device(), DType::I32));
        let words = self.words.clone().narrow(0, first, count).reshape([count, 1]);
        let codes = words
            .repeat_dim(1, in_word)
            .bitwise_right_shift(shifts.repeat_dim(0, count))
            .bitwise_and_scalar((1 << self.bits) - 1);
        self.values.clone().select(0, codes.reshape([count * in_word]))
    }

    /// Values, `[groups, weights of each]` or `[rows, width]`, made numbers; `of` brings scales and the like to their
    /// side.
    fn numbers(&self, values: Tensor<2>, of: impl Fn(&Tensor<1>) -> Tensor<2>) -> Tensor<2> {
        let values = match &self.zeros {
            Some(zeros) => values - of(zeros),
            None => values,
        };
        let values = values * of(&self.scales);
        let values = match &self.leasts {
            Some(leasts) => values - of(leasts),
            None => values,
        };
        values.cast(self.dtype)
    }

    /// Rows of a matrix that begins at weight `first`, `[rows, width]`.
    fn expand(&self, first: usize, [rows, width]: [usize; 2]) -> Tensor<2> {
        match &self.groups {
            Grouping::Consecutive(group) => {
                // Whole groups that hold it.
                let (from, to) = (first / group, (first + rows * width).div_ceil(*group));
                let (groups, all) = (to - from, (to - from) * group);
                let word = from * group / self.in_word();
                let count = (all / self.in_word()).min(self.words.dims()[0] - word);
                let values = self.values(word, count);
                // The last group of a matrix may be short.
                let missing = all.saturating_sub(count * self.in_word());
                let values = if missing > 0 {
                    let nothing = Tensor::zeros([missing], (&self.words.device(), DType::F32));
                    Tensor::cat(vec![values, nothing], 0)
                } else {
                    values
                };
                self.numbers(values.reshape([groups, *group]), |of| {
                    of.clone().narrow(0, from, groups).reshape([groups, 1])
                })
                .reshape([all])
                .narrow(0, first - from * group, rows * width)
                .reshape([rows, width])
            }
            Grouping::ByColumn { of: columns, per_row } => {
                let (from, words) = (first / width, width.div_ceil(self.in_word()));
                let values = self.values(from * words, rows * words);
                let values = values.reshape([rows, words * self.in_word()]).narrow(1, 0, width);
                let columns: Vec<i32> = columns.iter().map(|&group| group as i32).collect();
                let columns = TensorData::new(columns, [width]);
                let columns = Tensor::<1, Int>::from_data(columns, (&self.words.device(), DType::I32));
                self.numbers(values, |of| {
                    let of = of.clone().narrow(0, from * per_row, rows * per_row);
                    of.reshape([rows, *per_row]).select(1, columns.clone())
                })
            }
        }
    }

    /// Rows in this order, where none shares a word or a group with another; a copy.
    fn gather(&self, rows: &[usize], width: usize) -> Option<Self> {
        let (words, groups) = match &self.groups {
            Grouping::Consecutive(group) if width.is_multiple_of(*group) && width.is_multiple_of(self.in_word()) => {
                (width / self.in_word(), width / group)
            }
            Grouping::Consecutive(_) => return None,
            Grouping::ByColumn { per_row, .. } => (width.div_ceil(self.in_word()), *per_row),
        };
        let ids: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let ids = TensorData::new(ids, [rows.len()]);
        let ids = Tensor::<1, Int>::from_data(ids, (&self.words.device(), DType::I32));
        let floats = |of: &Tensor<1>| {
            let lines = of.clone().reshape([of.dims()[0] / groups, groups]);
            lines.select(0, ids.clone()).reshape([rows.len() * groups])
        };
        let lines = self.words.clone().reshape([self.words.dims()[0] / words, words]);
        Some(Self {
            words: lines.select(0, ids.clone()).reshape([rows.len() * words]),
            bits: self.bits,
            values: self.values.clone(),
            scales: floats(&self.scales),
            zeros: self.zeros.as_ref().map(floats),
            leasts: self.leasts.as_ref().map(floats),
            groups: self.groups.clone(),
            dtype: self.dtype,
        })
    }
}

impl Compact {
    /// Numbers in half precision, little-endian, in main memory.
    pub fn halves(bytes: Vec<u8>, half: Half, dims: [usize; 2]) -> Self {
        Self {
            form: Form::Halves(Arc::new(bytes), half),
            dims,
            first: 0,
        }
    }

    /// 4-bit codes in main memory.
    pub fn four(four: FourBit, dims: [usize; 2]) -> Self {
        Self {
            form: Form::Four(Arc::new(four)),
            dims,
            first: 0,
        }
    }

    /// Blocks of ggml in main memory; every row is whole blocks.
    pub fn blocks(bytes: Vec<u8>, kind: BlockType, dims: [usize; 2]) -> Self {
        Self {
            form: Form::Blocks(Arc::new(bytes), kind),
            dims,
            first: 0,
        }
    }

    /// Groups in main memory.
    pub fn groups(grouped: Grouped, rows: usize) -> Self {
        Self {
            dims: [rows, grouped.width],
            form: Form::Groups(Arc::new(grouped)),
            first: 0,
        }
    }

    /// Codes on a device, to be computed with in `dtype`.
    pub fn on_device(coded: Coded, dims: [usize; 2], device: &Device, dtype: DType) -> Self {
        Self {
            form: Form::OnDevice(Arc::new(OnDevice::new(coded, dims[0], device, dtype))),
            dims,
            first: 0,
        }
    }

    /// `[out, in]`
    pub fn dims(&self) -> [usize; 2] {
        self.dims
    }

    /// Some of its rows; nothing is copied.
    pub fn rows(&self, from: usize, count: usize) -> Self {
        let [_, width] = self.dims;
        Self {
            form: self.form.clone(),
            dims: [count, width],
            first: self.first + from * width,
        }
    }

    /// Rows in this order; a copy. Codes whose blocks reach over rows are parted from their neighbours by being
    /// expanded.
    fn gather(&self, rows: &[usize]) -> Matrix {
        let [_, width] = self.dims;
        let dims = [rows.len(), width];
        let begin = |row: usize| self.first + row * width;
        match &self.form {
            Form::Halves(bytes, half) => {
                let of = |&row: &usize| &bytes[2 * begin(row)..2 * (begin(row) + width)];
                Self::halves(rows.iter().flat_map(of).copied().collect(), *half, dims).into()
            }
            Form::Four(four) if width.is_multiple_of(BLOCK) && self.first.is_multiple_of(BLOCK) => {
                let codes = rows
                    .iter()
                    .flat_map(|&row| &four.codes[begin(row) / 2..(begin(row) + width) / 2]);
                let scales = rows
                    .iter()
                    .flat_map(|&row| &four.scales[begin(row) / BLOCK..(begin(row) + width) / BLOCK]);
                let gathered = FourBit {
                    codes: codes.copied().collect(),
                    scales: scales.copied().collect(),
                    values: four.values,
                };
                Self::four(gathered, dims).into()
            }
            Form::Blocks(bytes, kind) => {
                let size = |elements: usize| elements / kind.elements() * kind.bytes();
                let of = |&row: &usize| &bytes[size(begin(row))..size(begin(row) + width)];
                Self::blocks(rows.iter().flat_map(of).copied().collect(), *kind, dims).into()
            }
            Form::Groups(grouped) => {
                let all = rows.iter().map(|&row| self.first / width + row);
                Self::groups(grouped.gather(all), rows.len()).into()
            }
            Form::OnDevice(codes) if self.first.is_multiple_of(width) => {
                let all: Vec<usize> = rows.iter().map(|&row| self.first / width + row).collect();
                match codes.gather(&all, width) {
                    Some(gathered) => Self {
                        form: Form::OnDevice(Arc::new(gathered)),
                        dims,
                        first: 0,
                    }
                    .into(),
                    None => self.gather_expanded(rows),
                }
            }
            Form::Four(_) | Form::OnDevice(_) => self.gather_expanded(rows),
        }
    }

    fn gather_expanded(&self, rows: &[usize]) -> Matrix {
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        Param::initialized(ParamId::new(), self.select(&rows)).into()
    }

    /// Its elements, where they are in main memory.
    pub fn elements(&self) -> Option<Elements<'_>> {
        match &self.form {
            Form::Halves(bytes, half) => Some(Elements::Halves(&bytes[2 * self.first..], *half)),
            Form::Four(four) => Some(Elements::Four(Four {
                codes: &four.codes,
                scales: &four.scales,
                values: &four.values,
                first: self.first,
            })),
            Form::Blocks(bytes, kind) => Some(Elements::Blocks(Blocks {
                kind: *kind,
                bytes,
                first: self.first,
            })),
            Form::Groups(grouped) => Some(Elements::Groups(grouped.view(self.first))),
            Form::OnDevice(_) => None,
        }
    }

    /// Expanded: in main memory to float32, on a device to what it computes in.
    pub fn tensor(&self) -> Tensor<2> {
        let [rows, width] = self.dims;
        if let Some(elements) = self.elements() {
            let mut floats = vec![0.0; rows * width];
            elements.expand_all(&mut floats);
            return host::tensor(floats, self.dims);
        }
        let Form::OnDevice(codes) = &self.form else {
            unreachable!("it is in main memory or on a device")
        };
        codes.expand(self.first, self.dims)
    }

    /// Chosen rows, expanded.
    pub fn select(&self, rows: &[u32]) -> Tensor<2> {
        let [_, width] = self.dims;
        match self.elements() {
            Some(elements) => {
                let mut floats = vec![0.0; rows.len() * width];
                for (row, to) in rows.iter().zip(floats.chunks_mut(width)) {
                    elements.expand(*row as usize * width, to);
                }
                host::tensor(floats, [rows.len(), width])
            }
            None => Tensor::cat(rows.iter().map(|&row| self.rows(row as usize, 1).tensor()).collect(), 0),
        }
    }
}

/// What a matrix is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// All of it is multiplied with: a linear layer.
    Whole,
    /// Single rows are wanted: the embedding table and the output layer.
    Rows,
}

/// A matrix of ggml's blocks where a model is to compute with it: as it is for the CPU's kernels; else on the device, as
/// codes, or expanded in what is computed in where rows are wanted. Every row is whole blocks.
///
/// # Panics
/// If there are fewer bytes than `dims` say.
pub fn blocks(
    bytes: Vec<u8>,
    kind: BlockType,
    dims: [usize; 2],
    device: &Device,
    precision: Precision,
    used: Use,
) -> Matrix {
    match kind {
        BlockType::F32 => {}
        BlockType::F16 if precision.kernels => return Compact::halves(bytes, Half::F16, dims).into(),
        BlockType::BF16 if precision.kernels => return Compact::halves(bytes, Half::Bf16, dims).into(),
        _ if precision.kernels => return Compact::blocks(bytes, kind, dims).into(),
        _ => {}
    }
    let coded = (used == Use::Whole).then(|| kind.coded(&bytes)).flatten();
    if let Some(coded) = coded {
        return Compact::on_device(coded, dims, device, precision.dtype).into();
    }
    let whole = Blocks {
        kind,
        bytes: &bytes,
        first: 0,
    };
    expanded(Elements::Blocks(whole), dims, device, precision.dtype)
}

/// The same of groups, for `rows` rows of a linear layer.
///
/// # Panics
/// If there are fewer codes or scales than that.
pub fn groups(grouped: Grouped, rows: usize, device: &Device, precision: Precision) -> Matrix {
    if precision.kernels {
        return Compact::groups(grouped, rows).into();
    }
    let dims = [rows, grouped.width];
    Compact::on_device(grouped.view(0).coded(), dims, device, precision.dtype).into()
}

/// All elements as a tensor on a device.
fn expanded(elements: Elements<'_>, dims: [usize; 2], device: &Device, dtype: DType) -> Matrix {
    let mut floats = vec![0.0; dims[0] * dims[1]];
    elements.expand_all(&mut floats);
    let tensor = Tensor::from_data(TensorData::new(floats, dims), (device, dtype));
    Param::initialized(ParamId::new(), tensor).into()
}

/// Quantised weights where a model is to compute with them: in main memory for the CPU's kernels, else on the device.
pub fn quantized(four: FourBit, dims: [usize; 2], device: &Device, precision: Precision) -> Compact {
    if precision.kernels {
        Compact::four(four, dims)
    } else {
        Compact::on_device(four.coded(dims), dims, device, precision.dtype)
    }
}

/// Codes and scales of a weight that is quantised here.
pub fn four_bit(code: Code, codes: Vec<u8>, scales: Vec<f32>) -> FourBit {
    FourBit {
        codes,
        scales,
        values: code.values(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::matrix::quantize;
    use crate::tensor::host::floats;

    #[test]
    fn codes_on_a_device_expand_as_in_main_memory() {
        // 7 × 30 = 210 weights: three blocks and a short one; rows begin anywhere in a block, and a word is left half
        // empty.
        let weights: Vec<f32> = (0..210).map(|i| ((i * 7919) % 2003) as f32 / 1001.0 - 1.0).collect();
        for code in [Code::Fp4, Code::Nf4] {
            let make = || {
                let (codes, scales) = quantize(210, code, |range, to| to.copy_from_slice(&weights[range]));
                four_bit(code, codes, scales)
            };
            let host = Compact::four(make(), [7, 30]);
            let device = Compact::on_device(make().coded([7, 30]), [7, 30], &Device::flex(), DType::F32);
            assert_eq!(floats(device.tensor()), floats(host.tensor()));
            for (from, count) in [(0, 3), (2, 1), (3, 4), (6, 1)] {
                let expected = &floats(host.tensor())[from * 30..(from + count) * 30];
                assert_eq!(floats(device.rows(from, count).tensor()), expected);
                assert_eq!(floats(host.rows(from, count).tensor()), expected);
            }
            assert_eq!(floats(device.select(&[5, 1])), floats(host.select(&[5, 1])));
        }
    }
    #[test]
    fn blocks_are_gathered_and_cut_by_rows() {
        // Rows of three blocks of 32; scale 1, then bytes.
        let bytes: Vec<u8> = (0..5 * 3)
            .flat_map(|block| {
                [0, 0x3c]
                    .into_iter()
                    .chain((0..32).map(move |i| (block * 37 + i) as u8))
            })
            .collect();
        let compact = Compact::blocks(bytes.clone(), BlockType::Q8_0, [5, 96]);
        let whole = floats(compact.tensor());
        assert_eq!(whole[96 + 33], f32::from((4 * 37 + 1) as u8 as i8));
        let row = |row: usize| &whole[96 * row..96 * (row + 1)];
        assert_eq!(floats(compact.rows(1, 2).tensor()), whole[96..288]);
        assert_eq!(floats(compact.rows(1, 4).select(&[3, 0])), [row(4), row(1)].concat());
        let gathered = Matrix::from(compact.rows(1, 4)).gather(&[2, 0, 2]);
        assert!(gathered.kept().is_some());
        assert_eq!(floats(gathered.val()), [row(3), row(1), row(3)].concat());
    }

    /// Bytes of a matrix of any type; no float16 in them is infinite or no number.
    fn some_blocks(kind: BlockType, count: usize) -> Vec<u8> {
        let mut random = SplitMix64::new(kind.number().into());
        let bytes = (0..count * kind.bytes()).map(|_| (random.next_u64() >> 32) as u8);
        // Below 0x7c in the upper byte of a float16, and E8M0 far from the ends.
        bytes.map(|byte| byte & 0xbb | 0x20).collect()
    }

    #[test]
    fn blocks_on_a_device_are_codes_that_expand_as_in_main_memory() {
        let device = Device::flex();
        for kind in BlockType::ALL {
            let width = 3 * kind.elements().max(32);
            let dims = [5, width];
            let bytes = some_blocks(kind, 5 * width / kind.elements());
            let mut whole = vec![0.0; 5 * width];
            kind.expand(&bytes, 0, &mut whole);
            assert!(whole.iter().all(|number| number.is_finite()), "{}", kind.name());
            let row = |row: usize| &whole[width * row..width * (row + 1)];
            let make = |used| blocks(bytes.clone(), kind, dims, &device, DType::F32.into(), used);
            let linear = make(Use::Whole);
            let packed = !matches!(kind, BlockType::F32 | BlockType::F16 | BlockType::BF16);
            assert_eq!(linear.kept().is_some(), packed, "{}", kind.name());
            assert_eq!(floats(linear.val()), whole, "{}", kind.name());
            assert_eq!(
                floats(linear.rows(1, 3).val()),
                whole[width..4 * width],
                "{}",
                kind.name()
            );
            assert_eq!(
                floats(linear.select(&[4, 2])),
                [row(4), row(2)].concat(),
                "{}",
                kind.name()
            );
            let gathered = linear.rows(1, 4).gather(&[2, 0, 2]);
            assert_eq!(gathered.kept().is_some(), packed, "{}", kind.name());
            assert_eq!(
                floats(gathered.val()),
                [row(3), row(1), row(3)].concat(),
                "{}",
                kind.name()
            );
            let table = make(Use::Rows);
            assert!(table.kept().is_none());
            assert_eq!(floats(table.val()), whole, "{}", kind.name());
        }
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn codes_are_expanded_by_kernels_of_a_gpu() {
        let Some(device) = crate::tensor::care::tests::vulkan() else {
            return;
        };
        // A product and a difference may be one operation there, rounded once.
        let same = |what: &str, found: &Matrix, expected: &[f32]| {
            for (found, expected) in floats(found.val()).chunks(768).zip(expected.chunks(768)) {
                let largest = expected.iter().fold(0f32, |most, number| most.max(number.abs()));
                let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let apart = apart.fold(0f32, |most, one| if one <= most { most } else { one });
                assert!(apart <= 1e-6 * largest, "{what}: {apart:e} of {largest:e}");
            }
        };
        for kind in BlockType::ALL {
            let dims = [3, 768];
            let bytes = some_blocks(kind, 3 * 768 / kind.elements());
            let mut whole = vec![0.0; 3 * 768];
            kind.expand(&bytes, 0, &mut whole);
            let matrix = blocks(bytes, kind, dims, &device, DType::F32.into(), Use::Whole);
            same(kind.name(), &matrix, &whole);
            same(
                kind.name(),
                &matrix.gather(&[2, 0]),
                &[&whole[2 * 768..], &whole[..768]].concat(),
            );
        }
        for (kind, columns) in [(Codes::Four, false), (Codes::Eight, true), (Codes::E4m3, false)] {
            let make = || Grouped {
                codes: (0..kind.bytes(2 * 768)).map(|i| (i * 37 % 127) as u8).collect(),
                kind,
                scales: (0..2 * 8).map(|i| i as f32 / 8.0 - 0.5).collect(),
                zeros: vec![],
                width: 768,
                per_row: 8,
                group: 96,
                columns: columns.then(|| (0..768).map(|i| i * 13 % 8).collect()),
            };
            let whole = floats(Compact::groups(make(), 2).tensor());
            let matrix = groups(make(), 2, &device, DType::F32.into());
            same(&format!("{kind:?}"), &matrix, &whole);
            same(&format!("{kind:?}"), &matrix.rows(1, 1), &whole[768..]);
        }
    }

    proptest! {
        #[test]
        fn groups_on_a_device_are_codes_that_expand_as_in_main_memory(
            rows in 1usize..5, half in 1usize..40, group in 1usize..50, eights: bool, kind in 0usize..3, with_zeros: bool,
            by_column: bool, bytes in prop::collection::vec(any::<u8>(), 400..401),
        ) {
            let kind = [Codes::Four, Codes::Eight, Codes::E4m3][kind];
            let width = 2 * half * if eights { 8 } else { 1 };
            let group = if eights { 8 } else { group };
            let per_row = width.div_ceil(group);
            let codes = bytes.iter().copied().cycle().take(kind.bytes(rows * width));
            // No code that is no number.
            let codes = codes.map(|c| if c & 127 == 127 && kind == Codes::E4m3 { 0 } else { c }).collect();
            let make = || Grouped {
                codes: Vec::clone(&codes),
                kind,
                scales: (0..rows * per_row).map(|i| (i * 31 % 17) as f32 / 16.0 - 0.5).collect(),
                zeros: match with_zeros && kind != Codes::E4m3 {
                    true => (0..rows * per_row).map(|i| (i * 7 % 16) as u8).collect(),
                    false => vec![],
                },
                width,
                per_row,
                group,
                columns: by_column.then(|| (0..width).map(|i| (i * 13 % per_row) as u32).collect()),
            };
            let whole = floats(Compact::groups(make(), rows).tensor());
            let device = groups(make(), rows, &Device::flex(), DType::F32.into());
            prop_assert!(device.kept().is_some());
            prop_assert_eq!(&floats(device.val()), &whole);
            let last = rows - 1;
            prop_assert_eq!(floats(device.rows(last, 1).val()), &whole[last * width..]);
            let gathered = device.rows(last, 1).gather(&[0, 0]);
            prop_assert!(gathered.kept().is_some());
            prop_assert_eq!(floats(gathered.val()), whole[last * width..].repeat(2));
        }
    }

    #[test]
    fn groups_are_gathered_and_cut_by_rows() {
        for (zeros, columns) in [(vec![], None), ((0..8).collect(), Some(vec![1, 0, 0, 1, 1, 0]))] {
            let make = || Grouped {
                codes: (0..12).map(|i| (i * 37) as u8).collect(),
                kind: Codes::Four,
                scales: (0..8).map(|i| i as f32 + 0.5).collect(),
                zeros: Vec::clone(&zeros),
                width: 6,
                per_row: 2,
                group: 4,
                columns: Option::clone(&columns),
            };
            let compact = Compact::groups(make(), 4);
            let whole = floats(compact.tensor());
            let row = |row: usize| &whole[6 * row..6 * (row + 1)];
            assert_eq!(floats(compact.rows(1, 2).tensor()), whole[6..18]);
            let gathered = Matrix::from(compact.rows(1, 3)).gather(&[2, 0, 2]);
            assert!(gathered.kept().is_some());
            assert_eq!(floats(gathered.val()), [row(3), row(1), row(3)].concat());
        }
    }
}
