//! `igsite devices`: what `--device` can take on this machine.

use super::report::Report;
use crate::cli::ExitStatus;
use crate::diagnostic::Diagnostics;
use crate::model::device::listing::{self, Found, Listed};

pub fn run(report: &Report) -> Result<ExitStatus, Diagnostics> {
    let lines: Vec<String> = listing::all().iter().map(line).collect();
    report.result(&lines.join("\n"));
    Ok(ExitStatus::Done)
}

/// `vulkan:0  NVIDIA H200, 139.8 GiB; f32, f16; driver NVIDIA 550.54.14`
fn line(listed: &Listed) -> String {
    let what = match &listed.what {
        Ok(found) => told(found),
        Err(why) => why.replace("\n  ", "\n           "),
    };
    format!("{:<10} {what}", listed.device)
}

/// A device that is there, in words.
pub fn told(found: &Found) -> String {
    let memory = found.memory.map_or_else(
        || "memory unknown".to_owned(),
        |bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    );
    let dtypes: Vec<String> = found.dtypes.iter().map(ToString::to_string).collect();
    let driver = found
        .driver
        .as_ref()
        .map_or(String::new(), |driver| format!("; driver {driver}"));
    let software = if found.software {
        "; software, for tests: `cpu` is faster and `auto` never takes it"
    } else {
        ""
    };
    format!("{}, {memory}; {}{driver}{software}", found.name, dtypes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Dtype;

    #[test]
    fn a_line_says_who_how_large_and_in_what() {
        let found = Found {
            name: "NVIDIA H200".to_owned(),
            memory: Some(150 << 30),
            driver: Some("NVIDIA 550.54.14".to_owned()),
            dtypes: vec![Dtype::F32, Dtype::Bf16],
            software: false,
        };
        let there = Listed {
            device: "cuda:0".to_owned(),
            what: Ok(found),
        };
        assert_eq!(
            line(&there),
            "cuda:0     NVIDIA H200, 150.0 GiB; f32, bf16; driver NVIDIA 550.54.14"
        );
        let missing = Listed {
            device: "metal".to_owned(),
            what: Err("none\n  help: buy one".to_owned()),
        };
        assert_eq!(line(&missing), "metal      none\n           help: buy one");
    }
}
