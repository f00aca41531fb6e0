//! 4-bit weights: against bitsandbytes' golden vectors and PyTorch's logits where the reference checkpoints are, and
//! against the project's own arithmetic in any case; codes made here, and codes that bitsandbytes has saved.
#![allow(clippy::print_stdout, reason = "what was measured, for who asks with --nocapture")]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Explainer, Scalar};
use igsite::checkpoint::{Checkpoint, config};
use igsite::kernel::matrix::{Code, Elements, Four, quantize};
use igsite::model::CausalLm;
use igsite::tensor::matrix::Precision;
use igsite::terms::{BaselineVector, Batch, DeviceKind, Output};
use igsite::tokenizer::Tokenizer;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};
use support::families::{config_with, tensors};
use support::numbers::machine;
use support::{json, shared, tiny};

const CODES: [Code; 2] = [Code::Fp4, Code::Nf4];

fn four_bit(dtype: DType, code: Code) -> Precision {
    Precision {
        quantization: Some(code),
        ..dtype.into()
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn golden_vectors_of_bitsandbytes() {
    let Some(folder) = shared("reference") else { return };
    let golden = json(&folder.join("bnb4bit_golden.json"));
    let weight = numbers(&golden["weight"]);
    for code in CODES {
        let (codes, scales) = quantize(weight.len(), code, |range, to| to.copy_from_slice(&weight[range]));
        let golden = &golden[code.name()];
        assert_eq!(scales, numbers(&golden["absmax"]), "{code:?}");
        let values = code.values();
        let mut back = vec![0.0; weight.len()];
        Elements::Four(Four {
            codes: &codes,
            scales: &scales,
            values: &values,
            first: 0,
        })
        .expand(0, &mut back);
        assert_eq!(back, numbers(&golden["dequantised"]), "{code:?}");
    }
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference/bitsandbytes")
        .join(name)
}

fn logits(folder: &Path, ids: &[u32], precision: Precision) -> Vec<f64> {
    let checkpoint = Checkpoint::open(folder).unwrap();
    CausalLm::verify(&checkpoint).unwrap();
    let explainer = Explainer::load(&checkpoint, &machine().0, precision).unwrap();
    explainer.logits(ids).unwrap().into_iter().map(f64::from).collect()
}

fn worst(found: &[f64], expected: &Value) -> f64 {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, f64::max)
}

#[test]
fn codes_that_bitsandbytes_has_saved_and_codes_made_here() {
    let expected = json(&own("expected.json"));
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for (folder, precision, same_as) in [
        ("plain", DType::F32.into(), "plain"),
        ("plain", four_bit(DType::F32, Code::Nf4), "nf4"),
        ("plain", four_bit(DType::F32, Code::Fp4), "fp4"),
        ("nf4", DType::F32.into(), "nf4"),
        ("fp4", DType::F32.into(), "fp4"),
        ("nested", DType::F32.into(), "nested"),
    ] {
        let worst = worst(&logits(&own(folder), &ids, precision), &expected[same_as]);
        println!("{folder} as {same_as}: logits within {worst:.1e}");
        // What the project promises of logits is 1e-3; its own kernels are closer.
        let most = if machine().0.kind == DeviceKind::Cpu {
            2e-5
        } else {
            1e-3
        };
        assert!(worst < most, "{folder} as {same_as}: {worst}");
    }
    // The forms differ, so that none of these can pass for another.
    for (one, other) in [("plain", "nf4"), ("nf4", "fp4"), ("nf4", "nested")] {
        let one: Vec<f64> = serde_json::from_value(expected[one].clone()).unwrap();
        assert!(worst(&one, &expected[other]) > 1e-4, "{other}");
    }
}

/// The way of a GPU: codes are expanded by Burn's operations, and computed with in half precision.
#[test]
fn on_a_device_in_half_precision() {
    let expected = json(&own("expected.json"));
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    for (folder, precision, same_as) in [
        ("plain", four_bit(DType::BF16, Code::Nf4), "nf4"),
        ("plain", four_bit(DType::F16, Code::Fp4), "fp4"),
        ("nested", DType::F16.into(), "nested"),
    ] {
        if !machine().0.computes_in(precision.dtype) {
            println!(
                "{folder} as {same_as}: not in {:?}, which the device does not compute in",
                precision.dtype
            );
            continue;
        }
        let largest = expected[same_as]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap().abs())
            .fold(0.0, f64::max);
        let worst = worst(&logits(&own(folder), &ids, precision), &expected[same_as]) / largest;
        println!(
            "{folder} as {same_as} in {:?}: logits within {worst:.1e} of the largest",
            precision.dtype
        );
        assert!(worst < 0.03, "{folder} as {same_as}: {worst}");
    }
}

/// Attribution through 4-bit weights is that through the same weights written out.
#[test]
fn maps_through_codes_are_those_through_their_values() {
    let map = |folder: &Path, precision: Precision| {
        let checkpoint = Checkpoint::open(folder).unwrap();
        let mut explainer = Explainer::load(&checkpoint, &machine().0, precision).unwrap();
        let rule = Nodes::Adaptive {
            tolerance: 1e-3,
            max_evaluations: 4096,
        };
        let scalar = Scalar {
            token: 5,
            output: Output::LogProbability,
            minus: None,
        };
        explainer
            .attribute(
                &[1, 17, 5, 60, 33, 2, 48],
                BaselineVector::Mean,
                scalar,
                rule,
                Batch::Auto,
            )
            .unwrap()
    };
    let codes = map(&own("plain"), four_bit(DType::F32, Code::Nf4));
    assert_eq!(codes.converged, Some(true));
    // bitsandbytes' codes of the same weights.
    let saved = map(&own("nf4"), DType::F32.into());
    assert_eq!(codes.scores, saved.scores);
    let plain = map(&own("plain"), DType::F32.into());
    assert!(
        codes
            .scores
            .iter()
            .zip(&plain.scores)
            .any(|(a, b)| (a - b).abs() > 1e-3 * a.abs())
    );
}

#[test]
fn a_form_that_is_not_known_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let text = std::fs::read(own("nf4").join(from)).unwrap();
        std::fs::write(folder.path().join(to), text).unwrap();
    };
    copy("config.json", "config.json");
    copy("model.safetensors", "model.safetensors");
    let told = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let path = folder.path().join("model.safetensors");
        copy("model.safetensors", "model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        CausalLm::verify(&Checkpoint::open(folder.path()).unwrap())
            .unwrap_err()
            .to_string()
    };
    for (from, to, message) in [
        ("\"blocksize\": 64", "\"blocksize\": 32", "quantised in blocks of 32"),
        (
            "bitsandbytes__nf4",
            "bitsandbytes__xx4",
            "without a `quant_state.bitsandbytes__nf4`",
        ),
        (
            "weight.absmax",
            "weight.absmix",
            ".absmax`: missing from the checkpoint",
        ),
        (
            "\"shape\": [64, 128]",
            "\"shape\": [128, 64]",
            "shape [128, 64], as its quant_state says",
        ),
    ] {
        let found = told(from, to);
        assert!(found.contains(message), "{found}");
    }
}

/// GPT-2's layers stand transposed in a file of floats, and as `[out, in]` where bitsandbytes has quantised them. Its
/// table of positions is no linear layer, and is never quantised.
#[test]
fn a_gpt2_that_bitsandbytes_has_saved() {
    let config = json!({"model_type": "gpt2", "vocab_size": 40, "n_embd": 64, "n_layer": 2, "n_head": 4,
        "n_positions": 32});
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let floats = tensors(&CausalLm::init(&shape, &Device::flex()));
    let folder = |quantized: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config.clone();
        let mut stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        let bytes = |floats: &[f32]| floats.iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>();
        for (name, (dims, values)) in &floats {
            if !quantized || !name.contains(".c_") || !name.ends_with(".weight") {
                stored.push((name.clone(), Dtype::F32, dims.clone(), bytes(values)));
                continue;
            }
            let [input, out] = dims[..] else {
                panic!("{name}: {dims:?}")
            };
            let at = |index: usize| values[index % input * out + index / input];
            let (codes, scales) = quantize(values.len(), Code::Nf4, |range, to| {
                to.iter_mut().zip(range).for_each(|(to, index)| *to = at(index));
            });
            let state = json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [out, input]});
            let state = state.to_string().into_bytes();
            let map = Code::Nf4.values();
            stored.push((format!("{name}.absmax"), Dtype::F32, vec![scales.len()], bytes(&scales)));
            stored.push((format!("{name}.quant_map"), Dtype::F32, vec![16], bytes(&map[..])));
            let of = format!("{name}.quant_state.bitsandbytes__nf4");
            stored.push((of, Dtype::U8, vec![state.len()], state));
            stored.push((name.clone(), Dtype::U8, vec![codes.len(), 1], codes));
        }
        if quantized {
            config["quantization_config"] =
                json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"});
        }
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let views = stored
            .iter()
            .map(|(name, dtype, shape, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
        folder
    };
    let of = |quantized: bool, precision: Precision| {
        let folder = folder(quantized);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        CausalLm::verify(&checkpoint).unwrap();
        let model = CausalLm::load(&checkpoint, &Device::flex(), precision).unwrap();
        (tensors(&model), folder)
    };
    let (saved, _) = of(true, DType::F32.into());
    let (made, _) = of(false, four_bit(DType::F32, Code::Nf4));
    assert_eq!(saved, made);
    let positions = "transformer.wpe.weight";
    assert_eq!(made[positions], floats[positions]);
    assert_ne!(
        made["transformer.h.0.mlp.c_fc.weight"],
        floats["transformer.h.0.mlp.c_fc.weight"]
    );
}

/// Nor is the router of a mixture of experts.
#[test]
fn routers_are_not_quantized() {
    let config = config_with("mixtral", json!({"hidden_size": 64}));
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let floats = tensors(&CausalLm::init(&shape, &Device::flex()));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    tiny::write_safetensors(&folder.path().join("model.safetensors"), &floats);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let model = CausalLm::load(&checkpoint, &Device::flex(), four_bit(DType::F32, Code::Nf4)).unwrap();
    for (name, found) in tensors(&model) {
        let quantized = name.contains("experts") || name.contains("_proj");
        assert_eq!(found != floats[&name], quantized, "{name}");
    }
}

/// The references have the codes and scales of bitsandbytes on CUDA: blocks of 64 consecutive weights, and of two
/// values as near the smaller magnitude. (On a CPU, bitsandbytes 0.50.2 takes the lower of the two, and expands a
/// matrix whose width is an odd multiple of 32 with other scales.)
#[test]
fn logits_of_the_reference_checkpoints() {
    let Some(shared) = shared("reference") else { return };
    for family in ["mistral", "llama", "falcon", "orca"] {
        let folder = shared.join(family);
        let expected = json(&folder.join("expected.json"));
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let tokenizer = Tokenizer::open(&folder).unwrap();
        for code in CODES {
            let expected_logits = &expected["quantised_4bit"][code.name()];
            let prompts = expected["prompts"].as_array().unwrap();
            let prompt = prompts
                .iter()
                .find(|prompt| prompt["row"] == expected_logits["row"])
                .unwrap();
            let tokens = tokenizer.encode(prompt["prompt"].as_str().unwrap()).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            let written = tempfile::tempdir().unwrap();
            write_expanded(&checkpoint, code, written.path(), |index, _, _, _| index / 64);
            let logits = logits(written.path(), &ids, DType::F32.into());
            let top: BTreeMap<usize, f64> = serde_json::from_value(expected_logits["top10"].clone()).unwrap();
            let worst = top
                .iter()
                .map(|(&id, value)| (logits[id] - value).abs())
                .fold(0.0, f64::max);
            println!("{family}, {code:?}: logits within {worst:.1e}");
            assert!(worst < 1e-3, "{family}, {code:?}: {worst}");
            let best = (0..logits.len())
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            assert_eq!(best as u64, expected_logits["predicted_id"].as_u64().unwrap());
        }
    }
}

/// To the bit (with AVX-512; else but for rounding), on every layout: Falcon's fused matrix is cut into queries, keys
/// and values within its blocks.
#[test]
fn the_demo_models_compute_with_codes_as_with_their_values() {
    let ids: Vec<u32> = (1..40).map(|i| i * 7 % 90).collect();
    for model in ["demo-falcon", "demo-llama", "demo-mistral", "demo-orca"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("content/models").join(model);
        let checkpoint = Checkpoint::open(&folder).unwrap();
        for code in CODES {
            let written = tempfile::tempdir().unwrap();
            write_expanded(&checkpoint, code, written.path(), |index, _, _, _| index / 64);
            let codes = logits(&folder, &ids, four_bit(DType::F32, code));
            let values = logits(written.path(), &ids, DType::F32.into());
            if igsite::kernel::gemm::rows_are_independent() {
                assert_eq!(codes, values, "{model}, {code:?}");
            }
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-3;
            assert!(codes.iter().zip(&values).all(close), "{model}, {code:?}");
            assert_ne!(codes, logits(&folder, &ids, DType::F32.into()));
        }
    }
}

/// The checkpoint in float32, its linear layers through our codes (the nearest values; of two as near, either) and back
/// with the scale of the block that `block` names of (index, row, column, width).
fn write_expanded(
    checkpoint: &Checkpoint,
    code: Code,
    folder: &Path,
    block: impl Fn(usize, usize, usize, usize) -> usize,
) {
    let model = CausalLm::load(checkpoint, &Device::flex(), DType::F32).unwrap();
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, parameter) in model.named_parameters() {
        let data = parameter.into_data();
        let shape = data.shape().to_vec();
        let mut weights: Vec<f32> = data.try_to_vec().unwrap();
        let is_table = name.contains("embed") || name.contains("lm_head");
        if let (&[_, width], false) = (&shape[..], is_table) {
            let (codes, scales) = quantize(weights.len(), code, |range, to| to.copy_from_slice(&weights[range]));
            let values = code.values();
            for (index, weight) in weights.iter_mut().enumerate() {
                let byte = codes[index / 2];
                let ours = values[usize::from(if index % 2 == 0 { byte >> 4 } else { byte & 15 })];
                let scaled = *weight * (1.0 / scales[index / 64]);
                let theirs = lower_of_ties(&values, scaled);
                let is_tie = (scaled.abs() - (ours + theirs).abs() / 2.0).abs() < 1e-6;
                assert!(ours == theirs || is_tie, "{ours}, not {theirs}, for {scaled}");
                let chosen = block(index, index / width, index % width, width);
                *weight = ours * scales[chosen];
            }
        }
        let from = bytes.len();
        bytes.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
        header.insert(
            name,
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [from, bytes.len()]}),
        );
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes);
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    std::fs::copy(checkpoint.folder.join("config.json"), folder.join("config.json")).unwrap();
}

/// The value nearest to `scaled`; of two as near, the lower. FP4 has two zeros.
fn lower_of_ties(values: &[f32; 16], scaled: f32) -> f32 {
    let mut values = values.map(|value| value + 0.0).to_vec();
    values.sort_by(f32::total_cmp);
    values.dedup();
    let above = values
        .windows(2)
        .take_while(|pair| scaled > (pair[0] + pair[1]) / 2.0)
        .count();
    values[above]
}
