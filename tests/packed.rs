//! Checkpoints that other programs have quantised: GPTQ, AWQ, compressed-tensors, FP8 and MXFP4.
//!
//! `reference/packed/cases.json` describes small ones tensor by tensor; here they are made from the description, and
//! what igsite expands them to must have the bits that numpy found (`reference/packed/make.py`).
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Device};
use igsite::attribution::integrated_gradients::Explainer;
use igsite::checkpoint::Checkpoint;
use igsite::model::device::Backend;
use igsite::model::{CausalLm, NamedParameter};
use igsite::tensor::matrix::Precision;
use igsite::terms::Quantization;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::project::Project;
use support::tiny::{self, Tensors};
use tempfile::TempDir;

/// Name, type and shape of a tensor, and what its bytes are.
type Listed = (String, String, Vec<usize>, String);

/// A checkpoint, and what must come of it.
#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    config: Value,
    tensors: Vec<Listed>,
    /// Those that are quantised, as the family's table names them.
    weights: Vec<String>,
    word: String,
    activations: Option<String>,
    /// Of all their numbers.
    sha256: String,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("reference/packed/cases.json")).unwrap()
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn dtype(name: &str) -> Dtype {
    match name {
        "I64" => Dtype::I64,
        "I32" => Dtype::I32,
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::BF16,
        "U8" => Dtype::U8,
        "I8" => Dtype::I8,
        "F8_E4M3" => Dtype::F8_E4M3,
        "F8_E8M0" => Dtype::F8_E8M0,
        other => panic!("{other}"),
    }
}

/// As `bytes_of` of `make.py`.
fn bytes_of(seed: u32, name: &str, shape: &[usize], kind: &str) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let size = dtype(name).bitsize() / 8;
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let integers = |of: &dyn Fn(usize) -> i32| (0..count).flat_map(|i| of(i).to_le_bytes()).collect();
    match kind {
        "code" => (0..count * size)
            .map(|_| match random() {
                byte if name == "F8_E4M3" && byte & 0x7f == 0x7f => byte & 0xf0,
                byte => byte,
            })
            .collect(),
        "plain" => (0..count)
            .flat_map(|_| (f32::from(random()) / 128.0 - 1.0).to_le_bytes())
            .collect(),
        "scale" if size == 1 => (0..count).map(|_| 118 + random() % 8).collect(),
        "scale" => (0..count)
            .flat_map(|_| {
                let (low, high) = (random(), random());
                match name {
                    "F16" => vec![low, 0x20 | high & 0x0f],
                    "BF16" => vec![low, 0x3c],
                    _ => vec![high, high, low, 0x3c],
                }
            })
            .collect(),
        "small" => (0..count).map(|_| (random() % 16).wrapping_sub(8)).collect(),
        "norm" => (0..count).flat_map(|_| 1f32.to_le_bytes()).collect(),
        _ => {
            let (kind, number) = kind.split_once(':').unwrap();
            let group = || number.parse::<usize>().unwrap();
            match kind {
                "order" => integers(&|i| (i / group()) as i32),
                "turned" => integers(&|i| (i * 5 % count / group()) as i32),
                "none" => integers(&|_| -1),
                _ => number
                    .split(',')
                    .flat_map(|n| n.parse::<i64>().unwrap().to_le_bytes())
                    .collect(),
            }
        }
    }
}

/// Name, type, shape and bytes of a tensor.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

fn write(path: &Path, tensors: &[Stored]) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    serialize_to_file(views, None, path).unwrap();
}

fn written(case: &Case) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), case.config.to_string()).unwrap();
    let tensors: Vec<Stored> = (1..)
        .zip(&case.tensors)
        .map(|(seed, (name, stored, shape, kind))| {
            (
                name.clone(),
                dtype(stored),
                shape.clone(),
                bytes_of(seed, stored, shape, kind),
            )
        })
        .collect();
    write(&folder.path().join("model.safetensors"), &tensors);
    folder
}

/// All parameters in float32, as the model has them.
fn expanded(checkpoint: &Checkpoint, precision: impl Into<Precision>) -> Tensors {
    let model = CausalLm::load(checkpoint, &Device::flex(), precision).unwrap();
    let of = |(name, parameter)| {
        let data = match parameter {
            NamedParameter::Matrix(tensor) => tensor.into_data(),
            NamedParameter::Vector(tensor) => tensor.into_data(),
            NamedParameter::Experts(tensor) => tensor.into_data(),
        };
        (name, (data.shape().to_vec(), data.try_to_vec().unwrap()))
    };
    model.named_parameters().into_iter().map(of).collect()
}

fn kept() -> Precision {
    Precision {
        kernels: true,
        ..DType::F32.into()
    }
}

fn logits(folder: &Path) -> Vec<f32> {
    let checkpoint = Checkpoint::open(folder).unwrap();
    CausalLm::verify(&checkpoint).unwrap();
    let explainer = Explainer::load(&checkpoint, &Backend::cpu(), Precision::from(DType::F32)).unwrap();
    explainer.logits(&[1, 17, 5, 3, 2, 8, 9, 9, 11]).unwrap()
}

#[test]
fn every_form_expands_to_the_bits_of_numpy() {
    for case in cases() {
        let folder = written(&case);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        CausalLm::verify(&checkpoint).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(checkpoint.quantization().unwrap().word(), case.word, "{}", case.name);
        assert_eq!(checkpoint.activations(), case.activations.as_deref(), "{}", case.name);
        let told = |text: &str| {
            checkpoint
                .warnings
                .iter()
                .any(|warning| warning.to_string().contains(text))
        };
        assert_eq!(
            told("activations rounded to"),
            case.activations.is_some(),
            "{}",
            case.name
        );
        assert!(!told("does not know"), "{}: {:?}", case.name, checkpoint.warnings);
        let [packed, elsewhere] = [kept(), DType::F32.into()].map(|precision| expanded(&checkpoint, precision));
        assert!(packed == elsewhere, "{}", case.name);
        let mut sum = Sha256::new();
        for name in &case.weights {
            packed[name]
                .1
                .iter()
                .for_each(|number| sum.update(number.to_le_bytes()));
        }
        assert_eq!(igsite::hex::hex(&sum.finalize()), case.sha256, "{}", case.name);
    }
}

#[test]
fn logits_are_those_of_the_same_weights_in_float32() {
    for mut case in cases() {
        let folder = written(&case);
        let tensors = expanded(&Checkpoint::open(folder.path()).unwrap(), kept());
        case.config.as_object_mut().unwrap().remove("quantization_config");
        let plain = support::tried::checkpoint(&case.config, &tensors);
        let (found, expected) = (logits(folder.path()), logits(plain.path()));
        let largest = expected.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
        assert!(largest > 0.1, "{}: {expected:?}", case.name);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-5 * largest,
                "{}: {found} for {expected}",
                case.name
            );
        }
    }
}

/// A matrix of the model takes about what it takes in the file.
#[test]
fn codes_stay_packed() {
    let case = case("gptq-4");
    let folder = written(&case);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let mut loader = checkpoint.loader(&Device::flex(), kept());
    let matrix = loader
        .linear("model.layers.0.mlp.down_proj.weight", [64, 96], false)
        .unwrap();
    assert!(matrix.kept().is_some() && matrix.dims() == [64, 96]);
    // On a device as well, where it is expanded into what is computed in.
    let mut loader = checkpoint.loader(&Device::flex(), DType::BF16.into());
    let matrix = loader
        .linear("model.layers.0.mlp.down_proj.weight", [64, 96], false)
        .unwrap();
    assert!(matrix.kept().is_some() && matrix.val().dtype() == DType::BF16);
    assert_eq!(
        checkpoint.parameters(),
        2 * 20 * 64 + 3 * 64 + 2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96
    );
}

#[test]
fn no_other_quantisation_on_top() {
    for (name, word) in [("awq", "awq-4"), ("fp8-block", "fp8"), ("mxfp4", "mxfp4")] {
        let folder = written(&case(name));
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let error = Backend::cpu()
            .precision(None, Quantization::Fp4, &checkpoint)
            .unwrap_err();
        assert!(
            error
                .message
                .contains(&format!("`fp4`, and the checkpoint is stored in {word}")),
            "{error}"
        );
        assert!(error.expected.unwrap().starts_with("`none`:"), "{word}");
        Backend::cpu().precision(None, Quantization::None, &checkpoint).unwrap();
    }
}

fn verified(case: &Case) -> Result<(), igsite::diagnostic::Diagnostic> {
    let folder = written(case);
    CausalLm::verify(&Checkpoint::open(folder.path())?)
}

/// With a tensor too few or of another shape or type, or a tensor too many, a checkpoint is refused by its name.
#[test]
fn what_does_not_fit_is_told() {
    for case in cases() {
        let quantised = |name: &str| name.contains("down_proj");
        for index in 0..case.tensors.len() {
            let name = case.tensors[index].0.clone();
            let free = [
                "g_idx",
                "weight_zero_point",
                "weight_shape",
                "input_scale",
                "activation_scale",
            ];
            if !quantised(&name) || free.iter().any(|free| name.ends_with(free)) || name.ends_with("_bias") {
                continue;
            }
            let mut without = case.clone();
            without.tensors.remove(index);
            let error = verified(&without).unwrap_err();
            assert!(error.place.is_some(), "{}, no `{name}`: {error}", case.name);
            let mut other = case.clone();
            other.tensors[index].2.push(2);
            let error = verified(&other).unwrap_err().to_string();
            assert!(error.contains(&name), "{}, another shape: {error}", case.name);
            let mut other = case.clone();
            let stored = if other.tensors[index].1 == "I64" { "I32" } else { "I64" };
            stored.clone_into(&mut other.tensors[index].1);
            "code".clone_into(&mut other.tensors[index].3);
            let error = verified(&other).unwrap_err().to_string();
            assert!(
                error.contains("down_proj"),
                "{}, `{name}` as {stored}: {error}",
                case.name
            );
        }
        let mut more = case.clone();
        let extra = "model.layers.0.mlp.down_proj.weight_extra".to_owned();
        more.tensors
            .push((extra.clone(), "F32".into(), vec![1], "plain".into()));
        assert!(
            verified(&more).unwrap_err().to_string().contains(&extra),
            "{}",
            case.name
        );
    }
}

/// A config of quantised weights beside floats: they are read as they stand, and it is told.
#[test]
fn a_config_of_codes_that_are_not_there_is_told() {
    for case in cases() {
        let of_codes = written(&case);
        let tensors = expanded(&Checkpoint::open(of_codes.path()).unwrap(), DType::F32);
        let floats: Vec<Stored> = tensors
            .iter()
            .map(|(name, (shape, numbers))| {
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                (name.clone(), Dtype::F32, shape.clone(), bytes)
            })
            .collect();
        write(&of_codes.path().join("model.safetensors"), &floats);
        let checkpoint = Checkpoint::open(of_codes.path()).unwrap();
        let warnings: Vec<String> = checkpoint.warnings.iter().map(ToString::to_string).collect();
        let told = warnings.iter().filter(|told| told.contains("and none are")).count();
        assert_eq!(told, 1, "{}: {warnings:?}", case.name);
        assert!(checkpoint.config.quantization.is_none(), "{}", case.name);
        assert_eq!(expanded(&checkpoint, DType::F32), tensors, "{}", case.name);
        // A config of bitsandbytes' is no other.
        let mut config = case.config.clone();
        config["quantization_config"] = json!({"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"});
        std::fs::write(of_codes.path().join("config.json"), config.to_string()).unwrap();
        let checkpoint = Checkpoint::open(of_codes.path()).unwrap();
        let told = checkpoint
            .warnings
            .iter()
            .filter(|told| told.to_string().contains("and none are"));
        assert_eq!((told.count(), checkpoint.quantization()), (1, None), "{}", case.name);
    }
}

#[test]
fn columns_of_no_group_are_told() {
    let mut case = case("gptq-4-act-order");
    let at = case
        .tensors
        .iter()
        .position(|(name, ..)| name.ends_with("q_proj.g_idx"))
        .unwrap();
    "turned:16".clone_into(&mut case.tensors[at].3);
    let folder = written(&case);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let error = CausalLm::load(&checkpoint, &Device::flex(), DType::F32).unwrap_err();
    assert!(
        error.to_string().contains("q_proj.g_idx`: a column of group 2"),
        "{error}"
    );
    assert_eq!(error.expected.unwrap(), "groups 0 to 1");
}

/// Settings that are not computed, and what is said of them.
#[test]
fn settings_that_are_not_computed_are_named() {
    let changes: [(&str, &str, Value, &str); 27] = [
        ("gptq-4", "/bits", json!(3), "`bits: 3`"),
        ("gptq-4", "/bits", json!("4"), "`bits: \"4\"`"),
        ("gptq-4", "/group_size", json!(0), "`group_size: 0`"),
        ("gptq-4", "/group_size", json!(null), "`group_size: null`"),
        (
            "gptq-4",
            "/checkpoint_format",
            json!("marlin"),
            "`checkpoint_format: marlin`",
        ),
        ("gptq-4", "/lm_head", json!(true), "`lm_head: true`"),
        ("gptq-4", "/pack_dtype", json!("int16"), "`pack_dtype: \"int16\"`"),
        ("gptq-4", "/quant_method", json!("quanto"), "quantised by quanto"),
        ("gptq-4", "/bits", json!(8), "qweight"),
        ("gptq-4", "/group_size", json!(16), "scales"),
        ("awq", "/bits", json!(8), "`bits: 8`"),
        ("awq", "/version", json!("gemv"), "`version: gemv`"),
        ("awq", "/zero_point", json!(false), "`zero_point: false`"),
        ("awq", "/group_size", json!(64), "scales"),
        ("compressed-4", "/format", json!("marlin-24"), "`format: \"marlin-24\"`"),
        (
            "compressed-4",
            "/quantization_status",
            json!("frozen"),
            "`quantization_status",
        ),
        ("compressed-4", "/config_groups", json!({}), "`config_groups: {}`"),
        (
            "compressed-4",
            "/sparsity_config",
            json!({"format": "sparse-24-bitmask"}),
            "`sparsity_config`",
        ),
        (
            "compressed-4",
            "/transform_config",
            json!({"a": 1}),
            "`transform_config",
        ),
        (
            "compressed-4",
            "/config_groups/group_0/weights/num_bits",
            json!(3),
            "`num_bits: 3`",
        ),
        (
            "compressed-4",
            "/config_groups/group_0/weights/num_bits",
            json!(8),
            "weight_packed",
        ),
        (
            "compressed-4",
            "/config_groups/group_0/weights/type",
            json!("x"),
            "`type: \"x\"`",
        ),
        (
            "compressed-4",
            "/config_groups/group_0/weights/strategy",
            json!("attn_head"),
            "`strategy: \"attn_head\"`",
        ),
        ("fp8-block", "/fmt", json!("e5m2"), "`fmt: \"e5m2\"`"),
        ("fp8-block", "/activation_scheme", json!("x"), "`activation_scheme: x`"),
        (
            "fp8-block",
            "/weight_block_size",
            json!([128]),
            "`weight_block_size: [128]`",
        ),
        ("fp8-block", "/weight_block_size", json!([40, 40]), "weight_scale_inv"),
    ];
    for (name, place, value, told) in changes {
        let mut case = case(name);
        let config = &mut case.config["quantization_config"];
        let (parent, key) = place.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
        let error = verified(&case).unwrap_err();
        assert!(error.to_string().contains(told), "{name}, {place} {value}: {error}");
    }
    // What is not known is told and passed over.
    let mut case = case("gptq-4");
    case.config["quantization_config"]["spin"] = json!(2);
    let folder = written(&case);
    let warnings: BTreeMap<_, _> = Checkpoint::open(folder.path())
        .unwrap()
        .warnings
        .iter()
        .map(|warning| (warning.to_string(), ()))
        .collect();
    assert!(
        warnings
            .keys()
            .any(|warning| warning.contains("passed over: `spin: 2`")),
        "{warnings:?}"
    );
}

/// The numbers of a case, after a change of its config and its tensors.
fn changed(name: &str, config: impl Fn(&mut Value), tensors: impl Fn(&mut Vec<Listed>)) -> Result<Tensors, String> {
    let mut case = case(name);
    config(&mut case.config["quantization_config"]);
    tensors(&mut case.tensors);
    verified(&case).map_err(|error| error.to_string())?;
    let folder = written(&case);
    Ok(expanded(&Checkpoint::open(folder.path()).unwrap(), DType::F32))
}

/// GPTQModel's `dynamic`: the config has another group size than a layer, whose scales say how many groups it has.
#[test]
fn a_layer_with_settings_of_its_own_is_read_by_its_scales() {
    let as_it_is = |name| changed(name, |_| (), |_| ()).unwrap();
    for (name, size) in [
        ("gptq-4", 96),
        ("gptq-4", 16),
        ("gptq-4-order", -1),
        ("gptq-4-act-order", 16),
    ] {
        let other = |config: &mut Value| {
            config["group_size"] = json!(size);
            config["dynamic"] = json!({"+:.*": {"group_size": 32}});
        };
        assert_eq!(changed(name, other, |_| ()).unwrap(), as_it_is(name), "{name}, {size}");
    }
    // Seven groups of 96 inputs are of no one size.
    let dynamic = |config: &mut Value| config["dynamic"] = json!({"+:.*": {"group_size": 20}});
    let seven = |tensors: &mut Vec<Listed>| {
        for (name, _, shape, _) in tensors {
            if name.ends_with("down_proj.scales") || name.ends_with("down_proj.qzeros") {
                shape[0] = 7;
            }
        }
    };
    let error = changed("gptq-4", dynamic, seven).unwrap_err();
    assert!(error.contains("down_proj.scales`: 7 groups of 96 inputs"), "{error}");
}

/// What a config promises and no tensor says is missing, by its name.
#[test]
fn groups_and_zero_points_that_are_promised_must_be_there() {
    let act_order = |config: &mut Value| config["desc_act"] = json!(true);
    let error = changed("gptq-4", act_order, |_| ()).unwrap_err();
    assert!(
        error.contains(".g_idx`: missing") && error.contains("`desc_act`"),
        "{error}"
    );
    for (name, part, key) in [
        ("compressed-4-zeros", "weight_zero_point", "`symmetric`"),
        ("compressed-4-zeros", "weight_g_idx", "`actorder`"),
        ("compressed-8", "weight_zero_point", "`symmetric`"),
    ] {
        let without = |tensors: &mut Vec<Listed>| tensors.retain(|(name, ..)| !name.ends_with(part));
        let error = changed(name, |_| (), without).unwrap_err();
        assert!(
            error.contains(&format!(".{part}`: missing")) && error.contains(key),
            "{error}"
        );
    }
    let order = |config: &mut Value| config["config_groups"]["group_0"]["weights"]["actorder"] = json!("spiral");
    let error = changed("compressed-4", order, |_| ()).unwrap_err();
    assert!(error.contains("`actorder: \"spiral\"`"), "{error}");
}

/// AutoGPTQ gives each layer a bias, of zeros where the model has none; another one would change the numbers.
#[test]
fn biases_of_zeros_are_left_aside() {
    let with = |kind: &'static str| {
        move |tensors: &mut Vec<Listed>| {
            let name = "model.layers.0.mlp.down_proj.bias".to_owned();
            tensors.push((name, "F32".into(), vec![64], kind.into()));
        }
    };
    let as_it_is = changed("gptq-4", |_| (), |_| ()).unwrap();
    assert_eq!(changed("gptq-4", |_| (), with("order:1000")).unwrap(), as_it_is);
    let error = changed("gptq-4", |_| (), with("plain")).unwrap_err();
    assert!(
        error.contains("down_proj.bias`: not used by this architecture"),
        "{error}"
    );
}

/// AutoFP8 has the scales under a name of its own.
#[test]
fn scales_of_auto_fp8() {
    let renamed = |tensors: &mut Vec<Listed>| {
        for (name, ..) in tensors {
            *name = name.replace("weight_scale_inv", "weight_scale");
        }
    };
    for name in ["fp8-block", "fp8-static"] {
        let as_it_is = changed(name, |_| (), |_| ()).unwrap();
        assert_eq!(changed(name, |_| (), renamed).unwrap(), as_it_is, "{name}");
    }
}

/// Settings that transformers 5 and LLM Compressor write are known; others are told, wherever they stand.
#[test]
fn settings_of_each_layer_that_are_not_known_are_told() {
    let told = |name: &str, place: &str, more: Value| -> Vec<String> {
        let mut case = case(name);
        let config = case.config["quantization_config"].pointer_mut(place).unwrap();
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let checkpoint = Checkpoint::open(written(&case).path()).unwrap();
        let told = checkpoint.warnings.iter().map(ToString::to_string);
        told.filter(|told| told.contains("passed over")).collect()
    };
    let of_gptq = json!({"true_sequential": true, "damp_percent": 0.1, "batch_size": 1, "act_group_aware": true,
        "dataset": null, "format": "gemm"});
    assert_eq!(told("awq", "", of_gptq), [""; 0]);
    assert_eq!(told("fp8-block", "", json!({"expert_dtype": "fp8"})), [""; 0]);
    for (place, at) in [
        ("/config_groups/group_0", "group_0"),
        ("/config_groups/group_0/weights", "group_0"),
    ] {
        let told = told("compressed-4", place, json!({"spin": 2}));
        assert!(
            told.len() == 1 && told[0].contains("`spin: 2`") && told[0].contains(at),
            "{told:?}"
        );
    }
}

/// Linear layers rounded to a sign and 7 bits, one scale a row, as LLM Compressor has `W8A8`: the checkpoint's tensors,
/// and the numbers that they stand for.
fn rounded(tensors: &Tensors) -> (Vec<Stored>, Tensors) {
    let (mut stored, mut values) = (vec![], Tensors::new());
    for (name, (shape, numbers)) in tensors {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        if !name.contains("_proj.weight") {
            stored.push((name.clone(), Dtype::F32, shape.clone(), bytes(numbers)));
            values.insert(name.clone(), (shape.clone(), numbers.clone()));
            continue;
        }
        let (mut codes, mut scales, mut back) = (vec![], vec![], vec![]);
        for row in numbers.chunks(shape[1]) {
            let scale = row.iter().fold(0f32, |most, number| most.max(number.abs())) / 127.0;
            scales.push(scale);
            for number in row {
                let code = (number / scale).round() as i8;
                codes.push(code as u8);
                back.push(f32::from(code) * scale);
            }
        }
        stored.push((name.clone(), Dtype::I8, shape.clone(), codes));
        let scale = name.replace(".weight", ".weight_scale");
        stored.push((scale, Dtype::F32, vec![shape[0], 1], bytes(&scales)));
        values.insert(name.clone(), (shape.clone(), back));
    }
    (stored, values)
}

/// `igsite build` of a quantised folder and of the same weights in float32: the same maps, and what is stored, on pages
/// and in the record.
#[test]
fn a_site_says_how_weights_are_stored() {
    let mut project = Project::small().model("eight").edit(
        "content/experiments/first.yaml",
        "models: [tiny]",
        "models: [tiny, eight]",
    );
    let (stored, values) = rounded(&tiny::tensors());
    let weights = |model: &str| format!("content/models/{model}/model.safetensors");
    tiny::write_safetensors(&project.path(&weights("tiny")), &values);
    write(&project.path(&weights("eight")), &stored);
    let mut config = tiny::config();
    config["quantization_config"] = case("compressed-int8").config["quantization_config"].clone();
    project = project.file("content/models/eight/config.json", config.to_string());
    let told = project.run(&["build", "--device", "cpu"]).ended(0).to_owned();
    assert!(told.contains("activations rounded to int8, dynamic"), "{told}");
    let [eight, tiny] = ["eight", "tiny"].map(|model| {
        let record = support::json(&project.path(&format!("site/data/first/{model}/a.json")));
        assert_eq!(record["model"]["id"], model);
        record
    });
    assert_eq!(eight["model"]["quantization"], "compressed-tensors-8");
    assert_eq!(eight["model"]["activations"], "int8, dynamic");
    assert_eq!(
        (&tiny["model"]["quantization"], tiny["model"].get("activations")),
        (&json!("none"), None)
    );
    let scores = |record: &Value| -> Vec<f64> {
        let maps = record["attributions"].as_array().unwrap().iter();
        maps.flat_map(|map| {
            map["scores"]
                .as_array()
                .unwrap()
                .iter()
                .map(|score| score.as_f64().unwrap())
        })
        .collect()
    };
    let (found, expected) = (scores(&eight), scores(&tiny));
    let largest = expected.iter().fold(0f64, |most, score| most.max(score.abs()));
    assert!(found.len() == expected.len() && largest > 1e-3);
    assert!(
        found
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() <= 1e-5 * largest),
        "{found:?} for {expected:?}"
    );
    for page in [
        "site/models/eight/index.html",
        "site/experiments/first/maps/eight/a/index.html",
    ] {
        let page = project.read(page);
        assert!(page.contains("compressed-tensors-8"));
        assert!(page.contains("not rounded; the checkpoint was made for rounding them to int8, dynamic"));
    }
    assert!(
        project
            .read("site/models/eight/index.html")
            .contains("Quantised are the linear layers")
    );
    assert!(!project.read("site/models/tiny/index.html").contains("not rounded"));
}
