//! A job array on a real Slurm, by the script that `igsite init --slurm` writes: one task is cancelled midway and sent
//! again, and the site is that of one process, byte by byte.
#![cfg(unix)]
mod support;

use support::project::{Project, Ran};
use support::shared_out::{differing, frozen_site, parts, project};
use support::slurm::{Slurm, wait_for};

const ROWS: usize = 40;
const STEPS: usize = 64;

/// Runs the script of a project on the login node.
fn submit(slurm: &Slurm, project: &Project, arguments: &[&str], stores: &str) -> Ran {
    let script = project.path("slurm.sh").display().to_string();
    let environment = [
        ("IGSITE", env!("CARGO_BIN_EXE_igsite")),
        ("IGSITE_SHARDS", "4"),
        ("IGSITE_STORES", stores),
        ("NO_COLOR", "1"),
    ];
    let out = slurm.run(&script, arguments, &project.path("."), &environment);
    Ran {
        code: out.status.code(),
        stdout: String::from_utf8(out.stdout).unwrap(),
        stderr: String::from_utf8(out.stderr).unwrap(),
    }
}

/// The numbers of the jobs that were submitted: the array, if there is one, and the build.
fn jobs(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let words = ran.stdout.split("job ").skip(1);
    words
        .map(|word| word.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// What the jobs wrote.
fn logs(project: &Project) -> String {
    let files = std::fs::read_dir(project.path(".")).unwrap().flatten();
    let logs = files.filter(|entry| entry.file_name().to_string_lossy().starts_with("slurm-"));
    let text = logs.map(|entry| {
        format!(
            "{:?}: {}",
            entry.file_name(),
            std::fs::read_to_string(entry.path()).unwrap()
        )
    });
    text.collect::<Vec<_>>().join("\n")
}

fn an_array_with_a_cancelled_task(slurm: &Slurm, project: &Project, stores: &str, expected: &[(String, Vec<u8>)]) {
    project.run(&["init", "--slurm"]).ended(0);
    let submitted = submit(slurm, project, &[], stores);
    let [array, build] = &jobs(&submitted)[..] else {
        panic!("{}", submitted.stdout)
    };
    // The second task is cancelled when it has done something and has much to do.
    let task = format!("{array}_1");
    wait_for("the task", || slurm.runs(&task));
    let store = match stores {
        "" => project.path(".igsite"),
        stores => project.path(&format!("{stores}/1")),
    };
    wait_for("a part", || !parts(&store).is_empty());
    slurm.run("scancel", &[&task], &project.path("."), &[]);
    slurm.wait(&[array, build]);
    let said = logs(project);
    assert!(
        said.contains("stopped by SIGTERM") || said.contains("CANCELLED"),
        "{said}"
    );
    assert!(!project.path("site").exists(), "the build waits for all tasks");
    // What it had finished is kept, and it alone is sent again.
    assert!(!parts(&store).is_empty());
    let again = submit(slurm, project, &["--retry"], stores);
    assert!(again.stdout.contains("tasks 1: job"), "{}\n{said}", again.stdout);
    let [array, build] = &jobs(&again)[..] else {
        panic!("{}", again.stdout)
    };
    slurm.wait(&[array, build]);
    assert!(project.path("site/index.html").exists(), "{}", logs(project));
    assert_eq!(
        project
            .run_with(&["status", "--array"], &[("IGSITE_SHARDS", "4")])
            .stdout
            .trim(),
        ""
    );
    assert_eq!(differing(&frozen_site(project), expected), [""; 0]);
    // Once more, and nothing has to be computed.
    let [build] = &jobs(&submit(slurm, project, &["--retry"], stores))[..] else {
        panic!("one job")
    };
    slurm.wait(&[build]);
}

#[test]
fn an_array_with_a_task_that_is_cancelled_makes_the_site_of_one_process() {
    let Some(slurm) = Slurm::start() else { return };
    let whole = project(ROWS, STEPS);
    whole.run(&["build", "--device", "cpu"]).ended(0);
    let expected = frozen_site(&whole);
    // All tasks write the project's store; and each has one of its own, to be merged.
    an_array_with_a_cancelled_task(&slurm, &project(ROWS, STEPS), "", &expected);
    an_array_with_a_cancelled_task(&slurm, &project(ROWS, STEPS), "stores", &expected);
}

#[test]
fn the_demo_by_an_array_whose_stores_are_merged_is_the_demo_of_one_process() {
    let Some(slurm) = Slurm::start() else { return };
    let whole = Project::demo();
    whole.run(&["compute", "--device", "cpu"]).ended(0);
    let expected = frozen_site(&whole);
    an_array_with_a_cancelled_task(&slurm, &Project::demo(), "stores", &expected);
}

#[test]
fn the_environment_of_an_array_says_the_shard() {
    let Some(slurm) = Slurm::start() else { return };
    let project = project(4, 4);
    let igsite = env!("CARGO_BIN_EXE_igsite");
    let job = format!("#!/bin/bash\n#SBATCH --output=said-%a.txt\nexec {igsite} compute --device cpu \"$@\" 2>&1\n");
    let project = project.file("job.sh", job);
    let array = |array: &str, more: &[&str]| {
        let arguments = [&["--wait", "--array", array, "job.sh"], more].concat();
        slurm.run("sbatch", &arguments, &project.path("."), &[]).status.code()
    };
    // Steps.
    assert_eq!(array("1-7:2", &[]), Some(0));
    for (place, task) in [1, 3, 5, 7].iter().enumerate() {
        let said = project.read(&format!("said-{task}.txt"));
        assert!(said.contains(&format!("shard {place}/4")), "{said}");
    }
    assert_eq!(project.run(&["status", "--array", "--shards", "4"]).stdout.trim(), "");
    // A part of an array that is sent again is not taken for a whole one.
    assert_eq!(array("3,7", &[]), Some(2));
    assert!(
        project.read("said-7.txt").contains("with gaps"),
        "{}",
        project.read("said-7.txt")
    );
    assert_eq!(array("3,7", &["--shards", "8"]), Some(0));
    assert!(
        project.read("said-7.txt").contains("shard 7/8"),
        "{}",
        project.read("said-7.txt")
    );
}
