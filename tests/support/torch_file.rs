//! Files as `torch.save` writes them, in both of its formats, with storages of any kind and tensors that look at them
//! in any way.

use std::io::Write;

/// Elements of a storage.
#[derive(Clone, Debug)]
pub enum Elements {
    F32(Vec<f32>),
    F16(Vec<f32>),
    Bf16(Vec<f32>),
    I64(Vec<i64>),
}

/// A tensor: a window on a storage.
#[derive(Clone, Debug)]
pub struct Saved {
    pub name: String,
    /// Index into the storages.
    pub storage: usize,
    /// A part of the storage that is a storage by itself (older format): first element and number of elements.
    pub view: Option<(usize, usize)>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct TorchFile {
    pub storages: Vec<Elements>,
    pub tensors: Vec<Saved>,
}

impl Elements {
    fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "FloatStorage",
            Self::F16(_) => "HalfStorage",
            Self::Bf16(_) => "BFloat16Storage",
            Self::I64(_) => "LongStorage",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(all) | Self::F16(all) | Self::Bf16(all) => all.len(),
            Self::I64(all) => all.len(),
        }
    }

    fn bytes(&self, big_endian: bool) -> Vec<u8> {
        let (mut bytes, size): (Vec<u8>, usize) = match self {
            Self::F32(all) => (all.iter().flat_map(|v| v.to_le_bytes()).collect(), 4),
            Self::F16(all) => (
                all.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
                2,
            ),
            Self::Bf16(all) => (
                all.iter()
                    .flat_map(|v| half::bf16::from_f32(*v).to_le_bytes())
                    .collect(),
                2,
            ),
            Self::I64(all) => (all.iter().flat_map(|v| v.to_le_bytes()).collect(), 8),
        };
        if big_endian {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        bytes
    }
}

impl TorchFile {
    /// Adds a tensor with a storage of its own, row by row.
    pub fn add(&mut self, name: &str, shape: &[usize], elements: Elements) {
        self.storages.push(elements);
        let mut strides = vec![1; shape.len()];
        for side in (1..shape.len()).rev() {
            strides[side - 1] = strides[side] * shape[side];
        }
        self.tensors.push(Saved {
            name: name.to_owned(),
            storage: self.storages.len() - 1,
            view: None,
            offset: 0,
            shape: shape.to_vec(),
            strides,
        });
    }

    /// The format since PyTorch 1.6.
    pub fn zip(&self, big_endian: bool) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut file = |name: &str, bytes: &[u8]| {
            zip.start_file(name, stored).unwrap();
            zip.write_all(bytes).unwrap();
        };
        file("archive/data.pkl", &self.dictionary(false));
        file("archive/byteorder", if big_endian { b"big" } else { b"little" });
        for (index, storage) in self.storages.iter().enumerate() {
            file(&format!("archive/data/{index}"), &storage.bytes(big_endian));
        }
        zip.finish().unwrap().into_inner()
    }

    /// The format before PyTorch 1.6.
    pub fn legacy(&self) -> Vec<u8> {
        // The magic number, the version, and what the machine was like.
        let mut file = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
        file.extend(
            b"\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03X\x0d\x00\x00\x00little_endianq\x02\x88",
        );
        file.extend(
            b"X\x0a\x00\x00\x00type_sizesq\x03}q\x04(X\x05\x00\x00\x00shortq\x05K\x02X\x03\x00\x00\x00intq\x06K\x04uu.",
        );
        file.extend(self.dictionary(true));
        file.extend(b"\x80\x02]q\x00(");
        for index in 0..self.storages.len() {
            text(&mut file, &index.to_string());
        }
        file.extend(b"e.");
        for storage in &self.storages {
            file.extend((storage.len() as u64).to_le_bytes());
            file.extend(storage.bytes(false));
        }
        file
    }

    /// The pickle of the dictionary; the text `storage` is remembered and recalled, as Python does it.
    fn dictionary(&self, legacy: bool) -> Vec<u8> {
        let mut out = b"\x80\x02}q\x00(".to_vec();
        for (index, tensor) in self.tensors.iter().enumerate() {
            text(&mut out, &tensor.name);
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            if index == 0 {
                text(&mut out, "storage");
                out.extend(b"q\x01");
            } else {
                out.extend(b"h\x01");
            }
            let storage = &self.storages[tensor.storage];
            out.extend(format!("ctorch\n{}\n", storage.kind()).as_bytes());
            text(&mut out, &tensor.storage.to_string());
            text(&mut out, "cpu");
            whole(&mut out, storage.len());
            match tensor.view {
                Some((first, count)) => {
                    out.push(b'(');
                    text(&mut out, &format!("view{index}"));
                    whole(&mut out, first);
                    whole(&mut out, count);
                    out.push(b't');
                }
                None if legacy => out.push(b'N'),
                None => {}
            }
            out.extend(b"tQ");
            whole(&mut out, tensor.offset);
            for sides in [&tensor.shape, &tensor.strides] {
                out.push(b'(');
                sides.iter().for_each(|&side| whole(&mut out, side));
                out.push(b't');
            }
            out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        }
        out.extend(b"u.");
        out
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn whole(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as u32).to_le_bytes());
}
