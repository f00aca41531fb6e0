//! Builds that are disturbed: kills at random moments, many builds at once, truncated stored files.
mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use igsite::random::SplitMix64;
use support::project::Project;
use support::records::{assert_same, records};

const BUILD: [&str; 3] = ["build", "--device", "cpu"];
const FROZEN: [&str; 2] = ["build", "--frozen"];

/// The names of the site's files.
fn names(project: &Project) -> Vec<String> {
    project.files("site").into_iter().map(|(name, _)| name).collect()
}

/// Every file under `.igsite` that is left from a write that was cut off.
fn leftovers(project: &Project) -> Vec<String> {
    let files = project.files(".igsite").into_iter().map(|(name, _)| name);
    files.filter(|name| name.ends_with(".part")).collect()
}

fn begin(project: &Project) -> Child {
    Command::new(env!("CARGO_BIN_EXE_igsite"))
        .args(BUILD)
        .current_dir(project.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_first_build_that_is_killed_goes_on_and_loses_nothing() {
    let whole = Project::small();
    let began = Instant::now();
    whole.run(&BUILD).ended(0);
    let (time, right) = (began.elapsed(), records(&whole));
    let mut random = SplitMix64::new(7);
    for trial in 0..12 {
        let project = Project::small();
        let mut child = begin(&project);
        sleep(time.mul_f64(random.next_u64() as f64 / u64::MAX as f64));
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = project
            .path(".igsite/store")
            .exists()
            .then(|| project.files(".igsite/store"));
        let ran = project.run(&BUILD);
        assert!(!ran.ended(0).contains("damaged"), "trial {trial}: {}", ran.stderr);
        assert_same(&records(&project), &right, &format!("trial {trial}"));
        assert_eq!(names(&project), names(&whole), "trial {trial}");
        // What was finished is used: it is there as it was.
        let now = project.files(".igsite/store");
        for file in kept.into_iter().flatten().filter(|(name, _)| !name.ends_with(".part")) {
            assert!(now.contains(&file), "trial {trial}: {}", file.0);
        }
        assert_eq!(leftovers(&project), [""; 0], "trial {trial}");
    }
}

#[test]
fn an_update_that_is_killed_leaves_a_whole_site_after_the_next_build() {
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let began = Instant::now();
    let project = project.edit("content/experiments/first.yaml", "title: First", "title: Title 0");
    project.run(&BUILD).ended(0);
    let time = began.elapsed();
    let mut random = SplitMix64::new(8);
    let mut project = project;
    for trial in 1..=12 {
        project = project.edit(
            "content/experiments/first.yaml",
            &format!("title: Title {}\n", trial - 1),
            &format!("title: Title {trial}\n"),
        );
        let mut child = begin(&project);
        sleep(time.mul_f64(random.next_u64() as f64 / u64::MAX as f64));
        child.kill().unwrap();
        child.wait().unwrap();
        project.run(&BUILD).ended(0);
        for (name, bytes) in project.files("site") {
            let text = String::from_utf8_lossy(&bytes);
            let old = format!("Title {}<", trial - 1);
            assert!(!text.contains(&old), "trial {trial}: {name}");
        }
        assert!(
            project
                .read("site/experiments/first/index.html")
                .contains(&format!("Title {trial}"))
        );
    }
}

#[test]
fn of_many_builds_at_once_one_builds_and_the_others_say_why() {
    let project = Project::small();
    let ran: Vec<_> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..8).map(|_| scope.spawn(|| project.run(&BUILD))).collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect()
    });
    let done = ran.iter().filter(|ran| ran.code == Some(0)).count();
    assert!(done >= 1);
    for ran in ran.iter().filter(|ran| ran.code != Some(0)) {
        assert!(ran.ended(1).contains("another igsite is at work"), "{}", ran.stderr);
    }
    project.run(&FROZEN).ended(0);
}

#[test]
fn kept_files_that_are_cut_off_or_empty_are_never_believed() {
    let project = Project::small();
    project.run(&BUILD).ended(0);
    let mut right = records(&project);
    let kept: Vec<(String, Vec<u8>)> = project
        .files(".igsite")
        .into_iter()
        .filter(|(name, _)| name != "lock")
        .collect();
    for (name, bytes) in kept {
        for length in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(2)] {
            fs::write(project.path(".igsite").join(&name), &bytes[..length]).unwrap();
            let frozen = project.run(&FROZEN);
            match frozen.code {
                Some(0) => assert!(records(&project) == right, "{name}, {length} bytes"),
                _ => _ = frozen.ended(1),
            }
            project.run(&BUILD).ended(0);
            assert_same(&records(&project), &right, &format!("{name}, {length} bytes"));
            right = records(&project);
        }
    }
}
