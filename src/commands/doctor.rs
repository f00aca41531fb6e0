//! `igsite doctor`: what a bug report needs, and nothing that is nobody's business: tokens, the user's name and the
//! home folder are taken out of every text, whichever way it came in.

mod discreet;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use self::discreet::Discreet;
use super::counted;
use super::devices;
use super::report::Report;
use crate::cli::{About, Doctor, ExitStatus, Global};
use crate::content::project::{Counts, Project};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hub::standing::{self, Standing, TokenPlace};
use crate::model::device::available_memory;
use crate::model::device::listing::{self, Listed};
use crate::progress::bytes;
use crate::store::key::NUMERICS_VERSION;
use crate::store::parts::PartFile;
use crate::store::record::SCHEMA;
use crate::store::{FORMAT, Store};

/// Parts that are opened to see who made them: a large store has very many.
const OPENED: usize = 500;

/// Variables that change what igsite does. Their names are told, never their values.
const VARIABLES: [&str; 20] = [
    "ALL_PROXY",
    "CUDA_VISIBLE_DEVICES",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "HUGGINGFACE_HUB_CACHE",
    "IGSITE_SHARDS",
    "NO_COLOR",
    "NO_PROXY",
    "RAYON_NUM_THREADS",
    "RUST_BACKTRACE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
];

/// What is found.
#[derive(Serialize)]
struct Findings {
    igsite: About,
    system: Machine,
    devices: Vec<Device>,
    hub: Standing,
    project: Found,
    /// Those of [`VARIABLES`] that are set.
    environment: Vec<&'static str>,
}

/// The machine.
#[derive(Serialize)]
struct Machine {
    os: Option<String>,
    kernel: Option<String>,
    processor: Option<String>,
    /// Cores that are there; none where the system does not say.
    cores: Option<usize>,
    /// Threads that igsite computes with.
    threads: usize,
    /// Bytes.
    memory: u64,
    /// Bytes that may still be taken.
    memory_free: u64,
}

/// What `--device` can take, or why it cannot.
#[derive(Serialize)]
struct Device {
    name: String,
    there: bool,
    /// As `igsite devices` says it.
    what: String,
}

/// The project.
#[derive(Serialize)]
struct Found {
    folder: PathBuf,
    /// What it has, or why there is none.
    content: Result<Counts, String>,
    /// Bytes that its disk has free, where the system says.
    free: Option<u64>,
    store: Option<Kept>,
    /// The form of records that this igsite publishes.
    record: &'static str,
    /// The version of the numbers that this igsite computes.
    numerics: u32,
}

/// Its store.
#[derive(Serialize)]
struct Kept {
    /// The form of parts that this igsite reads.
    form: &'static str,
    parts: usize,
    bytes: u64,
    /// Files that are no parts of this form.
    others: usize,
    /// The versions of igsite that made the newest parts, with how many each.
    made_by: BTreeMap<String, usize>,
    /// Why it cannot be read, where it cannot.
    error: Option<String>,
}

pub fn run(global: &Global, arguments: &Doctor, report: &Report) -> Result<ExitStatus, Diagnostics> {
    let hub = Standing::read();
    let discreet = Discreet::here(hub.secret.clone());
    let findings = Findings {
        igsite: About::this(),
        system: Machine::this(),
        devices: listing::all().iter().map(device).collect(),
        hub,
        project: Found::at(&global.project),
        environment: VARIABLES
            .into_iter()
            .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
            .collect(),
    };
    if arguments.json {
        let json = serde_json::to_value(&findings).map_err(written)?;
        let json = serde_json::to_string_pretty(&discreet.json(json)).map_err(written)?;
        report.result(&json);
    } else {
        report.result(&discreet.text(&findings.lines().join("\n")));
    }
    Ok(ExitStatus::Done)
}

fn written(error: serde_json::Error) -> Diagnostic {
    Diagnostic::output(format!("cannot write what was found as JSON: {error}"))
}

fn device(listed: &Listed) -> Device {
    Device {
        name: listed.device.clone(),
        there: listed.what.is_ok(),
        what: match &listed.what {
            Ok(found) => devices::told(found),
            Err(why) => why.clone(),
        },
    }
}

impl Machine {
    fn this() -> Self {
        let asked = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(asked);
        let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
        // What a container may have is less than what its machine has.
        let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
        Self {
            os: System::long_os_version(),
            kernel: System::kernel_version(),
            processor: brand.filter(|brand| !brand.is_empty()),
            cores: System::physical_core_count(),
            threads: rayon::current_num_threads(),
            memory: system.total_memory().min(limit),
            memory_free: available_memory().map_or(system.available_memory(), |bytes| bytes as u64),
        }
    }
}

impl Found {
    fn at(folder: &Path) -> Self {
        // With links as they are: a project has the name that its author gave it.
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let content = Project::count(folder).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(|error| error.message.clone()).collect();
            told.join("; ")
        });
        let store = Store::read(folder);
        Self {
            content,
            free: standing::free(&whole),
            store: store.folder().join("store").is_dir().then(|| Kept::of(&store)),
            folder: whole,
            record: SCHEMA,
            numerics: NUMERICS_VERSION,
        }
    }
}

impl Kept {
    fn of(store: &Store) -> Self {
        let found = store.part_files().and_then(|files| Ok((files, store.other_files()?)));
        let (mut files, others, error) = match found {
            Ok((files, others)) => (files, others.len(), None),
            Err(error) => (vec![], 0, Some(error.message)),
        };
        files.sort_by_key(|file: &PartFile| std::cmp::Reverse(file.modified));
        Self {
            form: FORMAT,
            parts: files.len(),
            bytes: files.iter().map(|file| file.size).sum(),
            others,
            made_by: Store::made_by(&files[..files.len().min(OPENED)]),
            error,
        }
    }
}

impl Findings {
    /// As people read it.
    fn lines(&self) -> Vec<String> {
        let row = |name: &str, what: String| format!("{name:<12} {}", what.replace('\n', "\n             "));
        let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let free =
            |free: Option<u64>| free.map_or("free space unknown".to_owned(), |free| format!("{} free", bytes(free)));
        let (system, hub, project) = (&self.system, &self.hub, &self.project);
        let kernel = system
            .kernel
            .as_ref()
            .map_or(String::new(), |kernel| format!(", kernel {kernel}"));
        let cores = system
            .cores
            .map_or(String::new(), |cores| format!("{}, ", counted(cores, "core")));
        let gibibytes = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        let mut lines = vec![
            format!("igsite {}", self.igsite),
            row("system", format!("{}{kernel}", or_unknown(&system.os))),
            row(
                "processor",
                format!("{}; {}", or_unknown(&system.processor), self.igsite.instructions),
            ),
            row("cores", format!("{cores}{} used", counted(system.threads, "thread"))),
            row(
                "memory",
                format!("{}, {} free", gibibytes(system.memory), gibibytes(system.memory_free)),
            ),
            String::new(),
        ];
        lines.extend(self.devices.iter().map(|device| row(&device.name, device.what.clone())));
        let cache = &hub.cache;
        let held = match cache.exists {
            true => format!("{} in {}", bytes(cache.bytes), counted(cache.files, "file")),
            false => "not there yet".to_owned(),
        };
        let may = if cache.can_be_written {
            "can be written"
        } else {
            "cannot be written"
        };
        let by = if hub.endpoint_set {
            "by HF_ENDPOINT"
        } else {
            "HF_ENDPOINT is not set"
        };
        let token = match hub.token {
            TokenPlace::None => "none",
            TokenPlace::Variable => "set by HF_TOKEN",
            TokenPlace::File => "saved in a file",
            TokenPlace::Broken => "cannot be read",
        };
        lines.extend([
            String::new(),
            row(
                "hub",
                match &hub.host {
                    Ok(host) => format!("{host} ({by})"),
                    Err(error) => error.clone(),
                },
            ),
            row("token", token.to_owned()),
            row(
                "network",
                if hub.offline {
                    "forbidden by HF_HUB_OFFLINE"
                } else {
                    "allowed"
                }
                .to_owned(),
            ),
            row(
                "cache",
                format!("{}: {held}; {may}; {}", cache.folder.display(), free(cache.free)),
            ),
            String::new(),
            row(
                "project",
                format!("{}: {}", project.folder.display(), free(project.free)),
            ),
            row(
                "content",
                match &project.content {
                    Ok(has) => format!(
                        "{}, {}, {}, {}",
                        counted(has.experiments, "experiment"),
                        counted(has.models, "model"),
                        counted(has.pages, "page"),
                        counted(has.imports, "import")
                    ),
                    Err(error) => format!("none: {error}"),
                },
            ),
            row("store", project.store.as_ref().map_or("none".to_owned(), Kept::line)),
            row(
                "records",
                format!("{}, numbers of version {}", project.record, project.numerics),
            ),
            String::new(),
            row(
                "environment",
                match self.environment.as_slice() {
                    [] => "nothing that matters".to_owned(),
                    set => format!("{} (values are not told)", set.join(" ")),
                },
            ),
        ]);
        lines
    }
}

impl Kept {
    fn line(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let mut line = format!(
            "{} in {}, form {}",
            bytes(self.bytes),
            counted(self.parts, "part"),
            self.form
        );
        if !self.made_by.is_empty() {
            let versions: Vec<&str> = self.made_by.keys().map(String::as_str).collect();
            line += &format!("; the newest by igsite {}", versions.join(", "));
        }
        if self.others > 0 {
            line += &format!("; {} of other forms", counted(self.others, "file"));
        }
        line
    }
}
