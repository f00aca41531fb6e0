//! GGUF files: the model of each family, as llama.cpp's converter writes it, is the one of its safetensors.
//!
//! The files are written here, by `support/gguf.rs`. `tests/gguf/make.py` writes others, with names and quantised
//! weights of the Python package `gguf`; where a folder of them is in `IGSITE_GGUF`, they are held against the same
//! numbers of PyTorch as `../shared/families` themselves.
mod support;

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::{Checkpoint, config};
use igsite::families::FAMILIES;
use igsite::model::CausalLm;
use igsite::model::device::Backend;
use igsite::terms::Quantization;
use igsite::tokenizer::Tokenizer;
use serde_json::{Value, json};
use support::families::{config_of, config_with, logits, tensors, with_other_tensors};
use support::project::Project;
use support::writer::Writer;
use support::{gguf, tiny};

/// Every family that GGUF files hold, and variants with other tensors or settings.
fn variants() -> Vec<Value> {
    let families = FAMILIES.iter().map(|family| family.types[0]);
    let families = families.filter(|family| gguf::architecture(family).is_some());
    let settings = [
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}),
        ),
        ("llama", json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}})),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}}),
        ),
        (
            "granite",
            json!({"embedding_multiplier": 3.0, "attention_multiplier": 0.3, "residual_multiplier": 0.7,
                "logits_scaling": 2.0}),
        ),
        (
            "falcon",
            json!({"new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1}),
        ),
        ("gpt_neox", json!({"use_parallel_residual": false})),
        ("qwen2", json!({"use_sliding_window": true, "max_window_layers": 1})),
        ("exaone4", json!({"sliding_window": null})),
    ];
    let settings = settings.into_iter().map(|(family, more)| config_with(family, more));
    families
        .map(config_of)
        .chain(with_other_tensors())
        .chain(settings)
        .collect()
}

/// The model of a `config.json`, with weights far from where they begin: norms and biases, too.
fn model_of(config: &Value) -> (tiny::Tensors, CausalLm) {
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let mut tensors = tensors(&CausalLm::init(&shape, &Device::flex()));
    for (name, (dims, values)) in &mut tensors {
        for (at, value) in values.iter_mut().enumerate() {
            let some = ((at * 7919 + name.len() * 31) % 101) as f32 / 101.0 - 0.5;
            *value = if dims.len() == 1 { *value + some } else { *value * 8.0 };
        }
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    tiny::write_safetensors(&folder.path().join("model.safetensors"), &tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let model = CausalLm::load(&checkpoint, &Device::flex(), DType::F32).unwrap();
    (tensors, model)
}

fn open(writer: &Writer) -> (tempfile::TempDir, igsite::diagnostic::Result<Checkpoint>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, writer.bytes()).unwrap();
    let checkpoint = Checkpoint::open(&path);
    (folder, checkpoint)
}

#[test]
fn a_file_is_the_model_of_its_safetensors() {
    for config in variants() {
        let (tensors, model) = model_of(&config);
        let (_folder, checkpoint) = open(&gguf::written(&config, &tensors));
        let checkpoint = checkpoint.unwrap_or_else(|error| panic!("{config}: {error}"));
        let warnings: Vec<String> = checkpoint.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [""; 0], "{config}");
        let read = CausalLm::load(&checkpoint, &Device::flex(), DType::F32)
            .unwrap_or_else(|error| panic!("{config}: {error}"));
        let (found, expected) = (logits(&read), logits(&model));
        let largest = expected.iter().fold(0f32, |most, logit| most.max(logit.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 2e-6 * largest,
                "{config}: {found}, not {expected}"
            );
        }
        assert_eq!(read.parameters(), model.parameters(), "{config}");
        assert_eq!(checkpoint.parameters(), model.parameters(), "{config}");
    }
}

#[test]
fn a_tensor_too_few_too_many_or_of_another_shape_is_named() {
    for config in variants() {
        let (tensors, _) = model_of(&config);
        let writer = gguf::written(&config, &tensors);
        let refused = |writer: &Writer, name: &str, what: &str| {
            let (_folder, checkpoint) = open(writer);
            let error = checkpoint.and_then(|checkpoint| CausalLm::verify(&checkpoint)).err();
            let error = error
                .unwrap_or_else(|| panic!("{config}: {what} {name} was accepted"))
                .to_string();
            // A tensor of all experts is taken by its parts.
            let stem = name.trim_end_matches("weight").trim_end_matches("bias");
            assert!(
                error.contains(&format!("tensor `{stem}")),
                "{config}: {what} {name}: {error}"
            );
        };
        for name in writer.names() {
            // Without its first one the file has another layout; an output layer of its own may be missing.
            let decides = ["blk.0.", "output.weight", "rope_freqs.weight"];
            if !decides.iter().any(|part| name.starts_with(part)) {
                refused(&writer.without(&name), &name, "without");
            }
            if name != "token_embd.weight" {
                refused(&writer.longer(&name), &name, "another shape of");
            }
        }
        refused(
            &writer.clone().floats("blk.1.attn_sinks.weight", &[4], &[0.0; 4]),
            "blk.1.attn_sinks.weight",
            "with",
        );
    }
}

/// What makes another model of a file is refused by the key's name.
#[test]
fn settings_that_are_not_computed_are_named() {
    let config = config_of("llama");
    let (tensors, _) = model_of(&config);
    let writer = gguf::written(&config, &tensors);
    let told = |writer: Writer| open(&writer).1.err().map(|error| error.to_string());
    let with = |key: &str, value: support::writer::Value| told(writer.clone().with(key, value)).unwrap_or_default();
    assert!(with("llama.expert_count", 4.into()).contains("`llama.expert_used_count` is missing"));
    assert!(with("llama.expert_weights_scale", 2f32.into()).contains("`llama.expert_weights_scale: 2.0`"));
    assert!(with("llama.rope.dimension_count", 4.into()).contains("`llama.rope.dimension_count: 4`"));
    assert!(with("llama.rope.scaling.type", "spiral".into()).contains("`llama.rope.scaling.type: \"spiral\"`"));
    assert!(with("llama.rope.scaling.type", "yarn".into()).contains("`llama.rope.scaling.factor` is missing"));
    // What would stretch or multiply rotary positions beside what the file has already.
    let factors = |writer: &Writer| writer.clone().floats("rope_freqs.weight", &[4], &[1.0; 4]);
    let other = told(factors(&writer).with("llama.rope.scaling.factor", 4f32)).unwrap_or_default();
    assert!(other.contains("tensor `rope_freqs.weight`"), "{other}");
    assert_eq!(told(factors(&writer).with("llama.rope.scaling.factor", 1f32)), None);
    for key in ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
        let key = format!("llama.{key}");
        for writer in [&writer, &factors(&writer)] {
            let told = told(writer.clone().with(&key, 1.5f32)).unwrap_or_default();
            assert!(told.contains(&format!("`{key}: 1.5`")), "{told}");
        }
        assert_eq!(told(writer.clone().with(&key, 1f32)), None);
    }
    assert!(with("llama.attention.causal", false.into()).contains("`llama.attention.causal: false`"));
    assert!(with("llama.final_logit_softcapping", 30f32.into()).contains("`llama.final_logit_softcapping: 30.0`"));
    assert!(with("split.count", 3.into()).contains("one of 3 parts"));
    assert!(with("general.type", "adapter".into()).contains("`general.type: adapter`"));
    // A switch that is off, and keys that change nothing.
    let fine = writer
        .clone()
        .with("llama.expert_count", 0)
        .with("llama.attention.causal", true)
        .with("llama.vocab_size", 40)
        .with("general.name", "some");
    assert_eq!(told(fine), None);
    let (_folder, odd) = open(&writer.clone().with("llama.spin", 2));
    let warnings: Vec<String> = odd.unwrap().warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("`llama.spin: 2`"),
        "{warnings:?}"
    );
    // Long values are not read: all of them together would take many times their room.
    let long = || support::writer::Value::from(vec![0i32; 200_000]);
    let two = writer.clone().with("llama.spin", long()).with("llama.turn", long());
    let (_folder, odd) = open(&two);
    let told_of = odd
        .unwrap()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(told_of.contains("`llama.turn: \"800012 bytes\"`"), "{:.600}", told_of);
    // The embedding table alone says how long the vocabulary is.
    let unknown = Writer::default().with("general.architecture", "mamba2");
    let error = told(unknown).unwrap();
    assert!(
        error.contains("`general.architecture: mamba2`") && error.contains("llama"),
        "{error}"
    );
    let error = told(writer.without("token_embd.weight")).unwrap();
    assert!(error.contains("tensor `token_embd.weight`"), "{error}");
    let iq = writer
        .without("output_norm.weight")
        .tensor("output_norm.weight", &[256], 16, vec![0; 66]);
    let error = told(iq).unwrap();
    assert!(error.contains("IQ2_XXS") && error.contains("Q4_K"), "{error}");
    let nvfp4 = writer
        .without("output_norm.weight")
        .tensor("output_norm.weight", &[64], 40, vec![0; 36]);
    let error = told(nvfp4).unwrap();
    assert!(error.contains("NVFP4") && error.contains("Q4_K"), "{error}");
}

/// A file of Gemma 2 from before llama.cpp wrote its caps has those that all have.
#[test]
fn caps_that_an_early_file_leaves_out() {
    let config = config_of("gemma2");
    let (tensors, _) = model_of(&config);
    let written = gguf::written(&config, &tensors);
    let shape = |writer: &Writer| open(writer).1.unwrap().config.model;
    let cap = |key: &str| shape(&written.clone().without_key(&format!("gemma2.{key}")));
    let whole = shape(&written);
    assert_eq!(
        (whole.output.cap, whole.blocks[0].attention.cap),
        (Some(30.0), Some(50.0))
    );
    for key in ["final_logit_softcapping", "attn_logit_softcapping"] {
        assert_eq!(cap(key), whole, "{key}");
    }
}

/// Tensors that claim to be of many experts are counted before a name is made of each.
#[test]
fn more_experts_than_any_model_has() {
    let mut writer = Writer::default().with("general.architecture", "llama");
    for (key, number) in [
        ("block_count", 80),
        ("embedding_length", 32),
        ("attention.head_count", 4),
        ("context_length", 64),
        ("feed_forward_length", 32),
        ("expert_count", 4096),
        ("expert_used_count", 2),
    ] {
        writer = writer.with(&format!("llama.{key}"), number);
    }
    writer = writer.with("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
    writer = writer.floats("token_embd.weight", &[40, 32], &[0.0; 40 * 32]);
    for layer in 0..80 {
        writer = writer.tensor(
            &format!("blk.{layer}.ffn_gate_exps.weight"),
            &[4096, 1],
            1,
            vec![0; 8192],
        );
    }
    let error = open(&writer).1.unwrap_err().to_string();
    assert!(error.contains("matrices of experts"), "{error}");
}

/// Weights that are packed in the file stay so, and are those that they expand to.
#[test]
fn packed_weights_are_those_that_they_expand_to() {
    for family in ["llama", "qwen3", "gemma3_text", "mixtral"] {
        let mut config = config_of(family);
        for (key, value) in [("hidden_size", 32), ("intermediate_size", 64), ("head_dim", 16)] {
            config[key] = json!(value);
        }
        let (mut tensors, _) = model_of(&config);
        for (dims, values) in tensors.values_mut().filter(|(dims, _)| dims.len() == 2) {
            assert_eq!(dims[1] % 32, 0);
            values.chunks_mut(32).for_each(|block| {
                let (scale, codes) = support::writer::q8_0(block);
                block
                    .iter_mut()
                    .zip(codes)
                    .for_each(|(value, code)| *value = scale * f32::from(code));
            });
        }
        let plain = gguf::written(&config, &tensors);
        let (backend, ids) = (Backend::cpu(), [3, 17, 39, 0, 8, 21, 5]);
        let opened = |writer: &Writer| {
            let (folder, checkpoint) = open(writer);
            let checkpoint = checkpoint.unwrap_or_else(|error| panic!("{family}: {error}"));
            (folder, checkpoint)
        };
        let (_folder, checkpoint) = opened(&plain);
        let expected = Explainer::load(&checkpoint, &backend, DType::F32)
            .unwrap()
            .logits(&ids)
            .unwrap();
        let (_folder, packed) = opened(&plain.packed());
        assert_eq!(packed.quantization(), Some(Quantization::Gguf));
        assert_eq!(packed.parameters(), checkpoint.parameters());
        let found = Explainer::load(&packed, &backend, DType::F32)
            .unwrap()
            .logits(&ids)
            .unwrap();
        let largest = expected.iter().fold(0f32, |most, logit| most.max(logit.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 2e-6 * largest,
                "{family}: {found}, not {expected}"
            );
        }
        let error = backend
            .precision(None, Quantization::Nf4, &packed)
            .unwrap_err()
            .to_string();
        assert!(error.contains("packed already, as Q8_0"), "{error}");
        assert!(backend.precision(None, Quantization::Nf4, &checkpoint).is_ok());
    }
}

const BUILD: [&str; 3] = ["build", "--device", "cpu"];

/// The numbers of a record, and what its tokens read as.
fn record(project: &Project) -> Value {
    serde_json::from_str(&project.read("site/data/first/tiny/a.json")).unwrap()
}

fn close(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "{place}: {found}, not {expected}"
            );
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            let both = found.iter().zip(expected).enumerate();
            both.for_each(|(at, (found, expected))| close(found, expected, &format!("{place}[{at}]")));
        }
        (Value::Object(found), Value::Object(expected)) => {
            assert!(found.keys().eq(expected.keys()), "{place}: {:?}", found.keys());
            for (key, expected) in expected {
                close(&found[key], expected, &format!("{place}.{key}"));
            }
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

/// A site with a GGUF file has the records of one with the folder that it was made from.
#[test]
fn a_site_of_a_file_is_the_site_of_its_folder() {
    let folder = Project::small();
    folder.run(&BUILD).ended(0);
    let project = Project::small()
        .file("content/models/tiny.yaml", "title: Tiny\nsource: ./tiny.Q32.gguf\n")
        .file("content/models/tiny.Q32.gguf", gguf::tiny_llama().bytes());
    std::fs::remove_dir_all(project.path("content/models/tiny")).unwrap();
    let ran = project.run(&BUILD);
    assert!(!ran.ended(0).contains("warning"), "{}", ran.stderr);
    let (mut found, mut expected) = (record(&project), record(&folder));
    let model = found["model"].take();
    expected["model"].take();
    for record in [&mut found, &mut expected] {
        record["provenance"].take();
    }
    close(&found, &expected, "record");
    assert_eq!(model["source"], "./tiny.Q32.gguf");
    assert_eq!(
        (&model["revision"], &model["quantization"]),
        (&Value::Null, &json!("none"))
    );
    assert_eq!(model["architecture"], "llama");
    let page = project.read("site/models/tiny/index.html");
    assert!(page.contains("none (a file)"), "{page}");

    // Nothing changed: nothing is done. Another file: all is.
    assert!(
        project.run(&BUILD).ended(0).contains("0 models loaded"),
        "{}",
        project.run(&BUILD).stderr
    );
    let other = gguf::tiny_llama().without("output.weight");
    let project = project.file("content/models/tiny.Q32.gguf", other.bytes());
    assert!(project.run(&BUILD).ended(0).contains("1 model loaded"));
    assert_ne!(record(&project)["model"]["weights_sha256"], model["weights_sha256"]);
    project.run(&["check"]).ended(0);

    // What is not there, or no file of a repository, is told with its line.
    let error = |project: Project, code: i32| project.run(&BUILD).ended(code).to_owned();
    let with = |yaml: &str| error(Project::small().file("content/models/tiny.yaml", yaml), 2);
    let told = with("source: ./absent.gguf\n");
    assert!(
        told.contains("tiny.yaml:1:9: source: the checkpoint `absent.gguf` is not there"),
        "{told}"
    );
    let told = with("source: tiny/m.gguf\n");
    assert!(
        told.contains("tiny.yaml:1:9") && told.contains("a file is written `"),
        "{told}"
    );
    let told = with("source: ./tiny\nfile: m.gguf\n");
    assert!(
        told.contains("tiny.yaml:2:7: file: `file` goes with a repository of the hub only"),
        "{told}"
    );
    for name in ["model.safetensors", "../m.gguf", "/m.gguf", "a//m.gguf"] {
        let told = with(&format!("source: org/tiny\nfile: {name}\n"));
        assert!(
            told.contains("tiny.yaml:2:7: file: `") && told.contains("is no such name"),
            "{told}"
        );
    }
    let told = with("source: org/tiny\nfile: m-00001-of-00003.gguf\n");
    assert!(
        told.contains("one of 3 parts of a model") && told.contains("llama-gguf-split --merge"),
        "{told}"
    );
}

/// Files that `tests/gguf/make.py` has made of `../shared/families`, in the folder that `IGSITE_GGUF` names.
#[test]
#[allow(
    clippy::print_stdout,
    reason = "the reason for a skipped test, and which files were read"
)]
fn files_of_the_python_package_have_the_numbers_of_pytorch() {
    let Some(folder) = std::env::var_os("IGSITE_GGUF").map(PathBuf::from) else {
        println!("skipped: IGSITE_GGUF names no folder of files that tests/gguf/make.py has made");
        return;
    };
    let Some(shared) = support::shared("families") else {
        return;
    };
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let family = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "gguf") || !shared.join(&family).is_dir() {
            continue;
        }
        let same = std::panic::catch_unwind(|| same(&path, &shared.join(&family)));
        println!("{family}: {}", if same.is_ok() { "the same" } else { "DIFFERENT" });
        if same.is_err() {
            failed.push(family);
        }
    }
    assert_eq!(failed, [""; 0]);
}

/// Tokens, logits and a map of each prompt: the one of the fewest steps, since a file's model is a folder's otherwise.
fn same(file: &Path, folder: &Path) {
    let mut prompts = support::json(&folder.join("expected.json"))["prompts"].take();
    for prompt in prompts.as_array_mut().unwrap() {
        let cases = prompt["cases"].as_array_mut().unwrap();
        cases.sort_by_key(|case| case["steps"].as_u64());
        cases.truncate(1);
    }
    support::numbers::same_numbers(file, &prompts);
}

/// Gemma 3 270M as `../shared/tools/real_model.py DIR` gets it, in the folder that `IGSITE_REAL` names: probabilities of
/// PyTorch in float32 with the weights that `gguf.dequantize` gives, put into transformers' model by another program.
#[test]
#[allow(clippy::print_stdout, reason = "the reason for a skipped test")]
fn a_real_file_has_the_probabilities_of_pytorch() {
    let Some(folder) = std::env::var_os("IGSITE_REAL").map(PathBuf::from) else {
        println!("skipped: IGSITE_REAL names no folder with gemma-3-270m.gguf");
        return;
    };
    let file = folder.join("gemma-3-270m.gguf");
    let tokenizer = Tokenizer::open(&file).unwrap();
    let checkpoint = Checkpoint::open(&file).unwrap();
    assert_eq!(checkpoint.parameters(), 268_098_176);
    let explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap();
    let prompts = [
        (
            "The capital of France is",
            [
                (" the", 0.191_278_3),
                (" a", 0.111_037_1),
                (" Paris", 0.084_006_9),
                (" one", 0.071_899_8),
            ],
        ),
        (
            "Statement: Says the tax cuts of 2001 added a trillion dollars to the debt. True or false? Answer:",
            [
                (" False", 0.231_941_4),
                (" True", 0.166_772_7),
                (" Yes", 0.089_870_6),
                (" No", 0.083_596_7),
            ],
        ),
    ];
    for (prompt, expected) in prompts {
        let ids: Vec<u32> = tokenizer.encode(prompt).unwrap().iter().map(|token| token.id).collect();
        let logits = explainer.logits(&ids).unwrap();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        for (word, probability) in expected {
            let id = tokenizer.answer_token(prompt, &ids, word).unwrap();
            let found = f64::from(logits[id as usize] - largest).exp() / sum;
            assert!(
                (found - probability).abs() < 1e-4,
                "{prompt}{word}: {found}, not {probability}"
            );
        }
    }
}
