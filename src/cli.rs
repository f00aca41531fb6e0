//! The command line: arguments, options, exit codes.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::device::DeviceChoice;

/// How the process ends; the numbers are part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Wrong usage or invalid content.
    Invalid,
    /// Built, but a map misses its quality bar and `--strict` was given.
    BelowBar,
    /// Stopped by a signal, with all finished work kept: run it again (`EX_TEMPFAIL`).
    Stopped,
}

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::BelowBar => 3,
            Self::Stopped => 75,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// A static report site generator for language-model attribution.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, propagate_version = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The project's folder
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Colour in messages; `auto` honours NO_COLOR and leaves files and pipes plain
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When messages are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compute what is missing and write the site
    Build(Build),
    /// Show the site in a browser, and build again whenever something changes
    Serve(Serve),
    /// Read everything that a build would read, and tell every error, without running a model
    Check(Check),
    /// Bring the models and data sets of the hub that experiments name, for later runs without a network
    Fetch(Fetch),
    /// Take in maps that another program computed, as an experiment of the project
    Import(Import),
    /// Make a new project
    Init(Init),
    /// List what `--device` can take here, with memory and what each computes in
    Devices,
}

/// Which experiments.
#[derive(Clone, Debug, Args)]
pub struct Chosen {
    /// Only this experiment (again for more): a site has no others then; a draft that is named is built
    #[arg(long, value_name = "NAME")]
    pub experiment: Vec<String>,
    /// Drafts too
    #[arg(long)]
    pub drafts: bool,
}

/// Where it is computed.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// auto, cpu, cuda, cuda:N, cuda:N,N (shared out among several), vulkan, vulkan:N or metal; `igsite devices` lists them
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Never ask the network; models and data sets of the hub come from the cache (`HF_HUB_OFFLINE=1` says the same)
    #[arg(long)]
    pub offline: bool,
}

/// `igsite build`
#[derive(Clone, Debug, Args)]
pub struct Build {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Where it is computed.
    #[command(flatten)]
    pub place: Where,
    /// Where the site goes [default: site/ in the project]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Where the site will be published, for the sitemap and canonical links; a domain of your own also goes into
    /// static/CNAME
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Exit with 3 if a map misses its quality bar
    #[arg(long)]
    pub strict: bool,
    /// Load no model and ask no network: build from what `.igsite/store` and `.igsite/plans` keep, and exit with 1 if
    /// a map is missing there or content it depends on has changed. Checkpoints and tokenizers need not be on the
    /// machine
    #[arg(long)]
    pub frozen: bool,
}

/// `igsite serve`
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Where it is computed.
    #[command(flatten)]
    pub place: Where,
    /// Where the site goes [default: .igsite/serve/ in the project]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The port; 0 takes any that is free [default: the first free one from 8080]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The address to listen at; others than loopback let other machines read the site
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub address: IpAddr,
}

/// `igsite check`
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Where it would be computed.
    #[command(flatten)]
    pub place: Where,
}

/// `igsite fetch`
#[derive(Clone, Debug, Args)]
pub struct Fetch {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// `igsite import`
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// Files of maps: JSON Lines as docs/import.md describes them, or what inseq saves; packed with gzip or not
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What the experiment is called [default: as the maps say, or the first file's name]
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// Its title
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// The id of the model that inseq explained [default: made from inseq's name for it]
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// The version of inseq, which its files do not tell
    #[arg(long, value_name = "VERSION")]
    pub tool_version: Option<String>,
    /// Of each sequence that inseq explained, the first N generated tokens only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Overwrite maps that were imported under this name before
    #[arg(long)]
    pub force: bool,
}

/// `igsite init`
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// The new project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}
