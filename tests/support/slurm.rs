//! A real Slurm of one machine, in a folder of its own: its daemons run for as long as this lives. It needs root, and no
//! service, no munge and no database.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::needs::{Need, found_or_skip};

/// Slurm's daemons.
pub struct Slurm {
    folder: TempDir,
}

impl Slurm {
    /// Starts it; none, with a printed reason, where it is not here.
    pub fn start() -> Option<Self> {
        let missing = ["slurmctld", "slurmd", "sbatch", "scancel", "squeue"]
            .into_iter()
            .find(|program| found(program).is_none());
        let root = output("id", &["-u"]).trim() == "0";
        let here = (missing.is_none() && root).then_some(());
        found_or_skip(Need::Slurm, here, || match missing {
            Some(program) => format!("Slurm's `{program}` is not on this machine"),
            None => "Slurm's daemons are started by root only, and this is not root".to_owned(),
        })?;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["state", "spool"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let host = output("hostname", &["-s"]).trim().to_owned();
        let (controller, node) = (free_port(), free_port());
        let settings = [
            ("ClusterName", "test".to_owned()),
            ("SlurmctldHost", format!("{host}(127.0.0.1)")),
            ("SlurmUser", "root".to_owned()),
            ("SlurmdUser", "root".to_owned()),
            ("AuthType", "auth/none".to_owned()),
            ("CredType", "cred/none".to_owned()),
            ("ProctrackType", "proctrack/linuxproc".to_owned()),
            ("TaskPlugin", "task/none".to_owned()),
            ("JobAcctGatherType", "jobacct_gather/none".to_owned()),
            ("SelectType", "select/cons_tres".to_owned()),
            ("SelectTypeParameters", "CR_CPU".to_owned()),
            // So many tasks at once, whatever the machine has.
            ("SlurmdParameters", "config_overrides".to_owned()),
            ("ReturnToService", "2".to_owned()),
            ("MpiDefault", "none".to_owned()),
            ("SwitchType", "switch/none".to_owned()),
            ("KillWait", "15".to_owned()),
            ("StateSaveLocation", path("state")),
            ("SlurmdSpoolDir", path("spool")),
            ("SlurmctldPidFile", path("controller.pid")),
            ("SlurmdPidFile", path("node.pid")),
            ("SlurmctldLogFile", path("controller.log")),
            ("SlurmdLogFile", path("node.log")),
            ("SlurmctldPort", controller.to_string()),
            ("SlurmdPort", node.to_string()),
        ];
        let mut text: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        text += &format!("NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n");
        text += &format!("PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP\n");
        std::fs::write(path("slurm.conf"), text).unwrap();
        let settings = path("slurm.conf");
        let slurm = Self { folder };
        for daemon in ["slurmctld", "slurmd"] {
            let done = slurm.run(daemon, &["-f", &settings], &slurm.path(""), &[]);
            assert!(done.status.success(), "{daemon}: {done:?}");
        }
        wait_for("an idle node", || {
            slurm.said("sinfo", &["-h", "-o", "%T"]).contains("idle")
        });
        Some(slurm)
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program that speaks with it, in a folder.
    pub fn run(&self, program: &str, arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("SLURM_CONF", self.path("slurm.conf"))
            .envs(environment.iter().copied())
            .current_dir(folder)
            .output()
            .unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    /// What one of its commands says.
    pub fn said(&self, program: &str, arguments: &[&str]) -> String {
        let out = self.run(program, arguments, self.folder.path(), &[]);
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Whether a job, or a task of an array (`7_2`), is running now.
    pub fn runs(&self, job: &str) -> bool {
        self.said("squeue", &["-h", "-j", job, "-t", "R", "-o", "%i"])
            .lines()
            .any(|line| line.trim() == job)
    }

    /// Waits until none of these jobs is in the queue.
    pub fn wait(&self, jobs: &[&str]) {
        let list = jobs.join(",");
        wait_for("the end of the jobs", || {
            self.said("squeue", &["-h", "-j", &list, "-o", "%i"]).trim().is_empty()
        });
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        _ = self.run("scancel", &["-u", "root"], &self.path(""), &[]);
        for pid in ["node.pid", "controller.pid"] {
            if let Ok(pid) = std::fs::read_to_string(self.path(pid)) {
                _ = Command::new("kill").arg(pid.trim()).status();
            }
        }
        // Its folder goes after it.
        let began = Instant::now();
        while ["node.pid", "controller.pid"].iter().any(|pid| self.path(pid).exists())
            && began.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(900), "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output();
    out.map_or_else(
        |_| String::new(),
        |out| String::from_utf8_lossy(&out.stdout).into_owned(),
    )
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
