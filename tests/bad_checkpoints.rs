//! Checkpoints that are damaged, hostile or of another kind: one clear message each, exit code 1, no panic.
mod support;

use std::io::Write;

use serde_json::json;
use support::project::Project;
use support::tiny;

const WEIGHTS: &str = "content/models/tiny/model.safetensors";
const CONFIG: &str = "content/models/tiny/config.json";

/// Runs `build` and gives what it says, which must be an error without a panic.
fn told(project: &Project) -> String {
    let ran = project.run(&["build", "--device", "cpu"]);
    let told = ran.ended(1).to_owned();
    // Found without reading a weight, so `check` says the same.
    assert_eq!(project.run(&["check", "--device", "cpu"]).ended(1), told);
    assert!(
        !told.contains("panicked") && !told.contains("defect of igsite"),
        "{told}"
    );
    assert!(!project.path("site").join("index.html").exists());
    told
}

fn with_config(change: impl Fn(&mut serde_json::Value)) -> Project {
    let mut config = tiny::config();
    change(&mut config);
    Project::small().file(CONFIG, config.to_string())
}

fn with_tensors(change: impl Fn(&mut tiny::Tensors)) -> Project {
    let project = Project::small();
    let mut tensors = tiny::tensors();
    change(&mut tensors);
    tiny::write_safetensors(&project.path(WEIGHTS), &tensors);
    project
}

#[test]
fn truncated_safetensors() {
    let project = Project::small();
    let bytes = std::fs::read(project.path(WEIGHTS)).unwrap();
    for (kept, expected) in [
        (bytes.len() - 100, format!("expected: {} bytes", bytes.len())),
        (40, "a header of".to_owned()),
        (5, "at least the 8 bytes".to_owned()),
    ] {
        std::fs::write(project.path(WEIGHTS), &bytes[..kept]).unwrap();
        let told = told(&project);
        assert!(
            told.contains(&format!(
                "model.safetensors: the file ends after {kept} bytes: it is truncated"
            )),
            "{told}"
        );
        assert!(
            told.contains(&expected) && told.contains("fetch the file again"),
            "{told}"
        );
    }
}

#[test]
fn wrong_shape() {
    let told = told(&with_tensors(|tensors| {
        let (shape, values) = tensors.get_mut("model.layers.1.mlp.up_proj.weight").unwrap();
        *shape = vec![tiny::INNER - 1, tiny::HIDDEN];
        values.truncate((tiny::INNER - 1) * tiny::HIDDEN);
    }));
    assert!(
        told.contains("tensor `model.layers.1.mlp.up_proj.weight`: shape [23, 16]"),
        "{told}"
    );
    assert!(told.contains("expected: [24, 16], by config.json"), "{told}");
}

#[test]
fn missing_tensor_and_leftover_tensor() {
    let missing = told(&with_tensors(|tensors| {
        tensors.remove("model.norm.weight");
    }));
    assert!(
        missing.contains("tensor `model.norm.weight`: missing from the checkpoint"),
        "{missing}"
    );
    let left = told(&with_tensors(|tensors| {
        tensors.insert("model.layers.0.self_attn.q_proj.bias".into(), (vec![16], vec![0.0; 16]));
    }));
    assert!(
        left.contains("tensor `model.layers.0.self_attn.q_proj.bias`: not used by this architecture"),
        "{left}"
    );
}

#[test]
fn a_known_buffer_may_be_left_over() {
    let project = with_tensors(|tensors| {
        tensors.insert(
            "model.layers.0.self_attn.rotary_emb.inv_freq".into(),
            (vec![2], vec![1.0, 0.01]),
        );
    });
    project.run(&["build", "--device", "cpu"]).ended(0);
}

#[test]
fn missing_shard() {
    let project = Project::small();
    std::fs::rename(
        project.path(WEIGHTS),
        project.path("content/models/tiny/model-00001-of-00002.safetensors"),
    )
    .unwrap();
    let index = json!({"weight_map": {
        "model.norm.weight": "model-00001-of-00002.safetensors", "lm_head.weight": "model-00002-of-00002.safetensors"}});
    let project = project.file("content/models/tiny/model.safetensors.index.json", index.to_string());
    let told = told(&project);
    assert!(
        told.contains("model.safetensors.index.json: shard `model-00002-of-00002.safetensors` is missing"),
        "{told}"
    );
    assert!(told.contains("2 shards beside the index"), "{told}");
}

#[test]
fn a_shard_outside_the_folder_is_refused() {
    let index = json!({"weight_map": {"model.norm.weight": "../../../secret.safetensors"}});
    let project = Project::small().file("content/models/tiny/model.safetensors.index.json", index.to_string());
    std::fs::remove_file(project.path(WEIGHTS)).unwrap();
    assert!(told(&project).contains("the name of a file beside the index"));
}

#[test]
fn unknown_architecture_activation_and_scaling() {
    for (key, value, expected) in [
        (
            "model_type",
            json!("bloom"),
            "config.json: unknown architecture `model_type: bloom` (`LlamaForCausalLM`)",
        ),
        ("hidden_act", json!("relu"), "config.json: `hidden_act: \"relu\"`"),
        (
            "rope_scaling",
            json!({"rope_type": "llama3", "factor": 8.0}),
            "config.json: `rope_scaling:",
        ),
    ] {
        let told = told(&with_config(|config| config[key] = value.clone()));
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn no_weights_no_tokenizer_no_config() {
    for (file, expected) in [
        ("model.safetensors", "no weights in this folder"),
        ("tokenizer.json", "no tokenizer in this folder"),
        ("config.json", "cannot read the checkpoint's config.json"),
    ] {
        let project = Project::small();
        std::fs::remove_file(project.path(&format!("content/models/tiny/{file}"))).unwrap();
        let told = told(&project);
        assert!(told.contains(expected), "{told}");
    }
}

/// A zip as `torch.save` makes it, with any pickle.
fn bin(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("archive/data.pkl", pickle),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &[0; 64]),
    ] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn with_bin(bytes: &[u8]) -> Project {
    let project = Project::small();
    std::fs::remove_file(project.path(WEIGHTS)).unwrap();
    project.file("content/models/tiny/pytorch_model.bin", bytes)
}

#[test]
fn corrupt_bin() {
    let whole = bin(b"\x80\x02}q\x00.");
    let told_cut = told(&with_bin(&whole[..whole.len() / 2]));
    assert!(
        told_cut.contains("pytorch_model.bin: not a PyTorch zip archive"),
        "{told_cut}"
    );
    let told_pickle = told(&with_bin(&bin(b"\x80\x02}q\x00(X\x09\x00\x00")));
    assert!(
        told_pickle.contains("pytorch_model.bin: data.pkl: the pickle ends at byte"),
        "{told_pickle}"
    );
    let told_empty = told(&with_bin(b""));
    assert!(told_empty.contains("not a PyTorch zip archive"), "{told_empty}");
}

#[test]
fn a_bin_that_tries_to_run_code() {
    let project = Project::small();
    let proof = project.path("it-ran");
    let command = format!("touch {}", proof.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nq\x00X".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"q\x01\x85q\x02Rq\x03.");
    std::fs::remove_file(project.path(WEIGHTS)).unwrap();
    let project = project.file("content/models/tiny/pytorch_model.bin", bin(&pickle));
    let told = told(&project);
    assert!(
        told.contains("the file asks to run `posix.system`; nothing of it was run"),
        "{told}"
    );
    assert!(!proof.exists());
}

#[test]
fn a_bin_whose_tensor_is_larger_than_its_storage() {
    // {"a": _rebuild_tensor_v2(("storage", HalfStorage, "0", "cpu", 1000), 0, (1000,), (1,), False, OrderedDict())}
    let mut pickle = b"\x80\x02}q\x00X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend(b"(X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuM\xe8\x03tQ");
    pickle.extend(b"K\x00M\xe8\x03\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.");
    let told = told(&with_bin(&bin(&pickle)));
    assert!(
        told.contains("tensor `a`: shape [1000] needs more than the 64 bytes of its storage"),
        "{told}"
    );
}
