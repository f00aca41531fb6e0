//! One writer a folder, all or nothing: two projects with one output folder, locks, signals, places that are refused,
//! media that cannot be written.
#![cfg(unix)]
mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::project::{EXPERIMENT, Project, igsite};

const FIRST: &str = "content/experiments/first.yaml";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const STAGE: &str = ".igsite-stage";

type Files = Vec<(String, Vec<u8>)>;

/// A project with a page of its own.
fn project(name: &str) -> Project {
    Project::small()
        .file(
            format!("content/{name}.md").as_str(),
            format!("# {name}\n\nOf {name}.\n"),
        )
        .edit(FIRST, "title: First", &format!("title: Of {name}"))
}

/// One that takes minutes.
fn long() -> Project {
    let rows: String = (0..200)
        .map(|row| format!("r{row},yes,statement number {row}\n"))
        .collect();
    Project::small()
        .file("content/data/rows.csv", format!("id,label,statement\n{rows}"))
        .edit(FIRST, "steps: 8", "steps: 64")
}

/// One whose weights are 16 GB of zeros, which take no room on the disk: hashing them takes seconds, in one piece of
/// work that does not ask whether the run is to end.
fn slow_to_hash() -> Project {
    const HIDDEN: usize = 8192;
    const INNER: usize = 28_672;
    const LAYERS: usize = 8;
    let project = Project::small();
    let mut config = support::tiny::config();
    for (key, value) in [
        ("hidden_size", HIDDEN),
        ("intermediate_size", INNER),
        ("num_hidden_layers", LAYERS),
        ("num_attention_heads", 64),
        ("num_key_value_heads", 64),
        ("head_dim", 128),
    ] {
        config[key] = value.into();
    }
    let vocabulary = config["vocab_size"].as_u64().unwrap() as usize;
    let mut shapes = vec![
        ("model.embed_tokens".to_owned(), vec![vocabulary, HIDDEN]),
        ("lm_head".to_owned(), vec![vocabulary, HIDDEN]),
        ("model.norm".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.v_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}"), shape));
        }
    }
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let bytes = 2 * shape.iter().product::<usize>();
        let tensor = serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [end, end + bytes]});
        header.insert(format!("{name}.weight"), tensor);
        end += bytes;
    }
    let header = serde_json::Value::Object(header).to_string();
    let weights = project.path("content/models/tiny/model.safetensors");
    let mut file = File::create(weights).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    project.file("content/models/tiny/config.json", config.to_string())
}

fn files(folder: &Path) -> Files {
    let inside = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = inside.filter(|entry| entry.file_type().is_file());
    let read = |entry: walkdir::DirEntry| {
        let name = entry
            .path()
            .strip_prefix(folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        Some((name, fs::read(entry.path()).ok()?))
    };
    let mut files: Files = files.filter_map(read).collect();
    files.sort();
    files
}

/// Which files differ: the bytes of a site are no message.
fn differing(one: &Files, other: &Files) -> Vec<String> {
    let only = |these: &Files, those: &Files| -> Vec<String> {
        let missing = these.iter().filter(|file| !those.contains(file));
        missing.map(|(name, _)| name.clone()).collect()
    };
    [only(one, other), only(other, one)].concat()
}

fn assert_same(one: &Files, other: &Files) {
    assert_eq!(differing(one, other), Vec::<String>::new());
}

fn spawn(project: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args(arguments)
        .current_dir(project)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How it ended, and what it said.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Waits for something that is to come.
fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let began = Instant::now();
    while !come() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kept attributions.
fn maps(project: &Project) -> usize {
    files(&project.path(".igsite/store/v2/attributions"))
        .iter()
        .filter(|(name, _)| name.ends_with(".json"))
        .count()
}

#[test]
fn two_projects_take_turns_in_one_folder() {
    let place = tempfile::tempdir().unwrap();
    let shared = place.path().join("shared");
    let link = place.path().join("link");
    symlink(&shared, &link).unwrap();
    let (a, b) = (project("alpha"), project("beta"));
    let sites = [&a, &b].map(|project| {
        project.run(&BUILD).ended(0);
        project.files("site")
    });
    fs::create_dir(&shared).unwrap();
    for round in 0..3 {
        for (project, site) in [(&a, &sites[0]), (&b, &sites[1])] {
            let output = if round == 1 { &link } else { &shared };
            let arguments = [&BUILD[..], &["--output", output.to_str().unwrap()]].concat();
            let ran = project.run(&arguments);
            assert!(!ran.ended(0).contains("; 0 files written"), "{}", ran.stderr);
            assert_same(&files(&shared), site);
            let again = project.run(&arguments);
            assert!(again.ended(0).contains("; 0 files written"), "{}", again.stderr);
        }
    }
}

#[test]
fn two_projects_at_once_never_mix() {
    let place = tempfile::tempdir().unwrap();
    let shared = place.path().join("shared");
    let arguments = [&BUILD[..], &["--output", shared.to_str().unwrap()]].concat();
    let projects = [project("alpha"), project("beta")];
    let sites = projects.each_ref().map(|project| {
        project.run(&BUILD).ended(0);
        project.files("site")
    });
    for round in 0..6 {
        let running = projects.each_ref().map(|project| spawn(&project.path("."), &arguments));
        let ended = running.map(end);
        for (code, said) in &ended {
            let busy = said.contains("is at work in this output folder") && said.contains("wait until it has ended");
            assert!(*code == Some(0) || (*code == Some(1) && busy), "{ended:?}");
        }
        assert!(ended.iter().any(|(code, _)| *code == Some(0)), "{ended:?}");
        assert!(sites.contains(&files(&shared)), "round {round}: a mixture");
        let turn = round % 2;
        projects[turn].run(&arguments).ended(0);
        assert_same(&files(&shared), &sites[turn]);
        assert!(projects[turn].run(&arguments).ended(0).contains("; 0 files written"));
    }
}

/// Whether this process was started so that SIGHUP does nothing, which programs that it starts inherit.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn the_second_is_told_who_has_the_folder_and_a_signal_frees_it() {
    let (first, second) = (long(), project("beta"));
    let shared = first.path("shared");
    let arguments = [&BUILD[..], &["--output", shared.to_str().unwrap()]].concat();
    second.run(&arguments).ended(0);
    let before = files(&shared);
    for (name, named) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT"), ("-HUP", "SIGHUP")] {
        // Under `nohup` it stays ignored, in igsite too.
        if named == "SIGHUP" && hangups_are_ignored() {
            continue;
        }
        let running = spawn(&first.path("."), &arguments);
        let had = maps(&first);
        wait_for("a map", || maps(&first) > had);
        let ran = second.run(&arguments);
        let who = format!("process {}, project `", running.id());
        assert!(
            ran.ended(1).contains(&who) && ran.stderr.contains("--output"),
            "{}",
            ran.stderr
        );
        let sent = Instant::now();
        signal(&running, name);
        let (code, said) = end(running);
        assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
        assert_eq!(code, Some(75), "{said}");
        let expected = format!(
            "stopped by {named}: what was finished is kept in `.igsite/`, and the site is as it was; run the same command again to go on"
        );
        assert_eq!(said.lines().last(), Some(expected.as_str()), "{said}");
        assert!(maps(&first) > had, "what was finished is kept");
        // Nothing is left behind.
        assert_same(&files(&shared), &before);
    }
    assert!(second.run(&arguments).ended(0).contains("; 0 files written"));
    // What was kept is used.
    let kept = maps(&first);
    let first = first.file(
        "content/data/rows.csv",
        "id,label,statement\nr0,yes,statement number 0\n",
    );
    let ran = first.run(&arguments);
    assert!(kept >= 3 && !ran.ended(0).contains(" 0 kept"), "{}", ran.stderr);
}

#[test]
fn a_new_folder_is_gone_again_when_it_is_stopped() {
    let project = long();
    let running = spawn(&project.path("."), &BUILD);
    wait_for("a map", || maps(&project) > 0);
    signal(&running, "-TERM");
    assert_eq!(end(running).0, Some(75));
    assert!(!project.path("site").exists());
}

#[test]
fn work_that_does_not_ask_is_cut_off_and_a_second_signal_does_so_at_once() {
    let project = slow_to_hash();
    for signals in [1, 2] {
        let running = spawn(&project.path("."), &BUILD);
        std::thread::sleep(Duration::from_millis(1500));
        let sent = Instant::now();
        for _ in 0..signals {
            signal(&running, "-TERM");
            std::thread::sleep(Duration::from_millis(50));
        }
        let (code, said) = end(running);
        assert_eq!(code, Some(75), "{said}");
        let expected = "stopped by SIGTERM: what was finished is kept in `.igsite/`";
        assert!(said.contains(expected), "{said}");
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
    }
}

#[test]
fn serve_waits_for_another_build_and_goes_on() {
    let project = project("alpha");
    fs::create_dir_all(project.path(".igsite/serve")).unwrap();
    fs::write(project.path(".igsite/lock"), "").unwrap();
    // The project's own, and that of the folder.
    for held in [".igsite/lock", ".igsite/serve"] {
        let lock = File::open(project.path(held)).unwrap();
        lock.try_lock().unwrap();
        let mut serving = spawn(
            &project.path("."),
            &["serve", "--port", "0", "--device", "cpu", "--offline"],
        );
        let mut said = BufReader::new(serving.stderr.take().unwrap()).lines();
        let told = said
            .find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting")))
            .unwrap()
            .unwrap();
        assert!(
            told.contains("another igsite is at work") && told.contains("waiting until it has ended"),
            "{told}"
        );
        let page = project.path(".igsite/serve/index.html");
        assert!(!page.exists());
        std::thread::sleep(Duration::from_millis(300));
        lock.unlock().unwrap();
        wait_for("the site", || page.exists());
        // It said so once.
        let next = said.next().unwrap().unwrap();
        assert!(next.contains("computed"), "{next}");
        signal(&serving, "-TERM");
        assert_eq!(serving.wait().unwrap().code(), Some(0));
        fs::remove_dir_all(project.path(".igsite/serve")).unwrap();
        fs::create_dir(project.path(".igsite/serve")).unwrap();
    }
}

#[test]
fn the_site_is_not_written_among_what_it_is_made_from() {
    let place = tempfile::tempdir().unwrap();
    let project = project("alpha");
    symlink(project.path("content"), project.path("way-in")).unwrap();
    symlink(project.path("."), place.path().join("project")).unwrap();
    fs::create_dir(project.path("sub")).unwrap();
    let model = place.path().join("model");
    support::tiny::write_llama(&model);
    let cache = place.path().join("cache");
    let project = project
        .file(
            "content/models/far.yaml",
            format!("title: Far\nsource: {}\n", model.display()),
        )
        .file("content/experiments/far.yaml", EXPERIMENT.replace("[tiny]", "[far]"));
    let inside_model = model.join("site").display().to_string();
    let inside_cache = cache.join("site").display().to_string();
    for (output, told) in [
        ("sub/../content/x", "the project's own `content/`"),
        ("none/../content/x", "the project's own `content/`"),
        ("way-in/x", "the project's own `content/`"),
        ("x/../.igsite/y", "the project's own `.igsite/`"),
        ("static", "the project's own `static/`"),
        (".", "the project's own folder"),
        ("..", "a folder that holds the project's own"),
        (&inside_model, "the folder of the model `far`"),
        (&inside_cache, "the cache of the hub"),
    ] {
        let before = project.files(".");
        let arguments = [&BUILD[..], &["--output", output]].concat();
        let ran = project.run_with(&arguments, &[("HF_HUB_CACHE", cache.to_str().unwrap())]);
        assert!(ran.ended(2).contains(told), "{output}: {}", ran.stderr);
        assert_same(&project.files("."), &before);
    }
    // Through a link to the project.
    let ran = igsite(
        place.path(),
        &["--project", "project", "build", "--output", "project/content/x"],
    );
    assert!(ran.ended(2).contains("the project's own `content/`"), "{}", ran.stderr);
    assert!(!model.join("site").exists() && !project.path("content/x").exists());
}

/// The binary as a user who may not write what others own: root may write anywhere.
fn as_nobody(folder: &Path, arguments: &[&str]) -> Option<std::process::Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_igsite"));
    command.args(arguments).current_dir(folder).env("HOME", "/nonexistent");
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(65_534).gid(65_534);
    }
    // A build folder that others may not enter.
    command.output().ok()
}

#[test]
fn a_project_that_cannot_be_written_is_built_frozen_to_elsewhere() {
    let project = project("alpha");
    project.run(&BUILD).ended(0);
    let site = project.files("site");
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("site");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["build", "--frozen", "--output", output.to_str().unwrap()];
    // With the lock's file, and as git leaves it, without.
    for lock in [true, false] {
        if !lock {
            fs::remove_file(project.path(".igsite/lock")).unwrap();
        }
        for entry in walkdir::WalkDir::new(project.path("."))
            .contents_first(true)
            .into_iter()
            .flatten()
        {
            let mode = if entry.file_type().is_dir() { 0o555 } else { 0o444 };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
        }
        let ran = as_nobody(&project.path("."), &arguments);
        for entry in walkdir::WalkDir::new(project.path(".")).into_iter().flatten() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let Some(ran) = ran else { return };
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_same(&files(&output), &site);
        assert_eq!(project.path(".igsite/lock").exists(), lock);
        fs::remove_dir_all(&output).unwrap();
    }
}

#[test]
fn frozen_builds_share_the_store_and_none_writes_into_it_meanwhile() {
    let project = project("alpha");
    project.run(&BUILD).ended(0);
    let lock = File::open(project.path(".igsite/lock")).unwrap();
    lock.try_lock_shared().unwrap();
    project.run(&["build", "--frozen", "--output", "elsewhere"]).ended(0);
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(1).contains("another igsite is at work in this project"),
        "{}",
        ran.stderr
    );
    lock.try_lock().unwrap();
    let ran = project.run(&["build", "--frozen", "--output", "elsewhere"]);
    assert!(
        ran.ended(1).contains("another igsite is at work in this project"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_file_beyond_the_limit_is_an_error_that_names_it() {
    let project = project("alpha");
    let ran = Command::new("sh")
        .args(["-c", "ulimit -f 2; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_igsite")])
        .args(BUILD)
        .current_dir(project.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large") && said.contains("ulimit -f"), "{said}");
    assert!(said.contains(".igsite") || said.contains("site/"), "{said}");
    assert!(!project.path("site").exists());
    project.run(&BUILD).ended(0);
}

#[test]
fn the_last_build_is_not_believed_when_it_was_edited() {
    let project = Project::small().edit(FIRST, "steps: 8", "steps: 1");
    let strict = [&BUILD[..], &["--strict"]].concat();
    project.run(&strict).ended(3);
    let stamp = project.read(".igsite/last-build.json");
    let below = stamp.lines().find(|line| line.contains("\"below\"")).unwrap();
    let project = project.file(".igsite/last-build.json", stamp.replace(below, "  \"below\": 0,"));
    project.run(&strict).ended(3);
}

#[test]
fn what_a_killed_move_left_is_put_back_by_a_build_that_fails() {
    let project = project("alpha");
    project.run(&BUILD).ended(0);
    let site = project.files("site");
    // As if it had been killed: one page set aside, its successor in place, a new one in place, the list of it all
    // still there.
    let stage = project.path("site").join(STAGE);
    fs::create_dir_all(stage.join("old")).unwrap();
    fs::create_dir_all(stage.join("new")).unwrap();
    fs::rename(project.path("site/index.html"), stage.join("old/index.html")).unwrap();
    fs::write(project.path("site/index.html"), "half new").unwrap();
    fs::write(project.path("site/fresh.html"), "half new").unwrap();
    let journal = serde_json::json!({"schema": "igsite/moving/1", "marked": true, "gone": [],
        "come": [{"path": "fresh.html", "old": false}, {"path": "index.html", "old": true}]});
    fs::write(stage.join("moving.json"), journal.to_string()).unwrap();
    let project = project.file("templates/map.html", "{{ heading / 2 }}");
    let ran = project.run(&BUILD);
    assert!(
        ran.ended(2).contains("the site before it was put back"),
        "{}",
        ran.stderr
    );
    assert_same(&project.files("site"), &site);
}
