//! Which machine and which process this is: what several of them write into one folder must not meet.

use std::path::Path;
use std::sync::OnceLock;

/// The machine's name, as far as it can be part of a file's name.
pub(super) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name: String = found()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
            .take(64)
            .collect();
        if name.is_empty() { "host".to_owned() } else { name }
    })
}

#[cfg(unix)]
fn found() -> String {
    let mut name = [0u8; 256];
    // SAFETY: the buffer is ours, and its length is what is said; the last byte stays 0 whatever is written.
    let done = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    match done {
        0 => String::from_utf8_lossy(&name[..end]).into_owned(),
        _ => String::new(),
    }
}

#[cfg(not(unix))]
fn found() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// The beginning of the names of files that this process writes: machine and process.
pub(super) fn stamp() -> String {
    format!("{}-{}", name(), std::process::id())
}

/// Whether a file's name is that of a process of this machine that has ended.
pub(super) fn is_of_the_dead(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let process = name.strip_prefix(self::name()).and_then(|rest| rest.strip_prefix('-'));
    let process = process.and_then(|rest| rest.split('-').next()?.parse::<i32>().ok());
    process.is_some_and(|process| process > 0 && !is_alive(process))
}

#[cfg(unix)]
fn is_alive(process: i32) -> bool {
    // SAFETY: signal 0 is sent to nobody; it is only looked whether it could be.
    let found = unsafe { libc::kill(process, 0) };
    found == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(not(unix))]
fn is_alive(_: i32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_living_and_those_of_elsewhere_are_left_alone() {
        let file = |stamp: String| is_of_the_dead(Path::new(&format!("tmp/{stamp}-1-0.part")));
        assert!(!file(stamp()));
        assert!(!file(format!("{}x-{}", name(), i32::MAX)));
        assert!(!is_of_the_dead(Path::new("tmp/other.part")));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        assert!(file(format!("{}-{dead}", name())));
    }
}
