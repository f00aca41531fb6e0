//! Writes small GGUF files, for tests. It knows nothing of the reader (and is used by tests/support, too).
#![allow(dead_code, reason = "each test program uses a part")]

/// A value of the metadata.
#[derive(Clone, Debug)]
pub enum Value {
    U32(u32),
    U64(u64),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Floats(Vec<f32>),
    Ints(Vec<i32>),
    Bools(Vec<bool>),
    Arrays(Vec<Vec<i32>>),
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<&str>> for Value {
    fn from(value: Vec<&str>) -> Self {
        Self::Texts(value.into_iter().map(str::to_owned).collect())
    }
}

impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}

impl From<Vec<f32>> for Value {
    fn from(value: Vec<f32>) -> Self {
        Self::Floats(value)
    }
}

impl From<Vec<i32>> for Value {
    fn from(value: Vec<i32>) -> Self {
        Self::Ints(value)
    }
}

impl From<Vec<bool>> for Value {
    fn from(value: Vec<bool>) -> Self {
        Self::Bools(value)
    }
}

/// A file in the making.
#[derive(Clone, Debug)]
pub struct Writer {
    pub version: u32,
    pub alignment: usize,
    keys: Vec<(String, Value)>,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            version: 3,
            alignment: 32,
            keys: vec![],
            tensors: vec![],
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array<T>(out: &mut Vec<u8>, kind: u32, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(kind.to_le_bytes());
    out.extend((items.len() as u64).to_le_bytes());
    items.iter().for_each(|item| write(out, item));
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let kind = match self {
            Self::U32(_) => 4u32,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::U64(_) => 10,
            Self::Texts(_) | Self::Floats(_) | Self::Ints(_) | Self::Bools(_) | Self::Arrays(_) => 9,
        };
        out.extend(kind.to_le_bytes());
        match self {
            Self::U32(value) => out.extend(value.to_le_bytes()),
            Self::F32(value) => out.extend(value.to_le_bytes()),
            Self::U64(value) => out.extend(value.to_le_bytes()),
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Text(value) => text(out, value),
            Self::Texts(items) => array(out, 8, items, |out, item| text(out, item)),
            Self::Floats(items) => array(out, 6, items, |out, item| out.extend(item.to_le_bytes())),
            Self::Ints(items) => array(out, 5, items, |out, item| out.extend(item.to_le_bytes())),
            Self::Bools(items) => array(out, 7, items, |out, item| out.push(u8::from(*item))),
            Self::Arrays(items) => array(out, 9, items, |out, item| {
                array(out, 5, item, |out, item| out.extend(item.to_le_bytes()));
            }),
        }
    }
}

impl Writer {
    /// Adds a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.push((key.to_owned(), value.into()));
        self
    }

    /// Takes a key out.
    #[must_use]
    pub fn without_key(mut self, key: &str) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self
    }

    /// Adds a tensor of ggml's type `kind`; its shape outermost first.
    #[must_use]
    pub fn tensor(mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) -> Self {
        self.tensors.push((name.to_owned(), shape.to_vec(), kind, bytes));
        self
    }

    /// Adds a tensor of float32.
    #[must_use]
    pub fn floats(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, shape, 0, bytes)
    }

    /// The names of the tensors.
    pub fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// The same without a tensor.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut writer = self.clone();
        writer.tensors.retain(|(other, ..)| other != name);
        writer
    }

    /// The same with a tensor of float32 that has one row more.
    #[must_use]
    pub fn longer(&self, name: &str) -> Self {
        let mut writer = self.clone();
        for (other, shape, _, bytes) in &mut writer.tensors {
            if other == name {
                let row = bytes.len() / shape[0];
                shape[0] += 1;
                bytes.extend(vec![0; row]);
            }
        }
        writer
    }

    /// The same with all matrices of float32 whose rows are whole blocks as Q8_0.
    #[must_use]
    pub fn packed(&self) -> Self {
        let mut writer = self.clone();
        for (_, shape, kind, bytes) in &mut writer.tensors {
            if *kind != 0 || shape.len() < 2 || !shape[shape.len() - 1].is_multiple_of(32) {
                continue;
            }
            let (floats, _) = bytes.as_chunks::<4>();
            let floats: Vec<f32> = floats.iter().map(|&float| f32::from_le_bytes(float)).collect();
            let block = |block: &[f32]| {
                let (scale, codes) = q8_0(block);
                // A power of two as float16.
                let exponent = (scale.to_bits() >> 23) as u16 + 15 - 127;
                let mut bytes = (exponent << 10).to_le_bytes().to_vec();
                bytes.extend(codes.iter().map(|code| code.to_le_bytes()[0]));
                bytes
            };
            (*kind, *bytes) = (8, floats.chunks(32).flat_map(block).collect());
        }
        writer
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            text(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0usize;
        for (name, shape, kind, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape
                .iter()
                .rev()
                .for_each(|&side| out.extend((side as u64).to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + bytes.len()).next_multiple_of(self.alignment);
        }
        for (.., bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(bytes);
        }
        out
    }
}

/// Scale and codes of a block of Q8_0. The scale is a power of two, so that what a block expands to has the same codes
/// again.
pub fn q8_0(block: &[f32]) -> (f32, Vec<i8>) {
    let largest = block.iter().fold(0f32, |most, value| most.max(value.abs()));
    let mut scale = 2f32.powi(-14);
    while scale * 127.0 < largest {
        scale *= 2.0;
    }
    (scale, block.iter().map(|value| (value / scale).round() as i8).collect())
}
