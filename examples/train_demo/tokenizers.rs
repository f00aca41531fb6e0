//! The demo's four tokenizers, each in the file form of the model family it stands for, each splitting words
//! differently.
//!
//! Llama's and Mistral's are `tokenizer.json`s in the form that Hugging Face gives a SentencePiece model: `▁` for a
//! blank, one more in front, byte-pair merges over the whole string, 256 byte pieces for all that is not in the
//! alphabet. Falcon's is a byte-level one. Orca's is the SentencePiece model itself, a protocol buffer, with its added
//! tokens beside it.
//!
//! The merges are learned here (`bpe.rs`) from training claims; no published vocabulary is used.

use std::collections::BTreeMap;
use std::io::Result;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use crate::bpe::Merges;
use crate::write::write_json;

/// The special tokens of a SentencePiece model, ids 0, 1 and 2.
const SPECIAL: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// Orca-2's added tokens, which follow the vocabulary.
const ORCA_ADDED: [&str; 3] = ["[PAD]", "<|im_start|>", "<|im_end|>"];

/// Falcon's end of text, which is also its beginning; id 0 here.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Which file form a tokenizer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `tokenizer.json`, SentencePiece as Hugging Face writes it.
    Llama,
    /// `tokenizer.json`, byte-level, with Falcon's pre-tokenizers.
    Falcon,
    /// `tokenizer.model`, `added_tokens.json`, `special_tokens_map.json`, `tokenizer_config.json`.
    Orca,
}

/// Learns `merges` merges from `texts` and writes the tokenizer's files into `folder`. Returns the size of the
/// vocabulary.
///
/// `flatten` counts each chunk once, however often it occurs: rare words then get pieces of their own earlier, and
/// frequent ones later.
pub fn train(form: Form, texts: &[String], merges: usize, flatten: bool, folder: &Path) -> Result<usize> {
    let mut chunks = BTreeMap::new();
    for text in texts {
        let cut = if form == Form::Falcon {
            byte_level_chunks(text)
        } else {
            sentencepiece_chunks(text)
        };
        cut.into_iter()
            .for_each(|chunk| *chunks.entry(chunk).or_insert(0_usize) += 1);
    }
    if flatten {
        chunks.values_mut().for_each(|n| *n = 1);
    }
    let merges = Merges::learn(&chunks, merges);
    match form {
        Form::Llama => {
            let vocabulary = sentencepiece_vocabulary(&merges);
            write_json(&folder.join("tokenizer.json"), &llama_json(&vocabulary, &merges))?;
            Ok(vocabulary.len())
        }
        Form::Falcon => {
            let bytes = byte_characters().into_iter().map(String::from);
            let vocabulary: Vec<String> = std::iter::once(END_OF_TEXT.to_owned())
                .chain(bytes)
                .chain(merges.pieces())
                .collect();
            write_json(&folder.join("tokenizer.json"), &falcon_json(&vocabulary, &merges))?;
            Ok(vocabulary.len())
        }
        Form::Orca => {
            let vocabulary = sentencepiece_vocabulary(&merges);
            std::fs::write(folder.join("tokenizer.model"), sentencepiece_model(&vocabulary))?;
            let added = ORCA_ADDED
                .iter()
                .enumerate()
                .map(|(i, token)| (*token, vocabulary.len() + i));
            write_json(
                &folder.join("added_tokens.json"),
                &json!(added.collect::<BTreeMap<_, _>>()),
            )?;
            let special = json!({"additional_special_tokens": ORCA_ADDED[1..], "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "[PAD]", "unk_token": "<unk>"});
            write_json(&folder.join("special_tokens_map.json"), &special)?;
            let config = json!({"add_bos_token": true, "add_eos_token": false, "legacy": true, "tokenizer_class": "LlamaTokenizer"});
            write_json(&folder.join("tokenizer_config.json"), &config)?;
            Ok(vocabulary.len() + ORCA_ADDED.len())
        }
    }
}

/// Cuts text as SentencePiece's trainer does: before each `▁`, digits one by one, letters apart from signs; a newline
/// is in no chunk, it stays a byte.
fn sentencepiece_chunks(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    // What the last chunk ends with: `▁` takes a letter or sign after it, a letter takes letters, all else stands
    // alone.
    let mut last = '\n';
    for c in format!(" {text}").chars() {
        let joins = match last {
            ' ' => c != ' ' && c != '\n' && !c.is_numeric(),
            last => last.is_alphabetic() && c.is_alphabetic(),
        };
        if joins {
            chunks
                .last_mut()
                .expect("a joining character has a chunk before it")
                .push(c);
        } else if c != '\n' {
            chunks.push(if c == ' ' { "▁".to_owned() } else { c.to_string() });
        }
        last = c;
    }
    chunks
}

/// Specials, the 256 bytes, what the merges make, the single characters: the order of a SentencePiece model.
fn sentencepiece_vocabulary(merges: &Merges) -> Vec<String> {
    let special = SPECIAL.iter().map(ToString::to_string);
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    special
        .chain(bytes)
        .chain(merges.pieces())
        .chain(merges.alphabet.iter().cloned())
        .collect()
}

/// The form of Llama-2's `tokenizer.json`.
fn llama_json(vocabulary: &[String], merges: &Merges) -> Value {
    let special = |id| json!({"SpecialToken": {"id": "<s>", "type_id": id}});
    let sequence = |name, id| json!({"Sequence": {"id": name, "type_id": id}});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": SPECIAL.iter().enumerate().map(|(id, token)| added_token(id, token)).collect::<Value>(),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(0), sequence("A", 0)],
            "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": bpe_model(vocabulary, merges, Some("<unk>"), true),
    })
}

/// The form of Falcon's `tokenizer.json`.
fn falcon_json(vocabulary: &[String], merges: &Merges) -> Value {
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [added_token(0, END_OF_TEXT)],
        "normalizer": null,
        "pre_tokenizer": falcon_pre_tokenizer(),
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": bpe_model(vocabulary, merges, None, false),
    })
}

fn added_token(id: usize, content: &str) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true,
    })
}

fn bpe_model(vocabulary: &[String], merges: &Merges, unknown: Option<&str>, byte_fallback: bool) -> Value {
    let ids = vocabulary
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.clone(), json!(id)));
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "vocab": ids.collect::<serde_json::Map<_, _>>(),
        "merges": merges.pairs.iter().map(|(left, right)| json!(format!("{left} {right}"))).collect::<Value>(),
    })
}

fn falcon_pre_tokenizer() -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        {"type": "Digits", "individual_digits": false},
        {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false},
    ]})
}

/// Cuts text just as the tokenizer itself will.
fn byte_level_chunks(text: &str) -> Vec<String> {
    let pre_tokenizer: PreTokenizerWrapper =
        serde_json::from_value(falcon_pre_tokenizer()).expect("the pre-tokenizer is well formed");
    let mut cut = PreTokenizedString::from(text);
    pre_tokenizer
        .pre_tokenize(&mut cut)
        .expect("these pre-tokenizers take any text");
    let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits.into_iter().map(|(chunk, ..)| chunk.to_owned()).collect()
}

/// The 256 characters by which a byte-level tokenizer writes bytes: printable ones stand for themselves, the others are
/// moved up past U+0100 (GPT-2's table).
fn byte_characters() -> Vec<char> {
    let printable = |byte: &u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let moved = (0x100..).take((0..=0xFF).filter(|byte| !printable(byte)).count());
    (0..=0xFF)
        .filter(printable)
        .chain(moved)
        .filter_map(char::from_u32)
        .collect()
}

/// A SentencePiece `ModelProto`: its pieces, and a trainer that says "byte-pair encoding, with byte fallback".
///
/// The fields are those of `sentencepiece_model.proto`. A merged piece scores minus its rank, which is how the encoder
/// finds which pair to join first; single characters come after them.
fn sentencepiece_model(vocabulary: &[String]) -> Vec<u8> {
    const NORMAL: u64 = 1;
    const UNKNOWN: u64 = 2;
    const CONTROL: u64 = 3;
    const BYTE: u64 = 6;
    const FIRST_NORMAL: usize = SPECIAL.len() + 256;

    let mut model = Message::default();
    for (id, piece) in vocabulary.iter().enumerate() {
        let (kind, score) = match id {
            0 => (UNKNOWN, 0.0),
            1 | 2 => (CONTROL, 0.0),
            3..FIRST_NORMAL => (BYTE, 0.0),
            _ => (NORMAL, -((id - FIRST_NORMAL) as f32)),
        };
        model.message(1, &Message::default().text(1, piece).float(2, score).integer(3, kind));
    }
    let trainer = Message::default()
        .integer(3, 2) // model_type: BPE
        .integer(4, vocabulary.len() as u64)
        .text(7, "text")
        .integer(23, 1) // split_by_number
        .integer(25, 1) // split_digits
        .integer(35, 1) // byte_fallback
        .integer(40, 0) // unk_id
        .integer(41, 1) // bos_id
        .integer(42, 2); // eos_id
    model.message(2, &trainer);
    let normalizer = Message::default()
        .text(1, "identity")
        .integer(3, 1)
        .integer(4, 0)
        .integer(5, 1);
    model.message(3, &normalizer);
    model.0
}

/// A protocol-buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(mut self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes());
        self
    }

    fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}
