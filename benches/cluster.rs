//! What a cluster's amount of work costs the commands around it: `cargo bench --bench cluster`, or `… -- 12836 3` for so
//! many prompts and baselines. `… -- million` lays out a store of a million maps and lists it. In less time, with less
//! optimisation: `cargo test --bench cluster -- 12836 3`.
//!
//! Makes a project of the demo's four models with claims of its own, and a store that is full of parts with made-up
//! numbers: they are what parts are in form and size, and no model runs. Then it measures the binary: plans made from
//! nothing and kept, `status`, `status --array`, `store verify`, `store merge` into an empty project, and
//! `build --frozen`, where asked for with `… -- 12836 1 build`.
#![allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use igsite::content::project::{Project, Selection};
use igsite::diagnostic::Diagnostics;
use igsite::hub::Hub;
use igsite::model::device::Backend;
use igsite::plan::{self, Job, Run, Sources, Weights};
use igsite::random::SplitMix64;
use igsite::store::key::Key;
use igsite::store::memo::HashMemo;
use igsite::store::record::Provenance;
use igsite::store::{Store, StoredAttribution, StoredPrediction, seal};
use igsite::terms::{DeviceKind, Round};
use rayon::prelude::*;
use serde_json::Value;

const MODELS: [&str; 4] = ["demo-llama", "demo-mistral", "demo-falcon", "demo-orca"];
const BASELINES: [&str; 3] = ["zero", "mean", "{token: \".\"}"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "million") {
        return million();
    }
    let mut numbers = words.iter().filter_map(|word| word.parse::<usize>().ok());
    let (prompts, baselines) = (numbers.next().unwrap_or(12_836), numbers.next().unwrap_or(3).min(3));
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{prompts}-{baselines}"));
    let began = Instant::now();
    let maps = fill(&root, prompts, baselines);
    println!("{maps} maps laid out: {:.1} s", began.elapsed().as_secs_f64());
    println!("{:<44} {:>9} {:>9} {:>9}", "", "seconds", "CPU s", "peak MiB");
    let at = |root: &Path, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_igsite"));
        command.arg("--project").arg(root).args(arguments);
        command
    };
    if words.iter().any(|word| word == "build") {
        // For the plans.
        row("compute", &mut at(&root, &["compute", "--device", "cpu"]));
        let output = root.join("site");
        _ = fs::remove_dir_all(&output);
        let folder = output.display().to_string();
        row(
            &format!("build --frozen, {maps} maps"),
            &mut at(&root, &["build", "--frozen", "--output", &folder]),
        );
        fs::remove_dir_all(output).expect("removed");
        return;
    }
    row(
        "compute: all of it planned, read and kept",
        &mut at(&root, &["compute", "--device", "cpu"]),
    );
    row(
        "compute --shard 3/64",
        &mut at(&root, &["compute", "--device", "cpu", "--shard", "3/64"]),
    );
    row("status", &mut at(&root, &["status"]));
    row(
        "status --array --shards 64",
        &mut at(&root, &["status", "--array", "--shards", "64"]),
    );
    row("store ls", &mut at(&root, &["store", "ls"]));
    row("store verify", &mut at(&root, &["store", "verify"]));
    let other = root.with_extension("merged");
    _ = fs::remove_dir_all(&other);
    fs::create_dir_all(&other).expect("a folder");
    let from = root.display().to_string();
    row("store merge", &mut at(&other, &["store", "merge", &from]));
    row(
        "store merge, all of it here already",
        &mut at(&other, &["store", "merge", &from]),
    );
    fs::remove_dir_all(other).expect("removed");
}

/// Measures a command, in wall time, CPU time and memory.
#[allow(
    clippy::zombie_processes,
    reason = "it is waited for with `wait4`, which says what it used"
)]
fn row(what: &str, command: &mut Command) {
    let began = Instant::now();
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("igsite runs");
    let id = child.id() as i32;
    // What it says comes while it runs, and is read so that it never waits.
    let said = std::thread::spawn(move || std::io::read_to_string(child.stderr.expect("a pipe")).unwrap_or_default());
    // What `wait4` says of memory is at least what this process had when it started the other.
    let (mut peak, process) = (0.0, PathBuf::from(format!("/proc/{id}/status")));
    loop {
        let text = fs::read_to_string(&process).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        // One that has ended has no memory any more.
        let Some(kib) = kib else { break };
        peak = kib / 1024.0;
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut status = 0;
    // SAFETY: zeros are a valid `rusage` to be written over; the child is ours, and nobody else waits for it.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::wait4(id, &mut status, 0, &mut used);
        used
    };
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(status, 0, "{what}: {}", said.join().unwrap_or_default());
    let time = |of: libc::timeval| of.tv_sec as f64 + of.tv_usec as f64 * 1e-6;
    println!(
        "{what:<44} {seconds:>9.2} {:>9.2} {:>9.0}",
        time(used.ru_utime) + time(used.ru_stime),
        peak
    );
}

/// A project with a full store; returns how many maps it has.
fn fill(root: &Path, prompts: usize, baselines: usize) -> usize {
    project(root, prompts, baselines);
    let hub = Hub::new(true, true);
    let (project, mut diagnostics) =
        Project::load(root, &Selection::default(), &hub).unwrap_or_else(|errors| panic!("{errors:?}"));
    let backend = Backend::cpu();
    let store = Store::open(root).expect("a store");
    let mut memo = HashMemo::open(store.folder());
    let sources = Sources {
        backend: &backend,
        memo: &mut memo,
        hub: &hub,
        weights: Weights::AsTheyAre,
    };
    let models = plan::open_models(&project, sources, &mut diagnostics);
    memo.save();
    let mut problems = Diagnostics::new();
    let began = Instant::now();
    let runs = plan::runs(&project, &models, &mut problems);
    println!("planned within one process: {:.1} s", began.elapsed().as_secs_f64());
    assert!(!problems.has_errors(), "{problems:?}");
    let of_run = |run: &Run| -> usize { run.jobs.par_iter().map(|job| parts(store.folder(), run, job)).sum() };
    runs.iter().map(of_run).sum()
}

/// The parts of a job with made-up numbers; returns how many maps there are.
fn parts(folder: &Path, run: &Run, job: &Job) -> usize {
    let ids = &job.prediction.token_ids;
    let mut random = SplitMix64::new(
        ids.iter()
            .fold(7u64, |sum, id| sum.wrapping_mul(31).wrapping_add(u64::from(*id))),
    );
    let mut number = || random.next_u64() as f64 / u64::MAX as f64;
    let provenance = || Provenance {
        igsite: env!("CARGO_PKG_VERSION").to_owned(),
        backend: DeviceKind::Cpu,
        seconds: 0.25,
        created: "2026-01-01T00:00:00Z".to_owned(),
        device: None,
    };
    let asked = &job.prediction.asked;
    let place = (number() * asked.len() as f64) as usize % asked.len();
    let prediction = StoredPrediction {
        key: job.prediction.clone(),
        token_id: asked[place],
        probability: 0.5,
        asked: (0..asked.len())
            .map(|index| if index == place { 0.5 } else { 0.05 })
            .collect(),
        answers: vec![],
        provenance: provenance(),
    };
    write(folder, &prediction.key, &prediction);
    let targets = job
        .known_targets(prediction.token_id, None)
        .expect("no text is generated");
    let keys = job.attribution_keys(run.experiment, &targets);
    let count = keys.len();
    for key in keys {
        let scores: Vec<f64> = ids.iter().map(|_| (number() - 0.4) * 0.02).collect();
        let sum: f64 = scores.iter().sum();
        let f_baseline = 0.25 - sum / 2.0;
        let history = (1..=4).map(|round| Round {
            evaluations: 20 * round,
            error_estimate: Some(0.04 / round as f64),
            convergence_delta: 0.0,
        });
        let part = StoredAttribution {
            f_input: Some(f_baseline + sum),
            f_baseline: Some(f_baseline),
            f_zero: None,
            below: vec![],
            errors: Some(scores.iter().map(|score| score.abs() * 0.001 * number()).collect()),
            scores,
            unit_scores: None,
            unit_errors: None,
            evaluations: 80,
            history: history.collect(),
            converged: Some(true),
            non_finite: None,
            routing: None,
            provenance: provenance(),
            key,
        };
        write(folder, &part.key, &part);
    }
    count
}

/// As the store does, without waiting for the disk.
fn write<K: Key>(folder: &Path, key: &K, part: &impl serde::Serialize) {
    let path = path_of(folder, K::KIND, &key.name());
    if path.exists() {
        return;
    }
    let json = serde_json::to_string(part).expect("plain data");
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, seal::seal(&json, "")).expect("written");
}

fn path_of(folder: &Path, kind: &str, name: &str) -> PathBuf {
    folder.join(format!("store/v2/{kind}/{}/{name}.json", &name[..2]))
}

/// A project of the demo's models and so many claims.
fn project(root: &Path, prompts: usize, baselines: usize) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("content");
    for folder in ["content/data", "content/experiments", "content/models"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    for model in MODELS {
        let from = demo.join("models").join(model);
        let to = root.join("content/models").join(model);
        fs::create_dir_all(&to).expect("a folder");
        copy(&from.with_extension("yaml"), &to.with_extension("yaml"));
        for file in fs::read_dir(&from).expect("the demo").flatten() {
            copy(&file.path(), &to.join(file.file_name()));
        }
    }
    let claims = fs::read_to_string(demo.join("data/claims.jsonl")).expect("the demo");
    let claims: Vec<Value> = claims
        .lines()
        .map(|line| serde_json::from_str(line).expect("a claim"))
        .collect();
    let mut rows = String::new();
    for index in 0..prompts {
        let mut row = claims[index % claims.len()].clone();
        let after = row["after"].as_str().unwrap_or_default();
        row["after"] = after.replace('.', &format!(" by order {index}.")).into();
        row["id"] = format!("claim-{index:05}").into();
        rows += &format!("{row}\n");
    }
    fs::write(root.join("content/data/claims.jsonl"), rows).expect("written");
    let yaml = fs::read_to_string(demo.join("experiments/claims.yaml")).expect("the demo");
    let prompt = yaml.find("\nprompt:").zip(yaml.find("\nattribution:"));
    let (from, to) = prompt.expect("the demo has a prompt and an attribution");
    let yaml = format!(
        "title: Large\nmodels: [{}]\ndataset: {{source: data/claims.jsonl, id: id, gold: label}}{}\n\
         attribution: {{targets: [predicted], baselines: [{}]}}\n",
        MODELS.join(", "),
        &yaml[from..to],
        BASELINES[..baselines].join(", "),
    );
    fs::write(root.join("content/experiments/large.yaml"), yaml).expect("written");
}

/// Copies a file that is not there yet: a new one would be hashed again.
fn copy(from: &Path, to: &Path) {
    if !to.exists() {
        fs::copy(from, to).expect("copied");
    }
}

/// The store of a million maps, as it is and as it could be: folders, entries, time to make and to list them.
fn million() {
    const MAPS: usize = 1_000_000;
    const PREDICTIONS: usize = MAPS / 3;
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("million");
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "digits of folders", "folders", "make s", "names s", "sizes s", "remove s"
    );
    for digits in [2, 3] {
        _ = fs::remove_dir_all(&root);
        let began = Instant::now();
        let mut random = SplitMix64::new(1);
        let mut names: Vec<(&str, String)> = Vec::with_capacity(MAPS + PREDICTIONS);
        for index in 0..MAPS + PREDICTIONS {
            let kind = if index < MAPS { "attributions" } else { "predictions" };
            let name: String = (0..4).map(|_| format!("{:016x}", random.next_u64())).collect();
            names.push((kind, name));
        }
        let mut folders = BTreeMap::new();
        for (kind, name) in &names {
            let folder = root.join("store/v2").join(kind).join(&name[..digits]);
            folders.entry(folder).or_insert_with(Vec::new).push(name);
        }
        for (folder, names) in &folders {
            fs::create_dir_all(folder).expect("a folder");
            for name in names {
                fs::write(folder.join(format!("{name}.json")), b"{}").expect("written");
            }
        }
        let made = began.elapsed().as_secs_f64();
        let store = Store::at(root.clone()).expect("a store");
        let began = Instant::now();
        let found = store.names().expect("listed").len();
        let listed = began.elapsed().as_secs_f64();
        assert_eq!(found, MAPS + PREDICTIONS);
        let began = Instant::now();
        assert_eq!(store.part_files().expect("listed").len(), found);
        let sized = began.elapsed().as_secs_f64();
        let began = Instant::now();
        fs::remove_dir_all(&root).expect("removed");
        println!(
            "{digits:<34} {:>9} {made:>9.1} {listed:>9.1} {sized:>9.1} {:>9.1}",
            folders.len(),
            began.elapsed().as_secs_f64()
        );
    }
}
