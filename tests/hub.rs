//! The binary with models of the hub, against a server on this machine that speaks its protocol.
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::hub_server::{Asked, COMMIT, HubServer, SIGNATURE, TOKEN, What, git_hash, nowhere, sha256};
use support::project::{Project, Ran};
use support::tiny;
use tempfile::TempDir;

const MODEL: &str = "content/models/tiny.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];

/// A project whose model is on the hub, the hub, and the user's Hugging Face folder.
struct Setting {
    project: Project,
    hub: HubServer,
    home: TempDir,
}

/// The files of the tiny Llama, with some that nobody needs.
fn files() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_llama(folder.path());
    let mut files: BTreeMap<String, Vec<u8>> = ["config.json", "tokenizer.json", "model.safetensors"]
        .map(|name| (name.to_owned(), std::fs::read(folder.path().join(name)).unwrap()))
        .into();
    for name in ["README.md", "pytorch_model.bin", "original/consolidated.00.pth"] {
        files.insert(name.to_owned(), b"not needed".to_vec());
    }
    files
}

/// The same in two shards.
fn sharded() -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut halves = [tiny::Tensors::new(), tiny::Tensors::new()];
    let mut map = serde_json::Map::new();
    for (index, (name, tensor)) in tiny::tensors().into_iter().enumerate() {
        map.insert(name.clone(), names[index % 2].into());
        halves[index % 2].insert(name, tensor);
    }
    let mut files = files();
    files.remove("model.safetensors");
    for (name, half) in names.iter().zip(&halves) {
        tiny::write_safetensors(&folder.path().join(name), half);
        files.insert((*name).to_owned(), std::fs::read(folder.path().join(name)).unwrap());
    }
    let index = serde_json::json!({"weight_map": map}).to_string();
    files.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
    files
}

impl Setting {
    fn new() -> Self {
        Self::with(files())
    }

    fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            project: Project::small().file(MODEL, "title: Tiny\nsource: org/tiny\n"),
            hub: HubServer::new().files("models/org/tiny", COMMIT, &["main", "v1"], files),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn fault(self, method: &'static str, part: &str, what: What, times: usize) -> Self {
        self.hub.add_fault(method, part, what, times);
        self
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_at(&self.hub.endpoint, arguments, &[("HF_TOKEN", TOKEN)])
    }

    /// Runs the binary; whatever happens, no secret shows.
    fn run_at(&self, endpoint: &str, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        let home = self.home.path().to_str().unwrap();
        let mut environment = vec![("HF_ENDPOINT", endpoint), ("HF_HOME", home)];
        environment.extend(more);
        let mut ran = self.project.run_with(arguments, &environment);
        for text in [&mut ran.stdout, &mut ran.stderr] {
            for secret in [TOKEN, SIGNATURE] {
                assert!(!text.contains(secret), "{text}");
            }
            *text = text.replace(endpoint, "HUB").replace(home, "HF_HOME");
        }
        ran
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub/models--org--tiny")
    }

    /// Where the weights' bytes lie while they come.
    fn partial(&self) -> PathBuf {
        let etag = sha256(&files()["model.safetensors"]);
        self.cache().join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Leaves what a broken run would have left.
    fn left(self, bytes: &[u8]) -> Self {
        std::fs::create_dir_all(self.partial().parent().unwrap()).unwrap();
        std::fs::write(self.partial(), bytes).unwrap();
        self
    }

    fn record(&self) -> Value {
        serde_json::from_str(&self.project.read("site/data/first/tiny/a.json")).unwrap()
    }
}

/// Method, host and path of each request.
fn short(asked: &[Asked]) -> Vec<String> {
    let line = |asked: &Asked| format!("{} {} {}", asked.method, asked.host, asked.path);
    asked.iter().map(line).collect()
}

/// The ranges that the other host was asked for.
fn ranges(asked: &[Asked]) -> Vec<Option<&str>> {
    let large = asked.iter().filter(|asked| asked.host == "cdn");
    large.map(|asked| asked.range.as_deref()).collect()
}

#[test]
fn a_build_from_a_hub_id_fetches_what_it_needs_and_names_the_commit() {
    let setting = Setting::new();
    setting.run(&BUILD).ended(0);
    let asked = setting.hub.asked();
    assert_eq!(
        short(&asked),
        [
            "GET hub /api/models/org/tiny/revision/main".to_owned(),
            format!("HEAD hub /org/tiny/resolve/{COMMIT}/config.json"),
            format!("HEAD hub /org/tiny/resolve/{COMMIT}/tokenizer.json"),
            format!("GET hub /org/tiny/resolve/{COMMIT}/config.json"),
            format!("GET hub /org/tiny/resolve/{COMMIT}/tokenizer.json"),
            format!("HEAD hub /org/tiny/resolve/{COMMIT}/model.safetensors"),
            format!("GET hub /org/tiny/resolve/{COMMIT}/model.safetensors"),
            format!("GET cdn /blobs/{}", sha256(&files()["model.safetensors"])),
        ]
    );
    // The token is the hub's; the other host has the link's signature.
    for asked in &asked {
        let token = format!("Bearer {TOKEN}");
        assert_eq!(
            asked.authorization.as_ref(),
            (asked.host == "hub").then_some(&token),
            "{asked:?}"
        );
    }
    let model = &setting.record()["model"];
    assert_eq!(model["source"], "org/tiny");
    assert_eq!(model["revision"], COMMIT);
    assert_eq!(model["requested_revision"], "main");
    let page = setting.project.read("site/models/tiny/index.html");
    assert!(
        page.contains(&format!("https://huggingface.co/org/tiny/tree/{COMMIT}")),
        "{page}"
    );
    assert!(page.contains(&format!("{COMMIT} (main when it was fetched)")), "{page}");
    let page = setting.project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(page.contains(&format!("<code>revision: {COMMIT}</code>")), "{page}");
    for (name, bytes) in setting.project.files("site") {
        assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{name}");
    }

    // Again: one question, what the branch is at now. Offline, or pinned: none.
    setting.run(&BUILD).ended(0);
    assert_eq!(
        short(&setting.hub.asked()),
        ["GET hub /api/models/org/tiny/revision/main"]
    );
    let ran = setting.run(&[&BUILD[..], &["--offline"]].concat());
    assert!(
        ran.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        ran.stderr
    );
    setting
        .run_at(&setting.hub.endpoint, &BUILD, &[("HF_HUB_OFFLINE", "1")])
        .ended(0);
    let pinned = format!("title: Tiny\nsource: org/tiny\nrevision: {COMMIT}\n");
    let setting = Setting {
        project: setting.project.file(MODEL, pinned),
        ..setting
    };
    let ran = setting.run(&BUILD);
    assert!(ran.ended(0).contains("0 maps computed"), "{}", ran.stderr);
    assert_eq!(setting.hub.asked(), []);
    assert_eq!(setting.record()["model"]["requested_revision"], COMMIT);
    let page = setting.project.read("site/experiments/first/maps/tiny/a/index.html");
    assert!(!page.contains("brings the same again"), "{page}");
}

#[test]
fn fetch_brings_models_once_and_says_where() {
    let setting = Setting::with(sharded());
    let ran = setting.run(&["fetch"]);
    insta::assert_snapshot!(format!("{}---\n{}", ran.stdout, ran.ended(0)));
    let asked = short(&setting.hub.asked());
    assert!(
        !asked
            .iter()
            .any(|line| line.contains(".bin") || line.contains("README")),
        "{asked:?}"
    );
    assert_eq!(asked.iter().filter(|line| line.contains(" cdn ")).count(), 2);
    insta::assert_snapshot!(setting.run(&["fetch"]).ended(0));
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);

    // A new commit whose weights did not change: they are not fetched again.
    setting.hub.asked();
    let mut files = sharded();
    files.insert("generation_config.json".to_owned(), b"{}".to_vec());
    let other = "f".repeat(40);
    let setting = Setting {
        hub: setting.hub.files("models/org/tiny", &other, &["main"], files),
        ..setting
    };
    setting.run(&["fetch"]).ended(0);
    let asked = short(&setting.hub.asked());
    let got: Vec<&String> = asked
        .iter()
        .filter(|line| line.starts_with("GET") && !line.contains("/api/"))
        .collect();
    assert_eq!(
        got,
        [&format!("GET hub /org/tiny/resolve/{other}/generation_config.json")]
    );
    // Another commit is another model.
    let ran = setting.run(&BUILD);
    assert!(ran.ended(0).contains("12 maps computed"), "{}", ran.stderr);

    let ran = Project::small().run(&["fetch"]);
    assert_eq!(
        ran.ended(0),
        "nothing to fetch: no model of these experiments is on the hub\n"
    );
}

#[test]
fn two_runs_at_once_fetch_once() {
    let setting = Setting::with(sharded());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| setting.run(&["fetch"]).ended(0).len());
        }
    });
    let asked = short(&setting.hub.asked());
    let got = asked.iter().filter(|line| line.starts_with("GET hub /org/"));
    assert_eq!(got.count(), 5, "{asked:#?}");
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
}

#[test]
fn bin_files_are_taken_where_there_is_nothing_better() {
    let mut files = files();
    files.remove("model.safetensors");
    let setting = Setting::with(files);
    setting.run(&["fetch"]).ended(0);
    let asked = short(&setting.hub.asked());
    assert!(
        asked.iter().any(|line| line.ends_with("/pytorch_model.bin")),
        "{asked:?}"
    );
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    // In one run, twice broken.
    let setting = Setting::new().fault("GET", "/blobs/", What::Cut(5000), 2);
    setting.run(&["fetch"]).ended(0);
    let asked = setting.hub.asked();
    assert_eq!(ranges(&asked), [None, Some("bytes=5000-"), Some("bytes=10000-")]);

    // In another run.
    let weights = &files()["model.safetensors"];
    let setting = Setting::new().left(&weights[..1234]);
    setting.run(&["fetch"]).ended(0);
    assert_eq!(ranges(&setting.hub.asked()), [Some("bytes=1234-")]);
    assert!(!setting.partial().exists());
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);

    // Everything had come, and the name was not given yet.
    let setting = Setting::new().left(weights);
    setting.run(&["fetch"]).ended(0);
    assert_eq!(ranges(&setting.hub.asked()), []);

    // A server that knows no ranges.
    let setting = Setting::new()
        .left(&weights[..1234])
        .fault("GET", "/blobs/", What::IgnoreRange, 1);
    let ran = setting.run(&["fetch"]);
    assert!(ran.ended(0).contains("from the start"), "{}", ran.stderr);
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);

    // What is there is longer than the file.
    let setting = Setting::new().left(&[&weights[..], b"and more"].concat());
    setting.run(&["fetch"]).ended(0);
    assert_eq!(ranges(&setting.hub.asked()), [None]);
}

#[test]
fn another_files_bytes_are_not_taken() {
    let weights = &files()["model.safetensors"];
    let setting = Setting::new().left(&vec![7; weights.len() / 2]);
    insta::assert_snapshot!(setting.run(&["fetch"]).ended(1).replace(&sha256(weights), "EXPECTED"));
    assert!(!setting.partial().exists());
    setting.run(&["fetch"]).ended(0);
    let setting = Setting::new().fault("GET", "/blobs/", What::OtherBytes, 1);
    let ran = setting.run(&["fetch"]);
    assert!(
        ran.ended(1).contains("another file than the hub describes"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_hub_is_waited_for_when_it_asks_for_it() {
    let wait = What::Status(429, vec![("Retry-After", "1".to_owned())]);
    let setting = Setting::new()
        .fault("GET", "/api/models", wait.clone(), 1)
        .fault("GET", "/model.safetensors", wait, 1)
        .fault("HEAD", "/config.json", What::Status(503, vec![]), 1);
    let began = std::time::Instant::now();
    let ran = setting.run(&["fetch"]);
    assert!(began.elapsed().as_secs() >= 2);
    insta::assert_snapshot!(ran.ended(0));
    let setting = Setting::new().fault("GET", "/api/models", What::Status(503, vec![]), 1);
    assert!(!setting.run(&["--quiet", "fetch"]).ended(0).contains("503"));
}

#[test]
fn a_renamed_repository_is_followed() {
    let setting = Setting::new();
    let setting = Setting {
        project: setting.project.file(MODEL, "title: Tiny\nsource: org/old\n"),
        hub: setting.hub.renamed("models/org/old", "models/org/tiny"),
        ..setting
    };
    setting.run(&BUILD).ended(0);
    assert_eq!(setting.record()["model"]["revision"], COMMIT);
}

#[test]
fn check_fetches_no_weights() {
    let setting = Setting::new();
    insta::assert_snapshot!(setting.run(&["check"]).ended(0));
    let asked = short(&setting.hub.asked());
    assert!(!asked.iter().any(|line| line.contains("safetensors")), "{asked:?}");
    // With what is here now it can check again, and a build can not.
    setting.run(&["check", "--offline"]).ended(0);
    assert_eq!(setting.hub.asked(), []);
    let ran = setting.run(&[&BUILD[..], &["--offline"]].concat());
    insta::assert_snapshot!(ran.ended(1));
    setting.run(&["fetch"]).ended(0);
    assert_eq!(setting.run(&["check"]).ended(0), "");
}

#[test]
fn without_a_network_the_copy_that_is_here_is_used() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let ran = setting.run_at(&nowhere(), &BUILD, &[]);
    insta::assert_snapshot!(
        ran.ended(0)
            .lines()
            .filter(|line| !line.contains("loaded"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    // A part of a copy is no copy.
    std::fs::remove_file(setting.cache().join("snapshots").join(COMMIT).join("model.safetensors")).unwrap();
    let ran = setting.run_at(&nowhere(), &BUILD, &[]);
    assert!(
        ran.ended(1).contains("cannot fetch `org/tiny`: no answer from HUB"),
        "{}",
        ran.stderr
    );
}

/// One message each, in the model file's name, with what to do.
fn told(setting: &Setting, more: &[(&str, &str)]) -> String {
    let ran = setting.run_at(&setting.hub.endpoint, &["fetch"], more);
    ran.ended(1).to_owned()
}

#[test]
fn each_refusal_says_what_to_do() {
    let token = [("HF_TOKEN", TOKEN)];
    let gated = |status| {
        let headers = vec![("X-Error-Code", "GatedRepo".to_owned())];
        Setting::new().fault("HEAD", "/config.json", What::Status(status, headers), 9)
    };
    insta::assert_snapshot!("gated_without_a_token", told(&gated(401), &[]));
    insta::assert_snapshot!("gated_with_a_token", told(&gated(403), &token));
    let refused = |status| Setting::new().fault("GET", "/api/", What::Status(status, vec![]), 9);
    insta::assert_snapshot!("a_bad_token", told(&refused(401), &token));
    let echo = vec![("X-Error-Message", format!("your token {TOKEN} is not\tgood"))];
    let echoing = Setting::new().fault("GET", "/org/", What::Status(403, echo), 9);
    insta::assert_snapshot!("forbidden", told(&echoing, &token));

    let other = |yaml: &str| {
        let setting = Setting::new();
        Setting {
            project: setting.project.file(MODEL, yaml),
            ..setting
        }
    };
    insta::assert_snapshot!("no_such_repository", told(&other("source: org/tony\n"), &[]));
    insta::assert_snapshot!(
        "no_such_revision",
        told(&other("source: org/tiny\nrevision: v2\n"), &token)
    );
    let gone = Setting::new().fault("HEAD", "/config.json", What::Status(404, vec![]), 9);
    insta::assert_snapshot!("no_such_file", told(&gone, &token));

    let limit = vec![("Retry-After", "3600".to_owned())];
    let limited = Setting::new().fault("GET", "/blobs/", What::Status(429, limit), 9);
    insta::assert_snapshot!("a_limit_that_is_too_long", told(&limited, &[]));
    insta::assert_snapshot!("out_of_order", told(&refused(503), &token));
    let odd = Setting::new().fault("GET", "/api/", What::OtherBytes, 9);
    insta::assert_snapshot!("no_hub_at_all", told(&odd, &token));
}

#[test]
fn what_is_no_checkpoint_says_so() {
    let mut none = files();
    none.retain(|name, _| name != "model.safetensors" && name != "pytorch_model.bin");
    insta::assert_snapshot!("no_weights", told(&Setting::with(none), &[]));
    let mut elsewhere = sharded();
    let index = serde_json::json!({"weight_map": {"a": "../../../../etc/passwd"}}).to_string();
    elsewhere.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
    insta::assert_snapshot!("a_shard_elsewhere", told(&Setting::with(elsewhere), &[]));
    let mut missing = sharded();
    missing.remove("model-00002-of-00002.safetensors");
    insta::assert_snapshot!("a_missing_shard", told(&Setting::with(missing), &[]));
    // Names that lead out of the cache are as if they were not there.
    let mut foreign = files();
    foreign.insert("../../outside.json".to_owned(), b"{}".to_vec());
    let setting = Setting::with(foreign);
    setting.run(&["fetch"]).ended(0);
    let asked = short(&setting.hub.asked());
    assert!(!asked.iter().any(|line| line.contains("outside")), "{asked:?}");
}

#[test]
fn weights_come_only_when_nothing_else_is_wrong() {
    let setting = Setting::new();
    let project = setting
        .project
        .edit("content/experiments/first.yaml", "B: no", "BB: no");
    let setting = Setting { project, ..setting };
    let ran = setting.run(&BUILD);
    assert!(ran.ended(2).contains("BB"), "{}", ran.stderr);
    let asked = short(&setting.hub.asked());
    assert!(
        !asked.is_empty() && !asked.iter().any(|line| line.contains("safetensors")),
        "{asked:?}"
    );
}

#[test]
fn a_damaged_file_of_the_cache_says_whose_it_is_and_how_it_comes_anew() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let weights = setting.cache().join("snapshots").join(COMMIT).join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    insta::assert_snapshot!(setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(1));
    std::fs::remove_dir_all(setting.cache()).unwrap();
    setting.run(&["fetch"]).ended(0);
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
}

#[test]
fn a_check_leaves_the_whole_copy_of_an_older_commit_to_runs_without_a_network() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let (other, mut changed) = ("f".repeat(40), files());
    changed.get_mut("model.safetensors").unwrap().push(b' ');
    let setting = Setting {
        hub: setting.hub.files("models/org/tiny", &other, &["main"], changed),
        ..setting
    };
    assert!(setting.run(&["check"]).ended(0).contains("not here yet"));
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
    assert_eq!(setting.record()["model"]["revision"], COMMIT);
}

#[test]
fn no_network_and_nothing_here_says_what_to_do() {
    let setting = Setting::new();
    let ran = setting.run_at(&nowhere(), &["fetch"], &[("HF_TOKEN", TOKEN)]);
    let told = ran.ended(1).to_owned();
    insta::assert_snapshot!(told);
    let ran = setting.run(&[&BUILD[..], &["--offline"]].concat());
    insta::assert_snapshot!(ran.ended(1));
    let ran = setting.run_at(&setting.hub.endpoint, &["fetch"], &[("HF_HUB_OFFLINE", "true")]);
    assert!(ran.ended(1).contains("HF_HUB_OFFLINE is set"), "{}", ran.stderr);
    assert_eq!(setting.hub.asked(), []);
    let ran = setting.run_at("not an address, me:secret@hub", &["fetch"], &[]);
    insta::assert_snapshot!(ran.ended(1));
}

/// Flips a bit of a file.
fn flip(path: &Path, byte: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn fetch_brings_what_is_damaged_anew() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let files = files();
    let blobs = setting.cache().join("blobs");
    let weights = blobs.join(sha256(&files["model.safetensors"]));
    let config = blobs.join(git_hash(&files["config.json"]));
    flip(&weights, 60_000);
    flip(&config, 5);
    let said = setting.run(&["fetch"]).ended(0).to_owned();
    let hashes = [(&weights, "WEIGHTS"), (&config, "CONFIG")];
    let said = hashes.iter().fold(said, |said, (blob, name)| {
        said.replace(blob.file_name().unwrap().to_str().unwrap(), name)
    });
    insta::assert_snapshot!(said);
    assert_eq!(std::fs::read(&weights).unwrap(), files["model.safetensors"]);
    assert_eq!(std::fs::read(&config).unwrap(), files["config.json"]);
    assert!(
        setting
            .run(&["fetch"])
            .ended(0)
            .contains("everything is here, and undamaged")
    );
    // Without a hub nothing is moved, and what is damaged is named.
    flip(&weights, 60_000);
    let ran = setting.run_at(&setting.hub.endpoint, &["fetch"], &[("HF_HUB_OFFLINE", "1")]);
    assert!(
        ran.ended(1).contains("this file of the hub's cache is damaged"),
        "{}",
        ran.stderr
    );
    assert!(weights.exists());
}

#[test]
fn a_damaged_small_file_of_the_cache_is_refused_by_name() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let config = setting.cache().join("blobs").join(git_hash(&files()["config.json"]));
    flip(&config, 5);
    for arguments in [
        &BUILD[..],
        &["build", "--device", "cpu", "--offline"],
        &["check", "--offline"],
    ] {
        let ran = setting.run(arguments);
        let told = ran.ended(1);
        assert!(
            told.contains("config.json: model `tiny`: this file of the hub's cache is damaged"),
            "{told}"
        );
        assert!(told.contains("run `igsite fetch`"), "{told}");
    }
    assert!(!setting.project.path("site").exists());
    setting.run(&["fetch"]).ended(0);
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
}

#[test]
fn damaged_weights_of_the_cache_are_refused_by_name() {
    let setting = Setting::new();
    setting.run(&BUILD).ended(0);
    let record = setting.record();
    let weights = setting
        .cache()
        .join("blobs")
        .join(sha256(&files()["model.safetensors"]));
    flip(&weights, 60_000);
    for arguments in [&BUILD[..], &["build", "--device", "cpu", "--offline"]] {
        let ran = setting.run(arguments);
        let told = ran.ended(1);
        assert!(
            told.contains("model.safetensors: model `tiny`: this file of the hub's cache is damaged"),
            "{told}"
        );
        assert!(told.contains("run `igsite fetch`"), "{told}");
    }
    setting.run(&["fetch"]).ended(0);
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
    assert_eq!(setting.record(), record);
}

/// Weights of a few megabytes may lie on the hub as small files do, and then have git's hash for a name.
#[test]
fn damaged_weights_that_are_named_by_gits_hash_are_refused_too() {
    let setting = Setting::new();
    let setting = Setting {
        hub: setting.hub.small(),
        ..setting
    };
    setting.run(&BUILD).ended(0);
    let weights = setting
        .cache()
        .join("blobs")
        .join(git_hash(&files()["model.safetensors"]));
    flip(&weights, 60_000);
    for arguments in [
        &BUILD[..],
        &["build", "--device", "cpu", "--offline"],
        &["check", "--offline"],
    ] {
        let ran = setting.run(arguments);
        let told = ran.ended(1);
        assert!(
            told.contains("model.safetensors: model `tiny`: this file of the hub's cache is damaged"),
            "{told}"
        );
    }
    setting.run(&["fetch"]).ended(0);
    setting.run(&[&BUILD[..], &["--offline"]].concat()).ended(0);
}

/// With `tokenizer_config.json`, which a tokenizer can be read without, and then reads prompts otherwise.
fn with_a_tokenizer_config() -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    files.insert("tokenizer_config.json".to_owned(), b"{}".to_vec());
    files
}

/// What the commit has and the cache has lost is missed, not passed over.
#[test]
fn a_copy_that_lost_a_file_is_no_copy() {
    let offline = [&BUILD[..], &["--offline"]].concat();
    let setting = Setting::with(with_a_tokenizer_config());
    setting.run(&["fetch"]).ended(0);
    let snapshot = setting.cache().join("snapshots").join(COMMIT);
    let lost = snapshot.join("tokenizer_config.json");
    let missed = |setting: &Setting| {
        let ran = setting.run(&offline);
        let told = ran.ended(1);
        assert!(
            told.contains("`tokenizer_config.json` of `org/tiny` is not in the cache"),
            "{told}"
        );
    };
    // Its bytes are gone, and its link is not.
    let blob = setting.cache().join("blobs").join(git_hash(b"{}"));
    std::fs::rename(&blob, setting.cache().join("aside")).unwrap();
    missed(&setting);
    std::fs::rename(setting.cache().join("aside"), &blob).unwrap();
    // It is gone as a whole; and another program noted that there never was one.
    std::fs::remove_file(&lost).unwrap();
    let note = setting
        .cache()
        .join(".no_exist")
        .join(COMMIT)
        .join("tokenizer_config.json");
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(&note, "").unwrap();
    missed(&setting);
    let pinned = format!("title: Tiny\nsource: org/tiny\nrevision: {COMMIT}\n");
    let setting = Setting {
        project: setting.project.file(MODEL, pinned),
        ..setting
    };
    missed(&setting);
    setting.run(&["fetch"]).ended(0);
    assert!(lost.exists());
    setting.run(&offline).ended(0);
}

#[test]
fn a_cache_that_another_program_filled_is_read_with_a_warning() {
    let setting = Setting::with(with_a_tokenizer_config());
    setting.run(&["fetch"]).ended(0);
    std::fs::remove_dir_all(setting.cache().join(".igsite")).unwrap();
    std::fs::remove_dir_all(setting.cache().join(".no_exist")).unwrap();
    let offline = [&BUILD[..], &["--offline"]].concat();
    let ran = setting.run(&offline);
    let told: Vec<&str> = ran.ended(0).lines().take(2).collect();
    insta::assert_snapshot!(told.join("\n"));
    // The whole repository, as git's own file shows.
    std::fs::write(
        setting.cache().join("snapshots").join(COMMIT).join(".gitattributes"),
        "",
    )
    .unwrap();
    let ran = setting.run(&offline);
    assert!(!ran.ended(0).contains("does not say"), "{}", ran.stderr);
}

#[test]
fn a_ref_that_is_damaged_is_told_and_never_leads_to_another_commit() {
    let setting = Setting::new();
    setting.run(&BUILD).ended(0);
    let record = setting.record();
    let main = setting.cache().join("refs/main");
    let offline = [&BUILD[..], &["--offline"]].concat();
    std::fs::write(&main, "not a commit").unwrap();
    let ran = setting.run(&offline);
    insta::assert_snapshot!(ran.ended(1));
    for bit in (0..COMMIT.len() * 8).step_by(29) {
        let mut bytes = COMMIT.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&main, &bytes).unwrap();
        let ran = setting.run(&offline);
        assert!(
            ran.code == Some(1) || setting.record() == record,
            "bit {bit}: {}",
            ran.stderr
        );
    }
    setting.run(&BUILD).ended(0);
    assert_eq!(std::fs::read_to_string(&main).unwrap(), COMMIT);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let setting = Setting::new();
    setting.run(&["fetch"]).ended(0);
    let pipe = |path: &Path| {
        _ = std::fs::remove_file(path);
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let offline = [&BUILD[..], &["--offline"]].concat();
    let snapshot = setting.cache().join("snapshots").join(COMMIT);
    for file in ["tokenizer.json", "model.safetensors"] {
        let place = snapshot.join(file);
        let link = std::fs::read_link(&place).unwrap();
        pipe(&place);
        for arguments in [&BUILD[..], &offline, &["fetch"]] {
            let ran = setting.run(arguments);
            let told = ran.ended(1);
            assert!(
                told.contains(&format!("{file}: model `tiny`: this is a named pipe")),
                "{told}"
            );
        }
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(link, &place).unwrap();
    }
    setting.run(&offline).ended(0);
    // What comes is written to no pipe either.
    let setting = Setting::new();
    std::fs::create_dir_all(setting.partial().parent().unwrap()).unwrap();
    pipe(&setting.partial());
    let ran = setting.run(&["fetch"]);
    assert!(
        ran.ended(1).contains("this is a named pipe, not a file"),
        "{}",
        ran.stderr
    );
    std::fs::remove_file(setting.partial()).unwrap();
    setting.run(&["fetch"]).ended(0);
}

#[test]
fn a_small_file_without_end_is_cut_off() {
    let setting =
        Setting::new()
            .fault("HEAD", "/config.json", What::Unstated, 9)
            .fault("GET", "/config.json", What::Endless, 9);
    insta::assert_snapshot!(setting.run(&["fetch"]).ended(1));
    let blobs = std::fs::read_dir(setting.cache().join("blobs")).unwrap();
    assert_eq!(blobs.count(), 0, "nothing of it is kept");
}

/// A repository of GGUF files: the one that is named comes, and nothing else.
#[test]
fn a_gguf_file_of_a_repository_comes_alone() {
    let bytes = support::gguf::tiny_llama().bytes();
    let mut files: BTreeMap<String, Vec<u8>> = [("README.md".to_owned(), b"not needed".to_vec())].into();
    for name in ["tiny.F32.gguf", "more/tiny.Q4_0.gguf"] {
        files.insert(name.to_owned(), bytes.clone());
    }
    let mut setting = Setting::with(files);
    let named = |setting: Setting, yaml: &str| Setting {
        project: setting.project.file(MODEL, yaml),
        ..setting
    };

    // Without a name, and with a wrong one, the error names those that there are.
    let ran = setting.run(&BUILD);
    assert!(ran.ended(1).contains("`file: more/tiny.Q4_0.gguf`"), "{}", ran.stderr);
    setting = named(setting, "source: org/tiny\nfile: small.gguf\n");
    let ran = setting.run(&BUILD);
    let told = ran.ended(1);
    assert!(told.contains("`org/tiny` holds no file `small.gguf`"), "{told}");
    assert!(told.contains("one of `more/tiny.Q4_0.gguf`, `tiny.F32.gguf`"), "{told}");
    setting.hub.asked();

    // A check brings nothing, and says so.
    setting = named(setting, "source: org/tiny\nfile: tiny.F32.gguf\n");
    let ran = setting.run(&["check"]);
    let told = ran.ended(1);
    assert!(
        told.contains("`tiny.F32.gguf` of `org/tiny` is not on this machine") && told.contains("igsite fetch"),
        "{told}"
    );
    setting.hub.asked();

    setting.run(&BUILD).ended(0);
    assert_eq!(
        short(&setting.hub.asked()),
        [
            "GET hub /api/models/org/tiny/revision/main".to_owned(),
            format!("HEAD hub /org/tiny/resolve/{COMMIT}/tiny.F32.gguf"),
            format!("GET hub /org/tiny/resolve/{COMMIT}/tiny.F32.gguf"),
            format!("GET cdn /blobs/{}", sha256(&bytes)),
        ]
    );
    let model = &setting.record()["model"];
    assert_eq!(
        (&model["source"], &model["file"]),
        (&Value::from("org/tiny"), &Value::from("tiny.F32.gguf"))
    );
    assert_eq!(model["revision"], COMMIT);
    let page = setting.project.read("site/models/tiny/index.html");
    assert!(page.contains("tiny.F32.gguf"), "{page}");

    // It is here now: for a check, without the network, and as a commit.
    setting.run(&["check"]).ended(0);
    let ran = setting.run(&[&BUILD[..], &["--offline"]].concat());
    assert!(
        ran.ended(0).contains("nothing to do") || ran.stderr.contains("0 maps computed"),
        "{}",
        ran.stderr
    );
    let ran = setting.run(&["fetch"]);
    assert!(ran.ended(0).contains("everything is here"), "{}", ran.stderr);
    setting = named(
        setting,
        &format!("source: org/tiny\nrevision: {COMMIT}\nfile: tiny.F32.gguf\n"),
    );
    setting.hub.asked();
    setting.run(&BUILD).ended(0);
    assert_eq!(setting.hub.asked(), []);

    // Another file of it is another model; without the network it is told that it is not here.
    setting = named(setting, "source: org/tiny\nfile: more/tiny.Q4_0.gguf\n");
    let ran = setting.run(&[&BUILD[..], &["--offline"]].concat());
    assert!(ran.ended(1).contains("more/tiny.Q4_0.gguf"), "{}", ran.stderr);
    // The bytes are known by their hash: nothing comes.
    setting.run(&BUILD).ended(0);
    assert_eq!(setting.record()["model"]["file"], "more/tiny.Q4_0.gguf");
}
