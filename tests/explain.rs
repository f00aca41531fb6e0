//! `igsite explain`: one prompt from the command line or standard input, its map in the terminal or as a record.
mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::project::{Project, Ran};
use unicode_width::UnicodeWidthStr;

const MODEL: &str = "content/models/tiny";

fn explain(project: &Project, arguments: &[&str]) -> Ran {
    project.run(&[&["explain", "--device", "cpu", "--quiet"], arguments].concat())
}

fn json(project: &Project, arguments: &[&str]) -> Value {
    let ran = explain(project, &[&["--json"], arguments].concat());
    ran.ended(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Without the sequences of colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[test]
fn the_map_is_that_of_an_experiment() {
    let project = Project::small();
    project.run(&["build", "--device", "cpu"]).ended(0);
    let built: Value = serde_json::from_str(&project.read("site/data/first/tiny/a.json")).unwrap();
    let prompt = built["prompt"].as_str().unwrap();
    let arguments = ["-m", MODEL, "--quadrature", "gauss_legendre", "--steps", "8", prompt];
    let record = json(&project, &arguments);
    assert_eq!(record["schema"], "igsite/record/1");
    assert_eq!(record["prompt"], built["prompt"]);
    assert_eq!(record["prediction"], built["prediction"]);
    let map = &record["attributions"][0];
    let same = built["attributions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["target"]["kind"] == "predicted" && one["baseline"] == "zero");
    let same = same.unwrap();
    for field in ["f_input", "f_baseline", "evaluations"] {
        assert_eq!(map[field], same[field], "{field}");
    }
    let scores = |map: &Value| -> Vec<f64> {
        map["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap())
            .collect()
    };
    for (a, b) in scores(map).iter().zip(scores(same)) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-3), "{a} for {b}");
    }
    // Nothing of it was kept.
    let ran = project.run(&["store", "gc", "--dry-run"]);
    assert!(ran.ended(0).contains("0 files"), "{}", ran.stdout);
}

#[test]
fn a_model_has_three_names() {
    let project = Project::small();
    let by_folder = json(&project, &["-m", MODEL, "Is it?"]);
    let by_id = json(&project, &["-m", "tiny", "Is it?"]);
    assert_eq!(
        by_folder["attributions"][0]["scores"],
        by_id["attributions"][0]["scores"]
    );
    let ran = explain(&project, &["-m", "owner/name", "--offline", "Is it?"]);
    assert!(ran.ended(1).contains("owner/name"), "{}", ran.stderr);
    for (model, told) in [("nothing", "there is no model `nothing`"), ("./gone", "is not there")] {
        let ran = explain(&project, &["-m", model, "Is it?"]);
        assert!(ran.ended(2).contains(told), "{}", ran.stderr);
    }
}

#[test]
fn what_is_asked_is_what_an_experiment_may_ask() {
    let project = Project::small();
    let map = |arguments: &[&str]| {
        json(&project, &[&["-m", "tiny", "Is it so?"], arguments].concat())["attributions"][0].clone()
    };
    let token = map(&["--target", "B"]);
    assert_eq!(
        (&token["target"]["kind"], &token["target"]["text"]),
        (&"token".into(), &"B".into())
    );
    assert_eq!(
        map(&["--target", "{contrast: [{token: A}, {token: B}]}", "--output", "logit"])["target"]["kind"],
        "contrast"
    );
    assert_eq!(map(&["--baseline", "mean"])["baseline"], "mean");
    assert_eq!(
        map(&["--method", "occlusion", "--units", "token"])["method"],
        "occlusion"
    );
    let generated = json(
        &project,
        &[
            "-m",
            "tiny",
            "--target",
            "generated",
            "--output",
            "log_probability",
            "--baseline",
            "mean",
            "Is it so?",
        ],
    );
    assert!(generated["generation"]["token_ids"].is_array(), "{generated}");
    for (arguments, told) in [
        (["--method", "magic"], "`magic`"),
        (["--baseline", "none"], "`none`"),
        (["--output", "odds"], "`odds`"),
        (["--target", "{contrast: [A]}"], "contrast"),
        (["--dtype", "f8"], "`f8`"),
    ] {
        let ran = explain(&project, &[&["-m", "tiny", "Is it so?"], &arguments[..]].concat());
        assert!(ran.ended(2).contains(told), "{}", ran.stderr);
    }
}

#[test]
fn without_colour_numbers_stand_under_the_words() {
    let project = Project::small();
    let ran = explain(
        &project,
        &[
            "-m",
            "tiny",
            "--baseline",
            "mean",
            "--width",
            "40",
            "The sky is blue\nand 文字 are wide",
        ],
    );
    ran.ended(0);
    assert!(!ran.stdout.contains('\x1b'), "{}", ran.stdout);
    for said in [
        "predicted",
        "F  ",
        "at the baseline mean",
        "delta",
        "error at most",
        "evaluations",
        "converged",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let words = lines.iter().position(|line| line.starts_with("The")).unwrap();
    assert!(lines[words + 1].starts_with(['+', '−']), "{}", ran.stdout);
    let map = lines[words..].iter().take_while(|line| !line.is_empty());
    assert!(map.clone().all(|line| line.width() <= 40), "{}", ran.stdout);
    // The words for it, the strongest first, are the numbers of the picture.
    let numbers = |part: &[&str]| -> Vec<f64> {
        let words = part.iter().flat_map(|line| line.split_whitespace());
        words
            .filter_map(|word| word.replace('−', "-").replace('+', "").parse().ok())
            .collect()
    };
    let picture = numbers(&map.copied().collect::<Vec<_>>());
    let heading = lines.iter().position(|line| line.starts_with("strongest")).unwrap();
    let strongest = numbers(&lines[heading + 1..=heading + 1]);
    assert!(picture.contains(&strongest[0]), "{strongest:?} in {picture:?}");
}

#[test]
fn colours_are_shades_behind_the_words() {
    let project = Project::small();
    let text = "Is שלום עולם or العربية 🦀 so?\u{1b}[2J";
    for (colors, marks) in [("always", true), ("never", false)] {
        for width in ["20", "80"] {
            let ran = explain(
                &project,
                &[
                    "-m",
                    "tiny",
                    "--baseline",
                    "mean",
                    "--color",
                    colors,
                    "--width",
                    width,
                    text,
                ],
            );
            ran.ended(0);
            assert_eq!(ran.stdout.contains("\x1b[38;5;16;48;5;"), marks, "{}", ran.stdout);
            // Nothing of the prompt steers the terminal.
            assert!(!plain(&ran.stdout).contains('\x1b'), "{:?}", ran.stdout);
            for word in ["שלום", "العربية", "🦀"] {
                assert!(plain(&ran.stdout).contains(word), "{word}: {}", ran.stdout);
            }
            if !marks {
                // Each on a line of its own, behind its number.
                let line = ran.stdout.lines().find(|line| line.contains("עולם")).unwrap();
                assert!(
                    line.trim_start_matches(['\u{200e}', ' ']).starts_with(['+', '−', '0']),
                    "{line:?}"
                );
            }
        }
    }
    let ran = project.run_with(
        &[
            "explain",
            "-m",
            "tiny",
            "--quiet",
            "--device",
            "cpu",
            "--color",
            "always",
            "--baseline",
            "mean",
            "--by",
            "token",
            "blue sky",
        ],
        &[("COLORTERM", "truecolor")],
    );
    ran.ended(0);
    assert!(ran.stdout.contains(";48;2;"), "{}", ran.stdout);
}

#[test]
fn a_prompt_comes_from_standard_input_too() {
    let project = Project::small();
    let run = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_igsite"))
            .args(
                [
                    &["explain", "--device", "cpu", "--quiet", "-m", "tiny", "--json"],
                    arguments,
                ]
                .concat(),
            )
            .current_dir(project.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end before it has read all.
        _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    };
    let typed = json(&project, &["-m", "tiny", "Is it?"]);
    for arguments in [&[][..], &["-"][..]] {
        let out = run(arguments, b"Is it?\n");
        let record: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(record["prompt"], "Is it?");
        assert_eq!(record["attributions"][0]["scores"], typed["attributions"][0]["scores"]);
    }
    let out = run(&[], b"Is \xff it?");
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("byte 3 is not UTF-8"));
    let out = run(&[], b"");
    assert!(
        out.status.code() == Some(0) || out.status.code() == Some(2),
        "the prompt is the beginning token alone, or none"
    );
}

#[test]
fn what_is_piped_into_nothing_is_no_failure_and_help_names_all() {
    let project = Project::small();
    let help = project.run(&["explain", "--help"]);
    help.ended(0);
    for option in [
        "--model",
        "--target",
        "--baseline",
        "--method",
        "--json",
        "--width",
        "--by",
    ] {
        assert!(help.stdout.contains(option), "{option}");
    }
}
