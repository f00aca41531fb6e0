//! What is packed and released, as far as it can be tried without GitHub: the crate's files, the scripts of
//! `.github/scripts/`, the action `setup-igsite` against a folder in the place of GitHub, and what the workflows name.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const LINUX: &str = "x86_64-unknown-linux-gnu";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a command says on standard output, and all that it says; whether it ended well.
fn said(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (status.success(), out.clone(), out + &err)
}

/// Runs a script of the repository, which is to end well; what it says.
fn script(name: &str, arguments: &[&Path]) -> String {
    let (ended, out, all) = said(Command::new(root().join(name)).args(arguments));
    assert!(ended, "{name} {arguments:?}: {all}");
    out
}

/// A file that can be run. Another process writes it: a handle of this one would be handed on to the children of other
/// tests for a moment, and a program that someone has open for writing cannot be run ("Text file busy").
fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (ended, _, all) = said(
        Command::new("sh")
            .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(path)
            .arg(text),
    );
    assert!(ended, "{}: {all}", path.display());
}

/// A folder with a program that stands for the binary, so that nothing is compiled once more.
fn built(folder: &Path, name: &str) -> PathBuf {
    let built = folder.join("built");
    program(&built.join(name), "#!/bin/sh\necho it runs\n");
    built
}

fn archive(name: &str, built: &Path, out: &Path) {
    let (ended, _, all) = said(
        Command::new(root().join(".github/scripts/archive.sh"))
            .arg(name)
            .args([built, out]),
    );
    assert!(ended, "{all}");
}

#[test]
fn the_crate_has_what_is_compiled_and_little_else() {
    let listed = said(
        Command::new(env!("CARGO"))
            .args(["package", "--list", "--allow-dirty", "--offline"])
            .current_dir(root()),
    );
    assert!(listed.0, "{}", listed.2);
    let listed: BTreeSet<&str> = listed.1.lines().collect();
    let known = said(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root()),
    );
    if !known.0 {
        // No clone, or no git.
        return;
    }
    let known: BTreeSet<&str> = known.1.lines().collect();
    // What git ignores may be a checkpoint of others.
    let generated = ["Cargo.lock", "Cargo.toml.orig", ".cargo_vcs_info.json"];
    let foreign: Vec<_> = listed
        .difference(&known)
        .filter(|name| !generated.contains(name))
        .collect();
    assert!(foreign.is_empty(), "packed, and unknown to git: {foreign:?}");
    // The demo and the built-in look are inside the binary.
    for folder in ["content/", "static/", "templates/"] {
        let missing: Vec<_> = known
            .difference(&listed)
            .filter(|name| name.starts_with(folder))
            .collect();
        assert!(missing.is_empty(), "not packed: {missing:?}");
    }
    for name in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "src/main.rs",
    ] {
        assert!(listed.contains(name), "{name} is not packed");
    }
    for folder in ["tests/", "docs/", "examples/", "benches/", "fuzz/", ".github/", ".ci/"] {
        assert!(
            !listed.iter().any(|name| name.starts_with(folder)),
            "{folder} is packed"
        );
    }
    let bytes: u64 = listed
        .iter()
        .filter_map(|name| fs::metadata(root().join(name)).ok())
        .map(|found| found.len())
        .sum();
    assert!(bytes < 8_000_000, "{bytes} bytes");
}

#[test]
fn an_archive_is_named_as_binstall_looks_for_it_and_holds_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let manifest = read(&root().join("Cargo.toml"));
    let value = |key: &str| {
        let line = manifest
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.unwrap().trim_end_matches('"').to_owned()
    };
    for (target, binary, suffix) in [
        (LINUX, "igsite", ".tar.gz"),
        ("x86_64-pc-windows-msvc", "igsite.exe", ".zip"),
    ] {
        let built = built(folder.path(), binary);
        archive(&format!("igsite-{target}"), &built, &out);
        let filled = |template: &str| {
            template
                .replace("{ repo }", env!("CARGO_PKG_REPOSITORY"))
                .replace("{ name }", "igsite")
                .replace("{ bin }", "igsite")
                .replace("{ version }", VERSION)
                .replace("{ target }", target)
                .replace("{ archive-suffix }", suffix)
                .replace("{ binary-ext }", binary.strip_prefix("igsite").unwrap())
        };
        let address = filled(&value("pkg-url"));
        assert!(
            address.starts_with(&format!(
                "https://github.com/igsite/igsite/releases/download/v{VERSION}/"
            )),
            "{address}"
        );
        let archive = out.join(address.rsplit('/').next().unwrap());
        assert!(archive.is_file(), "{}", archive.display());
        let unpacked = folder.path().join(target);
        fs::create_dir(&unpacked).unwrap();
        let mut unpack = if suffix == ".zip" {
            let mut command = Command::new("python3");
            command.args(["-m", "zipfile", "-e"]).args([&archive, &unpacked]);
            command
        } else {
            let mut command = Command::new("tar");
            command.arg("-xzf").arg(&archive).arg("-C").arg(&unpacked);
            command
        };
        let (ended, _, all) = said(&mut unpack);
        assert!(ended, "{all}");
        let binary = unpacked.join(filled(&value("bin-dir")));
        assert_eq!(read(&binary), read(&built.join(binary.file_name().unwrap())));
        for beside in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
            assert!(binary.with_file_name(beside).is_file(), "{beside}");
        }
    }
    script(".github/scripts/checksums.sh", &[&out]);
    let sums = read(&out.join("sha256.sum"));
    assert_eq!(sums.lines().count(), 2, "{sums}");
    let name = format!("igsite-{LINUX}-v{VERSION}.tar.gz");
    fs::write(out.join(&name), "changed").unwrap();
    let changed = said(Command::new(root().join(".github/scripts/checksums.sh")).arg(&out));
    assert!(!changed.0 && changed.2.contains(&name), "{}", changed.2);
}

#[test]
fn images_are_made_of_the_archives_of_linux() {
    let folder = tempfile::tempdir().unwrap();
    let (out, context) = (folder.path().join("out"), folder.path().join("context"));
    let built = built(folder.path(), "igsite");
    for target in [LINUX, "aarch64-unknown-linux-gnu", "cuda-x86_64-unknown-linux-gnu"] {
        archive(&format!("igsite-{target}"), &built, &out);
    }
    script(".github/scripts/image-context.sh", &[&out, &context]);
    let recipe = read(&root().join("Containerfile"));
    let copied: Vec<&str> = recipe
        .lines()
        .filter(|line| line.starts_with("COPY"))
        .map(|line| line.split(' ').rev().nth(1).unwrap())
        .collect();
    assert_eq!(copied, ["${TARGETARCH}/igsite", "amd64/igsite-cuda"]);
    for architecture in ["amd64", "arm64"] {
        for path in &copied {
            let place = context.join(path.replace("${TARGETARCH}", architecture));
            let mode = fs::metadata(&place).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{}", place.display());
        }
    }
    let none = said(
        Command::new(root().join(".github/scripts/image-context.sh")).args([&context, &folder.path().join("other")]),
    );
    assert!(!none.0 && none.2.contains("no archive of Linux"), "{}", none.2);
}

#[test]
fn a_release_has_the_notes_of_its_version() {
    // A repository of its own, whose changelog can be written.
    let folder = tempfile::tempdir().unwrap();
    let scripts = folder.path().join(".github/scripts");
    fs::create_dir_all(&scripts).unwrap();
    for name in ["notes.sh", "version.sh"] {
        program(&scripts.join(name), &read(&root().join(".github/scripts").join(name)));
    }
    for name in ["Cargo.toml", "CITATION.cff"] {
        fs::copy(root().join(name), folder.path().join(name)).unwrap();
    }
    let log = format!(
        "# Changelog\n\n## [Unreleased]\n\nlater\n\n## [{VERSION}] - 2026-12-01\n\n### Added\n\n- this\n\n## [0.0.1]\n\nearlier\n\n[0.0.1]: https://example.org\n"
    );
    fs::write(folder.path().join("CHANGELOG.md"), &log).unwrap();
    let notes = |tag: &str| said(Command::new(scripts.join("notes.sh")).arg(tag));
    let (ended, out, all) = notes(&format!("v{VERSION}"));
    assert!(ended, "{all}");
    assert_eq!(out.trim(), "### Added\n\n- this");
    let (ended, _, all) = notes("v9.9.9");
    assert!(!ended && all.contains(&format!("the tag must be v{VERSION}")), "{all}");
    fs::write(
        folder.path().join("CHANGELOG.md"),
        log.replace("- this\n", "").replace("### Added\n", ""),
    )
    .unwrap();
    let (ended, _, all) = notes(&format!("v{VERSION}"));
    assert!(!ended && all.contains("no section"), "{all}");
}

#[test]
fn the_readme_elsewhere_has_no_link_that_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("README.md");
    fs::copy(root().join("README.md"), &copy).unwrap();
    script(".github/scripts/readme.sh", &[&copy]);
    let text = read(&copy);
    let links: Vec<&str> = text
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(
        links.len() > 40 && links.iter().all(|link| link.starts_with("https://")),
        "{links:?}"
    );
    let at = |kind: &str, file: &str| format!("https://github.com/igsite/igsite/{kind}/v{VERSION}/{file}");
    for link in [at("raw", "docs/images/front-light.png"), at("blob", "docs/methods.md")] {
        assert!(links.contains(&link.as_str()), "{link} in {links:?}");
    }
}

/// `setup-igsite`, against releases in a folder.
struct SetUp {
    folder: tempfile::TempDir,
}

impl SetUp {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = built(folder.path(), "igsite");
        let releases = folder.path().join("releases/download").join(format!("v{VERSION}"));
        archive(&format!("igsite-{LINUX}"), &built, &releases);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, step: &str, variables: &[(&str, &str)]) -> (bool, String) {
        let releases = format!("file://{}", self.path("releases").display());
        let mut command = Command::new(root().join(".github/actions/setup-igsite/setup.sh"));
        command
            .arg(step)
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("SETUP_IGSITE_RELEASES", releases)
            .env("RUNNER_OS", "Linux")
            .env("RUNNER_ARCH", "X64")
            .env("RUNNER_TOOL_CACHE", self.path("tools"))
            .env("GITHUB_OUTPUT", self.path("output"))
            .env("REPOSITORY", "igsite/igsite")
            .env("VERSION", VERSION)
            .env("FOLDER", self.path("installed"))
            .env("ATTESTATION", "auto")
            .envs(variables.iter().copied());
        let (ended, _, all) = said(&mut command);
        (ended, all)
    }

    /// `gh`, which knows of the file or does not.
    fn gh(&self, knows: bool) {
        let text = format!("#!/bin/sh\necho \"gh $*\"\nexit {}\n", u8::from(!knows));
        program(&self.path("bin/gh"), &text);
    }
}

#[test]
fn setup_downloads_a_release_and_looks_at_it() {
    let set_up = SetUp::new();
    let (ended, all) = set_up.run("resolve", &[("VERSION", &format!("v{VERSION}"))]);
    assert!(ended, "{all}");
    let folder = set_up.path("tools").join("igsite").join(VERSION).join(LINUX);
    assert_eq!(
        read(&set_up.path("output")),
        format!("version={VERSION}\ntarget={LINUX}\nfolder={}\n", folder.display())
    );
    set_up.gh(true);
    let (ended, all) = set_up.run("download", &[]);
    assert!(ended && all.contains("gh attestation verify"), "{all}");
    assert!(all.contains("--repo igsite/igsite"), "{all}");
    let (ended, out, _) = said(&mut Command::new(set_up.path("installed/igsite")));
    assert!(ended && out == "it runs\n", "{out}");
}

#[test]
fn setup_refuses_what_is_not_there_or_not_what_it_should_be() {
    let set_up = SetUp::new();
    for version in ["", "newest", "1.0", "1.0.0; rm -rf /"] {
        let (ended, all) = set_up.run("resolve", &[("VERSION", version)]);
        assert!(!ended && all.contains("expected a release as"), "{version}: {all}");
    }
    let (ended, all) = set_up.run("resolve", &[("RUNNER_ARCH", "X86")]);
    assert!(
        !ended && all.contains("no binary for Linux on X86") && all.contains("cargo install"),
        "{all}"
    );
    let (ended, all) = set_up.run("download", &[("VERSION", "9.9.9")]);
    assert!(!ended && all.contains("Is v9.9.9 released?"), "{all}");
    set_up.gh(false);
    let (ended, all) = set_up.run("download", &[]);
    assert!(!ended && all.contains("GitHub does not know"), "{all}");
    let (ended, all) = set_up.run("download", &[("ATTESTATION", "false")]);
    assert!(ended, "{all}");
    let archive = set_up
        .path("releases/download")
        .join(format!("v{VERSION}/igsite-{LINUX}-v{VERSION}.tar.gz"));
    fs::write(archive, "changed").unwrap();
    let (ended, all) = set_up.run("download", &[("ATTESTATION", "false")]);
    assert!(!ended && all.contains("is not what its checksum says"), "{all}");
}

/// The workflows and the action, by file name.
fn workflows() -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(root().join(".github/actions/setup-igsite/action.yml"));
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let value = serde_yaml::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, value)
        })
        .collect()
}

/// Every step of a workflow or an action.
fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_mapping();
    let of_jobs = jobs.into_iter().flatten().map(|(_, job)| job);
    of_jobs
        .chain([&workflow["runs"]])
        .filter_map(|job| job["steps"].as_sequence())
        .flatten()
        .collect()
}

#[test]
fn workflows_have_least_rights_and_name_what_is_there() {
    for (name, workflow) in workflows() {
        if name != "action.yml" {
            assert_eq!(
                workflow["permissions"],
                serde_yaml::from_str::<Value>("{contents: read}").unwrap(),
                "{name}"
            );
        }
        for step in steps(&workflow) {
            if let Some(used) = step["uses"].as_str() {
                let (action, version) = used.split_once('@').unwrap();
                // Those of others are taken by commit: a tag can be moved.
                let commit = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(commit || action.starts_with("actions/"), "{name}: {used}");
            }
            let run = step["run"].as_str().unwrap_or_default();
            for word in run
                .split_whitespace()
                .filter(|word| word.starts_with(".github/scripts/"))
            {
                let mode = fs::metadata(root().join(word)).unwrap_or_else(|error| panic!("{name}: {word}: {error}"));
                assert_eq!(mode.permissions().mode() & 0o111, 0o111, "{name}: {word}");
            }
            // What others write (names of branches, titles) comes by the environment, never into a shell's text.
            assert!(!run.contains("${{"), "{name}: {run}");
        }
    }
}

#[test]
fn the_oldest_compiler_is_one_everywhere() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let ci = read(&root().join(".github/workflows/ci.yml"));
    assert!(ci.contains(&format!("rust: \"{oldest}\"")), "ci.yml tests {oldest}");
    let binaries = read(&root().join(".github/workflows/binaries.yml"));
    assert!(
        binaries.contains(&format!("rust-toolchain: \"{oldest}\"")),
        "binaries.yml compiles by {oldest}"
    );
}

#[test]
fn the_wheel_says_what_the_crate_says() {
    let wheel = read(&root().join("pyproject.toml"));
    for (key, value) in [("name", env!("CARGO_PKG_NAME")), ("license", env!("CARGO_PKG_LICENSE"))] {
        assert!(
            wheel.contains(&format!("\n{key} = \"{value}\"\n")),
            "pyproject.toml: {key}"
        );
    }
    assert!(wheel.contains(&format!("Source = \"{}\"", env!("CARGO_PKG_REPOSITORY"))));
    let citation: Value = serde_yaml::from_str(&read(&root().join("CITATION.cff"))).unwrap();
    assert_eq!(citation["version"], VERSION);
    assert_eq!(citation["repository-code"], env!("CARGO_PKG_REPOSITORY"));
}
