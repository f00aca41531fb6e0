//! Locks on files and folders, which the system frees by itself, also when their holder is killed.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::interrupt;

/// How often it is looked whether a lock is free.
const TICK: Duration = Duration::from_millis(100);

/// What to do about a lock that somebody else holds.
#[derive(Clone, Copy)]
pub enum Patience<'a> {
    /// It is an error.
    None,
    /// Wait for it; a message says once whose lock it is.
    Wait(&'a (dyn Fn(&str) + Sync)),
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Alone.
    Alone,
    /// With others that hold it so.
    Shared,
}

/// Locks a file for as long as it is open; false where the file system has no locks. `busy` makes the error for a lock
/// that somebody else holds.
///
/// # Errors
/// The error of `busy`; or the file cannot be locked.
pub fn lock(
    file: &File,
    path: &Path,
    sharing: Sharing,
    patience: Patience,
    busy: impl Fn() -> Diagnostic,
) -> Result<bool> {
    let mut told = false;
    loop {
        let tried = match sharing {
            Sharing::Alone => file.try_lock(),
            Sharing::Shared => file.try_lock_shared(),
        };
        match (tried, patience) {
            (Ok(()), _) => return Ok(true),
            (Err(TryLockError::WouldBlock), Patience::None) => return Err(busy()),
            (Err(TryLockError::WouldBlock), Patience::Wait(tell)) => {
                if !told {
                    tell(&format!("{}; waiting until it has ended", busy().message));
                    told = true;
                }
                interrupt::check()?;
                sleep(TICK);
            }
            (Err(TryLockError::Error(error)), _) if has_no_locks(&error) => return Ok(false),
            (Err(TryLockError::Error(error)), _) => return Err(Diagnostic::io(Kind::Output, "lock", path, &error)),
        }
    }
}

/// Some file systems have no locks, or none on what is only open to be read, or the service for them is not running.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if matches!(
        error.raw_os_error(),
        Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP | libc::EBADF)
    ) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn one_that_waits_says_so_once_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || {
            let mut options = File::options();
            options.create(true).read(true).append(true).open(&path).unwrap()
        };
        let busy = || Diagnostic::output("another is at work");
        let (first, second) = (open(), open());
        let take = |file: &File, sharing, patience| lock(file, &path, sharing, patience, busy);
        assert_eq!(take(&first, Sharing::Alone, Patience::None), Ok(true));
        let error = take(&second, Sharing::Shared, Patience::None).unwrap_err();
        assert_eq!(error.message, "another is at work");
        let said = Mutex::new(Vec::new());
        let tell = |text: &str| said.lock().unwrap().push(text.to_owned());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while said.lock().unwrap().is_empty() {
                    sleep(Duration::from_millis(1));
                }
                sleep(TICK * 2);
                drop(first);
            });
            assert_eq!(take(&second, Sharing::Alone, Patience::Wait(&tell)), Ok(true));
        });
        assert_eq!(
            *said.lock().unwrap(),
            ["another is at work; waiting until it has ended"]
        );
    }

    #[test]
    fn readers_share() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "").unwrap();
        let busy = || Diagnostic::output("busy");
        let take = |sharing| {
            let file = File::open(&path).unwrap();
            lock(&file, &path, sharing, Patience::None, busy).map(|_| file)
        };
        let _one = take(Sharing::Shared).unwrap();
        let _other = take(Sharing::Shared).unwrap();
        assert!(take(Sharing::Alone).is_err());
    }
}
