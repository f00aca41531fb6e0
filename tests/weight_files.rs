//! Weight files in every form that is read, each against the same weights in the plainest one.
mod support;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};
use support::project::Project;
use support::tiny::{self, Tensors};
use support::torch_file::{Elements, Saved, TorchFile};
use support::tried::{PROMPT, Tried, checkpoint, folder, logits_of, same, tried};

const HEAD: &str = "lm_head.weight";

fn plain() -> Tried {
    tried(checkpoint(&tiny::config(), &tiny::tensors()).path())
}

fn bin(bytes: &[u8]) -> Result<Tried, igsite::diagnostic::Diagnostic> {
    let folder = folder(&tiny::config());
    std::fs::write(folder.path().join("pytorch_model.bin"), bytes).unwrap();
    logits_of(folder.path(), &PROMPT)
}

/// The tiny weights, the tensors for which `turned` says so kept column by column.
fn saved(turned: impl Fn(&str) -> bool, elements: impl Fn(Vec<f32>) -> Elements) -> TorchFile {
    let mut file = TorchFile::default();
    for (name, (shape, values)) in tiny::tensors() {
        if shape.len() == 2 && turned(&name) {
            let [rows, columns] = [shape[0], shape[1]];
            let values = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
            let (_, all) = &tiny::tensors()[&name];
            let values = values.map(|(row, column)| all[row * columns + column]).collect();
            file.add(&name, &shape, elements(values));
            file.tensors.last_mut().unwrap().strides = vec![1, rows];
        } else {
            file.add(&name, &shape, elements(values));
        }
    }
    file
}

#[test]
fn bins_of_both_formats_and_any_strides_are_read() {
    let expected = plain();
    let all = |_: &str| true;
    let none = |_: &str| false;
    for turned in [&all as &dyn Fn(&str) -> bool, &none, &|name: &str| {
        name.contains("mlp") || name.contains("embed")
    }] {
        let file = saved(turned, Elements::F32);
        for bytes in [file.zip(false), file.zip(true), file.legacy()] {
            assert!(same(&bin(&bytes).unwrap().logits, &expected.logits));
        }
    }
    // Half precision is what it is in any order.
    for elements in [Elements::F16, Elements::Bf16] {
        let straight = bin(&saved(none, elements).zip(false)).unwrap();
        for bytes in [
            saved(all, elements).zip(true),
            saved(all, elements).legacy(),
            saved(none, elements).legacy(),
        ] {
            assert_eq!(bin(&bytes).unwrap().logits, straight.logits);
        }
    }
}

#[test]
fn tensors_may_share_a_storage() {
    let expected = plain();
    // All in one storage, one after the other; in the older format some as parts that are storages by themselves.
    let mut file = TorchFile::default();
    let mut all = Vec::new();
    for (index, (name, (shape, values))) in tiny::tensors().into_iter().enumerate() {
        let strides = if shape.len() == 2 { vec![shape[1], 1] } else { vec![1] };
        let view = (index % 3 == 0).then_some((all.len(), values.len()));
        file.tensors.push(Saved {
            name,
            storage: 0,
            view,
            offset: if view.is_some() { 0 } else { all.len() },
            shape,
            strides,
        });
        all.extend(values);
    }
    file.storages.push(Elements::F32(all));
    assert!(same(&bin(&file.legacy()).unwrap().logits, &expected.logits));
    for tensor in &mut file.tensors {
        if let Some((first, _)) = tensor.view.take() {
            tensor.offset = first;
        }
    }
    assert!(same(&bin(&file.zip(false)).unwrap().logits, &expected.logits));
}

#[test]
fn one_number_may_stand_for_many() {
    // A norm of ones that was saved after `expand`.
    let mut tensors = tiny::tensors();
    tensors.get_mut("model.norm.weight").unwrap().1.fill(1.0);
    let expected = tried(checkpoint(&tiny::config(), &tensors).path());
    let mut file = saved(|_| false, Elements::F32);
    let norm = file
        .tensors
        .iter_mut()
        .find(|tensor| tensor.name == "model.norm.weight")
        .unwrap();
    norm.strides = vec![0];
    file.storages[norm.storage] = Elements::F32(vec![1.0]);
    assert!(same(&bin(&file.zip(false)).unwrap().logits, &expected.logits));
    // But not for more than the file could hold.
    file.tensors[0].shape = vec![1 << 20, 1 << 20];
    file.tensors[0].strides = vec![0, 0];
    let error = bin(&file.zip(false)).err().unwrap();
    assert!(error.message.contains("too often"), "{error}");
}

#[test]
fn a_legacy_file_that_is_cut_or_lies_is_told() {
    let whole = saved(|_| false, Elements::F32).legacy();
    for (bytes, told) in [
        (&whole[..whole.len() - 5], "before storage `"),
        (&whole[..400], "within its pickles"),
        (&whole[..3], "within its pickles"),
        (
            &b"\x80\x02K\x01."[..],
            "neither a zip archive nor a file of PyTorch before 1.6",
        ),
    ] {
        let error = bin(bytes).err().unwrap();
        assert!(error.message.contains(told), "{error}");
    }
    let mut file = saved(|_| false, Elements::F32);
    file.tensors[0].view = Some((1, 1 << 30));
    assert!(
        bin(&file.legacy())
            .err()
            .unwrap()
            .message
            .contains("bytes of its storage")
    );
}

/// Writes the tiny weights with one more entry of another kind.
fn with_entry(name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> tempfile::TempDir {
    let folder = folder(&tiny::config());
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tiny::tensors()
        .into_iter()
        .map(|(name, (shape, values))| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let mut views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            (
                name.as_str(),
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        })
        .collect();
    views.push((name, TensorView::new(dtype, shape.to_vec(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

#[test]
fn entries_that_are_no_parameters_are_passed_over_by_name() {
    let expected = plain();
    for (name, dtype, shape, bytes) in [
        ("model.position_ids", Dtype::I64, &[1, 2][..], &[0; 16][..]),
        (
            "model.layers.0.self_attn.bias",
            Dtype::BOOL,
            &[1, 1, 2, 2],
            &[1, 0, 1, 1],
        ),
        ("model.layers.1.self_attn.masked_bias", Dtype::F32, &[1], &[0; 4]),
        ("model.causal_mask", Dtype::U8, &[2, 2], &[0; 4]),
    ] {
        let got = tried(with_entry(name, dtype, shape, bytes).path());
        assert!(same(&got.logits, &expected.logits));
        assert!(
            got.warnings[0].contains(&format!("tensor `{name}`: no parameter, passed over")),
            "{:?}",
            got.warnings
        );
    }
    let frequencies = with_entry(
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        Dtype::F32,
        &[2],
        &[0; 8],
    );
    assert!(tried(frequencies.path()).warnings.is_empty());
    // The reason is the name, not the type; and the type where a layer asks for it.
    let unknown = logits_of(with_entry("model.steps", Dtype::I64, &[2], &[0; 16]).path(), &PROMPT);
    assert!(unknown.err().unwrap().message.contains("not used by this architecture"));
    let mut file = saved(|_| false, Elements::F32);
    file.add("model.position_ids", &[1, 2], Elements::I64(vec![0, 1]));
    for bytes in [file.zip(false), file.legacy()] {
        let got = bin(&bytes).unwrap();
        assert!(same(&got.logits, &expected.logits) && got.warnings[0].contains("position_ids"));
    }
    let norm = file
        .tensors
        .iter()
        .position(|tensor| tensor.name == "model.norm.weight")
        .unwrap();
    file.storages[norm] = Elements::I64(vec![1; tiny::HIDDEN]);
    let error = bin(&file.zip(false)).err().unwrap();
    assert_eq!(error.message, "stored as torch.LongStorage");
}

#[test]
fn a_single_file_comes_before_an_index() {
    let expected = plain();
    let mut other = tiny::tensors();
    other.get_mut("model.norm.weight").unwrap().1.fill(0.5);
    let folder = checkpoint(&tiny::config(), &tiny::tensors());
    let at = |name: &str| folder.path().join(name);
    tiny::write_safetensors(&at("model-00001-of-00001.safetensors"), &other);
    let map: serde_json::Map<String, Value> = other
        .keys()
        .map(|name| (name.clone(), json!("model-00001-of-00001.safetensors")))
        .collect();
    std::fs::write(
        at("model.safetensors.index.json"),
        json!({"weight_map": map}).to_string(),
    )
    .unwrap();
    let both = tried(folder.path());
    assert!(same(&both.logits, &expected.logits));
    assert!(
        both.warnings[0].contains("an index of shards in one folder"),
        "{:?}",
        both.warnings
    );
    // The index alone, and a `.bin` that comes after it.
    std::fs::remove_file(at("model.safetensors")).unwrap();
    std::fs::write(at("pytorch_model.bin"), "no weights").unwrap();
    let sharded = tried(folder.path());
    assert!(!same(&sharded.logits, &expected.logits) && sharded.warnings.is_empty());
}

fn tied(head: impl FnOnce(&mut Tensors)) -> Tried {
    let mut config = tiny::config();
    config["tie_word_embeddings"] = json!(true);
    let mut tensors = tiny::tensors();
    head(&mut tensors);
    tried(checkpoint(&config, &tensors).path())
}

#[test]
fn an_output_layer_in_the_file_of_a_tied_model() {
    let untied = plain();
    let alone = tied(|tensors| _ = tensors.remove(HEAD));
    assert!(alone.warnings.is_empty() && !same(&alone.logits, &untied.logits));
    let table = "model.embed_tokens.weight";
    let equal = tied(|tensors| _ = tensors.insert(HEAD.to_owned(), tensors[table].clone()));
    assert!(equal.warnings.is_empty() && equal.logits == alone.logits);
    // The file's is used, and told.
    let other = tied(|_| {});
    assert!(same(&other.logits, &untied.logits));
    assert!(
        other.warnings[0].contains("tensor `lm_head.weight`: `tie_word_embeddings: true`"),
        "{:?}",
        other.warnings
    );
    // One number in the middle is enough.
    let nearly = tied(|tensors| {
        let mut head = tensors[table].clone();
        head.1[177] += 1.0;
        tensors.insert(HEAD.to_owned(), head);
    });
    assert_eq!(nearly.warnings.len(), 1);
    assert!(nearly.logits != alone.logits);
    // `torch.save` writes both names over one storage.
    let mut config = tiny::config();
    config["tie_word_embeddings"] = json!(true);
    let mut file = saved(|_| false, Elements::F32);
    let storage = |file: &TorchFile, name: &str| file.tensors.iter().find(|t| t.name == name).unwrap().storage;
    let (head, one) = (storage(&file, HEAD), storage(&file, table));
    assert!(head < one);
    file.storages.remove(head);
    for tensor in &mut file.tensors {
        let at = if tensor.storage == head { one } else { tensor.storage };
        tensor.storage = if at > head { at - 1 } else { at };
    }
    for bytes in [file.zip(false), file.legacy()] {
        let folder = folder(&config);
        std::fs::write(folder.path().join("pytorch_model.bin"), bytes).unwrap();
        let shared = tried(folder.path());
        assert!(shared.warnings.is_empty() && same(&shared.logits, &alone.logits));
    }
    // Under the other name alone.
    let swapped = tied(|tensors| {
        let table = tensors.remove(table).unwrap();
        tensors.insert(HEAD.to_owned(), table);
    });
    assert!(same(&swapped.logits, &alone.logits) && swapped.warnings[0].contains("no embedding table of its own"));
}

#[test]
fn falcon_and_mistral_do_as_llama_with_an_output_layer_of_their_own() {
    let shapes = json!({"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4});
    let numbers = |seed: usize, count: usize| {
        (0..count)
            .map(|i| (((i * 37 + seed * 11) % 19) as f32 - 9.0) / 20.0)
            .collect::<Vec<f32>>()
    };
    let mut tensors = Tensors::new();
    for (seed, (name, shape)) in [
        ("transformer.word_embeddings.weight", vec![40, 16]),
        ("transformer.h.0.input_layernorm.weight", vec![16]),
        ("transformer.h.0.input_layernorm.bias", vec![16]),
        ("transformer.h.0.self_attention.query_key_value.weight", vec![24, 16]),
        ("transformer.h.0.self_attention.dense.weight", vec![16, 16]),
        ("transformer.h.0.mlp.dense_h_to_4h.weight", vec![64, 16]),
        ("transformer.h.0.mlp.dense_4h_to_h.weight", vec![16, 64]),
        ("transformer.ln_f.weight", vec![16]),
        ("transformer.ln_f.bias", vec![16]),
        (HEAD, vec![40, 16]),
    ]
    .into_iter()
    .enumerate()
    {
        let count = shape.iter().product();
        tensors.insert(name.to_owned(), (shape, numbers(seed, count)));
    }
    let falcon = |tied: bool, tensors: &Tensors| {
        let mut config = shapes.clone();
        config["model_type"] = json!("falcon");
        config["tie_word_embeddings"] = json!(tied);
        let folder = checkpoint(&config, tensors);
        logits_of(folder.path(), &[1, 7, 9]).unwrap()
    };
    let (other, untied) = (falcon(true, &tensors), falcon(false, &tensors));
    assert_eq!(other.logits, untied.logits);
    assert!(other.warnings[0].contains("lm_head.weight") && untied.warnings.is_empty());
    let mut equal = tensors.clone();
    equal.insert(HEAD.to_owned(), tensors["transformer.word_embeddings.weight"].clone());
    let equal = falcon(true, &equal);
    tensors.remove(HEAD);
    let alone = falcon(true, &tensors);
    assert_eq!(equal.logits, alone.logits);
    assert!(equal.warnings.is_empty() && alone.warnings.is_empty());

    let mut mistral = tiny::config();
    mistral["model_type"] = json!("mistral");
    mistral["tie_word_embeddings"] = json!(true);
    mistral["sliding_window"] = Value::Null;
    mistral["architectures"] = json!(["MistralForCausalLM"]);
    let got = tried(checkpoint(&mistral, &tiny::tensors()).path());
    assert!(same(&got.logits, &plain().logits) && got.warnings.len() == 1);
}

#[test]
fn a_pointer_of_git_lfs_is_told_in_every_file() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d6caea8\nsize 12345\n";
    let index = json!({"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}).to_string();
    for (files, named) in [
        (&[("config.json", POINTER)][..], "config.json"),
        (&[("generation_config.json", POINTER)], "generation_config.json"),
        (&[("model.safetensors", POINTER)], "model.safetensors"),
        (
            &[("model.safetensors", ""), ("model.safetensors.index.json", POINTER)],
            "model.safetensors.index.json",
        ),
        (
            &[
                ("model.safetensors", ""),
                ("model.safetensors.index.json", &index),
                ("model-00001-of-00001.safetensors", POINTER),
            ],
            "model-00001-of-00001.safetensors",
        ),
        (
            &[("model.safetensors", ""), ("pytorch_model.bin", POINTER)],
            "pytorch_model.bin",
        ),
    ] {
        let mut project = Project::small();
        for (name, text) in files {
            let path = format!("content/models/tiny/{name}");
            if text.is_empty() {
                std::fs::remove_file(project.path(&path)).unwrap();
            } else {
                project = project.file(&path, text);
            }
        }
        let told = project.run(&["check", "--device", "cpu"]);
        let told = told.ended(1);
        assert!(
            told.contains(&format!("{named}: this is a pointer of Git LFS")) && told.contains("git lfs pull"),
            "{told}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_checkpoint_is_told() {
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        let project = Project::small();
        let path = project.path(&format!("content/models/tiny/{name}"));
        _ = std::fs::remove_file(&path);
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let told = project.run(&["check", "--device", "cpu"]);
        assert!(
            told.ended(1)
                .contains(&format!("{name}: this is a named pipe, not a file")),
            "{}",
            told.stderr
        );
    }
}

/// Pickles that took gigabytes before what they may ask for was bounded.
#[cfg(target_os = "linux")]
#[test]
fn hostile_pickles_need_little_memory() {
    /// Of address space, in kilobytes: less than half of what the first of these took.
    const MOST: u64 = 1_500_000;
    let recalled = [
        b"\x80\x02X\xff\xff\x01\x00".as_slice(),
        &[b'a'; 0x1_ffff],
        b"q\x00",
        &b"h\x00".repeat(20_000),
    ]
    .concat();
    for (pickle, told) in [
        (recalled, "the pickle ends at byte"),
        (b"]".repeat(60_000_000), "the pickle asks for more than 131072"),
        (b"(".repeat(60_000_000), "the pickle asks for more than 131072"),
    ] {
        let project = Project::small();
        std::fs::remove_file(project.path("content/models/tiny/model.safetensors")).unwrap();
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("archive/data.pkl", stored).unwrap();
        std::io::Write::write_all(&mut zip, &pickle).unwrap();
        let project = project.file(
            "content/models/tiny/pytorch_model.bin",
            zip.finish().unwrap().into_inner(),
        );
        let began = std::time::Instant::now();
        let command = format!("ulimit -v {MOST}; exec \"$0\" check --device cpu");
        let ran = std::process::Command::new("sh")
            .args(["-c", &command, env!("CARGO_BIN_EXE_igsite")])
            .current_dir(project.path(""))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains(told), "{said}");
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}

#[test]
fn a_header_of_many_tensors_is_read_in_a_moment() {
    let folder = folder(&tiny::config());
    let header: Vec<String> = (0..300_000)
        .map(|n| format!("\"t{n}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
        .collect();
    let header = format!("{{{}}}", header.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    let began = std::time::Instant::now();
    let error = logits_of(folder.path(), &PROMPT).err().unwrap();
    assert!(error.message.contains("missing from the checkpoint"), "{error}");
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
}
