//! Files to tensors: a checkpoint folder's config, its shards and where each tensor lies in them.
//!
//! Opening reads headers only. Tensors are then taken one by one, converted while they are moved to the device, and freed, so
//! that a checkpoint is never held twice. Every tensor of the files must be taken, and every parameter filled.

pub mod config;
pub mod hash;
mod pickle;
mod pytorch;
mod quantized;
mod safetensors;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::module::{Param, ParamId};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;
use crate::kernel::matrix::Half;
use crate::tensor::matrix::{Kept, Matrix, Precision};
use config::{CheckpointConfig, ModelConfig, SpecialTokens};

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorEntry {
    /// The shard.
    pub file: PathBuf,
    /// First byte in the shard.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: usize,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
    /// As stored.
    pub dtype: DType,
}

/// An opened checkpoint folder.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// Its `config.json`.
    pub config: CheckpointConfig,
    /// The weight files, sorted.
    pub files: Vec<PathBuf>,
    /// What is odd about the files and was decided in one of several ways.
    pub warnings: Diagnostics,
    entries: BTreeMap<String, TensorEntry>,
}

impl Checkpoint {
    /// Opens a folder: `config.json`, then `model.safetensors`, or its shards by index, or the same as PyTorch `.bin`.
    ///
    /// # Errors
    /// No folder, no config, no weights, a shard that the index names and that is not there, a tensor twice, and whatever
    /// the readers of the files find wrong.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = config::read(&folder.join("config.json"))?;
        let files = weight_files(folder)?;
        let mut entries: BTreeMap<String, TensorEntry> = BTreeMap::new();
        for file in &files {
            let found = if file.extension().is_some_and(|e| e == "safetensors") {
                safetensors::entries(file)?
            } else {
                pytorch::entries(file)?
            };
            for (name, entry) in found {
                if let Some(other) = entries.get(&name) {
                    return Err(Diagnostic::checkpoint(format!("also in {}", other.file.display()))
                        .in_file(file)
                        .place(format!("tensor `{name}`"))
                        .expected("each tensor in one shard"));
                }
                entries.insert(name, entry);
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            config,
            files,
            warnings: Diagnostics::new(),
            entries,
        })
    }

    /// Opens a folder whose weights are not there yet: what its config says can be checked, and nothing can be computed.
    ///
    /// # Errors
    /// No folder, no config, or one that we do not understand.
    pub fn without_weights(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            config: config::read(&folder.join("config.json"))?,
            files: vec![],
            warnings: Diagnostics::new(),
            entries: BTreeMap::new(),
        })
    }

    /// The dtype most of the weights' bytes are stored in.
    pub fn stored_dtype(&self) -> DType {
        let mut bytes: Vec<(DType, usize)> = vec![(DType::F32, 0), (DType::F16, 0), (DType::BF16, 0)];
        for (name, entry) in &self.entries {
            if quantized::is_state(name) {
                continue;
            }
            for (dtype, sum) in &mut bytes {
                if *dtype == entry.dtype {
                    *sum += entry.bytes;
                }
            }
        }
        bytes
            .into_iter()
            .max_by_key(|(_, sum)| *sum)
            .map_or(DType::F32, |(dtype, _)| dtype)
    }

    /// One hash for the weight files, by their names and their own hashes, which `sha256` finds.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn weights_sha256(&self, mut sha256: impl FnMut(&Path) -> Result<String>) -> Result<String> {
        let mut hashes = Vec::new();
        for file in &self.files {
            let name = file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            hashes.push((name, sha256(file)?));
        }
        Ok(hash::of_listing(
            hashes.iter().map(|(name, hash)| (name.as_str(), hash.as_str())),
        ))
    }

    /// Number of parameters in the files.
    pub fn parameters(&self) -> usize {
        let count = |(name, entry): (&String, &TensorEntry)| match entry.dtype {
            _ if quantized::is_state(name) => 0,
            DType::U8 => 2 * entry.bytes,
            dtype => entry.bytes / dtype.size(),
        };
        self.entries.iter().map(count).sum()
    }

    /// Begins to take the tensors in appearance only: names and shapes are checked, no weights are read.
    pub fn rehearsal(&self) -> Loader<'_> {
        Loader {
            rehearsal: true,
            ..self.loader(&Device::flex(), DType::F32.into())
        }
    }

    /// Begins to take the tensors, each once.
    pub fn loader(&self, device: &Device, precision: Precision) -> Loader<'_> {
        Loader {
            checkpoint: self,
            left: self.entries.clone(),
            device: device.clone(),
            precision,
            open: None,
            rehearsal: false,
            asked: None,
        }
    }
}

/// Every tensor that is asked for, instead of a checkpoint: names and shapes in the order in which they are taken.
pub fn asked_for(
    config: &ModelConfig,
    take: impl FnOnce(&mut Loader<'_>) -> Result<()>,
) -> Result<Vec<(String, Vec<usize>)>> {
    let checkpoint = Checkpoint {
        folder: PathBuf::new(),
        config: CheckpointConfig {
            model: config.clone(),
            special: SpecialTokens::default(),
            quantization: None,
            stop: vec![],
            context: None,
        },
        files: vec![],
        warnings: Diagnostics::new(),
        entries: BTreeMap::new(),
    };
    let mut loader = checkpoint.rehearsal();
    loader.asked = Some(vec![]);
    take(&mut loader)?;
    Ok(loader.asked.unwrap_or_default())
}

/// Takes tensors out of a checkpoint, one by one, onto a device and into the computing dtype.
pub struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    left: BTreeMap<String, TensorEntry>,
    device: Device,
    precision: Precision,
    open: Option<(PathBuf, File)>,
    rehearsal: bool,
    /// Where there is nothing to take from: what was asked for.
    asked: Option<Vec<(String, Vec<usize>)>>,
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

    /// Takes a linear layer's weights, `[out, in]`: quantised, where that is asked for or the checkpoint has them so.
    ///
    /// # Errors
    /// As [`Self::take`]; or the quantised form is not one that is read.
    pub fn linear(&mut self, name: &str, dims: [usize; 2]) -> Result<Matrix> {
        let entry = self.entry(name, &dims)?;
        if entry.dtype == DType::U8 {
            return self.prequantized(name, &entry, dims);
        }
        match self.precision.quantization {
            Some(code) if !self.rehearsal => self.quantize(name, &entry, dims, code),
            _ => self.matrix(name, entry, dims),
        }
    }

    /// Takes the embedding table or the output layer, `[vocabulary, hidden]`, which are never quantised.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn table(&mut self, name: &str, dims: [usize; 2]) -> Result<Matrix> {
        let entry = self.entry(name, &dims)?;
        self.matrix(name, entry, dims)
    }

    fn matrix(&mut self, name: &str, entry: TensorEntry, dims: [usize; 2]) -> Result<Matrix> {
        if self.precision.kernels && !self.rehearsal {
            let half = match entry.dtype {
                DType::BF16 => Some(Half::Bf16),
                DType::F16 => Some(Half::F16),
                _ => None,
            };
            if let Some(half) = half {
                self.check_shape(name, &entry, &dims)?;
                return Ok(Kept::halves(self.read(&entry)?, half, dims).into());
            }
        }
        Ok(self.param(name, &entry, dims)?.into())
    }

    fn entry(&mut self, name: &str, shape: &[usize]) -> Result<TensorEntry> {
        if let Some(asked) = &mut self.asked {
            asked.push((name.to_owned(), shape.to_vec()));
            return Ok(TensorEntry {
                file: PathBuf::new(),
                offset: 0,
                bytes: 0,
                shape: shape.to_vec(),
                dtype: DType::F32,
            });
        }
        self.left.remove(name).ok_or_else(|| {
            Diagnostic::checkpoint("missing from the checkpoint")
                .in_file(&self.checkpoint.folder)
                .place(format!("tensor `{name}`"))
                .expected(format!("shape {shape:?}, by config.json"))
                .help("a shard may be missing, or config.json belongs to another model")
        })
    }

    fn check_shape(&self, name: &str, entry: &TensorEntry, shape: &[usize]) -> Result<()> {
        if entry.shape != shape {
            return Err(Diagnostic::checkpoint(format!("shape {:?}", entry.shape))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .expected(format!("{shape:?}, by config.json"))
                .help("config.json and weights belong to different models"));
        }
        Ok(())
    }

    fn param<const D: usize>(
        &mut self,
        name: &str,
        entry: &TensorEntry,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>> {
        self.check_shape(name, entry, &shape)?;
        if !matches!(entry.dtype, DType::F32 | DType::F16 | DType::BF16) {
            return Err(Diagnostic::checkpoint(format!("stored as {:?}", entry.dtype))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .expected("F32, F16 or BF16"));
        }
        if self.rehearsal {
            return Ok(self.unread(shape));
        }
        let data = TensorData::from_bytes_vec(self.read(entry)?, entry.shape.clone(), entry.dtype);
        let tensor = Tensor::from_data(data, (&self.device, self.precision.dtype));
        Ok(Param::initialized(ParamId::new(), tensor))
    }

    /// Stands for a parameter where names and shapes alone are checked.
    fn unread<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let never = |_: &Device, _| unreachable!("a rehearsed parameter is dropped unread");
        Param::uninitialized(ParamId::new(), never, self.device.clone(), false, shape.into())
    }

    fn read(&mut self, entry: &TensorEntry) -> Result<Vec<u8>> {
        let mut bytes = vec![0; entry.bytes];
        let file = self.at(entry)?;
        file.read_exact(&mut bytes).map_err(|e| unreadable(entry, &e))?;
        Ok(bytes)
    }

    /// The file of a tensor, at its first byte.
    fn at(&mut self, entry: &TensorEntry) -> Result<&mut File> {
        let io = |e: &std::io::Error| unreadable(entry, e);
        if self.open.as_ref().is_none_or(|(path, _)| *path != entry.file) {
            self.open = Some((entry.file.clone(), File::open(&entry.file).map_err(|e| io(&e))?));
        }
        let Some((_, file)) = &mut self.open else {
            unreachable!("opened above")
        };
        file.seek(SeekFrom::Start(entry.offset)).map_err(|e| io(&e))?;
        Ok(file)
    }

    /// Ends the load.
    ///
    /// # Errors
    /// Tensors are left over that the architecture does not use: it would compute something else than the file's model.
    pub fn finish(mut self) -> Result<()> {
        self.left.retain(|name, _| !is_buffer(name));
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
            .help("the checkpoint is of another architecture than config.json says, or of a variant that igsite does not compute"))
    }
}

fn unreadable(entry: &TensorEntry, error: &std::io::Error) -> Diagnostic {
    Diagnostic::io(Kind::Checkpoint, "read the weights", &entry.file, error)
}

/// Buffers that old writers saved and that are computed, not read: rotary frequencies and causal masks.
fn is_buffer(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
        || name.ends_with(".attention.maskbias")
        || name.ends_with(".attn.masked_bias")
}

/// An index of shards, and the single file that takes its place; the first that is there is taken. Safetensors before `.bin`, never both.
pub const WEIGHTS: [(&str, &str); 2] = [
    ("model.safetensors.index.json", "model.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model.bin"),
];

fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    for (index, single) in WEIGHTS {
        if folder.join(index).is_file() {
            return shards(folder, &folder.join(index));
        }
        if folder.join(single).is_file() {
            return Ok(vec![folder.join(single)]);
        }
    }
    Err(Diagnostic::checkpoint("no weights in this folder").in_file(folder).expected(
        "`model.safetensors`, `model.safetensors.index.json` with its shards, `pytorch_model.bin`, or `pytorch_model.bin.index.json` with its shards",
    ))
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = input::read(index, Kind::Checkpoint, "read the index of shards")?;
    let json: Value = serde_json::from_slice(&text).map_err(|e| {
        Diagnostic::checkpoint(format!("not JSON: {e}"))
            .in_file(index)
            .help("download the file again")
    })?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(Diagnostic::checkpoint("no `weight_map`")
            .in_file(index)
            .expected("an object: tensor to shard"));
    };
    let mut names: Vec<&str> = Vec::new();
    for (tensor, shard) in map {
        match shard.as_str() {
            // A shard lies beside its index; anything else would read files that are not the checkpoint's.
            Some(name) if !name.contains(['/', '\\']) && name != ".." => names.push(name),
            _ => {
                return Err(Diagnostic::checkpoint(format!("shard {shard} of tensor `{tensor}`"))
                    .in_file(index)
                    .expected("the name of a file beside the index"));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    for name in &names {
        if !folder.join(name).is_file() {
            return Err(Diagnostic::checkpoint(format!("shard `{name}` is missing"))
                .in_file(index)
                .expected(format!("{} shards beside the index: {}", names.len(), names.join(", ")))
                .help("download the missing file into the folder"));
        }
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}
