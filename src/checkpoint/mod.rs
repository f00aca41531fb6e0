//! Files to tensors: a checkpoint folder's config, its shards, and where each tensor is in them.
//!
//! Opening reads headers only. Tensors are then read one by one, converted while they are moved to the device, and
//! freed, so that a checkpoint is never in memory twice. Every tensor of the files must be used, and every parameter
//! filled.

mod buffers;
pub mod config;
pub mod gguf;
pub mod hash;
pub mod json;
mod loader;
mod names;
mod pickle;
mod pytorch;
pub mod quantized;
mod safetensors;
mod stored;
mod tied;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};

use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::families::shape::Shape;
use crate::kernel::packed::BlockType;
use crate::tensor::matrix::Precision;
use crate::terms::Quantization;
use config::{CheckpointConfig, SpecialTokens};
use quantized::Quantized;

pub use loader::Loader;
pub use stored::{Stored, Strides, TensorEntry};
pub use weights::{WEIGHTS, shard_names};

/// An opened checkpoint folder.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The folder; or the file, if it is one of GGUF.
    pub folder: PathBuf,
    /// Its `config.json`, or what a GGUF file's metadata say.
    pub config: CheckpointConfig,
    /// The weight files, sorted.
    pub files: Vec<PathBuf>,
    /// Warnings: what is unusual about the files, and how it was read.
    pub warnings: Diagnostics,
    entries: BTreeMap<String, TensorEntry>,
}

impl Checkpoint {
    /// Opens a folder: `config.json`, then `model.safetensors`, or its shards by index, or the same as PyTorch `.bin`; or
    /// a GGUF file.
    ///
    /// Reads headers. Of a tied model that has an output layer as well, it also reads as much of both as shows whether
    /// they differ.
    ///
    /// # Errors
    /// No folder, no config, no weights, a shard that the index names and that does not exist, a tensor twice, and any
    /// fault that the readers of the files find.
    pub fn open(folder: &Path) -> Result<Self> {
        if gguf::is_file(folder) {
            return Self::open_gguf(folder);
        }
        let mut config = config::read(&folder.join("config.json"))?;
        let mut warnings = std::mem::take(&mut config.warnings);
        let (files, more) = weights::find(folder, config.weights.as_deref())?;
        warnings.extend(more);
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
        if config.language_part {
            warnings.extend(names::language_part(&mut entries).into_iter().collect());
        }
        if let Some(quantized) = &config.quantization
            && let Some(warning) = quantized.unused(&entries)
        {
            warnings.push(warning.in_file(folder.join("config.json")));
            config.quantization = None;
        }
        let mut checkpoint = Self {
            folder: folder.to_path_buf(),
            entries: names::with_prefixes(entries, &config.model),
            config,
            files,
            warnings,
        };
        let odd = [tied::look(&checkpoint)?, checkpoint.masks(), checkpoint.rounded()];
        checkpoint.warnings.extend(odd.into_iter().flatten().collect());
        Ok(checkpoint)
    }

    fn open_gguf(file: &Path) -> Result<Self> {
        let (mut config, entries) = gguf::open(file)?;
        Ok(Self {
            folder: file.to_path_buf(),
            warnings: std::mem::take(&mut config.warnings),
            config,
            files: vec![file.to_path_buf()],
            entries,
        })
    }

    /// Whether it is a GGUF file.
    pub fn is_gguf(&self) -> bool {
        gguf::is_file(&self.folder)
    }

    /// What says which shapes its tensors have.
    fn described_by(&self) -> &'static str {
        if self.is_gguf() {
            "the file's metadata"
        } else {
            "config.json"
        }
    }

    /// The file whose hash stands for the config.
    pub fn config_file(&self) -> PathBuf {
        if self.is_gguf() {
            self.folder.clone()
        } else {
            self.folder.join("config.json")
        }
    }

    /// The form in which most of its packed weights are, if any are blocks of ggml.
    pub fn blocks(&self) -> Option<BlockType> {
        let mut bytes: BTreeMap<u32, (usize, BlockType)> = BTreeMap::new();
        for entry in self.entries.values() {
            if let Stored::Blocks(kind) = entry.stored {
                bytes.entry(kind.number()).or_insert((0, kind)).0 += entry.bytes;
            }
        }
        bytes
            .into_values()
            .max_by_key(|(bytes, _)| *bytes)
            .map(|(_, kind)| kind)
    }

    /// Warns which entries are ignored because they are no parameters. Rotary frequencies are not mentioned.
    fn masks(&self) -> Option<Diagnostic> {
        let mask = |(name, entry): &(&String, &TensorEntry)| buffers::known(name, entry) == Some(buffers::Buffer::Mask);
        let mut masks = self.entries.iter().filter(mask);
        let (name, entry) = masks.next()?;
        let more = match masks.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Some(
            Diagnostic::checkpoint(format!("no parameter, passed over{more}"))
                .in_file(&entry.file)
                .place(format!("tensor `{name}`"))
                .help("igsite computes masks and positions by itself, as transformers does")
                .as_warning(),
        )
    }

    /// Says where transformers 5 would round the weights, and igsite does not.
    fn rounded(&self) -> Option<Diagnostic> {
        let (stored, said) = (self.stored_dtype(), self.config.dtype?);
        let kept = said == stored || said == DType::F32 || self.config.quantization.is_some();
        let name = |dtype| match dtype {
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            _ => "float32",
        };
        (!kept).then(|| {
            Diagnostic::checkpoint(format!("`dtype: {}`, and weights in {}", name(said), name(stored)))
                .in_file(self.folder.join("config.json"))
                .help("the weights are taken as they are stored; transformers 5 rounds them as it loads them, unless told otherwise")
                .as_warning()
        })
    }

    /// Opens a folder whose weights have not been downloaded yet: its config can be checked, and nothing can be
    /// computed.
    ///
    /// # Errors
    /// No folder, no config, or one that we do not understand.
    pub fn without_weights(folder: &Path) -> Result<Self> {
        let mut config = config::read(&folder.join("config.json"))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            warnings: std::mem::take(&mut config.warnings),
            config,
            files: vec![],
            entries: BTreeMap::new(),
        })
    }

    /// How its linear layers are stored quantised, as a record says it; none: they are not.
    pub fn quantization(&self) -> Option<Quantization> {
        self.config.quantization.as_ref().map(Quantized::word)
    }

    /// What activations would be rounded to, where the checkpoint was made to be computed with that.
    pub fn activations(&self) -> Option<&str> {
        self.config.quantization.as_ref()?.activations.as_deref()
    }

    /// The dtype most of the weights' bytes are stored in.
    pub fn stored_dtype(&self) -> DType {
        let mut bytes: Vec<(DType, usize)> = vec![(DType::F32, 0), (DType::F16, 0), (DType::BF16, 0)];
        for (name, entry) in &self.entries {
            if quantized::is_state(name) {
                continue;
            }
            for (dtype, sum) in &mut bytes {
                if Some(*dtype) == entry.stored.float() {
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

    /// Bytes of its tensors, as they are stored.
    pub fn bytes(&self) -> usize {
        self.entries.values().map(|entry| entry.bytes).sum()
    }

    /// Number of parameters in the files.
    pub fn parameters(&self) -> usize {
        let count = |(name, entry): (&String, &TensorEntry)| match entry.stored {
            _ if quantized::is_state(name) || buffers::known(name, entry).is_some() => 0,
            Stored::Blocks(_) => entry.shape.iter().product(),
            ref stored if stored.float().is_none() => {
                quantized::weights_in(self.config.quantization.as_ref(), name, entry)
            }
            ref stored => stored.size().map_or(0, |size| entry.bytes / size),
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
            table: None,
        }
    }
}

/// Every tensor that is asked for, instead of a checkpoint: names and shapes in the order in which they are taken.
pub fn needed_tensors(
    shape: &Shape,
    take: impl FnOnce(&mut Loader<'_>) -> Result<()>,
) -> Result<Vec<(String, Vec<usize>)>> {
    let checkpoint = Checkpoint {
        folder: PathBuf::new(),
        config: CheckpointConfig {
            model: shape.clone(),
            special: SpecialTokens::default(),
            quantization: None,
            stop: vec![],
            context: None,
            dtype: None,
            weights: None,
            language_part: false,
            warnings: Diagnostics::new(),
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
