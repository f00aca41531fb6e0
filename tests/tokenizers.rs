//! Tokenizers of checkpoints' folders: the ids that Hugging Face's transformers gives, for each file and setting next
//! to them.
//!
//! All folders are made here, over the 354 pieces of `support/tiny.rs` without merges: a letter is a token. The
//! expected ids were printed by transformers 4.57.6 and 5.24.0
//! (`AutoTokenizer.from_pretrained(folder)(text)["input_ids"]`) for folders with the same files, made by a script of
//! the same lines. Where the two versions differ, the row says which of them is followed, and that a warning reports
//! it.
mod support;

use std::path::Path;

use igsite::tokenizer::{Around, Token, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::project::Project;
use support::tiny;

/// `▁`, `a`, and the letters after it.
const BLANK: u32 = 259;
const A: u32 = 324;
const B: u32 = 325;

/// A folder with a model's config, a tokenizer, and what stands beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    /// With a `tokenizer.json` in Llama's form.
    fn json() -> Self {
        Self::bare().file("tokenizer.json", tiny::tokenizer_json())
    }

    /// With a `tokenizer.model` of the same pieces.
    fn sentencepiece() -> Self {
        let folder = Self::bare();
        std::fs::write(folder.path().join("tokenizer.model"), sentencepiece()).unwrap();
        folder
    }

    fn bare() -> Self {
        Self(tempfile::tempdir().unwrap()).file("config.json", tiny::config())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(self, name: &str, value: Value) -> Self {
        std::fs::write(self.path().join(name), value.to_string()).unwrap();
        self
    }

    /// With `tokenizer_config.json`: a class, the three usual tokens, and more.
    fn config(self, class: &str, more: Value) -> Self {
        let mut config =
            json!({"tokenizer_class": class, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        self.file("tokenizer_config.json", config)
    }

    fn change(self, change: impl FnOnce(&mut Value)) -> Self {
        let mut tokenizer = tiny::tokenizer_json();
        change(&mut tokenizer);
        self.file("tokenizer.json", tokenizer)
    }

    fn open(&self) -> Tokenizer {
        Tokenizer::open(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> String {
        let error = Tokenizer::open(self.path()).unwrap_err().to_string();
        error.replace(&self.path().display().to_string(), "FOLDER")
    }

    fn warnings(&self) -> Vec<String> {
        let tokenizer = self.open();
        let warnings = tokenizer.warnings.iter().map(ToString::to_string);
        warnings
            .map(|text| text.replace(&self.path().display().to_string(), "FOLDER"))
            .collect()
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode(text).unwrap().iter().map(|token| token.id).collect()
}

fn added(content: &str, flags: &[&str]) -> Value {
    let has = |flag: &str| flags.contains(&flag);
    json!({"content": content, "lstrip": has("lstrip"), "rstrip": has("rstrip"), "single_word": has("single_word"),
        "normalized": has("normalized"), "special": !has("plain")})
}

/// A SentencePiece model of kind BPE over the pieces of `support/tiny.rs`, as its library writes it.
fn sentencepiece() -> Vec<u8> {
    fn number(mut value: usize, out: &mut Vec<u8>) {
        while value > 127 {
            out.push(value as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
    }
    fn message(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(field << 3 | 2);
        number(bytes.len(), out);
        out.extend(bytes);
    }
    let mut model = Vec::new();
    for (id, text) in tiny::vocabulary().iter().enumerate() {
        let kind = match id {
            0 => 2,
            1 | 2 => 3,
            3..=258 => 6,
            _ => 1,
        };
        let mut piece = Vec::new();
        message(1, text.as_bytes(), &mut piece);
        piece.push(2 << 3 | 5);
        piece.extend((-(id as f32)).to_le_bytes());
        piece.extend([3 << 3, kind]);
        message(1, &piece, &mut model);
    }
    // BPE with byte fallback; no normalisation.
    message(2, &[3 << 3, 2], &mut model);
    let mut normalizer = Vec::new();
    message(1, b"identity", &mut normalizer);
    normalizer.extend([3 << 3, 1, 4 << 3, 0]);
    message(3, &normalizer, &mut model);
    model
}

const PLAIN: &str = "PreTrainedTokenizerFast";
const LLAMA: &str = "LlamaTokenizer";
/// `<x> a <y>b`, with both marks added as special tokens.
const MARKED: &str = "<x> a <y>b";

#[test]
fn cutting_and_filling_are_switched_off() {
    let expected = [1, BLANK, A, BLANK, B, BLANK, 326, BLANK, 327];
    for direction in ["Left", "Right"] {
        let cut = Folder::json().config(PLAIN, json!({})).change(|tokenizer| {
            tokenizer["truncation"] =
                json!({"direction": direction, "max_length": 4, "strategy": "LongestFirst", "stride": 2});
        });
        assert_eq!(ids(&cut.open(), "a b c d"), expected);
        let filled = Folder::json().config(PLAIN, json!({})).change(|tokenizer| {
            tokenizer["padding"] = json!({"strategy": {"Fixed": 12}, "direction": direction, "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
        });
        let tokenizer = filled.open();
        assert_eq!(ids(&tokenizer, "a b c d"), expected);
        // The token that it was filled with is added.
        assert_eq!(ids(&tokenizer, "[PAD]"), [1, 354]);
    }
}

#[test]
fn added_tokens_are_those_of_transformers() {
    let x = |flags: &[&str]| added("<x>", flags);
    let decoder = |entries: Value| json!({"added_tokens_decoder": entries});
    let letters = |text: &str| -> Vec<u32> { text.bytes().map(|byte| BLANK + 1 + u32::from(byte - b'!')).collect() };
    let rows: Vec<(&str, Folder, &str, Vec<u32>)> = vec![
        (
            "flags",
            Folder::json().config(
                PLAIN,
                decoder(json!({"354": x(&["rstrip"]), "355": added("<y>", &["lstrip", "plain"])})),
            ),
            MARKED,
            vec![1, 354, BLANK, A, 355, BLANK, B],
        ),
        (
            "single_word",
            Folder::json().config(PLAIN, decoder(json!({"354": added("ab", &["single_word"])}))),
            "ab abc ab",
            vec![1, 354, BLANK, BLANK, A, B, 326, BLANK, 354],
        ),
        (
            "normalized",
            Folder::json().config(PLAIN, decoder(json!({"354": x(&["normalized", "plain"])}))),
            "<x> a",
            vec![1, 354, BLANK, A],
        ),
        (
            "new flags of a known token",
            Folder::json().config(PLAIN, decoder(json!({"2": added("</s>", &["lstrip", "rstrip"])}))),
            "a </s> b",
            vec![1, BLANK, A, 2, BLANK, B],
        ),
        (
            "special_tokens_map.json",
            Folder::json().config(PLAIN, json!({})).file(
                "special_tokens_map.json",
                json!({"pad_token": "<y>", "additional_special_tokens": ["<x>"]}),
            ),
            MARKED,
            vec![1, 355, BLANK, BLANK, A, BLANK, 354, BLANK, B],
        ),
        (
            "added_tokens.json",
            Folder::json()
                .config(PLAIN, json!({}))
                .file("added_tokens.json", json!({"<y>": 355, "<x>": 354})),
            MARKED,
            vec![1, 354, BLANK, A, 355, B],
        ),
        (
            "additional_special_tokens",
            Folder::json().config(PLAIN, json!({"additional_special_tokens": ["<x>"], "pad_token": "<y>"})),
            MARKED,
            vec![1, 355, BLANK, BLANK, A, BLANK, 354, BLANK, B],
        ),
        (
            "extra_special_tokens as a list (5 only)",
            Folder::json().config(PLAIN, json!({"extra_special_tokens": ["<x>", "<y>"]})),
            MARKED,
            vec![1, 354, BLANK, BLANK, A, BLANK, 355, BLANK, B],
        ),
        (
            "extra_special_tokens by name",
            Folder::json().config(
                PLAIN,
                json!({"extra_special_tokens": {"image_token": "<x>", "b_token": "<y>"}}),
            ),
            MARKED,
            vec![1, 354, BLANK, BLANK, A, BLANK, 355, BLANK, B],
        ),
        (
            "split_special_tokens",
            Folder::json().config(PLAIN, json!({"split_special_tokens": true})),
            "</s>a",
            [vec![1, BLANK], letters("</s>a")].concat(),
        ),
        (
            "split_special_tokens keeps those that are not special",
            Folder::json().config(
                PLAIN,
                json!({"split_special_tokens": true, "added_tokens_decoder": {"354": x(&["plain"])}}),
            ),
            "</s>a<x>",
            [vec![1, BLANK], letters("</s>a"), vec![354]].concat(),
        ),
    ];
    for (name, folder, text, expected) in rows {
        assert_eq!(ids(&folder.open(), text), expected, "{name}");
        assert_eq!(folder.warnings(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn lists_that_disagree_are_told() {
    let rows = [
        (
            // As 5 finds them, with the blanks of 4.
            Folder::sentencepiece().config(
                LLAMA,
                json!({"legacy": true, "add_bos_token": true,
                    "added_tokens_decoder": {"354": added("<x>", &[]), "355": added("<y>", &["plain", "normalized"])}}),
            ),
            "\"<y>\" are not listed as special tokens",
        ),
        (
            // Both versions give the next free id.
            Folder::json().config(PLAIN, json!({"added_tokens_decoder": {"356": added("<x>", &[])}})),
            "\"<x>\" has id 354 and is listed with 356",
        ),
        (
            // Both versions pass the other file over.
            Folder::json()
                .config(PLAIN, json!({"added_tokens_decoder": {"354": added("<x>", &[])}}))
                .file("special_tokens_map.json", json!({"pad_token": "<y>"})),
            "`pad_token` is \"<y>\" here and null in tokenizer_config.json",
        ),
        (
            Folder::json()
                .config(PLAIN, json!({"added_tokens_decoder": {"354": added("<x>", &[])}}))
                .file("added_tokens.json", json!({"<z>": 355})),
            "\"<z>\" is not in `added_tokens_decoder`",
        ),
        (
            // As 5 does; 4 knows no such key.
            Folder::json().config(PLAIN, json!({"image_token": "<x>"})),
            "`image_token` is the token \"<x>\"",
        ),
    ];
    for (folder, message) in rows {
        let told = folder.warnings();
        assert!(told.len() == 1 && told[0].contains(message), "{told:?}");
        assert_eq!(
            ids(&folder.open(), MARKED)[1],
            354u32.min(ids(&folder.open(), MARKED)[1])
        );
    }
}

/// Transformers' class for Llama passes over what the model itself says; others are not computed from such a file.
#[test]
fn what_a_sentencepiece_model_says_of_its_blank_is_told() {
    let folder = Folder::sentencepiece().config(LLAMA, json!({"legacy": false, "add_bos_token": true}));
    let model = folder.path().join("tokenizer.model");
    let mut bytes = std::fs::read(&model).unwrap();
    let flag = bytes.len() - 3;
    assert_eq!(bytes[flag - 1..], [3 << 3, 1, 4 << 3, 0]);
    bytes[flag] = 0;
    std::fs::write(&model, bytes).unwrap();
    assert_eq!(ids(&folder.open(), "a b"), [1, BLANK, A, BLANK, B]);
    let told = folder.warnings();
    assert!(
        told.len() == 1 && told[0].contains("puts no blank in front"),
        "{told:?}"
    );
    let other = Folder::sentencepiece().config("GemmaTokenizer", json!({}));
    assert!(other.refused().contains("`GemmaTokenizer`"), "{}", other.refused());
}

#[test]
fn added_tokens_of_a_sentencepiece_model_are_found_as_they_are_written() {
    let folder = Folder::sentencepiece()
        .config(
            LLAMA,
            json!({"legacy": true, "add_bos_token": true, "additional_special_tokens": ["<x>"]}),
        )
        .file("added_tokens.json", json!({"<y>": 355, "<x>": 354}));
    let expected = [1, 354, BLANK, BLANK, A, BLANK, 355, BLANK, B];
    assert_eq!(ids(&folder.open(), MARKED), expected);
    let first = Folder::sentencepiece()
        .config(LLAMA, json!({"legacy": false, "add_bos_token": true}))
        .file("added_tokens.json", json!({"<y>": 355, "<x>": 354}));
    // 4.57 and 5.24 agree.
    assert_eq!(ids(&first.open(), MARKED), [1, 354, BLANK, A, BLANK, 355, B]);
    assert_eq!(first.warnings(), Vec::<String>::new());
}

#[test]
fn blanks_in_front_are_put_in_as_the_switches_say() {
    let texts = ["a b", " a", "a</s>b"];
    let legacy = [
        vec![1, BLANK, A, BLANK, B],
        vec![1, BLANK, BLANK, A],
        vec![1, BLANK, A, 2, BLANK, B],
    ];
    let first = [vec![1, BLANK, A, BLANK, B], vec![1, BLANK, A], vec![1, BLANK, A, 2, B]];
    let never = [vec![1, A, BLANK, B], vec![1, BLANK, A], vec![1, A, 2, B]];
    // What is expected, and the keys that warnings are about.
    type Row<'r> = (Folder, &'r [Vec<u32>; 3], &'r [&'r str]);
    let rows: Vec<Row<'_>> = vec![
        (Folder::json().config(PLAIN, json!({})), &legacy, &[]),
        (Folder::json().config(LLAMA, json!({"legacy": true})), &legacy, &[]),
        // 4; 5 goes by `legacy`, also where it is not set.
        (
            Folder::json().config(LLAMA, json!({"legacy": false})),
            &legacy,
            &["legacy"],
        ),
        (Folder::json().config(LLAMA, json!({})), &legacy, &["legacy"]),
        // 5; 4 cannot read the folder without tokenizer.model.
        (
            Folder::json().config(LLAMA, json!({"add_prefix_space": false})),
            &never,
            &[],
        ),
        (
            Folder::json().config(LLAMA, json!({"from_slow": true, "legacy": false})),
            &first,
            &[],
        ),
        // Both pass the key over for this class.
        (
            Folder::json().config(PLAIN, json!({"add_prefix_space": false})),
            &legacy,
            &["add_prefix_space"],
        ),
        (
            Folder::sentencepiece().config(LLAMA, json!({"legacy": true, "add_bos_token": true})),
            &legacy,
            &[],
        ),
        (
            Folder::sentencepiece().config(LLAMA, json!({"legacy": false, "add_bos_token": true})),
            &first,
            &[],
        ),
        (
            Folder::sentencepiece().config(LLAMA, json!({"add_prefix_space": false, "add_bos_token": true})),
            &never,
            &[],
        ),
        // 4; in 5 `legacy` is false and no token begins the text.
        (
            Folder::sentencepiece().config(LLAMA, json!({})),
            &legacy,
            &["legacy", "add_bos_token"],
        ),
        (Folder::sentencepiece(), &legacy, &["legacy", "add_bos_token"]),
    ];
    for (index, (folder, expected, keys)) in rows.iter().enumerate() {
        let tokenizer = folder.open();
        assert_eq!(&texts.map(|text| ids(&tokenizer, text)), *expected, "row {index}");
        let told: Vec<String> = tokenizer.warnings.iter().filter_map(|w| w.place.clone()).collect();
        assert_eq!(&told, keys, "row {index}: {:?}", folder.warnings());
    }
}

#[test]
fn byte_level_steps_keep_their_blank() {
    let bytes = |class: &str, more: Value| {
        Folder::json().config(class, more).change(|tokenizer| {
            tokenizer["normalizer"] = Value::Null;
            tokenizer["pre_tokenizer"] =
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        })
    };
    // `Ġ` is no piece here, and comes as its two bytes.
    let (with, without) = (vec![1, 3 + 0xc4, 3 + 0xa0, A], vec![1, A]);
    for (folder, expected, keys) in [
        // 5 follows the file; 4 puts the blank in only where the switch says so.
        (bytes(PLAIN, json!({})), &with, 1),
        (bytes(PLAIN, json!({"add_prefix_space": true})), &with, 0),
        (bytes(PLAIN, json!({"add_prefix_space": false})), &with, 1),
        (bytes("GPT2Tokenizer", json!({})), &without, 0),
        (bytes("GPT2TokenizerFast", json!({"add_prefix_space": true})), &with, 0),
        (bytes(LLAMA, json!({})), &with, 0),
    ] {
        assert_eq!(&ids(&folder.open(), "a"), expected);
        let told = folder.warnings();
        let about = told.iter().filter(|text| text.contains("add_prefix_space")).count();
        assert_eq!(about, keys, "{told:?}");
    }
}

#[test]
fn the_post_processor_decides_and_switches_that_disagree_are_told() {
    let none = |tokenizer: &mut Value| tokenizer["post_processor"] = Value::Null;
    // Each as in 5; 4 goes by the switches, for Llama's class alone.
    for (folder, expected, key) in [
        (
            Folder::json().config(PLAIN, json!({"add_bos_token": false})),
            vec![1, BLANK, A],
            Some("add_bos_token"),
        ),
        (
            Folder::json().config(PLAIN, json!({"add_bos_token": true, "add_eos_token": false})),
            vec![1, BLANK, A],
            None,
        ),
        (
            Folder::json().config(LLAMA, json!({"legacy": true, "add_eos_token": true})),
            vec![1, BLANK, A],
            Some("add_eos_token"),
        ),
        (
            Folder::json().config(LLAMA, json!({"legacy": true})).change(none),
            vec![BLANK, A],
            Some("add_bos_token"),
        ),
        (
            Folder::json().config(PLAIN, json!({})).change(none),
            vec![BLANK, A],
            None,
        ),
        (
            Folder::sentencepiece().config(LLAMA, json!({"legacy": true, "add_bos_token": false})),
            vec![BLANK, A],
            None,
        ),
    ] {
        let tokenizer = folder.open();
        assert_eq!(ids(&tokenizer, "a"), expected);
        let told: Vec<&str> = tokenizer.warnings.iter().filter_map(|w| w.place.as_deref()).collect();
        assert_eq!(told, key.into_iter().collect::<Vec<_>>(), "{:?}", folder.warnings());
    }
    // A token behind the text is told, counts in a plain prompt, and stands in the way of no answer.
    let folder = Folder::sentencepiece().config(
        LLAMA,
        json!({"legacy": false, "add_bos_token": true, "add_eos_token": true}),
    );
    let tokenizer = folder.open();
    let prompt = ids(&tokenizer, "a (");
    assert_eq!(prompt, [1, BLANK, A, BLANK, 267, 2]);
    assert_eq!(tokenizer.answer_token("a (", &prompt, "b").unwrap(), B);
    assert!(
        folder.warnings()[0].contains("makes `<s>…</s>` of a text"),
        "{:?}",
        folder.warnings()
    );
    let chat = tokenizer.encode_within("<s>a (", Around::Nothing).unwrap();
    assert_eq!(
        chat.iter().map(|token| token.id).collect::<Vec<_>>(),
        [1, A, BLANK, 267]
    );
}

#[test]
fn every_key_is_known_or_named() {
    let harmless = json!({"model_max_length": 2048, "padding_side": "left", "clean_up_tokenization_spaces": false,
        "sp_model_kwargs": {}, "spaces_between_special_tokens": false, "use_default_system_prompt": false,
        "processor_class": null, "name_or_path": "x", "pad_token": null, "model_input_names": ["input_ids"]});
    assert_eq!(Folder::json().config(PLAIN, harmless).warnings(), Vec::<String>::new());
    for (key, value) in [
        ("add_dummy_prefix_space", json!(true)),
        ("do_lower_case", json!(true)),
        ("sp_model_kwargs", json!({"nbest_size": 2})),
        ("auto_map", json!({"AutoTokenizer": ["a.B", null]})),
        ("tokenizer_class", json!("BertTokenizer")),
    ] {
        let told = Folder::json().config(PLAIN, json!({key: value})).warnings();
        assert!(
            told.len() == 1 && told[0].contains(&format!("tokenizer_config.json: {key}")),
            "{key}: {told:?}"
        );
    }
    for (key, value, message) in [
        ("add_prefix_space", json!("yes"), "`add_prefix_space` is \"yes\""),
        ("add_bos_token", json!(1), "`add_bos_token` is 1"),
        ("fix_mistral_regex", json!(true), "`fix_mistral_regex` is not computed"),
        ("added_tokens_decoder", json!([]), "`added_tokens_decoder` has []"),
        (
            "added_tokens_decoder",
            json!({"x": {"content": "a"}}),
            "`added_tokens_decoder` has \"x\"",
        ),
        (
            "added_tokens_decoder",
            json!({"9": {"content": "a", "strip": true}}),
            "the flag `strip`, which is not known",
        ),
        ("pad_token", json!(7), "`pad_token` is 7"),
        (
            "fast_tokenizer_files",
            json!(["tokenizer.4.0.0.json"]),
            "a file for each version",
        ),
    ] {
        let error = Folder::json().config(LLAMA, json!({key: value})).refused();
        assert!(
            error.contains("FOLDER/tokenizer_config.json") && error.contains(message),
            "{error}"
        );
    }
}

#[test]
fn files_that_decide_are_in_the_hash() {
    let before = Folder::json().config(PLAIN, json!({}));
    let hash = before.open().sha256;
    let after = before.file("added_tokens.json", json!({"<x>": 354}));
    let tokenizer = after.open();
    assert_ne!(tokenizer.sha256, hash);
    let names: Vec<_> = tokenizer
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["added_tokens.json", "tokenizer.json", "tokenizer_config.json"]);
}

/// A tokenizer over bytes with pieces that are parts of characters.
fn byte_level() -> Folder {
    Folder::json().change(|tokenizer| {
        let mut vocab = serde_json::Map::new();
        // GPT-2's letters for bytes: those that print, then the others from U+0100.
        let prints = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let letters = (0..=255u8).filter(prints).map(char::from);
        let others = (0..68).map(|index| char::from_u32(0x100 + index).unwrap());
        for letter in letters.chain(others) {
            vocab.insert(letter.to_string(), vocab.len().into());
        }
        let merges = [["Ġ", "á"], ["»", "ĩ"], ["»ĩ", "t"], ["Ġ", "f"]];
        for pair in merges {
            vocab.insert(pair.concat(), vocab.len().into());
        }
        tokenizer["added_tokens"] = json!([]);
        tokenizer["normalizer"] = Value::Null;
        tokenizer["pre_tokenizer"] =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        tokenizer["post_processor"] =
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        tokenizer["decoder"] = tokenizer["post_processor"].clone();
        tokenizer["model"] = json!({"type": "BPE", "vocab": vocab, "merges": merges});
    })
}

fn texts(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

#[test]
fn tokens_read_as_the_prompts_own_characters() {
    let tokenizer = byte_level().open();
    let tokens = tokenizer.encode("x ệt é  f").unwrap();
    assert_eq!(texts(&tokens), ["x", "ệ", "t", " ", "é", "<0xA9>", " ", "f"]);
    let spans: Vec<_> = tokens.iter().map(|token| (token.start, token.end)).collect();
    assert_eq!(spans, [(0, 1), (2, 3), (2, 4), (4, 5), (5, 6), (5, 6), (6, 7), (8, 9)]);
    // By itself a token is its bytes, and never letters for them.
    let said: Vec<String> = tokens.iter().map(|token| tokenizer.text_of(token.id)).collect();
    assert_eq!(
        said,
        ["x", " <0xE1>", "<0xBB><0x87>t", " ", "<0xC3>", "<0xA9>", " ", " f"]
    );
    // SentencePiece's bytes, and its mark in front, which is no character of the text.
    let tokenizer = Folder::json().config(PLAIN, json!({})).open();
    let tokens = tokenizer.encode("ệ t").unwrap();
    assert_eq!(texts(&tokens), ["<s>", "▁", "ệ", "<0xBB>", "<0x87>", " ", "t"]);
}

#[test]
fn a_map_shows_each_character_once() {
    let folder = byte_level();
    let first = "content/experiments/first.yaml";
    let project = Project::small()
        .edit(first, "options: {A: yes, B: no}\n", "")
        .edit(first, "  gold: label\n", "")
        .edit(first, "[predicted, gold]", "[predicted]")
        .file("content/data/rows.csv", "id,label,statement\na,yes,Việt é  café 日\n");
    std::fs::copy(
        folder.path().join("tokenizer.json"),
        project.path("content/models/tiny/tokenizer.json"),
    )
    .unwrap();
    project.run(&["build", "--device", "cpu"]).ended(0);
    let page = project.read("site/experiments/first/maps/tiny/a/index.html");
    let record = support::json(&project.path("site/data/first/tiny/a.json"));
    let own: String = record["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["text"].as_str().unwrap())
        .filter(|text| !text.starts_with("<0x"))
        .collect();
    let letters: String = record["prompt"].as_str().unwrap().split_whitespace().collect();
    assert_eq!(own.split_whitespace().collect::<String>(), letters);
    for letter in ['Ġ', 'Ċ', '»', 'ĩ', '¥', 'Ã'] {
        assert!(!page.contains(letter), "{letter}");
    }
}

#[test]
fn a_tokenizer_that_would_fill_memory_is_refused() {
    let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
    let folder = Folder::json().change(|tokenizer| {
        tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": vec![replace; 9]});
    });
    let error = folder.refused();
    assert!(
        error.starts_with("FOLDER/tokenizer.json: normalizer: the tokenizer's steps can make"),
        "{error}"
    );
    let twice = Folder::json().change(|tokenizer| {
        let single = tokenizer["post_processor"]["single"].as_array_mut().unwrap();
        single.extend(vec![json!({"Sequence": {"id": "A", "type_id": 0}}); 1000]);
    });
    assert!(twice.refused().contains("writes each text 1001 times"));
    let chance = Folder::json().change(|tokenizer| tokenizer["model"]["dropout"] = json!(0.1));
    assert!(chance.refused().contains("`dropout` 0.1"));
}

/// A panic of the tokenizers crate is an error with the file, and no defect of igsite.
#[test]
fn a_tokenizer_that_no_tool_wrote_is_told_with_its_file() {
    let project = Project::small();
    for (part, value) in [
        ("decoder", json!([1, 2])),
        ("decoder", json!({"type": "Sequence", "decoders": [7]})),
        ("model", json!({"type": "Unigram", "vocab": [], "unk_id": 7})),
        ("added_tokens", json!([{"id": 0}])),
    ] {
        let mut tokenizer = tiny::tokenizer_json();
        tokenizer[part] = value;
        std::fs::write(
            project.path("content/models/tiny/tokenizer.json"),
            tokenizer.to_string(),
        )
        .unwrap();
        let ran = project.run(&["check", "--device", "cpu"]);
        let said = ran.ended(1);
        assert!(
            said.contains("content/models/tiny/tokenizer.json: not a tokenizer that can be read"),
            "{part}: {said}"
        );
        assert!(!said.contains("defect") && !said.contains("panicked"), "{said}");
    }
}

/// The crate looks this token up without a check, on the first text.
#[test]
fn a_panic_of_the_tokenizers_crate_is_an_error_of_the_file() {
    let folder = Folder::json().change(|tokenizer| tokenizer["post_processor"]["special_tokens"] = json!({}));
    let error = folder.refused();
    assert!(
        error.starts_with("FOLDER/tokenizer.json: not a tokenizer that can be read: no entry found for key"),
        "{error}"
    );
}

/// One byte of a file changed, or a stretch of it taken away or written twice.
fn mutated(mut bytes: Vec<u8>, at: usize, length: usize, kind: u8) -> Vec<u8> {
    let at = at % bytes.len();
    let end = (at + 1 + length).min(bytes.len());
    match kind {
        0 => bytes[at] ^= 1 << (length % 8),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => bytes[at] = b"0123456789{}[]\",:\\-e"[length % 20],
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(at: usize, length in 0..40usize, kind in 0..4u8, model: bool, where_the_parts_are: bool) {
        let folder = if model { Folder::sentencepiece() } else { byte_level() };
        let file = folder.path().join(if model { "tokenizer.model" } else { "tokenizer.json" });
        let bytes = std::fs::read(&file).unwrap();
        // Most of the file is vocabulary; the parts before it are more worth.
        let at = if where_the_parts_are { at % 900 } else { at };
        std::fs::write(&file, mutated(bytes, at, length, kind)).unwrap();
        let opened = Tokenizer::open(folder.path());
        if let Ok((tokenizer, tokens)) = opened.and_then(|it| it.encode("Is it so? Việt\n  12").map(|tokens| (it, tokens))) {
            for token in tokens {
                _ = tokenizer.text_of(token.id);
            }
        }
    }

    #[test]
    fn every_character_is_in_one_token(text in "[ a-cé日🦀\n]{0,20}", which in 0..3u8) {
        let folder = match which {
            0 => Folder::json(),
            1 => Folder::sentencepiece(),
            _ => byte_level(),
        };
        let tokenizer = folder.open();
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
    }
}
