//! How a run ends on SIGTERM, SIGINT (Ctrl-C) or SIGHUP.
//!
//! The first signal sets a flag. Long work checks it now and then ([`check`]), and ends as it would after an error.
//! Work that does not check in time (a pass of a large model, a file that is hashed) is ended after 0.7 seconds, or
//! after what [`allow`] gives it: igsite writes its files under temporary names and renames them, so nothing is lost. Only a site that is moving into place
//! is waited for ([`hold`]). A second signal ends the process at once; the next build repairs what that may have left.
//!
//! SIGHUP that was ignored when the process began (`nohup`) stays ignored. SIGXFSZ is ignored, so that a file beyond
//! the limit of `ulimit -f` is an error with the file's name.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::diagnostic::{Diagnostic, Kind, Result};

/// How long the work has to end by itself, in milliseconds.
static GRACE: AtomicU64 = AtomicU64::new(700);
/// Until when the maps under way may go on after a signal, in milliseconds from it.
static FINISHING: AtomicU64 = AtomicU64::new(0);
/// When an end was requested.
static SINCE: OnceLock<Instant> = OnceLock::new();
/// How often it is looked whether it has.
const TICK: Duration = Duration::from_millis(20);

/// The signal that requested an end; 0 while there was none.
static REQUESTED: AtomicI32 = AtomicI32::new(0);
/// Whether it was said how the run ended.
static REPORTED: AtomicBool = AtomicBool::new(false);
/// What is saved if it ends now.
static SAVED: Mutex<&str> = Mutex::new("nothing was changed");
/// Held while a site moves into place.
static MOVING: Mutex<()> = Mutex::new(());
/// What is to be tidied up if the process is cut off.
static UNTIDY: Mutex<Vec<(u64, Tidying)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

type Tidying = Box<dyn Fn() + Send>;

/// How the process ends that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A server is there to be stopped: without a word, with this status.
    Silent(i32),
    /// It says what is saved, and ends with this status.
    Told(i32),
}

/// Listens for signals from now on.
pub fn install(ending: Ending) {
    // Without the thread, signals end the process as they always did.
    _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || listen(ending));
}

/// The name of the signal that requested an end.
pub fn asked() -> Option<&'static str> {
    match REQUESTED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(name(signal)),
    }
}

/// Sets what to say is saved if the run is ended from now on.
pub fn keeps(what: &'static str) {
    *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

/// Returns an error if an end was requested. It costs one read of memory.
///
/// # Errors
/// An end was requested.
pub fn check() -> Result<()> {
    match asked() {
        None => Ok(()),
        Some(signal) => Err(Diagnostic::new(Kind::Stopped, format!("stopped by {signal}"))),
    }
}

/// Gives the work this long to end after a signal. Maps under way may go on for the first four fifths of it
/// ([`check_under_way`]): what they have cost is not lost if they can be finished.
pub fn allow(grace: Duration) {
    let milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    GRACE.store(milliseconds, Ordering::Relaxed);
    FINISHING.store(milliseconds / 5 * 4, Ordering::Relaxed);
}

/// As [`check`], for work that is under way: it may still be finished if [`allow`] has given it time.
///
/// # Errors
/// An end was requested, and the time for it is over.
pub fn check_under_way() -> Result<()> {
    let finishing = Duration::from_millis(FINISHING.load(Ordering::Relaxed));
    match SINCE.get() {
        Some(since) if since.elapsed() < finishing => Ok(()),
        _ => check(),
    }
}

/// Waits until an end is requested.
pub async fn wait() {
    while asked().is_none() {
        tokio::time::sleep(TICK).await;
    }
}

/// While this is held, one signal does not cut the process off.
pub fn hold() -> MutexGuard<'static, ()> {
    MOVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints on standard error, once, how the run ended.
pub fn say() {
    if let Some(signal) = asked()
        && !REPORTED.swap(true, Ordering::Relaxed)
    {
        let kept = *SAVED.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("stopped by {signal}: {kept}; run the same command again to go on");
    }
}

/// Does `tidy` if the process is cut off before what is given back is dropped.
pub fn at_the_end(tidy: impl Fn() + Send + 'static) -> AtTheEnd {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    untidy().push((number, Box::new(tidy)));
    AtTheEnd(number)
}

/// Something is to be tidied up for as long as this lives.
#[derive(Debug)]
pub struct AtTheEnd(u64);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        untidy().retain(|(number, _)| *number != self.0);
    }
}

fn untidy() -> MutexGuard<'static, Vec<(u64, Tidying)>> {
    UNTIDY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(ending: Ending) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let Some(mut signals) = signals::Signals::open() else {
            return;
        };
        let signal = signals.next().await;
        let began = *SINCE.get_or_init(Instant::now);
        REQUESTED.store(signal, Ordering::Relaxed);
        let grace = Duration::from_millis(GRACE.load(Ordering::Relaxed));
        loop {
            if tokio::time::timeout(TICK, signals.next()).await.is_ok() {
                end(ending);
            }
            if began.elapsed() < grace {
                continue;
            }
            match MOVING.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                _moving => {
                    untidy().iter().for_each(|(_, tidy)| tidy());
                    end(ending);
                }
            }
        }
    });
}

fn end(ending: Ending) -> ! {
    match ending {
        Ending::Silent(status) => signals::exit(status),
        Ending::Told(status) => {
            say();
            signals::exit(status)
        }
    }
}

#[cfg(unix)]
fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGTERM => "SIGTERM",
        libc::SIGHUP => "SIGHUP",
        _ => "SIGINT",
    }
}

#[cfg(not(unix))]
fn name(_: i32) -> &'static str {
    "Ctrl-C"
}

#[cfg(unix)]
mod signals {
    use std::future::poll_fn;
    use std::mem::zeroed;
    use std::ptr::null;
    use std::task::Poll;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The signals that request an end.
    pub struct Signals(Vec<(i32, Signal)>);

    impl Signals {
        pub fn open() -> Option<Self> {
            ignore(libc::SIGXFSZ);
            let mut wanted = vec![libc::SIGTERM, libc::SIGINT];
            if !is_ignored(libc::SIGHUP) {
                wanted.push(libc::SIGHUP);
            }
            let open = |number: i32| Some((number, signal(SignalKind::from_raw(number)).ok()?));
            wanted.into_iter().map(open).collect::<Option<Vec<_>>>().map(Self)
        }

        pub async fn next(&mut self) -> i32 {
            poll_fn(|context| {
                for (number, signal) in &mut self.0 {
                    if signal.poll_recv(context).is_ready() {
                        return Poll::Ready(*number);
                    }
                }
                Poll::Pending
            })
            .await
        }
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: zeros are a valid `sigaction` to be written over, and nothing is changed where no new one is given.
        unsafe {
            let mut now: libc::sigaction = zeroed();
            libc::sigaction(signal, null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
        }
    }

    fn ignore(signal: i32) {
        // SAFETY: no handler is given that could do anything wrong.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }

    /// Ends the process at once: other threads are still running, so nothing of theirs may be dropped.
    pub fn exit(status: i32) -> ! {
        // SAFETY: it does not return, and touches no memory of ours.
        unsafe { libc::_exit(status) }
    }
}

#[cfg(not(unix))]
mod signals {
    /// Ctrl-C, which requests an end.
    pub struct Signals;

    impl Signals {
        pub fn open() -> Option<Self> {
            Some(Self)
        }

        pub async fn next(&mut self) -> i32 {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            2
        }
    }

    pub fn exit(status: i32) -> ! {
        std::process::exit(status)
    }
}
