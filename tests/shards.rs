//! Work that is shared out: shards, stores that are merged, what is missing, and tasks that are stopped or killed.
#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "the reason for a skipped test")]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use igsite::random::SplitMix64;
use igsite::store::seal;
use serde_json::{Value, json};
use support::project::{Project, Ran};
use support::shared_out::{differing, frozen_site, maps, parts, project, start};

const CPU: [&str; 2] = ["--device", "cpu"];

fn compute(project: &Project, more: &[&str]) -> Ran {
    project.run(&[&["compute"], &CPU[..], more].concat())
}

/// The site of one process.
fn of_one_process(rows: usize, steps: usize) -> Vec<(String, Vec<u8>)> {
    let whole = project(rows, steps);
    whole.run(&["build", "--device", "cpu"]).ended(0);
    frozen_site(&whole)
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}

fn ended(child: Child) -> (Option<i32>, String) {
    let out = child.wait_with_output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn shards_in_stores_of_their_own_are_merged_into_the_site_of_one_process() {
    let project = project(12, 8);
    let mut loaded = 0;
    for shard in 0..4 {
        let ran = compute(
            &project,
            &["--shard", &format!("{shard}/4"), "--store", &format!("stores/{shard}")],
        );
        let said = ran.ended(0);
        assert_eq!(ran.stdout.trim(), format!("stores/{shard}"));
        assert!(!project.path("site").exists());
        loaded += said
            .split_once(" model")
            .unwrap()
            .0
            .split(' ')
            .next_back()
            .unwrap()
            .parse::<usize>()
            .unwrap();
    }
    assert!(loaded <= 6, "each loads one model or two: {loaded}");
    // Nothing is there yet.
    let status = project.run(&["status"]);
    assert!(status.ended(0).contains("are missing"), "{}", status.stdout);
    assert_eq!(
        project.run(&["status", "--array", "--shards", "4"]).stdout.trim(),
        "0-3"
    );
    let merged = project.run(&["store", "merge", "stores/0", "stores/1", "stores/2", "stores/3"]);
    merged.ended(0);
    let status = project.run(&["status"]);
    assert!(
        status.ended(0).contains(&format!("all of {} maps are there", maps(12))),
        "{}",
        status.stderr
    );
    let array = project.run(&["status", "--array", "--shards", "4"]);
    assert_eq!((array.stdout.trim(), array.ended(0).trim()), ("", "nothing is missing"));
    let (site, expected) = (frozen_site(&project), of_one_process(12, 8));
    assert_eq!(differing(&site, &expected), [""; 0]);
    // A build has nothing to compute, and needs the plans of shards no more.
    let built = project.run(&["build", "--device", "cpu"]);
    assert!(
        built.ended(0).contains("0 models loaded, 0 maps computed"),
        "{}",
        built.stderr
    );
    assert!(!project.path(".igsite/plans/first/tiny.shards").exists());
    assert_eq!(differing(&frozen_site(&project), &expected), [""; 0]);
}

#[test]
fn schedulers_say_which_shard_it_is_and_it_is_printed() {
    let project = project(6, 4);
    let run = |variables: &[(&str, &str)], more: &[&str]| {
        project.run_with(&[&["compute"], &CPU[..], more].concat(), variables)
    };
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "3"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "3"),
        ("SLURM_ARRAY_TASK_STEP", "2"),
    ];
    let ran = run(&slurm, &[]);
    assert!(
        ran.ended(0).contains("shard 1/2 (Slurm: SLURM_ARRAY_TASK_ID=3"),
        "{}",
        ran.stderr
    );
    let array = || project.run(&["status", "--array", "--shards", "2"]).stdout;
    assert_eq!(array().trim(), "0");
    // The task that is sent again.
    let ran = run(&slurm, &["--shards", "4"]);
    assert!(
        ran.ended(0).contains("shard 3/4 (Slurm: SLURM_ARRAY_TASK_ID=3)"),
        "{}",
        ran.stderr
    );
    // Kubernetes, as its manifest says it.
    let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("IGSITE_SHARDS", "2")];
    let ran = run(&kubernetes, &["--offline"]);
    assert!(
        ran.ended(0).contains("shard 0/2 (Kubernetes: JOB_COMPLETION_INDEX=0)"),
        "{}",
        ran.stderr
    );
    assert_eq!(array().trim(), "");
    // Never the first of them by mistake.
    for variables in [&slurm[..1], &kubernetes[..1], &kubernetes[1..]] {
        let ran = run(variables, &[]);
        assert!(ran.ended(2).contains("expected: "), "{}", ran.stderr);
    }
    project.run(&["build", "--frozen"]).ended(0);
}

#[test]
fn a_signal_ends_it_in_time_and_what_was_finished_is_kept() {
    for (name, grace, longest) in [
        ("-TERM", None, 10.0),
        ("-INT", Some("0.5"), 1.5),
        ("-TERM", Some("0"), 1.0),
    ] {
        let project = project(120, 64);
        let mut arguments = [&["compute"], &CPU[..]].concat();
        arguments.extend(grace.map(|grace| ["--grace", grace]).into_iter().flatten());
        let running = start(&project.path("."), &arguments);
        let done = || parts(&project.path(".igsite")).len();
        let began = Instant::now();
        while done() < 140 {
            assert!(began.elapsed() < Duration::from_secs(120), "{} parts", done());
            std::thread::sleep(Duration::from_millis(10));
        }
        let (before, sent) = (done(), Instant::now());
        signal(&running, name);
        let (code, said) = ended(running);
        assert_eq!(code, Some(75), "{said}");
        assert!(
            sent.elapsed().as_secs_f64() < longest,
            "{name} {grace:?}: {:?}",
            sent.elapsed()
        );
        assert!(
            said.contains("every map that was finished is kept in the store"),
            "{said}"
        );
        assert!(done() >= before);
        project.run(&["store", "verify"]).ended(0);
        // It goes on where it stopped.
        let kept = done();
        let mut short = start(&project.path("."), &arguments);
        while done() == kept && short.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(done() > kept);
        signal(&short, "-TERM");
        assert_eq!(ended(short).0, Some(75));
    }
}

#[test]
fn killed_at_a_hundred_random_moments_it_loses_nothing() {
    let project = project(8, 8);
    let began = Instant::now();
    compute(&project, &[]).ended(0);
    let time = began.elapsed();
    let whole = parts(&project.path(".igsite"));
    let texts = || -> Vec<String> {
        whole
            .iter()
            .map(|path| fs::read_to_string(path).unwrap_or_default())
            .collect()
    };
    let expected = frozen_site(&project);
    let mut random = SplitMix64::new(17);
    let (mut hit, mut fresh) = (0, true);
    for kill in 0..100 {
        if fresh {
            fs::remove_dir_all(project.path(".igsite")).unwrap();
        }
        let kept = texts();
        let mut child = start(&project.path("."), &[&["compute", "--quiet"], &CPU[..]].concat());
        // So that some kills come early and the store grows through many of them.
        std::thread::sleep(time.mul_f64(0.6 * random.next_u64() as f64 / u64::MAX as f64));
        hit += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // What was finished stays as it was, and nothing is torn.
        for ((path, before), after) in whole.iter().zip(&kept).zip(texts()) {
            assert!(before.is_empty() || *before == after, "kill {kill}: {}", path.display());
        }
        let verified = project.run(&["store", "verify"]);
        assert!(
            verified.code == Some(0) || !project.path(".igsite/store").exists(),
            "kill {kill}: {}",
            verified.stderr
        );
        fresh = texts().iter().all(|text| !text.is_empty());
    }
    assert!(hit >= 50, "{hit} of 100 kills met a running process");
    assert!(!compute(&project, &[]).ended(0).contains("damaged"));
    assert_eq!(parts(&project.path(".igsite")), whole);
    assert_eq!(differing(&frozen_site(&project), &expected), [""; 0]);
    // What the killed left half written is gone.
    let beside = project.path(".igsite/store/tmp");
    assert_eq!(fs::read_dir(beside).map_or(0, Iterator::count), 0);
}

#[test]
fn many_tasks_write_one_store_and_lose_nothing() {
    let project = project(16, 8);
    let expected = of_one_process(16, 8);
    // Shares that overlap, twice all of the work, and builds of another project's folder besides.
    let shares: [&[&str]; 6] = [
        &["--shard", "0/3"],
        &["--shard", "1/3"],
        &["--shard", "2/3"],
        &["--shard", "0/2"],
        &[],
        &[],
    ];
    let running: Vec<Child> = shares
        .iter()
        .map(|share| start(&project.path("."), &[&["compute"], &CPU[..], share].concat()))
        .collect();
    for child in running {
        let (code, said) = ended(child);
        assert!(code == Some(0) && !said.contains("damaged"), "{said}");
    }
    project.run(&["store", "verify"]).ended(0);
    let status = project.run(&["status"]);
    assert!(status.ended(0).contains("are there"), "{}", status.stderr);
    assert_eq!(differing(&frozen_site(&project), &expected), [""; 0]);
}

#[test]
fn the_lock_of_a_build_keeps_no_task_from_computing() {
    let project = project(4, 4);
    fs::create_dir_all(project.path(".igsite")).unwrap();
    let lock = fs::File::create(project.path(".igsite/lock")).unwrap();
    lock.try_lock().unwrap();
    compute(&project, &[]).ended(0);
    assert!(
        project
            .run(&["build", "--device", "cpu"])
            .ended(1)
            .contains("another igsite is at work")
    );
    project.run(&["status"]).ended(0);
    drop(lock);
    project.run(&["build", "--frozen"]).ended(0);
}

#[test]
fn a_store_that_cannot_be_written_is_told_before_anything_is_computed() {
    let project = project(4, 4);
    compute(&project, &["--experiment", "second"]).ended(0);
    let store = project.path(".igsite");
    let tree = |mode: u32| {
        for entry in walkdir::WalkDir::new(&store)
            .contents_first(mode & 0o200 == 0)
            .into_iter()
            .flatten()
        {
            let mode = if entry.file_type().is_dir() { mode | 0o111 } else { mode };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    tree(0o444);
    // Root is refused nothing by permissions.
    let refused = fs::write(store.join("probe"), "").is_err();
    let before = parts(&store);
    if refused {
        let ran = compute(&project, &[]);
        let said = ran.ended(1);
        assert!(
            said.contains("cannot write") && said.contains("check the permissions"),
            "{said}"
        );
    } else {
        _ = fs::remove_file(store.join("probe"));
        println!(
            "skipped in part: this user writes whatever permissions say; tests/read_only.sh mounts a read-only disk"
        );
    }
    // To look is allowed.
    project.run(&["status"]).ended(0);
    assert_eq!(parts(&store), before);
    tree(0o644);
    // A file in the place of the folder.
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "").unwrap();
    let ran = compute(&project, &[]);
    assert!(ran.ended(1).contains(".igsite"), "{}", ran.stderr);
}

#[test]
fn drafts_and_named_experiments_are_shared_out_too() {
    let project = project(6, 4).edit(
        "content/experiments/second.yaml",
        "title: Second",
        "title: Second\ndraft: true",
    );
    compute(&project, &["--shard", "0/2"]).ended(0);
    compute(&project, &["--shard", "1/2"]).ended(0);
    assert_eq!(project.run(&["status", "--array", "--shards", "2"]).stdout.trim(), "");
    let status = project.run(&["status", "--drafts"]);
    assert!(
        status.stdout.contains("second") && status.ended(0).contains("are missing"),
        "{}",
        status.stdout
    );
    let named = ["--experiment", "second"];
    compute(&project, &[&["--shard", "0/1"], &named[..]].concat()).ended(0);
    assert!(
        project
            .run(&[&["status"], &named[..]].concat())
            .ended(0)
            .contains("are there")
    );
}

/// Makes of a store what a GPU would have left, which computes in the dtype that weights are stored in.
fn as_if_in_half_precision(project: &Project) {
    let store = project.path(".igsite");
    for path in parts(&store) {
        let text = fs::read_to_string(&path).unwrap();
        let mut value: Value = serde_json::from_str(seal::open(&text, "").unwrap()).unwrap();
        value["key"]["model"]["dtype"] = json!("bf16");
        let name = igsite::checkpoint::hash::of_bytes(value["key"].to_string().as_bytes());
        let folder = path.parent().unwrap().parent().unwrap().join(&name[..2]);
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.json")), seal::seal(&value.to_string(), "")).unwrap();
    }
    for entry in walkdir::WalkDir::new(store.join("plans")).into_iter().flatten() {
        if !entry.file_type().is_file() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let (first, lines) = text.split_once('\n').unwrap();
        let head = seal::open(first, "").unwrap();
        let other = head.replace("\"dtype\":\"f32\"", "\"dtype\":\"bf16\"");
        assert_ne!(head, other);
        let mut text = seal::seal(&other, "") + "\n";
        for line in lines.lines() {
            text += &(seal::seal(seal::open(line, head).unwrap(), &other) + "\n");
        }
        fs::write(entry.path(), text).unwrap();
    }
}

#[test]
fn what_gpus_computed_is_known_by_its_plans_on_a_machine_without() {
    let project = project(3, 4);
    fs::remove_file(project.path("content/experiments/second.yaml")).unwrap();
    for shard in ["0/2", "1/2"] {
        compute(&project, &["--shard", shard]).ended(0);
    }
    as_if_in_half_precision(&project);
    project.run(&["store", "verify"]).ended(0);
    let status = project.run(&["status"]);
    assert!(
        status.ended(0).contains("all of 24 maps are there"),
        "{}{}",
        status.stdout,
        status.stderr
    );
    assert_eq!(project.run(&["status", "--array", "--shards", "2"]).stdout.trim(), "");
    // If it is said that this machine's numbers are meant, none is there.
    let status = project.run(&["status", "--device", "cpu"]);
    assert!(
        status.ended(0).contains("24 of 24 maps are missing"),
        "{}",
        status.stderr
    );
    project.run(&["build", "--frozen"]).ended(0);
    // Nothing of it is garbage.
    let all = parts(&project.path(".igsite"));
    project.run(&["store", "gc"]).ended(0);
    assert_eq!(parts(&project.path(".igsite")), all);
    let listed = project.run(&["store", "ls"]);
    assert!(!listed.ended(0).contains("used by no experiment"), "{}", listed.stderr);
}
