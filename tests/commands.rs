//! docs/commands.md names every command and option that `--help` does, and no command that it does not.

use clap::{Command, CommandFactory};
use igsite::cli::Cli;

/// The pages in which options are described.
const PAGES: [&str; 3] = ["docs/commands.md", "docs/import.md", "docs/cluster.md"];

fn read(page: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
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
