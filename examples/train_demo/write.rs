//! Writers for the two weight formats: safetensors and PyTorch's `.bin`, in one file or in shards with their index.
//!
//! igsite itself only reads checkpoints, so these are with the demo's training program; tests that need a checkpoint
//! include this file. It writes what `safetensors` and `torch.save` write, and nothing else of a checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What numbers are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// float16
    F16,
    /// bfloat16
    Bf16,
    /// float32
    F32,
}

impl Stored {
    /// As `config.json` calls it.
    pub fn torch_dtype(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// A tensor to write.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape, outermost first.
    pub shape: Vec<usize>,
    /// Its numbers, row by row.
    pub values: Vec<f32>,
}

/// The file format of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `model.safetensors`
    Safetensors,
    /// `pytorch_model.bin`
    PyTorch,
}

/// Writes the weights of a checkpoint: one file, or `shards` of about equal size and the index over them.
pub fn write_weights(
    folder: &Path,
    tensors: &[NamedTensor],
    stored: Stored,
    format: Format,
    shards: usize,
) -> io::Result<()> {
    let (stem, extension) = match format {
        Format::Safetensors => ("model", "safetensors"),
        Format::PyTorch => ("pytorch_model", "bin"),
    };
    let write = |name: &str, tensors: &[&NamedTensor]| match format {
        Format::Safetensors => write_safetensors(&folder.join(name), tensors, stored),
        Format::PyTorch => write_pytorch(&folder.join(name), tensors, stored),
    };
    if shards == 1 {
        return write(&format!("{stem}.{extension}"), &tensors.iter().collect::<Vec<_>>());
    }
    let total: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
    let mut parts: Vec<Vec<&NamedTensor>> = vec![Vec::new(); shards];
    let mut before = 0;
    for tensor in tensors {
        // Where a tensor's middle lies decides its shard.
        parts[(before + tensor.values.len() / 2) * shards / total].push(tensor);
        before += tensor.values.len();
    }
    let mut map = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        let name = format!("{stem}-{:05}-of-{shards:05}.{extension}", index + 1);
        write(&name, part)?;
        map.extend(part.iter().map(|tensor| (tensor.name.as_str(), name.clone())));
    }
    let size = total * stored.bytes(&[0.0]).len();
    let index = json!({"metadata": {"total_size": size}, "weight_map": map});
    write_json(&folder.join(format!("{stem}.{extension}.index.json")), &index)
}

/// Writes JSON as people read it, with a newline at the end.
pub fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    std::fs::write(path, serde_json::to_string_pretty(value)? + "\n")
}

/// One safetensors file: the length of the header, the header, the numbers.
pub fn write_safetensors(path: &Path, tensors: &[&NamedTensor], stored: Stored) -> io::Result<()> {
    let dtype = match stored {
        Stored::F16 => "F16",
        Stored::Bf16 => "BF16",
        Stored::F32 => "F32",
    };
    let mut header = serde_json::Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(stored.bytes(&tensor.values));
        let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [start, data.len()]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    file.write_all(&data)
}

/// One `.bin` shard as `torch.save` writes it: a zip, uncompressed, of the pickled dictionary and a raw storage a
/// tensor.
pub fn write_pytorch(path: &Path, tensors: &[&NamedTensor], stored: Stored) -> io::Result<()> {
    // A fixed date, and each part's bytes on a multiple of 64, as PyTorch has it.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .with_alignment(64);
    let mut zip = ZipWriter::new(File::create(path)?);
    let mut part = |name: &str, bytes: &[u8]| -> io::Result<()> {
        zip.start_file(format!("archive/{name}"), options)?;
        zip.write_all(bytes)
    };
    part("data.pkl", &Pickle::state_dict(tensors, stored))?;
    part("byteorder", b"little")?;
    for (key, tensor) in tensors.iter().enumerate() {
        part(&format!("data/{key}"), &stored.bytes(&tensor.values))?;
    }
    part("version", b"3\n")?;
    zip.finish()?;
    Ok(())
}

/// A pickle of protocol 2, as far as a dictionary of tensors needs it. Nothing is memoized: the result is a little
/// longer than Python's own and means the same.
struct Pickle(Vec<u8>);

impl Pickle {
    fn state_dict(tensors: &[&NamedTensor], stored: Stored) -> Vec<u8> {
        let storage = match stored {
            Stored::F16 => "HalfStorage",
            Stored::Bf16 => "BFloat16Storage",
            Stored::F32 => "FloatStorage",
        };
        let mut pickle = Self(vec![0x80, 2]); // PROTO 2
        pickle.op(b"}("); // EMPTY_DICT MARK
        for (key, tensor) in tensors.iter().enumerate() {
            pickle.text(&tensor.name);
            pickle.global("torch._utils", "_rebuild_tensor_v2");
            pickle.op(b"((");
            pickle.text("storage");
            pickle.global("torch", storage);
            pickle.text(&key.to_string());
            pickle.text("cpu");
            pickle.integer(tensor.values.len());
            pickle.op(b"tQ"); // TUPLE BINPERSID
            pickle.integer(0);
            pickle.tuple(&tensor.shape);
            let strides = (0..tensor.shape.len()).map(|axis| tensor.shape[axis + 1..].iter().product());
            pickle.tuple(&strides.collect::<Vec<usize>>());
            pickle.op(b"\x89"); // NEWFALSE: no gradient
            pickle.global("collections", "OrderedDict");
            pickle.op(b")R"); // EMPTY_TUPLE REDUCE: no hooks
            pickle.op(b"tR"); // TUPLE REDUCE: the tensor
        }
        pickle.op(b"u."); // SETITEMS STOP
        pickle.0
    }

    fn op(&mut self, codes: &[u8]) {
        self.0.extend(codes);
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn integer(&mut self, value: usize) {
        match value {
            0..=0xFF => self.0.extend([b'K', value as u8]),
            0x100..=0xFFFF => {
                self.op(b"M");
                self.0.extend((value as u16).to_le_bytes());
            }
            _ => {
                self.op(b"J");
                self.0.extend((value as i32).to_le_bytes());
            }
        }
    }

    fn tuple(&mut self, values: &[usize]) {
        self.op(b"(");
        values.iter().for_each(|value| self.integer(*value));
        self.op(b"t");
    }
}
