//! What is said of the commands is so: docs/commands.md names every command and option that clap knows, and none that it
//! does not; docs/help.md is what `--help` prints; completions and manual pages have every option. The commands around
//! the others: `init --demo`, `doctor`, `completions`, `man`, `--version`.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use clap::{Command, CommandFactory};
use igsite::cli::{About, Cli};
use support::project::{Project, igsite, igsite_with};

/// The pages in which options are described.
const PAGES: [&str; 3] = ["docs/commands.md", "docs/import.md", "docs/cluster.md"];

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn options(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|one| one.get_long());
    let own = own
        .filter(|long| !["help", "version"].contains(long))
        .map(|long| format!("--{long}"));
    own.chain(command.get_subcommands().flat_map(options)).collect()
}

#[test]
fn every_command_and_option_is_described() {
    let pages: String = PAGES.map(read).concat();
    let commands = Cli::command();
    for command in commands.get_subcommands() {
        let name = format!("`igsite {}", command.get_name());
        assert!(read("docs/commands.md").contains(&name), "{name}");
        for inner in command.get_subcommands() {
            assert!(pages.contains(inner.get_name()), "{name} {}", inner.get_name());
        }
        for option in options(command) {
            assert!(pages.contains(&option), "{name}: {option}");
        }
    }
    for option in options(&commands) {
        assert!(pages.contains(&option), "{option}");
    }
    // The table of commands.
    for line in read("docs/commands.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `igsite "))
    {
        let name = line.split([' ', '`']).next().unwrap();
        assert!(commands.find_subcommand(name).is_some(), "{name}");
    }
}

/// What is written in backticks outside of blocks of code.
fn in_backticks(page: &str) -> Vec<String> {
    let text = read(page);
    let mut outside = String::new();
    for (at, part) in text.split("\n```").enumerate() {
        if at % 2 == 0 {
            outside += part;
        }
    }
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_option_that_the_page_names_is_there() {
    let known: BTreeSet<String> = options(&Cli::command())
        .into_iter()
        .chain(["--help".to_owned(), "--version".to_owned()])
        .collect();
    let mut named = 0;
    for span in in_backticks("docs/commands.md") {
        for word in span.split([' ', '=', '|', '\\']).filter(|word| word.starts_with("--")) {
            assert!(known.contains(word), "docs/commands.md: {word}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

/// Every command with what its `--help` prints, in the order of the help, at a width that pages show without scrolling.
fn helps() -> Vec<(String, String)> {
    fn add(command: &mut Command, name: &str, all: &mut Vec<(String, String)>) {
        all.push((name.to_owned(), command.render_long_help().to_string()));
        for below in command.get_subcommands_mut() {
            let name = format!("{name} {}", below.get_name());
            add(below, &name, all);
        }
    }
    let mut commands = Cli::command().term_width(84).disable_help_subcommand(true);
    commands.build();
    let mut all = Vec::new();
    add(&mut commands, "igsite", &mut all);
    all
}

/// `INSTA_UPDATE=always` writes the page anew, as it does with snapshots.
#[test]
fn the_page_of_helps_is_what_help_prints() {
    let mut page = "# Help of every command\n\n\
                    What `igsite COMMAND --help` prints. [Commands](commands.md) says more of what they do.\n"
        .to_owned();
    for (name, help) in helps() {
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        page += &format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n"));
    }
    let path = root().join("docs/help.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/help.md is not what --help prints: INSTA_UPDATE=always cargo test --test commands writes it anew"
    );
}

#[test]
fn the_binary_prints_these_helps() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["igsite", "igsite build", "igsite store gc"] {
        let words: Vec<&str> = name.split(' ').skip(1).chain(["--help"]).collect();
        let ran = igsite_with(folder.path(), &words, &[("COLUMNS", "84")]);
        ran.ended(0);
        let (_, expected) = helps().into_iter().find(|(known, _)| known == name).unwrap();
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        // The line of `help` is there only where `help` is.
        let printed: Vec<&str> = ran
            .stdout
            .lines()
            .filter(|line| !line.trim_start().starts_with("help  "))
            .collect();
        assert_eq!(plain(&printed.join("\n")), plain(&expected.replace("./", "")), "{name}");
    }
}

#[test]
fn the_version_is_one_line_and_says_what_this_igsite_is() {
    let folder = tempfile::tempdir().unwrap();
    let ran = igsite(folder.path(), &["--version"]);
    ran.ended(0);
    assert_eq!(ran.stdout, format!("igsite {}\n", About::this()));
    for word in [env!("CARGO_PKG_VERSION"), "cpu", "Burn 0.", std::env::consts::ARCH] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    let ran = igsite(folder.path(), &["-V"]);
    assert_eq!(ran.stdout, concat!("igsite ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// A file given to a program's standard input: whether the program is content; none where there is no such program.
fn accepted_by(program: &str, arguments: &[&str], text: &str) -> Option<(bool, String)> {
    use std::io::Write;
    let started = Process::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut started = started.ok()?;
    started.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ended = started.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Some((ended.status.success(), said.concat()))
}

#[test]
fn completions_are_scripts_that_name_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = igsite(folder.path(), &["completions", shell]);
        ran.ended(0);
        for command in Cli::command().get_subcommands() {
            assert!(
                ran.stdout.contains(command.get_name()),
                "{shell}: {}",
                command.get_name()
            );
        }
        assert!(ran.stdout.contains("frozen"), "{shell}");
        // Without running it.
        if ["bash", "zsh", "fish"].contains(&shell)
            && let Some((accepted, said)) = accepted_by(shell, &["-n"], &ran.stdout)
        {
            assert!(accepted, "{shell}: {said}");
        }
    }
    // bash offers what begins so.
    let ran = igsite(folder.path(), &["completions", "bash"]);
    let asked = format!(
        "{}\nCOMP_WORDS=(igsite build --fro); COMP_CWORD=2; _igsite igsite --fro build; echo \"${{COMPREPLY[@]}}\"",
        ran.stdout
    );
    let (accepted, said) = accepted_by("bash", &[], &asked).expect("bash is here, as igsite's own scripts need it");
    assert!(accepted && said.trim() == "--frozen", "{said}");
    assert_eq!(igsite(folder.path(), &["completions", "tcsh"]).code, Some(2));
}

#[test]
fn manual_pages_have_every_option() {
    let project = Project::new();
    let ran = project.run(&["man", "man1"]);
    assert!(ran.ended(0).contains("man -l"), "{}", ran.stderr);
    let pages: BTreeMap<String, Vec<u8>> = project.files("man1").into_iter().collect();
    let mut commands = Cli::command();
    commands.build();
    let mut expected = BTreeSet::new();
    fn look(command: &Command, pages: &BTreeMap<String, Vec<u8>>, expected: &mut BTreeSet<String>) {
        if command.get_name() == "help" {
            return;
        }
        let name = format!("{}.1", command.get_display_name().unwrap_or(command.get_name()));
        let page = String::from_utf8(pages.get(&name).unwrap_or_else(|| panic!("{name}")).clone()).unwrap();
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            // `-` is a hyphen to roff unless it is escaped.
            let written = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(page.contains(&written), "{name}: --{option}");
        }
        assert!(
            !page.contains("AVX") && !page.contains("NEON"),
            "{name} is of this machine"
        );
        expected.insert(name);
        for below in command.get_subcommands() {
            look(below, pages, expected);
        }
    }
    look(&commands, &pages, &mut expected);
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert!(
        expected.contains("igsite.1") && expected.contains("igsite-store-gc.1"),
        "{expected:?}"
    );
    // Without a folder: the first of them.
    let ran = project.run(&["man"]);
    ran.ended(0);
    assert!(ran.stdout.contains(".TH igsite 1"), "{}", ran.stdout);
    if let Some((accepted, said)) = accepted_by("man", &["-l", "--warnings", "-"], &ran.stdout) {
        assert!(accepted && !said.contains("warning"), "{said}");
    }
}

#[test]
fn the_doctor_tells_what_a_report_needs() {
    let project = Project::small();
    project.run(&["compute"]).ended(0);
    let ran = project.run(&["doctor"]);
    ran.ended(0);
    for line in [
        &format!("igsite {}", About::this()),
        "system  ",
        "processor  ",
        "memory  ",
        "cpu  ",
        "cuda  ",
        "hub          huggingface.co (HF_ENDPOINT is not set)",
        "token  ",
        "cache  ",
        "project      PROJECT: ",
        "content      1 experiment, 1 model, 0 pages, 0 imports",
        "records      igsite/record/1, numbers of version ",
        "environment  ",
    ] {
        assert!(
            ran.stdout.lines().any(|found| found.starts_with(line)),
            "{line}:\n{}",
            ran.stdout
        );
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        ran.stdout
            .contains(&format!(" parts, form v2; the newest by igsite {version}\n")),
        "{}",
        ran.stdout
    );
    let ran = project.run(&["doctor", "--json"]);
    ran.ended(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["igsite"]["version"], version);
    assert_eq!(json["igsite"]["features"][0], "cpu");
    assert_eq!(json["devices"][0]["name"], "cpu");
    assert_eq!(json["devices"][0]["there"], true);
    assert_eq!(json["project"]["content"]["Ok"]["experiments"], 1);
    assert_eq!(
        json["project"]["store"]["made_by"][version],
        json["project"]["store"]["parts"]
    );
    assert!(json["system"]["memory"].as_u64().unwrap() > 1 << 20);
    // No project is no failure: somebody may have none yet.
    let ran = Project::new().run(&["doctor"]);
    ran.ended(0);
    assert!(
        ran.stdout
            .contains("content      none: there is no folder content/ here"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_doctor_keeps_secrets() {
    const TOKEN: &str = "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567";
    const OTHER: &str = "hf_zzzzFgHiJkLmNoPqRsTuVwXyZ01234567";
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home/mallory");
    let project = home.join("thesis").join(TOKEN).join("of-mallory");
    std::fs::create_dir_all(project.join("content")).unwrap();
    // A cache outside of the home folder, called after the user and with a token in its name.
    let cache = folder.path().join("scratch/mallory").join(OTHER);
    std::fs::create_dir_all(&cache).unwrap();
    let home_text = home.display().to_string();
    let cache_text = cache.display().to_string();
    let saved = home.join("saved-token");
    std::fs::write(&saved, format!("{OTHER}\n")).unwrap();
    let saved = saved.display().to_string();
    let base = [
        ("HOME", home_text.as_str()),
        ("USER", "mallory"),
        ("LOGNAME", "mallory"),
        ("HF_HUB_CACHE", &cache_text),
        ("HF_ENDPOINT", "https://me:swordfish@hub.example/private?key=opensesame"),
        ("HTTPS_PROXY", "http://me:swordfish@proxy.example:3128"),
        ("AWS_SECRET_ACCESS_KEY", "opensesame"),
    ];
    let tokens: [&[(&str, &str)]; 4] = [
        &[("HF_TOKEN", TOKEN)],
        &[("HF_TOKEN_PATH", &saved)],
        &[("HF_TOKEN", "bad\nhf_two lines")],
        &[("HF_TOKEN", "short-one"), ("HF_ENDPOINT", "short-one:swordfish")],
    ];
    for tokens in tokens {
        for form in [&["doctor"][..], &["doctor", "--json"], &["doctor", "--verbose"]] {
            let environment: Vec<(&str, &str)> = base.iter().copied().chain(tokens.iter().copied()).collect();
            // The folder's name is said by the test where it runs, so it is given.
            let mut arguments = form.to_vec();
            let project = project.display().to_string();
            arguments.extend(["--project", &project]);
            let ran = igsite_with(Path::new("/"), &arguments, &environment);
            ran.ended(0);
            let said = ran.stdout + &ran.stderr;
            for secret in [
                TOKEN,
                OTHER,
                "mallory",
                &home_text,
                "swordfish",
                "opensesame",
                "private",
                "short-one",
                "hf_two",
                "proxy.example",
            ] {
                assert!(!said.contains(secret), "{form:?} tells {secret}:\n{said}");
            }
            assert!(said.contains("~") && said.contains("[user]"), "{said}");
            assert!(
                said.contains("HTTPS_PROXY") && said.contains("HF_TOKEN"),
                "that they are set is told: {said}"
            );
        }
    }
}

/// The site that the demo makes is the one that the repository makes of its own `content/`: the same content is there,
/// and one experiment of it, built in both places from one store, has the same bytes.
#[test]
fn the_demo_that_init_brings_is_the_repositorys() {
    let project = Project::new();
    let ran = project.run(&["init", "--demo", "d"]);
    assert!(ran.ended(0).contains("igsite build --project d"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "d\n");
    let repository = Process::new("git")
        .args(["ls-files", "-z", "content", "templates", "static"])
        .current_dir(root())
        .output();
    let repository = String::from_utf8(repository.expect("git").stdout).unwrap();
    let mut here = 0;
    for name in repository.split_terminator('\0') {
        let bytes = std::fs::read(root().join(name)).unwrap();
        if name.starts_with("content/") {
            let brought = std::fs::read(project.path("d").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(brought == bytes, "{name} is not the repository's");
            here += 1;
        }
        // The repository as it is checked out, with the templates and static files that the demo does not bring.
        let place = project.path("repository").join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    assert_eq!(project.files("d/content").len(), here, "nothing else");
    // A small share of the experiment: a build for tests computes slowly.
    for folder in ["d", "repository"] {
        let path = project.path(folder).join("content/experiments/claims-contrast.yaml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("count: 8", "count: 1"),
            ("steps: 64", "steps: 4"),
            (
                "methods: [integrated_gradients, shapley]",
                "methods: [integrated_gradients]",
            ),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text = text.replace(from, to);
        }
        std::fs::write(path, text).unwrap();
    }
    let built = |folder: &str| {
        let ran = project.run(&[
            "build",
            "--project",
            folder,
            "--experiment",
            "claims-contrast",
            "--device",
            "cpu",
            "--offline",
        ]);
        ran.ended(0).to_owned()
    };
    let said = built("d");
    assert!(said.contains(", 8 maps computed, 0 kept"), "{said}");
    // Seconds and dates of a record are those of its computation: one store for both.
    for (name, bytes) in project.files("d/.igsite/store") {
        let place = project.path("repository/.igsite/store").join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
    let said = built("repository");
    assert!(said.contains(", 0 maps computed, 8 kept"), "the same keys: {said}");
    let sites = ["d/site", "repository/site"].map(|site| project.files(site));
    let names = |site: &[(String, Vec<u8>)]| site.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&sites[0]), names(&sites[1]));
    assert!(sites[0].len() > 30, "{}", sites[0].len());
    for ((name, demo), (_, repository)) in sites[0].iter().zip(&sites[1]) {
        assert!(demo == repository, "{name} differs");
    }
    // Git takes the demo's models, and what a build leaves that belongs to the machine it leaves.
    let git = |arguments: &[&str]| {
        let ran = Process::new("git")
            .args(arguments)
            .current_dir(project.path("d"))
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    git(&["init", "-q", "."]);
    git(&["add", "-A"]);
    let taken = git(&["ls-files"]);
    assert!(
        taken.contains("content/models/demo-llama/model.safetensors\n"),
        "{taken}"
    );
    assert!(
        taken.contains(".igsite/store/") && !taken.contains("site/index.html"),
        "{taken}"
    );
    // It does not come among the files of another project.
    let ran = project.run(&["init", "--demo", "d"]);
    assert!(ran.ended(2).contains("already there: content"), "{}", ran.stderr);
}
