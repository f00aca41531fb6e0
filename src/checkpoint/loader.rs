//! Tensors taken out of a checkpoint one by one, onto a device and into the computing dtype.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};

use super::stored::{Stored, TensorEntry, unreadable};
use super::{Checkpoint, buffers};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;
use crate::kernel::matrix::{Code, Half};
use crate::tensor::matrix::{Compact, Matrix, Precision, Use, blocks};

/// Takes tensors out of a checkpoint, one by one, onto a device and into the computing dtype.
pub struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) left: BTreeMap<String, TensorEntry>,
    pub(super) device: Device,
    pub(super) precision: Precision,
    pub(super) open: Option<(Arc<Path>, File)>,
    pub(super) rehearsal: bool,
    /// Where there is nothing to take from: what was asked for.
    pub(super) asked: Option<Vec<(String, Vec<usize>)>>,
    /// The embedding table's bytes, in short, where an output layer in the file may be the same.
    pub(super) table: Option<(Stored, blake3::Hash)>,
}

impl Loader<'_> {
    /// Whether the files hold a tensor of this name that was not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Takes a tensor as a frozen parameter: no gradient is ever computed for it.
    ///
    /// # Errors
    /// It is missing, has another shape, or cannot be read.
    pub fn take<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>> {
        let entry = self.entry(name, &shape)?;
        self.param(name, &entry, shape)
    }

    /// Whether names and shapes alone are checked.
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// Stands for a matrix that is not read.
    pub fn placeholder(&self, dims: [usize; 2]) -> Matrix {
        self.unread(dims).into()
    }

    /// Takes a linear layer's weights, `[out, in]`: quantised, where that is asked for or the checkpoint has them so.
    /// `transposed`: the file has them as `[in, out]`.
    ///
    /// # Errors
    /// As [`Self::take`]; or the quantised form is not one that is read.
    pub fn linear(&mut self, name: &str, dims: [usize; 2], transposed: bool) -> Result<Matrix> {
        self.weights(name, dims, transposed, self.precision.quantization)
    }

    /// The same of weights that are quantised only if the checkpoint has them so, whatever is asked for.
    ///
    /// # Errors
    /// As [`Self::linear`].
    pub fn never_quantized(&mut self, name: &str, dims: [usize; 2], transposed: bool) -> Result<Matrix> {
        self.weights(name, dims, transposed, None)
    }

    fn weights(&mut self, name: &str, dims: [usize; 2], transposed: bool, to: Option<Code>) -> Result<Matrix> {
        if let Some(packed) = self.packed(name, dims)? {
            return Ok(packed);
        }
        // bitsandbytes' codes are of `[out, in]`, also where transformers keeps the floats transposed.
        if self.left.get(name).is_some_and(|entry| entry.stored == Stored::U8) {
            let entry = self.entry(name, &dims)?;
            return self.prequantized(name, &entry, dims);
        }
        let entry = if transposed {
            let stored = [dims[1], dims[0]];
            let entry = self.entry(name, &stored)?;
            self.checked(name, &entry, &stored)?;
            entry.transposed()
        } else {
            self.entry(name, &dims)?
        };
        match to {
            Some(code) if !self.rehearsal => self.quantize(name, &entry, dims, code),
            _ => self.matrix(name, &entry, dims, Use::Whole),
        }
    }

    /// Takes one linear layer of each expert, `[out, in]`, out of a tensor `[experts, in, out]` of them all, or of
    /// their MXFP4.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn experts(&mut self, name: &str, count: usize, dims: [usize; 2]) -> Result<Vec<Matrix>> {
        if let Some(packed) = self.mxfp4(name, count, dims)? {
            return Ok(packed);
        }
        let [rows, width] = dims;
        let shape = [count, width, rows];
        let whole = self.entry(name, &shape)?;
        self.checked(name, &whole, &shape)?;
        let mut all = Vec::new();
        for expert in 0..count {
            if self.rehearsal {
                all.push(self.unread(dims).into());
                continue;
            }
            let entry = whole.part(expert).transposed();
            all.push(match self.precision.quantization {
                Some(code) => self.quantize(name, &entry, dims, code)?,
                None => self.matrix(name, &entry, dims, Use::Whole)?,
            });
        }
        Ok(all)
    }

    /// Takes the embedding table, `[vocabulary, hidden]`, which is never quantised. A tied checkpoint may hold it under
    /// the output layer's name alone.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn table(&mut self, name: &str, output: &str, dims: [usize; 2], tied: bool) -> Result<Matrix> {
        if tied && !self.has(name) && self.has(output) {
            return self.whole(output, dims);
        }
        let entry = self.entry(name, &dims)?;
        if self.rehearsal || !(tied && self.has(output)) {
            return self.matrix(name, &entry, dims, Use::Rows);
        }
        self.matrix_checked(name, &entry, &dims)?;
        let bytes = self.read(&entry)?;
        self.table = Some((entry.stored.clone(), blake3::hash(&bytes)));
        Ok(self.of_bytes(&entry, dims, bytes, Use::Rows))
    }

    /// Takes the output layer, `[vocabulary, hidden]`, which is never quantised; none: it is the embedding table.
    ///
    /// Where the config ties them and the file holds both, the file's is taken unless it is the table once more, as
    /// transformers 5 does (4 ties them regardless). The two are compared as they are read, so nothing is read twice.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn output_layer(&mut self, name: &str, dims: [usize; 2], tied: bool) -> Result<Option<Matrix>> {
        if !tied {
            return self.whole(name, dims).map(Some);
        }
        if !self.has(name) {
            return Ok(None);
        }
        let entry = self.entry(name, &dims)?;
        if self.rehearsal {
            return self.matrix(name, &entry, dims, Use::Rows).map(Some);
        }
        self.matrix_checked(name, &entry, &dims)?;
        let bytes = self.read(&entry)?;
        let same = self.table.as_ref() == Some(&(entry.stored.clone(), blake3::hash(&bytes)));
        Ok((!same).then(|| self.of_bytes(&entry, dims, bytes, Use::Rows)))
    }

    fn whole(&mut self, name: &str, dims: [usize; 2]) -> Result<Matrix> {
        let entry = self.entry(name, &dims)?;
        self.matrix(name, &entry, dims, Use::Rows)
    }

    fn matrix(&mut self, name: &str, entry: &TensorEntry, dims: [usize; 2], used: Use) -> Result<Matrix> {
        self.matrix_checked(name, entry, &dims)?;
        if self.rehearsal {
            return Ok(self.unread(dims).into());
        }
        let bytes = self.read(entry)?;
        Ok(self.of_bytes(entry, dims, bytes, used))
    }

    /// A matrix of an entry's bytes: kept as they are where the kernels read half precision, else as a tensor.
    fn of_bytes(&self, entry: &TensorEntry, dims: [usize; 2], bytes: Vec<u8>, used: Use) -> Matrix {
        if let Stored::Blocks(kind) = entry.stored {
            return blocks(bytes, kind, dims, &self.device, self.precision, used);
        }
        let half = match entry.stored {
            Stored::Bf16 => Some(Half::Bf16),
            Stored::F16 => Some(Half::F16),
            _ => None,
        };
        match half.filter(|_| self.precision.kernels) {
            Some(half) => Compact::halves(bytes, half, dims).into(),
            None => self.tensor(entry, bytes).into(),
        }
    }

    pub(super) fn entry(&mut self, name: &str, shape: &[usize]) -> Result<TensorEntry> {
        if let Some(asked) = &mut self.asked {
            asked.push((name.to_owned(), shape.to_vec()));
            return Ok(TensorEntry {
                file: Path::new("").into(),
                offset: 0,
                bytes: 0,
                shape: shape.to_vec(),
                stored: Stored::F32,
                strides: None,
                big_endian: false,
            });
        }
        self.left.remove(name).ok_or_else(|| {
            Diagnostic::checkpoint("missing from the checkpoint")
                .in_file(&self.checkpoint.folder)
                .place(format!("tensor `{name}`"))
                .expected(format!("shape {shape:?}, by {}", self.checkpoint.described_by()))
                .help(match self.checkpoint.is_gguf() {
                    true => "the file is of a variant of its architecture that igsite does not compute, or not whole",
                    false => "a shard may be missing, or config.json belongs to another model",
                })
        })
    }

    pub(super) fn check_shape(&self, name: &str, entry: &TensorEntry, shape: &[usize]) -> Result<()> {
        if entry.shape != shape {
            return Err(Diagnostic::checkpoint(format!("shape {:?}", entry.shape))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .expected(format!("{shape:?}, by {}", self.checkpoint.described_by()))
                .help("the two belong to different models"));
        }
        Ok(())
    }

    /// Checks that an entry holds numbers of this shape, or blocks.
    fn matrix_checked(&self, name: &str, entry: &TensorEntry, dims: &[usize; 2]) -> Result<()> {
        match entry.stored {
            Stored::Blocks(_) => self.check_shape(name, entry, dims),
            _ => self.checked(name, entry, dims),
        }
    }

    /// Checks that an entry holds numbers of this shape.
    fn checked(&self, name: &str, entry: &TensorEntry, shape: &[usize]) -> Result<()> {
        self.check_shape(name, entry, shape)?;
        if entry.stored.float().is_none() {
            return Err(Diagnostic::checkpoint(format!("stored as {}", entry.stored.name()))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .expected("F32, F16 or BF16"));
        }
        Ok(())
    }

    fn param<const D: usize>(
        &mut self,
        name: &str,
        entry: &TensorEntry,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>> {
        self.checked(name, entry, &shape)?;
        if self.rehearsal {
            return Ok(self.unread(shape));
        }
        let bytes = self.read(entry)?;
        Ok(self.tensor(entry, bytes))
    }

    /// A parameter of an entry's bytes, in the computing dtype. The entry was [`Self::checked`].
    fn tensor<const D: usize>(&self, entry: &TensorEntry, bytes: Vec<u8>) -> Param<Tensor<D>> {
        let Some(dtype) = entry.stored.float() else {
            unreachable!("checked before")
        };
        let data = TensorData::from_bytes_vec(bytes, entry.shape.clone(), dtype);
        let tensor = Tensor::from_data(data, (&self.device, self.precision.dtype));
        Param::initialized(ParamId::new(), tensor)
    }

    /// Stands for a parameter where names and shapes alone are checked.
    pub(super) fn unread<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let never = |_: &Device, _| unreachable!("a rehearsed parameter is dropped unread");
        Param::uninitialized(ParamId::new(), never, self.device.clone(), false, shape.into())
    }

    pub(super) fn read(&mut self, entry: &TensorEntry) -> Result<Vec<u8>> {
        entry.read(self.file(entry)?)
    }

    /// The bytes of a tensor, from the first on.
    pub(super) fn reader(&mut self, entry: &TensorEntry) -> Result<Box<dyn Read + Send + '_>> {
        if !entry.is_plain() {
            return Ok(Box::new(Cursor::new(self.read(entry)?)));
        }
        let file = self.file(entry)?;
        file.seek(SeekFrom::Start(entry.offset))
            .map_err(|error| unreadable(entry, &error))?;
        Ok(Box::new(file))
    }

    fn file(&mut self, entry: &TensorEntry) -> Result<&mut File> {
        if self.open.as_ref().is_none_or(|(path, _)| *path != entry.file) {
            let file = input::open(&entry.file, Kind::Checkpoint, "read the weights")?;
            self.open = Some((entry.file.clone(), file));
        }
        let Some((_, file)) = &mut self.open else {
            unreachable!("opened above")
        };
        Ok(file)
    }

    /// Ends the load.
    ///
    /// # Errors
    /// Tensors are left over that the architecture does not use: it would compute something else than the file's model.
    pub fn finish(mut self) -> Result<()> {
        self.leave_idle_state()?;
        self.left.retain(|name, entry| buffers::known(name, entry).is_none());
        let Some((first, entry)) = self.left.iter().next() else {
            return Ok(());
        };
        let more = self.left.len() - 1;
        let others = if more == 0 {
            String::new()
        } else {
            format!(" (and {more} more)")
        };
        Err(Diagnostic::checkpoint(format!("not used by this architecture{others}"))
            .in_file(&entry.file)
            .place(format!("tensor `{first}`"))
            .help(format!(
                "the checkpoint is of another architecture than {} says, or of a variant that igsite does not compute",
                self.checkpoint.described_by()
            )))
    }
}
