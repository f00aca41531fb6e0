//! `tokenizer.model`: a SentencePiece model of type BPE, converted into the pipeline that Hugging Face's
//! `LlamaTokenizerFast` uses.
//!
//! The file is a Protocol Buffers message (`sentencepiece_model.proto`); the few fields that matter are read here.
//! Merges are recovered from the scores as `convert_slow_tokenizer.py` of transformers does (`merges.rs`). Types and
//! settings that this pipeline does not compute are errors.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::merges::{Scored, by_score};
use super::prefix::Prefix;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// More pieces than this are no vocabulary.
pub const MOST_PIECES: usize = 4_000_000;

const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

#[derive(Debug, PartialEq)]
struct Piece {
    text: String,
    score: f32,
    kind: u64,
}

/// The fields of `ModelProto` that matter here, with the defaults of the `.proto` file.
#[derive(Debug)]
struct Proto {
    pieces: Vec<Piece>,
    model_type: u64,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    charsmap: bool,
}

/// The pipeline in the form of a `tokenizer.json`, without a post-processor. Spaces are inserted as `prefix` says.
/// Transformers ignores the model's own setting for that (`add_dummy_prefix`), which is returned too.
///
/// # Errors
/// The file cannot be read, is no SentencePiece model, is not of type BPE, or normalises text.
pub fn pipeline(path: &Path, prefix: Prefix) -> Result<(Value, bool)> {
    let bytes = input::read(path, Kind::Checkpoint, "read")?;
    let proto = parse(&bytes).ok_or_else(|| {
        Diagnostic::checkpoint("not a SentencePiece model")
            .in_file(path)
            .download_again()
    })?;
    supported(&proto).map_err(|e| e.in_file(path))?;
    let mut added_tokens: Vec<Value> = Vec::new();
    for (id, piece) in proto.pieces.iter().enumerate() {
        if matches!(piece.kind, UNKNOWN | CONTROL | USER_DEFINED) {
            added_tokens.push(added_token(id, &piece.text, piece.kind != USER_DEFINED));
        }
    }
    let unknown = proto
        .pieces
        .iter()
        .find(|piece| piece.kind == UNKNOWN)
        .map(|piece| piece.text.clone());
    let mut vocabulary = Map::new();
    for (id, piece) in proto.pieces.iter().enumerate() {
        vocabulary.insert(piece.text.clone(), json!(id));
    }
    let (normalizer, pre_tokenizer) = prefix.steps();
    let merges = merges(&proto.pieces).map_err(|error| error.in_file(path))?;
    let pipeline = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added_tokens,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": decoder(prefix),
        "model": {"type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
            "vocab": vocabulary, "merges": merges},
    });
    Ok((pipeline, proto.add_dummy_prefix))
}

/// The steps from pieces back to text.
pub fn decoder(prefix: Prefix) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix != Prefix::Never {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

fn supported(proto: &Proto) -> Result<()> {
    let refuse = |found: &str, expected: &str| {
        Err(Diagnostic::checkpoint(found)
            .expected(expected)
            .help("igsite does not compute this variant; look for a tokenizer.json"))
    };
    if proto.model_type != 2 {
        let kind = ["", "unigram", "BPE", "word", "character"]
            .get(proto.model_type as usize)
            .unwrap_or(&"unknown");
        return refuse(&format!("a SentencePiece model of kind {kind}"), "kind BPE");
    }
    if proto.charsmap || proto.remove_extra_whitespaces {
        return refuse(
            "a SentencePiece model that normalises its text",
            "the normaliser `identity`, as Llama's has",
        );
    }
    if proto.pieces.iter().filter(|piece| piece.kind == BYTE).count() != 256 {
        return refuse(
            "a SentencePiece model without byte fallback",
            "256 byte pieces, `<0x00>` to `<0xFF>`",
        );
    }
    if !proto.pieces.iter().any(|piece| piece.kind == UNKNOWN) {
        return refuse(
            "a SentencePiece model without an unknown piece",
            "one piece of kind UNKNOWN",
        );
    }
    Ok(())
}

fn added_token(id: usize, text: &str, special: bool) -> Value {
    json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": special})
}

/// The merges that follow from the scores. Pieces that are not text have no part in them, as in
/// `convert_slow_tokenizer.py`.
fn merges(pieces: &[Piece]) -> Result<Vec<Value>> {
    let mut scored = Vec::with_capacity(pieces.len());
    for piece in pieces {
        scored.push((piece.kind == NORMAL).then(|| Scored {
            text: piece.text.as_str(),
            score: piece.score.into(),
        }));
    }
    let merges = by_score(&scored)?;
    Ok(merges.into_iter().map(|(left, right)| json!([left, right])).collect())
}

/// `None` where the bytes are no such message.
fn parse(bytes: &[u8]) -> Option<Proto> {
    let mut proto = Proto {
        pieces: vec![],
        model_type: 1,
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        charsmap: false,
    };
    for field in Message(bytes) {
        match field? {
            (1, Wire::Bytes(message)) => {
                proto.pieces.push(piece(message)?);
                if proto.pieces.len() > MOST_PIECES {
                    return None;
                }
            }
            (2, Wire::Bytes(message)) => {
                for field in Message(message) {
                    if let (3, Wire::Number(kind)) = field? {
                        proto.model_type = kind;
                    }
                }
            }
            (3, Wire::Bytes(message)) => {
                for field in Message(message) {
                    match field? {
                        (2, Wire::Bytes(map)) => proto.charsmap = !map.is_empty(),
                        (3, Wire::Number(flag)) => proto.add_dummy_prefix = flag != 0,
                        (4, Wire::Number(flag)) => proto.remove_extra_whitespaces = flag != 0,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (!proto.pieces.is_empty()).then_some(proto)
}

fn piece(message: &[u8]) -> Option<Piece> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: NORMAL,
    };
    for field in Message(message) {
        match field? {
            (1, Wire::Bytes(text)) => piece.text = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Wire::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Wire::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    Some(piece)
}

/// A field's value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed64,
}

/// The fields of a message in order; an item of `None` says that the bytes are malformed.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece_of(text: &str, score: f32) -> Piece {
        Piece {
            text: text.to_owned(),
            score,
            kind: NORMAL,
        }
    }

    #[test]
    fn merges_come_best_score_first() {
        let pieces = [
            piece_of("a", -4.0),
            piece_of("b", -5.0),
            piece_of("ab", -2.0),
            piece_of("abb", -1.0),
        ];
        assert_eq!(merges(&pieces).unwrap(), [json!(["ab", "b"]), json!(["a", "b"])]);
    }

    #[test]
    fn a_cut_message_is_none() {
        // Field 1, length 5, then only two bytes.
        assert!(parse(&[0x0a, 5, 1, 2]).is_none());
        assert!(parse(&[]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            _ = parse(&bytes);
        }
    }
}
