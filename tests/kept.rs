//! Stored data is checked before it is used: damaged parts, plans, lists of hashes and stamps; edited templates;
//! replaced weights.
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use igsite::random::SplitMix64;
use serde_json::{Value, json};
use support::project::{EXPERIMENT, Project, Ran};
use support::records::{assert_same, difference, records};

const FIRST: &str = "content/experiments/first.yaml";
const PLAN: &str = ".igsite/plans/first/tiny.jsonl";
const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const FROZEN: [&str; 2] = ["build", "--frozen"];
const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}";

/// A project whose store has every kind of part.
fn project() -> Project {
    Project::small().file(
        FIRST,
        EXPERIMENT
            .replace(
                "options:",
                "generate: {prompt: \"{{ prompt }}x\", max_new_tokens: 3}\noptions:",
            )
            .replace("  steps: 8", "  steps: 8\n  estimate_error: true"),
    )
}

/// Everything in `.igsite` that a later build may believe.
fn kept(project: &Project) -> Vec<PathBuf> {
    let files = project.files(".igsite").into_iter();
    let is_kept = |name: &String| name != "lock" && !name.starts_with("damaged/");
    let names = files.map(|(name, _)| name).filter(is_kept);
    names.map(|name| project.path(".igsite").join(name)).collect()
}

fn part(project: &Project, kind: &str) -> String {
    let parts = project.files(&format!(".igsite/store/v2/{kind}"));
    format!(".igsite/store/v2/{kind}/{}", parts[0].0)
}

/// Replaces a text in a kept file and says so if it is not there.
fn damage(project: &Project, file: &str, from: &str, to: &str) -> Vec<u8> {
    let text = project.read(file);
    assert!(text.contains(from), "{from}: {text}");
    fs::write(project.path(file), text.replacen(from, to, 1)).unwrap();
    text.into_bytes()
}

/// Seals a value as the store does.
fn sealed(value: &Value) -> String {
    igsite::store::seal::seal(&value.to_string(), "")
}

#[test]
fn one_digit_of_a_score_is_told_and_computed_again_and_refused_by_frozen() {
    let project = project();
    project.run(&BUILD).ended(0);
    let before = records(&project);
    for (kind, field) in [
        ("attributions", "\"f_input\":0."),
        ("predictions", "\"probability\":0."),
        ("generations", "\"token_ids\":["),
    ] {
        let file = part(&project, kind);
        let text = project.read(&file);
        let at = text.rfind(field).unwrap() + field.len() + 1;
        let digit = if &text[at..=at] == "1" { "2" } else { "1" };
        let damaged = [&text[..at], digit, &text[at + 1..]].concat();
        fs::write(project.path(&file), &damaged).unwrap();
        let frozen = project.run(&FROZEN);
        let said = frozen.ended(1);
        assert!(said.contains(&file) && said.contains("damaged"), "{said}");
        assert_eq!(project.read(&file), damaged, "--frozen moves nothing");
        let built = project.run(&BUILD);
        let said = built.ended(0);
        assert!(
            said.contains(&file) && said.contains("checksum") && said.contains("computed again"),
            "{said}"
        );
        assert_same(&records(&project), &before, kind);
        let name = Path::new(&file).file_name().unwrap().to_str().unwrap();
        assert_eq!(project.read(&format!(".igsite/damaged/{name}")), damaged);
        // Told once.
        assert!(!project.run(&BUILD).ended(0).contains("damaged"));
    }
    project.run(&FROZEN).ended(0);
}

#[test]
fn what_is_sealed_must_make_sense_too() {
    let project = project();
    project.run(&BUILD).ended(0);
    let before = records(&project);
    type Edit = (&'static str, fn(&mut Value), &'static str);
    let edits: [Edit; 9] = [
        (
            "attributions",
            |part| _ = part["scores"].as_array_mut().unwrap().pop(),
            "scores for",
        ),
        (
            "attributions",
            |part| part["scores"].as_array_mut().unwrap().push(json!(0.1)),
            "scores for",
        ),
        (
            "attributions",
            |part| part["scores"][1] = json!(part["scores"][1].as_f64().unwrap() + 0.5),
            "delta",
        ),
        ("attributions", |part| part["f_input"] = json!(7.5), "F is 7.5"),
        (
            "attributions",
            |part| part["key"]["token_ids"][0] = json!(2),
            "another model, prompt or setting",
        ),
        (
            "predictions",
            |part| part["probability"] = json!(3.25),
            "a probability of 3.25",
        ),
        (
            "predictions",
            |part| part["asked"] = json!([-1.0, 0.5]),
            "a probability of -1",
        ),
        (
            "predictions",
            |part| _ = part["asked"].as_array_mut().unwrap().pop(),
            "1 probabilities for 2 tokens",
        ),
        ("predictions", |part| part["token_id"] = json!(100_000), "token 100000"),
    ];
    for (kind, edit, told) in edits {
        let file = part(&project, kind);
        let mut value: Value = serde_json::from_str(&project.read(&file)).unwrap();
        let part = value["value"].take();
        let mut edited = part.clone();
        edit(&mut edited);
        assert_ne!(edited, part);
        fs::write(project.path(&file), sealed(&edited)).unwrap();
        let frozen = project.run(&FROZEN);
        assert!(frozen.ended(1).contains(told), "{told}: {}", frozen.stderr);
        let built = project.run(&BUILD);
        assert!(built.ended(0).contains(told), "{told}: {}", built.stderr);
        assert_same(&records(&project), &before, told);
    }
}

#[test]
fn a_damaged_line_of_a_plan_is_told_and_planned_again_and_refused_by_frozen() {
    let project = project();
    project.run(&BUILD).ended(0);
    let before = records(&project);
    let plan = project.read(PLAN);
    for (from, to, told) in [
        ("\"lengths\":[", "\"lengths\":[1", "is damaged"),
        ("\"ids\":[1,", "\"ids\":[2,", "is damaged"),
        ("\"schema\"", "\"schemx\"", "its first line is damaged"),
        ("\"zero\"", "\"zerx\"", "its first line is damaged"),
    ] {
        damage(&project, PLAN, from, to);
        let frozen = project.run(&FROZEN);
        let said = frozen.ended(1);
        assert!(said.contains(PLAN) && said.contains(told), "{told}: {said}");
        let built = project.run(&BUILD);
        let said = built.ended(0);
        assert!(said.contains(PLAN) && said.contains(told), "{told}: {said}");
        assert_eq!(project.read(PLAN), plan);
        assert_same(&records(&project), &before, told);
    }
    // A head from before lines had checksums is no damage; frozen has nothing to build from.
    project_file(&project, PLAN, "{\"schema\":\"igsite/plan/1\"}\n");
    assert!(project.run(&FROZEN).ended(1).contains("another version of igsite"));
    assert!(!project.run(&BUILD).ended(0).contains("damaged"));
    assert_eq!(project.read(PLAN), plan);
}

fn project_file(project: &Project, path: &str, text: &str) {
    fs::write(project.path(path), text).unwrap();
}

#[test]
fn an_edited_chat_template_is_seen() {
    let chat = EXPERIMENT.replace("options:", "prompt_style: chat\noptions:");
    let template = "content/models/tiny/chat_template.jinja";
    let prompt = |project: &Project| -> String {
        let record: Value = serde_json::from_str(&project.read("site/data/first/tiny/a.json")).unwrap();
        record["prompt"].as_str().unwrap().to_owned()
    };
    for (name, first, second) in [
        (
            "chat_template.jinja",
            TEMPLATE.to_owned(),
            TEMPLATE.replace('[', "<").replace(']', ">"),
        ),
        (
            "chat_template.json",
            json!({"chat_template": TEMPLATE}).to_string(),
            json!({"chat_template": TEMPLATE.replace('[', "<").replace(']', ">")}).to_string(),
        ),
    ] {
        let file = format!("content/models/tiny/{name}");
        let project = Project::small().file(FIRST, &chat).file(&file, first);
        project.run(&BUILD).ended(0);
        assert!(prompt(&project).starts_with("[user] "), "{}", prompt(&project));
        let project = project.file(&file, second);
        // Where the folder is at hand, frozen sees it as well.
        let frozen = project.run(&FROZEN);
        assert!(
            frozen.ended(1).contains("chat template is not that of the kept plan"),
            "{}",
            frozen.stderr
        );
        project.run(&BUILD).ended(0);
        assert!(prompt(&project).starts_with("<user> "), "{}", prompt(&project));
        project.run(&FROZEN).ended(0);
    }
    // One that comes to stand beside it and goes first.
    let inside = json!({"chat_template": TEMPLATE, "bos_token": "<s>"}).to_string();
    let project = Project::small()
        .file(FIRST, &chat)
        .file("content/models/tiny/tokenizer_config.json", inside);
    project.run(&BUILD).ended(0);
    let project = project.file(template, TEMPLATE.replace('[', "("));
    project.run(&BUILD).ended(0);
    assert!(prompt(&project).starts_with("(user] "), "{}", prompt(&project));
    // Without the model there is nothing to compare with.
    fs::remove_dir_all(project.path("content/models/tiny")).unwrap();
    project.run(&FROZEN).ended(0);
}

fn set_modified(file: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(time).unwrap();
}

#[cfg(unix)]
#[test]
fn weights_and_configs_replaced_with_size_and_time_kept_are_seen() {
    let project = project();
    let old = SystemTime::now() - Duration::from_secs(3600);
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        set_modified(&project.path("content/models/tiny").join(name), old);
    }
    // Until the entries' own times are settled too, nothing is remembered.
    std::thread::sleep(Duration::from_millis(2100));
    project.run(&BUILD).ended(0);
    let sha256 = |project: &Project| {
        let record: Value = serde_json::from_str(&project.read("site/data/first/tiny/a.json")).unwrap();
        record["model"]["weights_sha256"].clone()
    };
    let (first, before) = (sha256(&project), records(&project));
    let weights = project.path("content/models/tiny/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&weights, &other).unwrap();
    set_modified(&weights, old);
    project.run(&BUILD).ended(0);
    assert_ne!(sha256(&project), first);
    // Another file in its place, as `cp -a` leaves one.
    let beside = project.path("content/models/tiny/beside");
    fs::write(&beside, &bytes).unwrap();
    set_modified(&beside, old);
    fs::rename(&beside, &weights).unwrap();
    project.run(&BUILD).ended(0);
    assert_eq!(sha256(&project), first);
    assert_same(&records(&project), &before, "the old weights again");
    // One digit of a setting.
    let config = project.path("content/models/tiny/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let edited = text.replace("\"rms_norm_eps\":0.00001", "\"rms_norm_eps\":0.90001");
    assert!(edited != text, "{text}");
    fs::write(&config, edited).unwrap();
    set_modified(&config, old);
    project.run(&BUILD).ended(0);
    assert!(difference(&records(&project), &before).is_some());
}

/// How a build ended behind a flipped bit: the published numbers are right, or nothing is published.
fn check(ran: &Ran, what: &str, found: impl FnOnce() -> bool) -> bool {
    match ran.code {
        Some(0) => {
            assert!(found(), "{what}: exit 0 and other numbers\n{}", ran.stderr);
            true
        }
        Some(1) => false,
        other => panic!("{what}: exit {other:?}\n{}", ran.stderr),
    }
}

/// Flips `flips` random bits of kept files, one at a time, and builds behind each.
fn flip(seed: u64, flips: usize) {
    let project = project();
    project.run(&BUILD).ended(0);
    let mut right = records(&project);
    let mut random = SplitMix64::new(seed);
    let mut below = |bound: usize| (random.next_u64() % bound as u64) as usize;
    let (mut published, mut refused) = (0, 0);
    for _ in 0..flips {
        let files = kept(&project);
        let file = &files[below(files.len())];
        let bytes = fs::read(file).unwrap();
        let bit = below(bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(file, &flipped).unwrap();
        let frozen = below(2) == 0;
        let what = format!("seed {seed}, {}, bit {bit}, frozen {frozen}", file.display());
        let ran = project.run(if frozen { &FROZEN } else { &BUILD });
        let is_right = || {
            let now = records(&project);
            // What frozen shows is what was kept, to the last digit.
            if frozen {
                now == right
            } else {
                difference(&now, &right).is_none()
            }
        };
        match check(&ran, &what, is_right) {
            true => published += 1,
            false => refused += 1,
        }
        if frozen {
            fs::write(file, &bytes).unwrap();
        } else {
            assert_eq!(ran.code, Some(0), "{what}: damage is made good\n{}", ran.stderr);
            right = records(&project);
        }
    }
    eprintln!("seed {seed}: {flips} flips, {published} published the right numbers, {refused} were refused");
    assert!(published > 0 && refused > 0);
}

/// 300 flips; `IGSITE_TEST_FLIPS` says another number.
#[test]
fn no_flipped_bit_of_what_is_kept_is_published() {
    let flips = std::env::var("IGSITE_TEST_FLIPS").map_or(300, |text| text.parse().unwrap());
    std::thread::scope(|scope| {
        for seed in 0..2 {
            scope.spawn(move || flip(seed, flips / 2));
        }
    });
}
