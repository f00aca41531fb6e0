//! Tokenizers inside GGUF files: the ids that Hugging Face's transformers gives for the same file, or the model's own
//! tokenizer where transformers passes over what the file says.
//!
//! All files are made here. The expected ids are in `gguf/tokenizer_ids.json`; `gguf/tokenizer_ids.py` computed them
//! with transformers 5.24.0 and tokenizers 0.23.3 from the files that `write_the_files` writes.
mod support;

use std::path::{Path, PathBuf};

use igsite::chat::Chat;
use igsite::tokenizer::{Around, SpecialKind, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use support::writer::{Value as Item, Writer};

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER: i32 = 4;
const BYTE: i32 = 6;

/// A file in the making: its tokens, and its keys without `tokenizer.ggml.`.
#[derive(Clone, Debug)]
struct Made {
    architecture: &'static str,
    model: &'static str,
    tokens: Vec<(String, f32, i32)>,
    merges: Option<Vec<String>>,
    keys: Vec<(String, Item)>,
}

impl Made {
    /// A SentencePiece vocabulary with the pieces of a few words, and the bytes.
    fn pieces(architecture: &'static str) -> Self {
        let mut tokens: Vec<(String, f32, i32)> = vec![
            ("<unk>".to_owned(), 0.0, UNKNOWN),
            ("<s>".to_owned(), 0.0, CONTROL),
            ("</s>".to_owned(), 0.0, CONTROL),
        ];
        tokens.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, BYTE)));
        let words = [
            "▁t",
            "he",
            "in",
            "▁a",
            "er",
            "▁the",
            "an",
            "re",
            "▁an",
            "▁▁",
            "ere",
            "▁there",
            "▁▁▁▁",
            "and",
            "▁and",
            "th",
            "the",
            "▁in",
            "▁▁▁",
            "ing",
            "aa",
            "aaa",
            "aaaa",
            "12",
            "123",
            "▁1",
            "1.",
            "é",
            "日本",
            "▁日本",
            "日",
        ];
        // Some share a score: of their merges the longest part decides.
        tokens.extend(
            (0..)
                .zip(words)
                .map(|(rank, word)| (word.to_owned(), -((rank / 2) as f32), NORMAL)),
        );
        for letter in "▁etaoinshrdlcumwfgypbvkTHIA0123456789.,!?'\"<>|/本".chars() {
            tokens.push((letter.to_string(), -100.0 - tokens.len() as f32, NORMAL));
        }
        tokens.push(("<think>".to_owned(), 0.0, USER));
        tokens.push(("<|end|>".to_owned(), 0.0, CONTROL));
        Self {
            architecture,
            model: "llama",
            tokens,
            merges: None,
            keys: vec![],
        }
        .with("bos_token_id", 1u32)
        .with("eos_token_id", 2u32)
        .with("unknown_token_id", 0u32)
    }

    /// As Gemma's: the order of the tokens is that of the merges, runs of blanks and line breaks are user-defined.
    fn gemma() -> Self {
        let mut made = Self::pieces("gemma3");
        for (at, (text, score, kind)) in made.tokens.iter_mut().enumerate() {
            if text.len() > 3 && text.chars().all(|c| c == '▁') {
                *text = " ".repeat(text.chars().count());
                *kind = USER;
            }
            *score = if at % 2 == 0 { -1000.0 } else { -(at as f32) };
        }
        made.tokens.push(("\n".to_owned(), 0.0, USER));
        made.tokens.push(("\n\n".to_owned(), 0.0, USER));
        made.with("add_space_prefix", false)
    }

    /// A byte-level vocabulary with the merges of a few words.
    fn bytes(pre: Option<&str>) -> Self {
        let mut tokens: Vec<(String, f32, i32)> = Vec::new();
        for text in ["<|begin|>", "<|end|>", "<|pad|>"] {
            tokens.push((text.to_owned(), 0.0, CONTROL));
        }
        let mut letters: Vec<char> = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').collect();
        letters.extend('\u{100}'..'\u{144}');
        tokens.extend(letters.iter().map(|letter| (letter.to_string(), 0.0, NORMAL)));
        let merges = [
            "Ġ t",
            "h e",
            "Ġt he",
            "i n",
            "a n",
            "an d",
            "Ġ and",
            "r e",
            "1 2",
            "12 3",
            "123 4",
            "Ġ Ġ",
            "ĠĠ ĠĠ",
            "Ċ Ċ",
            "' s",
            "' re",
            "' S",
            "Ġ 1",
            ". .",
            ".. .",
            "H T",
            "HT T",
            "HTT P",
            "S er",
            "e r",
            "Ġ '",
            "/ /",
            "- -",
            "-- --",
            "Ã ©",
            "f Ã©",
            "æ Ĺ",
            "æĹ ¥",
            "Ġ (",
            "x =",
            "= =",
            "$ 1",
            "Ċ /",
        ];
        let merges: Vec<&str> = merges.into_iter().filter(|merge| *merge != "S er").collect();
        tokens.extend(merges.iter().map(|merge| (merge.replace(' ', ""), 0.0, NORMAL)));
        // No merges lead to it.
        tokens.push(("Ġwhole".to_owned(), 0.0, NORMAL));
        tokens.push(("<think>".to_owned(), 0.0, USER));
        let made = Self {
            architecture: "llama",
            model: "gpt2",
            tokens,
            merges: Some(merges.into_iter().map(str::to_owned).collect()),
            keys: vec![],
        }
        .with("bos_token_id", 0u32)
        .with("eos_token_id", 1u32)
        .with("padding_token_id", 2u32);
        match pre {
            Some(pre) => made.with("pre", pre),
            None => made,
        }
    }

    fn with(mut self, key: &str, value: impl Into<Item>) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value.into()));
        self
    }

    /// With one more token; its id.
    fn token(mut self, text: &str, kind: i32) -> (Self, u32) {
        self.tokens.push((text.to_owned(), 0.0, kind));
        let id = self.tokens.len() as u32 - 1;
        (self, id)
    }

    fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    fn writer(&self) -> Writer {
        let texts: Vec<&str> = self.tokens.iter().map(|(text, ..)| text.as_str()).collect();
        let types: Vec<i32> = self.tokens.iter().map(|(.., kind)| *kind).collect();
        let architecture = |key: &str| format!("{}.{key}", self.architecture);
        let mut writer = Writer::default().with("general.architecture", self.architecture);
        for key in [
            "block_count",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
            "context_length",
        ] {
            writer = writer.with(&architecture(key), 8u32);
        }
        writer = writer
            .with("tokenizer.ggml.model", self.model)
            .with("tokenizer.ggml.tokens", texts)
            .with("tokenizer.ggml.token_type", types);
        if self.model == "llama" {
            let scores: Vec<f32> = self.tokens.iter().map(|(_, score, _)| *score).collect();
            writer = writer.with("tokenizer.ggml.scores", scores);
        }
        if let Some(merges) = &self.merges {
            writer = writer.with("tokenizer.ggml.merges", merges.clone());
        }
        for (key, value) in &self.keys {
            let key = if key.starts_with("tokenizer.") {
                key.clone()
            } else {
                format!("tokenizer.ggml.{key}")
            };
            writer = writer.with(&key, value.clone());
        }
        writer
    }

    fn file(&self) -> File {
        File::of(&self.writer().bytes())
    }

    fn open(&self) -> Tokenizer {
        let file = self.file();
        Tokenizer::open(&file.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> String {
        let file = self.file();
        file.named(&Tokenizer::open(&file.path()).unwrap_err().to_string())
    }

    fn warnings(&self) -> Vec<String> {
        let file = self.file();
        let tokenizer = Tokenizer::open(&file.path()).unwrap_or_else(|error| panic!("{error}"));
        tokenizer
            .warnings
            .iter()
            .map(|warning| file.named(&warning.to_string()))
            .collect()
    }
}

struct File(tempfile::TempDir);

impl File {
    fn of(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("m.gguf"), bytes).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("m.gguf")
    }

    fn named(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "m.gguf")
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text).unwrap().iter().map(|token| token.id).collect()
}

/// The files whose ids were computed.
fn files() -> Vec<(String, Made)> {
    let mut files = vec![
        ("spm-llama".to_owned(), Made::pieces("llama")),
        ("spm-phi3".to_owned(), Made::pieces("phi3").with("add_bos_token", false)),
        ("spm-gemma".to_owned(), Made::gemma()),
        (
            "spm-eos".to_owned(),
            Made::pieces("llama")
                .with("add_bos_token", false)
                .with("add_eos_token", true),
        ),
        (
            "spm-blank-forbidden".to_owned(),
            Made::pieces("llama").with("add_space_prefix", false),
        ),
    ];
    let mut with_merges = Made::pieces("llama");
    with_merges.merges = Some(
        ["a n", "an d", "t h", "th e", "▁ the", "1 2"]
            .map(str::to_owned)
            .to_vec(),
    );
    files.push(("spm-merges".to_owned(), with_merges));
    let names = [
        "gpt-2",
        "llama-bpe",
        "qwen2",
        "qwen35",
        "tekken",
        "gpt-4o",
        "dbrx",
        "smollm",
        "falcon",
        "deepseek-llm",
        "deepseek-coder",
        "deepseek-v3",
        "tiny_aya",
        "bloom",
        "viking",
        "seed-coder",
        "minicpm5",
        "superbpe",
        "ufakzeka",
    ];
    for name in names {
        let made = Made::bytes(Some(name)).with("add_bos_token", name != "gpt-2");
        files.push((format!("bytes-{name}"), made));
    }
    files.push(("bytes-unnamed".to_owned(), Made::bytes(None)));
    files
}

fn expected() -> Value {
    support::json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf/tokenizer_ids.json"))
}

#[test]
#[ignore = "writes the files that tests/gguf/tokenizer_ids.py reads, into the folder IGSITE_WRITE"]
fn write_the_files() {
    let folder = PathBuf::from(std::env::var_os("IGSITE_WRITE").unwrap());
    for (name, made) in files() {
        std::fs::write(folder.join(format!("{name}.gguf")), made.writer().bytes()).unwrap();
    }
}

#[test]
fn ids_are_those_of_transformers() {
    let expected = expected();
    let mut wrong = Vec::new();
    for (name, made) in files() {
        let tokenizer = made.open();
        let rows = expected[&name].as_array().unwrap_or_else(|| panic!("{name}"));
        assert!(rows.len() > 20);
        for row in rows {
            let text = row[0].as_str().unwrap();
            let found = serde_json::to_value(ids(&tokenizer, text)).unwrap();
            if found != row[1] {
                wrong.push(format!("{name}: {text:?}: {found}, not {}", row[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The tokenizers of the references, written as GGUF files and read again.
#[test]
fn a_file_of_a_known_tokenizer_gives_its_ids() {
    let Some(shared) = support::shared("reference") else {
        return;
    };
    let statements = std::fs::read_to_string(shared.join("../liar/test.tsv")).unwrap();
    let statements: Vec<&str> = statements
        .lines()
        .filter_map(|line| line.split('\t').nth(2))
        .take(400)
        .collect();
    assert_eq!(statements.len(), 400);
    let bytes = |folder: &str, architecture, pre: &str| {
        let (made, tokens) = of_json(&shared.join(folder), architecture);
        (made.with("pre", pre), tokens)
    };
    for (folder, (made, original)) in [
        ("falcon", bytes("falcon", "falcon", "falcon")),
        ("../families/llama3", bytes("../families/llama3", "llama", "llama-bpe")),
        ("llama", of_json(&shared.join("llama"), "llama")),
        ("mistral", of_json(&shared.join("mistral"), "llama")),
    ] {
        let tokenizer = made.open();
        for text in statements
            .iter()
            .copied()
            .chain(["日本 é\n\n  12345 x", "a\u{301}\t👍🏽"])
        {
            assert_eq!(ids(&tokenizer, text), ids(&original, text), "{folder}: {text}");
        }
    }
}

/// A tokenizer.json as a GGUF file, and as it is read itself.
fn of_json(folder: &Path, architecture: &'static str) -> (Made, Tokenizer) {
    let json = support::json(&folder.join("tokenizer.json"));
    let model = &json["model"];
    let bytes = model["byte_fallback"] != true;
    let vocabulary = model["vocab"].as_object().unwrap();
    let mut tokens = vec![(String::new(), 0.0, NORMAL); vocabulary.len()];
    for (text, id) in vocabulary {
        let id = id.as_u64().unwrap() as usize;
        // Scores of Llama's and Mistral's models fall by one from the first piece that is no byte.
        let (score, kind) = match id {
            3..=258 if !bytes => (0.0, BYTE),
            _ => (-(id as f32 - 259.0), NORMAL),
        };
        tokens[id] = (text.clone(), score, kind);
    }
    for token in json["added_tokens"].as_array().unwrap() {
        let id = token["id"].as_u64().unwrap() as usize;
        tokens.resize(tokens.len().max(id + 1), (String::new(), 0.0, NORMAL));
        tokens[id] = (token["content"].as_str().unwrap().to_owned(), 0.0, CONTROL);
    }
    let merge = |merge: &Value| match merge {
        Value::String(pair) => pair.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    };
    let original = Tokenizer::open(folder).unwrap();
    let begins = original.encode("a").unwrap()[0].special;
    let made = Made {
        architecture,
        model: if bytes { "gpt2" } else { "llama" },
        tokens,
        merges: bytes.then(|| model["merges"].as_array().unwrap().iter().map(merge).collect()),
        keys: vec![],
    };
    (made.with("bos_token_id", 1u32).with("add_bos_token", begins), original)
}

#[test]
fn keys_that_contradict_each_other_are_named() {
    let spm = || Made::pieces("llama");
    let bytes = || Made::bytes(Some("gpt-2"));
    let with_merges = |merges: &[&str]| {
        let mut made = bytes();
        made.merges = Some(merges.iter().map(|&merge| merge.to_owned()).collect());
        made
    };
    let mut no_merges = bytes();
    no_merges.merges = None;
    let count = spm().tokens.len() as u32;
    for (made, expected) in [
        (
            spm().with("bos_token_id", count),
            "`tokenizer.ggml.bos_token_id`: the id 340, and there are 340 tokens",
        ),
        (
            spm().with("eot_token_id", u32::MAX),
            "`tokenizer.ggml.eot_token_id`: the id 4294967295",
        ),
        (
            spm().with("fim_pre_token_id", 9999u32),
            "`tokenizer.ggml.fim_pre_token_id`: the id 9999",
        ),
        (
            spm().with("bos_token_id", "one"),
            "`tokenizer.ggml.bos_token_id`: a value of type string",
        ),
        (
            spm().with("add_bos_token", 1u32),
            "`tokenizer.ggml.add_bos_token`: a value of type uint32",
        ),
        (
            spm().with("token_type", vec![1, 2]),
            "`tokenizer.ggml.token_type`: set twice",
        ),
        (
            spm().token("the", NORMAL).0,
            "`tokenizer.ggml.tokens`: tokens 275 and 340 are both \"the\"",
        ),
        (
            spm().token("odd", 7).0,
            "`tokenizer.ggml.token_type`: token 340 is of type 7",
        ),
        (
            spm().with("precompiled_charsmap", vec![1, 2]),
            "`tokenizer.ggml.precompiled_charsmap`: a SentencePiece model that normalises",
        ),
        (no_merges, "`tokenizer.ggml.merges`: there are no merges"),
        (
            with_merges(&["h e", "he"]),
            "`tokenizer.ggml.merges`: merge 1, \"he\": it is no pair",
        ),
        (
            with_merges(&["h e r"]),
            "`tokenizer.ggml.merges`: merge 0, \"h e r\": it is no pair",
        ),
        (
            with_merges(&["h 日"]),
            "`tokenizer.ggml.merges`: merge 0, \"h 日\": \"日\" is no token",
        ),
        (
            with_merges(&["h h"]),
            "`tokenizer.ggml.merges`: merge 0, \"h h\": \"hh\" is no token",
        ),
        (
            with_merges(&["h e", "i n", "h e"]),
            "`tokenizer.ggml.merges`: merge 2, \"h e\": it is there twice",
        ),
        (
            Made::bytes(Some("kimi-k2")),
            "`tokenizer.ggml.pre`: the pre-tokenizer `kimi-k2` is not known\n  expected: one of: a.x-4.0, bloom, chatglm-bpe,",
        ),
        (
            bytes().with("add_bos_token", true).without("bos_token_id"),
            "`tokenizer.ggml.add_bos_token`: a token is to be put round each text, and there is no `tokenizer.ggml.bos_token_id`",
        ),
    ] {
        let error = made.refused();
        assert!(error.starts_with(&format!("m.gguf: {expected}")), "{error}\n{expected}");
    }
    for model in ["t5", "bert", "rwkv", "plamo2", "gemma4", "none"] {
        let made = Made { model, ..spm() };
        let expected =
            format!("m.gguf: `tokenizer.ggml.model`: a tokenizer of the kind `{model}`\n  expected: `llama`");
        assert!(made.refused().starts_with(&expected), "{}", made.refused());
    }
    for (key, items, expected) in [
        (
            "scores",
            Item::Floats(vec![0.0]),
            "`tokenizer.ggml.scores`: 1 values for 2 tokens",
        ),
        (
            "scores",
            Item::Floats(vec![0.0, f32::NAN]),
            "`tokenizer.ggml.scores`: the score of token 1 is no number",
        ),
        (
            "token_type",
            Item::Ints(vec![1]),
            "`tokenizer.ggml.token_type`: 1 values for 2 tokens",
        ),
        (
            "unknown_token_id",
            Item::U32(1),
            "`tokenizer.ggml.scores`: there are no scores and no merges",
        ),
    ] {
        let writer = Writer::default()
            .with("tokenizer.ggml.model", "llama")
            .with("tokenizer.ggml.tokens", vec!["a", "b"])
            .with(&format!("tokenizer.ggml.{key}"), items);
        let file = File::of(&writer.bytes());
        let error = file.named(&Tokenizer::open(&file.path()).unwrap_err().to_string());
        assert!(error.starts_with(&format!("m.gguf: {expected}")), "{error}");
    }
    let file = File::of(&Writer::default().with("general.architecture", "llama").bytes());
    let error = file.named(&Tokenizer::open(&file.path()).unwrap_err().to_string());
    assert!(error.starts_with("m.gguf: no tokenizer in this file"), "{error}");
}

#[test]
fn what_is_passed_over_is_said() {
    assert_eq!(Made::pieces("llama").warnings(), [""; 0]);
    assert_eq!(Made::bytes(Some("qwen2")).warnings(), [""; 0]);
    let all_off = Made::pieces("llama")
        .with("remove_extra_whitespaces", false)
        .with("add_sep_token", true);
    assert_eq!(all_off.warnings(), [""; 0]);
    for (made, expected) in [
        (
            Made::bytes(None),
            "`tokenizer.ggml.pre`: the file does not say how its text is cut into words",
        ),
        (
            Made::bytes(Some("default")),
            "`tokenizer.ggml.pre`: the file does not say how its text is cut into words",
        ),
        (
            Made::pieces("llama").with("sparkle", 3u32),
            "`tokenizer.ggml.sparkle`: this key is not known",
        ),
        (
            Made::pieces("llama").with("remove_extra_whitespaces", true),
            "`tokenizer.ggml.remove_extra_whitespaces`: this key is passed over",
        ),
        (
            Made::pieces("llama").with("suppress_tokens", vec![3]),
            "`tokenizer.ggml.suppress_tokens`: this key is passed over",
        ),
        (
            Made::pieces("phi3").with("add_space_prefix", false),
            "`tokenizer.ggml.add_space_prefix`: no blank is to be put",
        ),
        (
            Made::gemma().with("add_space_prefix", true),
            "`tokenizer.ggml.add_space_prefix`: a blank is to be put",
        ),
        (
            Made::pieces("llama").with("add_eos_token", true),
            "`tokenizer.ggml.add_eos_token`: the tokenizer makes `<s>…</s>` of a text",
        ),
    ] {
        let warnings = made.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with(&format!("m.gguf: {expected}")),
            "{}",
            warnings[0]
        );
    }
}

#[test]
fn special_tokens_have_the_ids_of_the_file() {
    let kinds = [SpecialKind::Bos, SpecialKind::Eos, SpecialKind::Pad, SpecialKind::Unk];
    let special = |made: &Made| {
        let tokenizer = made.open();
        kinds.map(|kind| tokenizer.special(kind))
    };
    assert_eq!(
        special(&Made::pieces("llama").with("padding_token_id", 2u32)),
        [Some(1), Some(2), Some(2), Some(0)]
    );
    let bare = ["bos_token_id", "eos_token_id", "unknown_token_id"].into_iter();
    let bare = bare.fold(Made::pieces("llama"), Made::without);
    assert_eq!(
        special(&bare),
        [Some(1), Some(2), None, Some(0)],
        "as llama.cpp assumes them"
    );
    assert_eq!(special(&Made::bytes(Some("gpt-2"))), [Some(0), Some(1), Some(2), None]);
    // Letters of no byte: transformers gives such a token a new id, beyond the model's own.
    let (deepseek, id) = Made::bytes(Some("qwen2")).token("<｜begin▁of▁sentence｜>", CONTROL);
    let deepseek = deepseek.with("bos_token_id", id).with("add_bos_token", true);
    let tokenizer = deepseek.open();
    assert_eq!(tokenizer.special(SpecialKind::Bos), Some(id));
    assert_eq!(ids(&tokenizer, "<｜begin▁of▁sentence｜>"), [id, id]);
    // Blanks that are a token of their own, as GPT-NeoX has them.
    let (blanks, id) = Made::bytes(Some("olmo")).token("   ", USER);
    assert_eq!(ids(&blanks.open(), "   a").first(), Some(&id));
}

#[test]
fn a_text_begins_with_a_token_where_the_kind_of_tokenizer_has_it() {
    for (name, begins) in [
        ("llama-bpe", true),
        ("tekken", true),
        ("gpt-2", false),
        ("qwen2", false),
        ("falcon", false),
    ] {
        let tokenizer = Made::bytes(Some(name)).open();
        assert_eq!(tokenizer.encode("a").unwrap()[0].special, begins, "{name}");
        assert!(!tokenizer.encode_within("a", Around::Nothing).unwrap()[0].special);
    }
    assert!(Made::pieces("llama").open().encode("a").unwrap()[0].special);
}

#[test]
fn what_a_model_says_ends_with_the_tokens_of_the_file() {
    let end = Made::pieces("llama").tokens.len() as u32 - 1;
    assert_eq!(Made::pieces("llama").open().ends, [2, end]);
    let (made, turn) = Made::bytes(Some("gpt-4o")).token("turn over", NORMAL);
    assert_eq!(made.with("eot_token_id", turn).open().ends, [1, turn]);
    // Of gpt-oss: `<|end|>` ends a message.
    let (made, back) = Made::bytes(Some("gpt-4o")).token("<|return|>", CONTROL);
    let (made, call) = made.token("<|call|>", CONTROL);
    assert_eq!(made.with("eos_token_id", back).open().ends, [back, call]);
}

#[test]
fn the_chat_template_of_the_file_is_used() {
    const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    let made = Made::pieces("llama").with("tokenizer.chat_template", TEMPLATE);
    let open = |made: &Made| {
        let file = made.file();
        let tokenizer = Tokenizer::open(&file.path()).unwrap();
        let chat = Chat::open(&file.path(), &tokenizer);
        chat.map_err(|error| file.named(&error.to_string()))
    };
    let mut prompt = igsite::content::prompt::Prompt::default();
    prompt.push_as("statement", igsite::terms::Role::User, "the end");
    let chat = open(&made).unwrap();
    assert_eq!(chat.prompt(&prompt).unwrap().text, "<s><user>the end");
    let file = made.file();
    let found = igsite::tokenizer::chat::template_sha256(&file.path()).unwrap();
    assert_eq!(found.as_deref(), Some(chat.template_sha256()));
    // The default one is used of several.
    let several = made
        .clone()
        .with("tokenizer.chat_template.tool_use", "x")
        .with("tokenizer.chat_templates", vec!["default", "tool_use"]);
    assert_eq!(open(&several).unwrap().template_sha256(), chat.template_sha256());
    assert_eq!(several.warnings(), [""; 0]);
    let error = open(&several.without("tokenizer.chat_template")).unwrap_err();
    assert!(
        error.starts_with("m.gguf: none of the chat templates is named `default` (there are: tool_use)"),
        "{error}"
    );
    let error = open(&Made::pieces("llama")).unwrap_err();
    assert!(
        error.starts_with("m.gguf: this model has no chat template\n  expected: `tokenizer.chat_template`"),
        "{error}"
    );
}

#[test]
fn the_hash_is_of_the_tokenizer_alone() {
    let sha256 = |writer: &Writer| Tokenizer::open(&File::of(&writer.bytes()).path()).unwrap().sha256;
    let writer = Made::pieces("llama").writer();
    let one = sha256(&writer);
    assert_eq!(one.len(), 64);
    assert_eq!(sha256(&writer), one);
    assert_eq!(
        sha256(
            &writer
                .clone()
                .with("general.name", "another")
                .floats("w", &[2], &[1.0, 2.0])
        ),
        one
    );
    let (other, _) = Made::pieces("llama").token("x", NORMAL);
    assert_ne!(sha256(&other.writer()), one);
    assert_ne!(sha256(&Made::pieces("phi3").writer()), one);
    assert_ne!(sha256(&Made::pieces("llama").with("add_bos_token", true).writer()), one);
}

#[test]
fn tokens_read_as_text() {
    let tokenizer = Made::pieces("llama").open();
    let shown = |text: &str| -> Vec<(String, usize, usize)> {
        let tokens = tokenizer.encode(text).unwrap();
        tokens
            .into_iter()
            .map(|token| (token.text, token.start, token.end))
            .collect()
    };
    let row = |text: &str, start, end| (text.to_owned(), start, end);
    assert_eq!(
        shown("the é<think>ạ"),
        [
            row("<s>", 0, 0),
            row("the", 0, 3),
            row(" ", 3, 4),
            row("é", 4, 5),
            row("<think>", 5, 12),
            row("ạ", 12, 13),
            row("<0xBA>", 12, 13),
            row("<0xA1>", 12, 13),
        ]
    );
    let tokens = tokenizer.encode("the there").unwrap();
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
    assert_eq!(tokenizer.decode(&ids), "the there");
    assert_eq!(tokenizer.text_of(ids[2]), "there");
    // An answer's tokens follow its prompt's.
    let answer = tokenizer
        .answer_tokens("the there", &ids, " and", Around::Special)
        .unwrap();
    assert_eq!(answer.len(), 1);
    assert_eq!(tokenizer.vocabulary_token("▁and"), Some(answer[0]));
}

/// A file and ids of it that are not part of the project: `tokenizer_ids.py FILE TEXTS > IDS` makes the latter.
#[test]
#[ignore = "compares the file IGSITE_GGUF with the ids in IGSITE_IDS"]
fn a_given_file_has_the_given_ids() {
    let [file, rows] = ["IGSITE_GGUF", "IGSITE_IDS"].map(|name| PathBuf::from(std::env::var_os(name).unwrap()));
    let begun = std::time::Instant::now();
    let tokenizer = Tokenizer::open(&file).unwrap_or_else(|error| panic!("{error}"));
    let opened = begun.elapsed();
    let rows = support::json(&rows);
    let mut wrong = Vec::new();
    for row in rows.as_array().unwrap() {
        let text = row[0].as_str().unwrap();
        let found = serde_json::to_value(ids(&tokenizer, text)).unwrap();
        if found != row[1] {
            wrong.push(format!("{text:?}: {found}, not {}", row[1]));
        }
    }
    let warnings = tokenizer.warnings.iter().count();
    #[allow(clippy::print_stdout, reason = "what the test measures")]
    {
        println!(
            "opened in {opened:?}, {warnings} warnings, {} texts",
            rows.as_array().unwrap().len()
        );
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_character_is_in_one_token(text in "([ a-cé日🦀\n1'.]|the|and| in|  |<think>|<s>){0,12}", which in 0..4u8) {
        let tokenizer = match which {
            0 => Made::pieces("llama"),
            1 => Made::gemma(),
            2 => Made::bytes(Some("falcon")),
            _ => Made::bytes(Some("llama-bpe")),
        }
        .open();
        let tokens = tokenizer.encode(&text).unwrap();
        let count = text.chars().count();
        let mut own = String::new();
        for token in tokens.iter().filter(|token| !token.special) {
            prop_assert!(token.start <= token.end && token.end <= count, "{token:?}");
            if token.text != "▁" && !token.text.starts_with("<0x") {
                own += &token.text;
            }
        }
        let letters = |text: &str| -> String { text.chars().filter(|c| *c != ' ').collect() };
        prop_assert_eq!(letters(&own), letters(&text));
        // Whoever leaves no character out leaves no gap.
        let mut reached = 0;
        for token in tokens.iter().filter(|token| !token.special) {
            prop_assert!(token.start <= reached, "{:?} behind {}", token, reached);
            reached = reached.max(token.end);
        }
        prop_assert_eq!(reached, count);
    }

    #[test]
    fn lying_files_never_panic(
        texts in prop::collection::vec("[a-c▁ <>x0é]{0,4}", 0..12),
        scores in prop::collection::vec(prop::num::f32::ANY, 0..12),
        types in prop::collection::vec(-1..8i32, 0..12),
        merges in prop::collection::vec("[a-c ]{0,5}", 0..6),
        id in 0..14u32,
        model in prop::sample::select(vec!["llama", "gpt2"]),
        architecture in prop::sample::select(vec!["llama", "gemma", "phi3"]),
        with in 0..16u8,
    ) {
        let count = texts.len();
        let fit = |with_it: u8| with & with_it != 0;
        let mut writer = Writer::default()
            .with("general.architecture", architecture)
            .with("tokenizer.ggml.model", model)
            .with("tokenizer.ggml.tokens", texts);
        let resized = |mut types: Vec<i32>| {
            types.resize(if fit(1) { count } else { types.len() }, 1);
            types
        };
        writer = writer.with("tokenizer.ggml.token_type", resized(types));
        let mut scores = scores;
        scores.resize(if fit(2) { count } else { scores.len() }, 0.0);
        writer = writer.with("tokenizer.ggml.scores", scores);
        if fit(4) {
            writer = writer.with("tokenizer.ggml.merges", merges);
        }
        if fit(8) {
            writer = writer.with("tokenizer.ggml.bos_token_id", id).with("tokenizer.ggml.unknown_token_id", id / 2);
        }
        let file = File::of(&writer.bytes());
        if let Ok(tokenizer) = Tokenizer::open(&file.path())
            && let Ok(tokens) = tokenizer.encode("ab ca▁b é<x0>")
        {
            for token in tokens {
                prop_assert!((token.id as usize) < count, "{token:?}");
                _ = tokenizer.text_of(token.id);
            }
        }
    }
}
