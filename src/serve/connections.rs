//! The open connections: fewer than the process has file handles for, and none that is idle for ever. Where there is no
//! room for a new connection, the one that has been idle for longest is closed, so that the new request is answered.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::task::AbortHandle;

/// How long a connection may be idle, with no byte sent or received. A request for news is idle for a twelfth of it. A
/// film that a reader has stopped may be idle for longer, and is then requested again.
const STILL: Duration = Duration::from_secs(120);
/// How often one looks for such connections.
const LOOK: Duration = Duration::from_secs(5);
/// The most connections that are open at once, whatever the system allows. A browser opens six.
const MOST: usize = 256;
/// File handles that there are where the system does not say.
const USUAL: usize = 256;

/// All that are open.
#[derive(Clone, Debug)]
pub struct Connections {
    most: usize,
    began: Instant,
    open: Arc<Mutex<Vec<Open>>>,
}

#[derive(Debug)]
struct Open {
    /// Milliseconds from the beginning until bytes last moved.
    moved: Arc<AtomicU64>,
    task: AbortHandle,
    ended: bool,
}

impl Connections {
    /// No connections yet. A response may need a handle for its file, and a build that runs at the same time needs its
    /// own: so a quarter of the handles.
    pub fn new() -> Self {
        Self {
            most: (handles().unwrap_or(USUAL) / 4).clamp(4, MOST),
            began: Instant::now(),
            open: Arc::default(),
        }
    }

    /// Ends connections until there is room for one more.
    pub async fn make_room(&self) {
        while self.open().len() >= self.most {
            self.end_oldest();
            // It gives its handle back when it is looked at next.
            tokio::task::yield_now().await;
        }
    }

    /// Ends the connection that has stood still for longest.
    pub fn end_oldest(&self) {
        let mut open = self.open();
        let running = open.iter_mut().filter(|one| !one.ended);
        if let Some(oldest) = running.min_by_key(|one| one.moved.load(Ordering::Relaxed)) {
            oldest.end();
        }
    }

    /// Ends connections that stand still for too long, for ever.
    pub async fn end_still_ones(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.now();
            let long =
                |one: &&mut Open| now.saturating_sub(one.moved.load(Ordering::Relaxed)) > STILL.as_millis() as u64;
            self.open().iter_mut().filter(long).for_each(Open::end);
        }
    }

    /// Serves a connection as a task of its own; `serve` gets the stream to read from and write to.
    pub fn spawn<S, F>(&self, stream: S, serve: impl FnOnce(Moving<S>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let moved = Arc::new(AtomicU64::new(self.now()));
        let (all, mine) = (self.clone(), Arc::clone(&moved));
        let place = Place(all.clone(), Arc::clone(&moved));
        let served = serve(Moving { stream, all, moved });
        let mut open = self.open();
        let task = tokio::spawn(async move {
            // However the task ends, it leaves the list.
            let _place = place;
            served.await;
        });
        open.push(Open {
            moved: mine,
            task: task.abort_handle(),
            ended: false,
        });
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn end(&mut self) {
        self.task.abort();
        self.ended = true;
    }
}

/// A connection's place in the list, as long as it is open.
struct Place(Connections, Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open().retain(|one| !Arc::ptr_eq(&one.moved, &self.1));
    }
}

/// A stream that notes when bytes move.
#[derive(Debug)]
pub struct Moving<S> {
    stream: S,
    all: Connections,
    moved: Arc<AtomicU64>,
}

impl<S> Moving<S> {
    fn note<T>(&self, done: Poll<Result<T>>) -> Poll<Result<T>> {
        if let Poll::Ready(Ok(_)) = done {
            self.moved.store(self.all.now(), Ordering::Relaxed);
        }
        done
    }
}

impl<S: Read + Unpin> Read for Moving<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(done)
    }
}

impl<S: Write + Unpin> Write for Moving<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(done)
    }
}

/// How many file handles the process may have, as Linux says it.
fn handles() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    }

    #[test]
    fn the_one_that_stood_still_for_longest_makes_room() {
        runtime().block_on(async {
            let connections = Connections {
                most: 3,
                ..Connections::new()
            };
            let served = || async { std::future::pending::<()>().await };
            let mut moved = Vec::new();
            for at in [5, 1, 9] {
                connections.make_room().await;
                connections.spawn((), |stream: Moving<()>| {
                    stream.moved.store(at, Ordering::Relaxed);
                    moved.push(stream.moved);
                    served()
                });
            }
            let here = || -> Vec<u64> {
                connections
                    .open()
                    .iter()
                    .map(|one| one.moved.load(Ordering::Relaxed))
                    .collect()
            };
            connections.make_room().await;
            assert_eq!(here(), [5, 9]);
            connections.make_room().await;
            assert_eq!(here(), [5, 9], "there is room");
            // One that ends leaves by itself.
            connections.spawn((), |_| std::future::ready(()));
            tokio::task::yield_now().await;
            assert_eq!(here(), [5, 9]);
        });
    }

    #[test]
    fn fewer_than_there_are_handles() {
        let most = Connections::new().most;
        assert!((4..=MOST).contains(&most));
        if cfg!(target_os = "linux") {
            assert!(handles().unwrap() / 4 >= most || most == 4);
        }
    }
}
