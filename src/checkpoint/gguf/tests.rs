use proptest::prelude::*;

use super::writer::{Value, Writer};
use super::*;

fn read_bytes(bytes: &[u8]) -> Result<File> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn small() -> Writer {
    Writer::default()
        .with("general.architecture", "llama")
        .with("llama.block_count", 2)
        .with("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .with("flag", true)
        .with("tokens", vec!["a", "", "▁é"])
        .with("scores", vec![0.5, -1.0])
        .with("types", vec![1, -2])
        .with("nested", Value::Arrays(vec![vec![1, 2], vec![], vec![3]]))
        .with("large", Value::U64(1 << 40))
        .floats("a.weight", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .tensor("b.weight", &[2, 32], 8, vec![7; 2 * 34])
        .floats("c.bias", &[1], &[9.0])
}

#[test]
fn keys_and_tensors_are_what_was_written() {
    for version in [2, 3] {
        let mut writer = small();
        writer.version = version;
        let bytes = writer.bytes();
        let file = read_bytes(&bytes).unwrap();
        assert_eq!(file.version, version);
        let metadata = &file.metadata;
        assert_eq!(metadata.text("general.architecture").unwrap(), Some("llama"));
        assert_eq!(metadata.u32("llama.block_count").unwrap(), Some(2));
        let epsilon = "llama.attention.layer_norm_rms_epsilon";
        assert_eq!(metadata.f32(epsilon).unwrap(), Some(1e-5));
        assert_eq!(metadata.json(epsilon).unwrap(), serde_json::json!(1e-5));
        assert_eq!(metadata.bool("flag").unwrap(), Some(true));
        assert_eq!(metadata.texts("tokens").unwrap().unwrap(), ["a", "", "▁é"]);
        assert_eq!(metadata.floats("scores").unwrap().unwrap(), [0.5, -1.0]);
        assert_eq!(metadata.ints("types").unwrap().unwrap(), [1, -2]);
        assert_eq!(metadata.json("nested").unwrap(), serde_json::json!([[1, 2], [], [3]]));
        assert_eq!(metadata.json("large").unwrap(), serde_json::json!(1u64 << 40));
        assert_eq!(metadata.count("tokens"), Some(3));
        assert_eq!(metadata.text("absent").unwrap(), None);
        assert_eq!(metadata.keys().count(), 9);
        let found: Vec<_> = file
            .tensors
            .iter()
            .map(|t| (t.name.as_str(), &t.shape[..], t.kind.name(), t.bytes))
            .collect();
        assert_eq!(
            found,
            [
                ("a.weight", &[2, 3][..], "F32", 24),
                ("b.weight", &[2, 32][..], "Q8_0", 68),
                ("c.bias", &[1][..], "F32", 4)
            ]
        );
        let last = &file.tensors[2];
        assert_eq!(bytes[last.offset as usize..][..4], 9.0f32.to_le_bytes());
    }
}

#[test]
fn the_alignment_is_that_of_the_file() {
    let mut writer = small().with("general.alignment", 128);
    writer.alignment = 128;
    let bytes = writer.bytes();
    let file = read_bytes(&bytes).unwrap();
    assert_eq!(file.tensors[1].offset % 128, 0);
    assert_eq!(bytes[file.tensors[1].offset as usize..][..68], [7; 68]);
    for (value, told) in [
        (Value::U32(48), "48"),
        (Value::U32(0), "0"),
        (Value::F32(32.0), "float32"),
        (Value::U32(1 << 31), "2147483648"),
    ] {
        let error = read_bytes(&small().with("general.alignment", value).bytes()).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_value_of_another_type_is_named() {
    let file = read_bytes(&small().bytes()).unwrap();
    let metadata = &file.metadata;
    let told = |error: Diagnostic| (error.place.clone().unwrap(), error.message.clone());
    assert_eq!(
        told(metadata.u32("general.architecture").unwrap_err()),
        (
            "`general.architecture`".to_owned(),
            "a value of type string: \"llama\"".to_owned()
        )
    );
    assert_eq!(told(metadata.texts("scores").unwrap_err()).1, "an array of 2 float32");
    assert_eq!(
        told(metadata.u32("large").unwrap_err()).1,
        "a value of type uint64: 1099511627776"
    );
    assert_eq!(told(metadata.bool("tokens").unwrap_err()).1, "an array of 3 string");
    assert_eq!(told(metadata.floats("types").unwrap_err()).1, "an array of 2 int32");
}

/// A file's bytes with a number written over a place.
fn over(bytes: &[u8], at: usize, number: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[test]
fn what_is_no_gguf_or_another_version_is_told() {
    let start = |magic: &[u8], version: u32| {
        let mut bytes = small().bytes();
        bytes[..4].copy_from_slice(magic);
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        read_bytes(&bytes).unwrap_err().to_string()
    };
    assert!(start(b"PK\x03\x04", 3).contains("not a GGUF file"));
    assert!(start(b"tjgg", 3).contains("before GGUF"));
    assert!(start(b"GGUF", 1).contains("GGUF version 1"));
    assert!(start(b"GGUF", 4).contains("GGUF version 4"));
    assert!(start(b"GGUF", 3u32.swap_bytes()).contains("big-endian file (version 3)"));
    assert!(read_bytes(b"").unwrap_err().message.contains("truncated"));
}

#[test]
fn counts_and_lengths_that_lie_are_refused_at_once() {
    let bytes = small().bytes();
    for (at, number, told) in [
        (8, 1 << 63, "tensors"),
        // What follows the last of them is taken for another.
        (8, 1 << 20, "sides"),
        (16, u64::MAX, "metadata keys"),
        (16, 1 << 16, "truncated"),
        // The length of the first key.
        (24, u64::MAX, "truncated"),
        (24, 1 << 40, "truncated"),
    ] {
        let error = read_bytes(&over(&bytes, at, number)).unwrap_err();
        assert!(error.message.contains(told), "{at}: {error}");
    }
    // The lengths of an array and of a text in it.
    let find = |what: &[u8]| bytes.windows(what.len()).position(|window| window == what).unwrap();
    let array = find(b"tokens") + "tokens".len() + 8;
    for at in [array, array + 8] {
        for number in [u64::MAX, 1 << 63, 1 << 40] {
            let error = read_bytes(&over(&bytes, at, number)).unwrap_err();
            assert!(error.message.contains("truncated"), "{error}");
            assert_eq!(error.place.as_deref(), Some("`tokens`"));
        }
    }
    // A side of a tensor: a product that overflows, and one that does not fit.
    let side = find(b"a.weight") + "a.weight".len() + 4;
    for (number, told) in [
        (u64::MAX, "shape"),
        (1 << 62, "shape"),
        (0, "shape"),
        (1 << 30, "truncated"),
    ] {
        let error = read_bytes(&over(&bytes, side, number)).unwrap_err();
        assert!(error.message.contains(told), "{number}: {error}");
        assert_eq!(error.place.as_deref(), Some("tensor `a.weight`"));
    }
    // An offset: misaligned, in another tensor, outside, overflowing.
    let offset = find(b"b.weight") + "b.weight".len() + 4 + 16 + 4;
    for (number, told) in [
        (8, "begin at 8"),
        (0, "also those of"),
        (1 << 40, "truncated"),
        (u64::MAX - 31, "truncated"),
    ] {
        let error = read_bytes(&over(&bytes, offset, number)).unwrap_err();
        assert!(error.message.contains(told), "{number}: {error}");
    }
}

#[test]
fn what_occurs_twice_or_is_unknown_is_named() {
    let told = |writer: Writer| read_bytes(&writer.bytes()).unwrap_err().to_string();
    assert!(told(small().with("flag", false)).contains("`flag`: set twice"));
    assert!(told(small().floats("c.bias", &[1], &[1.0])).contains("tensor `c.bias`: announced twice"));
    assert!(told(small().tensor("d", &[32], 99, vec![0; 32])).contains("unknown type (number 99)"));
    assert!(told(small().tensor("d", &[33], 8, vec![0; 68])).contains("the last a multiple of 32"));
    assert!(told(small().tensor("d", &[1, 1, 1, 1, 1], 0, vec![0; 4])).contains("5 sides"));
}

#[test]
fn a_long_vocabulary_is_read_at_once() {
    let tokens: Vec<String> = (0..262_144).map(|n| format!("▁token{n}")).collect();
    let bytes = Writer::default().with("tokens", tokens.clone()).bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, bytes).unwrap();
    let begun = std::time::Instant::now();
    let file = read(&path).unwrap();
    let found = file.metadata.texts("tokens").unwrap().unwrap();
    // Some tens of milliseconds without optimisation; far from what a machine that is busy would make of them.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(found == tokens);
}

/// A model of one layer, all zeros.
fn model() -> Writer {
    let mut writer = Writer::default()
        .with("general.architecture", "llama")
        .with("llama.block_count", 1)
        .with("llama.context_length", 64)
        .with("llama.embedding_length", 8)
        .with("llama.feed_forward_length", 6)
        .with("llama.attention.head_count", 2)
        .with("llama.attention.head_count_kv", 1)
        .with("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .with("llama.rope.freq_base", 1e4)
        .with("tokenizer.ggml.eos_token_id", 2)
        .floats("rope_freqs.weight", &[2], &[1.0, 8.0]);
    for (name, shape) in [
        ("token_embd", &[5, 8][..]),
        ("output_norm", &[8]),
        ("blk.0.attn_norm", &[8]),
        ("blk.0.attn_q", &[8, 8]),
        ("blk.0.attn_k", &[4, 8]),
        ("blk.0.attn_v", &[4, 8]),
        ("blk.0.attn_output", &[8, 8]),
        ("blk.0.ffn_norm", &[8]),
        ("blk.0.ffn_gate", &[6, 8]),
        ("blk.0.ffn_up", &[6, 8]),
        ("blk.0.ffn_down", &[8, 6]),
        ("blk.0.ffn_up_exps", &[2, 3, 4]),
    ] {
        writer = writer.floats(&format!("{name}.weight"), shape, &vec![0.0; shape.iter().product()]);
    }
    writer
}

#[test]
fn a_model_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, model().bytes()).unwrap();
    let (config, entries) = open(&path).unwrap();
    assert_eq!(
        (config.model.layers, config.model.vocabulary, config.stop),
        (1, 5, vec![2])
    );
    assert_eq!(config.context, Some(64));
    // Factors are settings, and experts are found one by one.
    assert!(!entries.contains_key("rope_freqs.weight"));
    let part = &entries["blk.0.ffn_up_exps.1.weight"];
    assert_eq!((&part.shape[..], part.bytes), (&[3, 4][..], 48));
    assert_eq!(part.offset, entries["blk.0.ffn_up_exps.0.weight"].offset + 48);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_change_of_a_model_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = model().bytes();
        // The head, where all that can go wrong is said.
        let head = bytes.len() - 4 * 400;
        for (at, byte) in changes {
            let at = at.index(head);
            bytes[at] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        std::fs::write(&path, bytes).unwrap();
        _ = open(&path);
    }

    #[test]
    fn a_file_that_ends_early_is_refused(at in any::<prop::sample::Index>()) {
        let bytes = small().bytes();
        let error = read_bytes(&bytes[..at.index(bytes.len())]).unwrap_err();
        prop_assert!(error.message.contains("truncated"), "{}", error);
    }

    #[test]
    fn no_change_of_bytes_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small().bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let Ok(file) = read_bytes(bytes) else { continue };
            for key in file.metadata.keys() {
                _ = file.metadata.json(key);
                _ = (file.metadata.text(key), file.metadata.texts(key), file.metadata.floats(key));
                _ = (file.metadata.u32(key), file.metadata.f32(key), file.metadata.bool(key), file.metadata.ints(key));
            }
            for tensor in &file.tensors {
                prop_assert!(tensor.offset + tensor.bytes as u64 <= bytes.len() as u64);
            }
        }
    }

    #[test]
    fn any_metadata_comes_back(
        numbers in prop::collection::vec(any::<i32>(), 0..9),
        floats in prop::collection::vec(any::<f32>().prop_filter("is a number", |f| !f.is_nan()), 0..9),
        texts in prop::collection::vec(".{0,9}", 0..9),
    ) {
        let writer = Writer::default()
            .with("n", numbers.clone())
            .with("f", floats.clone())
            .with("t", texts.clone());
        let file = read_bytes(&writer.bytes()).unwrap();
        let numbers: Vec<i64> = numbers.into_iter().map(i64::from).collect();
        prop_assert_eq!(file.metadata.ints("n").unwrap().unwrap(), numbers);
        prop_assert_eq!(file.metadata.floats("f").unwrap().unwrap(), floats);
        prop_assert_eq!(file.metadata.texts("t").unwrap().unwrap(), texts);
    }
}
