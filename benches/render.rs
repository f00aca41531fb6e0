//! How fast a site is written from a full record store: `cargo bench --bench render`, or `… -- 1000` for one size.
//!
//! Makes projects of 1,000, 10,000 and 51,344 maps (the demo's four models and claims of its own, prompts of about 75 tokens,
//! one path point a map), fills their stores once, which takes some minutes and is kept in `target/`, and then
//! measures the binary itself: all pages from the store, and a build with nothing to do. Beside it Zola makes as many
//! plain pages, where it is installed. The times are the machine's own only if nothing else runs on it; CPU seconds
//! say what is left of them otherwise.
#![allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The last is LIAR with four models.
const SIZES: [usize; 3] = [1_000, 10_000, 51_344];
const MODELS: [&str; 4] = ["demo-llama", "demo-mistral", "demo-falcon", "demo-orca"];

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    println!(
        "{:<34} {:>9} {:>9} {:>10} {:>9} {:>11}",
        "", "seconds", "CPU s", "maps/s", "peak MiB", "MiB written"
    );
    let mut written = Vec::new();
    for maps in sizes {
        let project = project(maps);
        let outputs: Vec<PathBuf> = (0..=3).map(|run| project.join(format!("site-{run}"))).collect();
        // Fills the store.
        igsite(&project, &outputs[0]);
        // Each into a folder of its own, and none removed before the end: ext4 is slow to make files where as many
        // were just removed.
        let mut runs: Vec<Measured> = outputs[1..].iter().map(|output| igsite(&project, output)).collect();
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let best = runs.swap_remove(0);
        row(&format!("{maps} maps from the store"), maps, best, size(&outputs[1]));
        let again = igsite(&project, &outputs[3]);
        row(&format!("{maps} maps, nothing changed"), maps, again, 0);
        zola(maps);
        written.extend(outputs);
    }
    for output in written {
        fs::remove_dir_all(output).expect("removed");
    }
}

fn row(what: &str, maps: usize, measured: Measured, bytes: u64) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{what:<34} {:>9.2} {:>9.2} {:>10.0} {:>9.0} {:>11.0}",
        measured.seconds,
        measured.cpu,
        maps as f64 / measured.seconds,
        mib(measured.peak),
        mib(bytes)
    );
}

/// A project of `maps` maps.
fn project(maps: usize) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("render-{maps}"));
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
    for index in 0..maps / MODELS.len() {
        let mut row = claims[index % claims.len()].clone();
        let after = row["after"]
            .as_str()
            .unwrap_or_default()
            .replace('.', &format!(" by order {index}."));
        row["after"] = after.into();
        row["id"] = format!("claim-{index:05}").into();
        rows += &format!("{row}\n");
    }
    fs::write(root.join("content/data/claims.jsonl"), rows).expect("written");
    let yaml = fs::read_to_string(demo.join("experiments/claims.yaml")).expect("the demo");
    let prompt = yaml.find("\nprompt:").zip(yaml.find("\nattribution:"));
    let (from, to) = prompt.expect("the demo has a prompt and an attribution");
    let yaml = format!(
        "title: Large\nmodels: [{}]\ndataset: {{source: data/claims.jsonl, id: id, gold: label}}{}\nattribution: {{targets: [predicted], \
         baselines: [zero], quadrature: riemann_middle, steps: 1}}\n",
        MODELS.join(", "),
        &yaml[from..to]
    );
    fs::write(root.join("content/experiments/large.yaml"), yaml).expect("written");
    root
}

/// Copies a file that is not there yet: a new one would be hashed again.
fn copy(from: &Path, to: &Path) {
    if !to.exists() {
        fs::copy(from, to).expect("copied");
    }
}

fn igsite(project: &Path, output: &Path) -> Measured {
    let mut command = Command::new(env!("CARGO_BIN_EXE_igsite"));
    command
        .args(["build", "--device", "cpu", "--quiet", "--project"])
        .arg(project);
    command.arg("--output").arg(output);
    measure(&mut command).expect("igsite builds")
}

/// As many plain pages by Zola, with the same texts.
fn zola(pages: usize) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zola-{pages}"));
    for folder in ["content", "templates"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::write(root.join("config.toml"), "base_url = \"https://x.org\"\n").expect("written");
    let template = "<!doctype html><html lang=\"en\"><title>{{ page.title }}</title>{{ page.content | safe }}</html>";
    fs::write(root.join("templates/page.html"), template).expect("written");
    fs::write(root.join("templates/index.html"), "<!doctype html><title>x</title>").expect("written");
    for page in 0..pages {
        let text = format!(
            "+++\ntitle = \"Page {page}\"\n+++\n\n# Page {page}\n\n{}",
            "Please select the option that **most closely** describes the following claim.\n\n".repeat(10)
        );
        fs::write(root.join(format!("content/page-{page}.md")), text).expect("written");
    }
    let site = root.join("public");
    _ = fs::remove_dir_all(&site);
    match measure(Command::new("zola").arg("--root").arg(&root).arg("build")) {
        Some(measured) => row(&format!("{pages} plain pages by Zola"), pages, measured, size(&site)),
        None => println!(
            "{:<34} skipped: no `zola` that runs",
            format!("{pages} plain pages by Zola")
        ),
    }
}

struct Measured {
    seconds: f64,
    /// Of all threads, in user and system mode; 0 where the system does not tell.
    cpu: f64,
    /// Largest resident size, in bytes; 0 where the system does not tell.
    peak: u64,
}

/// Runs a command to its end; none if it cannot be run or fails.
fn measure(command: &mut Command) -> Option<Measured> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut peak, mut ticks) = (0, 0);
    // A process that has ended and was not waited for still tells its CPU time, and no longer its memory.
    loop {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let field = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        ticks = field(11).zip(field(12)).map_or(ticks, |(user, system)| user + system);
        if matches!(fields.first(), None | Some(&"Z")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let seconds = began.elapsed().as_secs_f64();
    let status = child.wait().ok()?;
    // Linux counts in hundredths of a second here, whatever the clock of its kernel.
    status.success().then(|| Measured {
        seconds: if ticks == 0 {
            began.elapsed().as_secs_f64()
        } else {
            seconds
        },
        cpu: ticks as f64 / 100.0,
        peak,
    })
}

/// Bytes of all files under a folder.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}
