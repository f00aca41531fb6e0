//! What the engines under Burn say to the log, and to nobody else.
//!
//! cubecl runs kernels on a thread of its own. A task of it that panics is caught, told to the log as a warning, and
//! forgotten: its output stays as it was (cubecl-common's `channel.rs`). So igsite is the log, and what it hears of a
//! failure is the failure of what was being computed.

use std::sync::{Mutex, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// What was heard since the last question.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
static INSTALLED: Once = Once::new();

struct Sink;

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if is_failure(record.level(), record.target(), &record.args().to_string()) {
            let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
            // The first says most; a device that is lost says much.
            if heard.len() < 16 {
                heard.push(record.args().to_string());
            }
        }
    }

    fn flush(&self) {}
}

/// Whether a line of the log says that something was not computed.
fn is_failure(level: Level, target: &str, text: &str) -> bool {
    let of = |module: &str| {
        target
            .strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    // Candidates that do not run are no candidates any more: a tuner's daily work.
    if of("cubecl_runtime::tune") || of("cubecl_runtime::throughput") {
        return false;
    }
    // Where tasks of the device's thread are caught; and what a graphics API refuses.
    let tasks = of("cubecl_common::device") || text.starts_with("Task failed") || text.starts_with("wgpu validation");
    let engine = ["cubecl", "cubek", "burn", "wgpu", "naga"]
        .iter()
        .any(|name| target.starts_with(name));
    tasks || level == Level::Error && engine
}

/// Begins to listen, once in a process. A program that has its own log keeps it, and then nothing is heard.
pub fn install() {
    INSTALLED.call_once(|| {
        if log::set_logger(&Sink).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
    });
}

/// The first failure that was heard since the last time that this was asked.
pub fn heard() -> Option<String> {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    let first = heard.first().cloned();
    heard.clear();
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_from_what_is_usual() {
        let task = "Task failed: CallError(Panic(\"index out of bounds\"))";
        assert!(is_failure(Level::Warn, "cubecl_common::device::handle::channel", task));
        assert!(is_failure(
            Level::Warn,
            "cubecl_common::device::handle::channel",
            "CallError(…)"
        ));
        assert!(is_failure(
            Level::Error,
            "cubecl_wgpu::backend::base",
            "WGSL compilation failed"
        ));
        assert!(is_failure(
            Level::Warn,
            "cubecl_wgpu::compute::stream",
            "wgpu validation: …"
        ));
        assert!(!is_failure(
            Level::Warn,
            "cubecl_server::command::base",
            "device allocation of 5 B failed (…); reclaiming and retrying"
        ));
        assert!(!is_failure(
            Level::Error,
            "cubecl_runtime::tune::tune_benchmark",
            "no eviction"
        ));
        assert!(!is_failure(Level::Error, "hyper::client", "no route to host"));
    }
}
