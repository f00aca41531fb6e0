//! The demo project, inside the binary: what git has of the repository's `content/`. Its templates and static files
//! are the built-in ones, which every project has.

/// The folders and files of the demo, by path in the project.
macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)))),*]
    };
}

/// Every file of the demo but `.gitignore`: path in the project, and bytes.
pub const FILES: &[(&str, &[u8])] = embedded![
    "content/about-the-demo.md",
    "content/data/claims.jsonl",
    "content/docs/changing-the-look.md",
    "content/docs/index.md",
    "content/docs/writing-pages.md",
    "content/experiments/claims-contrast.yaml",
    "content/experiments/claims.yaml",
    "content/experiments/liar-gemma.yaml",
    "content/experiments/liar-zero-shot.yaml",
    "content/index.md",
    "content/models/demo-falcon.yaml",
    "content/models/demo-falcon/config.json",
    "content/models/demo-falcon/model.safetensors",
    "content/models/demo-falcon/tokenizer.json",
    "content/models/demo-llama.yaml",
    "content/models/demo-llama/config.json",
    "content/models/demo-llama/model.safetensors",
    "content/models/demo-llama/tokenizer.json",
    "content/models/demo-mistral.yaml",
    "content/models/demo-mistral/config.json",
    "content/models/demo-mistral/model-00001-of-00002.safetensors",
    "content/models/demo-mistral/model-00002-of-00002.safetensors",
    "content/models/demo-mistral/model.safetensors.index.json",
    "content/models/demo-mistral/tokenizer.json",
    "content/models/demo-orca.yaml",
    "content/models/demo-orca/added_tokens.json",
    "content/models/demo-orca/config.json",
    "content/models/demo-orca/pytorch_model-00001-of-00002.bin",
    "content/models/demo-orca/pytorch_model-00002-of-00002.bin",
    "content/models/demo-orca/pytorch_model.bin.index.json",
    "content/models/demo-orca/special_tokens_map.json",
    "content/models/demo-orca/tokenizer.model",
    "content/models/demo-orca/tokenizer_config.json",
    "content/models/falcon-7b-instruct.yaml",
    "content/models/gemma-3-270m.yaml",
    "content/models/llama-2-7b-chat.yaml",
    "content/models/mistral-7b-instruct-v0.2.yaml",
    "content/models/orca-2-7b.yaml",
    "content/reading-a-map.md",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// The files under a folder of the repository, as git knows them; all that lie there where this is no clone.
    fn of_repository() -> BTreeMap<String, Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let git = Command::new("git")
            .args(["ls-files", "-z", "content"])
            .current_dir(root)
            .output();
        let known = git.ok().filter(|git| git.status.success() && !git.stdout.is_empty());
        let names: Vec<String> = match known {
            Some(known) => {
                let names = String::from_utf8(known.stdout).unwrap();
                names.split_terminator('\0').map(str::to_owned).collect()
            }
            None => {
                let files = walkdir::WalkDir::new(root.join("content"))
                    .into_iter()
                    .map(Result::unwrap);
                let files = files.filter(|entry| entry.file_type().is_file());
                files
                    .map(|entry| {
                        entry
                            .path()
                            .strip_prefix(root)
                            .unwrap()
                            .to_string_lossy()
                            .replace('\\', "/")
                    })
                    .collect()
            }
        };
        let read = |name: String| {
            let bytes = std::fs::read(root.join(&name)).unwrap();
            (name, bytes)
        };
        names.into_iter().map(read).collect()
    }

    #[test]
    fn the_demo_inside_is_the_one_outside() {
        let inside: BTreeMap<String, Vec<u8>> = FILES
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect();
        let outside = of_repository();
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&inside), names(&outside), "FILES has what content/ has");
        assert!(inside == outside, "compiled from other files than are here");
        assert_eq!(inside.len(), FILES.len(), "a file is named twice");
    }
}
