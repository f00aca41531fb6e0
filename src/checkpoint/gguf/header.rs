//! The head of a GGUF file as it is read: forward, each length held against the file's size first.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use super::metadata::{Kind, Spans};
use crate::diagnostic::{Diagnostic, Kind as Fault, Result};
use crate::input;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Arrays within arrays; nobody writes any.
const DEEPEST: usize = 4;

/// A file that is read from its beginning; all that was read stays.
pub struct Header<'a> {
    path: &'a Path,
    file: File,
    size: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a> Header<'a> {
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = input::open(path, Fault::Checkpoint, "read the model")?;
        let found = file.metadata();
        let size = found
            .map_err(|e| Diagnostic::io(Fault::Checkpoint, "read the model", path, &e))?
            .len();
        Ok(Self {
            path,
            file,
            size,
            bytes: Vec::new(),
            at: 0,
        })
    }

    /// An error in this file.
    pub fn wrong(&self, what: impl Into<String>) -> Diagnostic {
        Diagnostic::checkpoint(what).in_file(self.path)
    }

    /// An error: the file is too short.
    pub fn truncated(&self) -> Diagnostic {
        self.wrong(format!("the file ends after {} bytes: it is truncated", self.size))
            .help("the download was cut off; fetch the file again")
            .may_be_damaged()
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How much was read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was read.
    pub fn bytes(&self, span: Range<usize>) -> &[u8] {
        &self.bytes[span]
    }

    /// All that was read.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes.shrink_to_fit();
        self.bytes
    }

    /// Goes on by so many bytes, which are in memory from then on. `place` is what they are of, for an error.
    fn take(&mut self, count: u64, place: &str) -> Result<Range<usize>> {
        let left = self.size - self.at as u64;
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let (Some(end), true) = (end, count <= left) else {
            return Err(self
                .truncated()
                .place(place)
                .expected(format!("{count} bytes more, and {left} are left")));
        };
        while self.bytes.len() < end {
            // At least a piece, at most the file; doubled, so that a long head is not moved again and again.
            let have = self.bytes.len();
            let rest = usize::try_from(self.size - have as u64).unwrap_or(usize::MAX);
            let more = have.max(PIECE).max(end - have).min(rest);
            self.bytes.reserve_exact(more);
            self.bytes.resize(have + more, 0);
            self.file
                .read_exact(&mut self.bytes[have..])
                .map_err(|e| Diagnostic::io(Fault::Checkpoint, "read the model", self.path, &e))?;
        }
        let span = self.at..end;
        self.at = end;
        Ok(span)
    }

    fn array<const N: usize>(&mut self, place: &str) -> Result<[u8; N]> {
        let span = self.take(N as u64, place)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[span]);
        Ok(bytes)
    }

    pub fn u32(&mut self, place: &str) -> Result<u32> {
        self.array(place).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, place: &str) -> Result<u64> {
        self.array(place).map(u64::from_le_bytes)
    }

    /// A text of the head itself: a key, or a tensor's name.
    pub fn text(&mut self, place: &str) -> Result<String> {
        let length = self.u64(place)?;
        let span = self.take(length, place)?;
        match std::str::from_utf8(&self.bytes[span]) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(self
                .wrong(format!("byte {} of it is not UTF-8", error.valid_up_to()))
                .place(place)
                .download_again()),
        }
    }

    /// The magic number and the version.
    pub fn version(&mut self) -> Result<u32> {
        let magic: [u8; 4] = self.array("the head")?;
        if &magic != b"GGUF" {
            let older = [b"lmgg", b"fmgg", b"tjgg", b"algg"].contains(&&magic);
            let error = self.wrong("not a GGUF file").expected("`GGUF` as its first bytes");
            return Err(if older {
                error.help("it is of a format before GGUF: take a newer file, or convert it by llama.cpp of 2023")
            } else {
                error.download_again()
            });
        }
        let version = self.u32("the version")?;
        let expected = "version 2 or 3, little-endian";
        match version {
            2 | 3 => Ok(version),
            1 => Err(self
                .wrong("GGUF version 1")
                .expected(expected)
                .help("take a newer file of the model; version 1 was written for some weeks in 2023")),
            _ if (1..=3).contains(&version.swap_bytes()) => Err(self
                .wrong(format!("a big-endian file (version {})", version.swap_bytes()))
                .expected(expected)
                .help("take the little-endian file, or convert it: `gguf-convert-endian`")),
            _ => Err(self.wrong(format!("GGUF version {version}")).expected(expected)),
        }
    }

    /// The keys, and where their values lie.
    pub fn metadata(&mut self, keys: u64) -> Result<Spans> {
        let mut spans = Spans::new();
        for index in 0..keys {
            let key = self.text(&format!("the name of metadata key {index}"))?;
            let place = format!("`{key}`");
            let kind = self.kind(&place)?;
            let from = self.at;
            self.pass(kind, &place, 0)?;
            let span = from..self.at;
            if kind == Kind::Text && std::str::from_utf8(&self.bytes[from + 8..self.at]).is_err() {
                return Err(self.wrong("a text that is not UTF-8").place(place).download_again());
            }
            if spans.insert(key, (kind, span)).is_some() {
                return Err(self.wrong("set twice").place(place).expected("each key once"));
            }
        }
        Ok(spans)
    }

    fn kind(&mut self, place: &str) -> Result<Kind> {
        let number = self.u32(place)?;
        Kind::of(number).ok_or_else(|| {
            self.wrong(format!("a value of an unknown type (number {number})"))
                .place(place)
                .expected("a type of the GGUF specification, 0 to 12")
                .download_again()
        })
    }

    /// Goes past a value.
    fn pass(&mut self, kind: Kind, place: &str, depth: usize) -> Result<()> {
        match kind {
            Kind::Text => {
                let length = self.u64(place)?;
                self.take(length, place)?;
            }
            Kind::Array if depth == DEEPEST => {
                return Err(self
                    .wrong(format!("arrays within arrays, more than {DEEPEST} deep"))
                    .place(place));
            }
            Kind::Array => {
                let inner = self.kind(place)?;
                let length = self.u64(place)?;
                if let Some(size) = inner.size() {
                    self.take(length.saturating_mul(size as u64), place)?;
                } else {
                    for _ in 0..length {
                        self.pass(inner, place, depth + 1)?;
                    }
                }
            }
            _ => {
                self.take(kind.size().unwrap_or(0) as u64, place)?;
            }
        }
        Ok(())
    }
}
