//! A model's matrices: tensors, or a form smaller than the one they are computed in.
//!
//! Where the CPU's kernels compute in float32, half precision stays as the checkpoint has it: they expand it while they
//! read it, to the bit what a float32 copy would be, in half the memory. 4-bit weights of bitsandbytes stay codes on
//! every device; a layer is expanded while it computes, one layer at a time. What other programs have packed (blocks of
//! ggml; groups of GPTQ and its like) stays packed where the kernels compute, and is expanded while it is loaded
//! elsewhere: a device has it in what it computes in.

use std::sync::Arc;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, bf16};

use super::host;
use crate::kernel::matrix::{BLOCK, Code, Elements, Four, Half};
use crate::kernel::packed::{BlockType, Blocks, Codes, Groups};
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
                let mut numbers = host::floats(whole);
                random::shuffle(&mut numbers, random);
                if in_memory {
                    let halves = numbers.iter().map(|&number| bf16::from_f32(number).to_le_bytes());
                    let bytes: Vec<[u8; 2]> = halves.collect();
                    return Compact::halves(bytes.concat(), Half::Bf16, dims).into();
                }
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

/// 4-bit codes on a device.
#[derive(Debug)]
struct OnDevice {
    /// Eight codes each, the first in the highest bits.
    words: Tensor<1, Int>,
    /// One for each [`BLOCK`], float32.
    scales: Tensor<1>,
    /// What a code stands for, float32.
    values: Tensor<1>,
    /// What it is computed in.
    dtype: DType,
}

/// Codes in a word.
const IN_WORD: usize = 8;

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

    /// 4-bit codes on a device, to be computed with in `dtype`.
    pub fn on_device(four: FourBit, dims: [usize; 2], device: &Device, dtype: DType) -> Self {
        let FourBit { codes, scales, values } = four;
        let words: Vec<i32> = codes
            .chunks(IN_WORD / 2)
            .map(|codes| {
                let mut bytes = [0; IN_WORD / 2];
                bytes[..codes.len()].copy_from_slice(codes);
                i32::from_be_bytes(bytes)
            })
            .collect();
        let count = words.len();
        let floats = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), (device, DType::F32))
        };
        let on_device = OnDevice {
            words: Tensor::from_data(TensorData::new(words, [count]), (device, DType::I32)),
            scales: floats(scales),
            values: floats(values.to_vec()),
            dtype,
        };
        Self {
            form: Form::OnDevice(Arc::new(on_device)),
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
            Form::Four(_) | Form::OnDevice(_) => {
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                Param::initialized(ParamId::new(), self.select(&rows)).into()
            }
        }
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
        let Form::OnDevice(four) = &self.form else {
            unreachable!("it is in main memory or on a device")
        };
        // Whole blocks that hold it.
        let (from, to) = (self.first / BLOCK, (self.first + rows * width).div_ceil(BLOCK));
        let blocks = to - from;
        let first = from * BLOCK / IN_WORD;
        let count = (blocks * BLOCK / IN_WORD).min(four.words.dims()[0] - first);
        let device = four.words.device();
        let shifts: Vec<i32> = (0..IN_WORD as i32).rev().map(|code| 4 * code).collect();
        let shifts = Tensor::<2, Int>::from_data(TensorData::new(shifts, [1, IN_WORD]), (&device, DType::I32));
        let words = four.words.clone().narrow(0, first, count).reshape([count, 1]);
        let codes = words
            .repeat_dim(1, IN_WORD)
            .bitwise_right_shift(shifts.repeat_dim(0, count))
            .bitwise_and_scalar(15);
        let values = four.values.clone().select(0, codes.reshape([count * IN_WORD]));
        let scales = four.scales.clone().narrow(0, from, blocks).reshape([blocks, 1]);
        // The last block of a matrix may be short.
        let all = blocks * BLOCK;
        let values = if count * IN_WORD < all {
            let missing = all - count * IN_WORD;
            Tensor::cat(vec![values, Tensor::zeros([missing], (&device, DType::F32))], 0)
        } else {
            values
        };
        (values.reshape([blocks, BLOCK]) * scales)
            .cast(four.dtype)
            .reshape([all])
            .narrow(0, self.first - from * BLOCK, rows * width)
            .reshape([rows, width])
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

/// A matrix of ggml's blocks where a model is to compute with it: as it is for the CPU's kernels, else expanded on the
/// device, in what is computed in. Every row is whole blocks.
///
/// # Panics
/// If there are fewer bytes than `dims` say.
pub fn blocks(bytes: Vec<u8>, kind: BlockType, dims: [usize; 2], device: &Device, precision: Precision) -> Matrix {
    match kind {
        BlockType::F32 => {}
        BlockType::F16 if precision.kernels => return Compact::halves(bytes, Half::F16, dims).into(),
        BlockType::BF16 if precision.kernels => return Compact::halves(bytes, Half::Bf16, dims).into(),
        _ if precision.kernels => return Compact::blocks(bytes, kind, dims).into(),
        _ => {}
    }
    let whole = Blocks {
        kind,
        bytes: &bytes,
        first: 0,
    };
    expanded(Elements::Blocks(whole), dims, device, precision.dtype)
}

/// The same of groups, for `rows` rows.
///
/// # Panics
/// If there are fewer codes or scales than that.
pub fn groups(grouped: Grouped, rows: usize, device: &Device, precision: Precision) -> Matrix {
    if precision.kernels {
        return Compact::groups(grouped, rows).into();
    }
    let dims = [rows, grouped.width];
    expanded(Elements::Groups(grouped.view(0)), dims, device, precision.dtype)
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
        Compact::on_device(four, dims, device, precision.dtype)
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
            let device = Compact::on_device(make(), [7, 30], &Device::flex(), DType::F32);
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
        // On a device it is expanded while it is loaded.
        let elsewhere = blocks(bytes, BlockType::Q8_0, [5, 96], &Device::flex(), DType::F32.into());
        assert!(elsewhere.kept().is_none());
        assert_eq!(floats(elsewhere.val()), whole);
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
            let elsewhere = groups(make(), 4, &Device::flex(), DType::F32.into());
            assert_eq!(floats(elsewhere.val()), whole);
        }
    }
}
