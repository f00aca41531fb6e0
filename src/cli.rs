//! The command line: arguments, options, exit codes.

mod version;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::device::DeviceChoice;
use crate::terms::Shard;
pub use version::About;

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
#[command(version, long_version = version::line(), about, long_about = None, propagate_version = true)]
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
#[allow(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub enum Command {
    /// Compute what is missing and write the site
    Build(Build),
    /// Compute what is missing, all of it or a share, and write no site
    Compute(Compute),
    /// Say what is computed and what is missing
    Status(Status),
    /// List, verify, tidy up and merge record stores
    #[command(subcommand)]
    Store(StoreCommand),
    /// Explain one prompt: its map in the terminal
    Explain(Explain),
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
    /// Print what a bug report needs of this machine, this igsite and this project, without names and tokens
    Doctor(Doctor),
    /// Print what a shell needs to complete commands and options
    Completions(Completions),
    /// Print the manual page, or write a page for each command into a folder
    Man(Man),
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

/// `igsite compute`
#[derive(Clone, Debug, Args)]
pub struct Compute {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Where it is computed.
    #[command(flatten)]
    pub place: Where,
    /// The share I of N, from 0 [default: as the environment of Slurm, Kubernetes, PBS, LSF or AWS Batch says, else all]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// How many shares there are, where the environment says only which one this is [env: IGSITE_SHARDS]
    #[arg(long, value_name = "N", value_parser = shards)]
    pub shards: Option<usize>,
    /// How long SIGTERM and SIGINT let the maps under way go on
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub grace: f64,
    /// Where parts and plans go, for `igsite store merge` [default: .igsite/ in the project]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

fn shards(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "expected a number of shards, 1 or more".to_owned())
}

/// `igsite status`
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Which experiments.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Where it is computed, which need not be here [default: as kept plans say, else as on this machine]
    #[arg(long, value_name = "DEVICE", default_value = "auto", hide_default_value = true)]
    pub device: DeviceChoice,
    /// Print the shards that have work left as Slurm's `--array` takes them, such as 3,7-9; nothing if there are none
    #[arg(long)]
    pub array: bool,
    /// How many shards there are [env: IGSITE_SHARDS]
    #[arg(long, value_name = "N", value_parser = shards)]
    pub shards: Option<usize>,
}

/// `igsite store`
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// List parts by experiment, model and method, with size and age
    Ls,
    /// Read every byte: what is damaged is named and set aside, and the next build computes it again
    Verify,
    /// Remove what no experiment of the project uses, drafts included
    Gc(Gc),
    /// Copy what other stores have into the project's own, each part checked
    Merge(Merge),
}

/// `igsite store gc`
#[derive(Clone, Debug, Args)]
pub struct Gc {
    /// Name what would go, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `igsite store merge`
#[derive(Clone, Debug, Args)]
pub struct Merge {
    /// Projects, their .igsite folders, or folders that `igsite compute --store` has filled
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
}

/// `igsite explain`
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The prompt; `-`, or none, reads it from standard input
    #[arg(value_name = "PROMPT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// A folder with a checkpoint, a .gguf file, a repository of the hub (owner/name, owner/name@revision,
    /// owner/name/file.gguf), or a model of the project
    #[arg(long, short, value_name = "MODEL")]
    pub model: String,
    /// What is explained: predicted, generated, the text of a token, or as in an experiment: '{contrast: [...]}'
    #[arg(
        long,
        short,
        value_name = "TARGET",
        default_value = "predicted",
        allow_hyphen_values = true
    )]
    pub target: String,
    /// Where the path starts: zero, mean, pad, eos, bos, unk, '{token: "."}' or '{zero: {from: 0.0001}}'
    #[arg(long, short, value_name = "BASELINE", default_value = "zero")]
    pub baseline: String,
    /// integrated_gradients, gradient_x_input, gim, occlusion or shapley
    #[arg(long, value_name = "METHOD", default_value = "integrated_gradients")]
    pub method: String,
    /// probability, logit or log_probability
    #[arg(long, value_name = "OUTPUT", default_value = "probability")]
    pub output: String,
    /// What occlusion and shapley take away at a time: token, word, sentence or segment
    #[arg(long, value_name = "UNITS")]
    pub units: Option<String>,
    /// The rule of the path integral: adaptive, or a fixed one such as gauss_legendre
    #[arg(long, value_name = "RULE")]
    pub quadrature: Option<String>,
    /// Points of a fixed rule
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Bound on the error and on the delta of the adaptive rule
    #[arg(long, value_name = "SHARE")]
    pub tolerance: Option<f64>,
    /// Put the prompt into the model's chat template
    #[arg(long)]
    pub chat: bool,
    /// What the model computes in: auto, f32, f16, bf16 or f64
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<String>,
    /// How its linear layers are quantised: none, fp4 or nf4
    #[arg(long, value_name = "CODE")]
    pub quantization: Option<String>,
    /// What scores are summed to in the picture
    #[arg(long, value_name = "UNIT", default_value = "word")]
    pub by: ScoresBy,
    /// Columns of the picture [default: the terminal's, else 80]
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Write the record as JSON (docs/site.md), not the picture
    #[arg(long)]
    pub json: bool,
    /// Where it is computed.
    #[command(flatten)]
    pub place: Where,
}

/// What scores are summed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoresBy {
    /// Words.
    Word,
    /// Tokens.
    Token,
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
    /// The demo, with its four small models: builds as it is, without a network
    #[arg(long)]
    pub demo: bool,
    /// Also a script for a job array of Slurm, slurm.sh; to a project that is there it is added
    #[arg(long)]
    pub slurm: bool,
    /// Also a manifest for an Indexed Job of Kubernetes, kubernetes.yaml; to a project that is there it is added
    #[arg(long)]
    pub kubernetes: bool,
}

/// `igsite doctor`
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `igsite completions`
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `igsite man`
#[derive(Clone, Debug, Args)]
pub struct Man {
    /// Where the pages go, such as ~/.local/share/man/man1; without it igsite(1) is printed
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}
