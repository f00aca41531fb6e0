//! The server behind `igsite serve`: shows a folder to the person who writes the site, informs the browser of each new
//! build, and shows errors in the page.
//!
//! It is made for one reader on one machine. It answers GET and HEAD, and only where the `Host` is this machine's own,
//! so that a page from elsewhere cannot read the site through the browser. Pages are served as they are published,
//! policy included. One script is added, and it gets news by loading a script, which the policy allows while it forbids
//! a connection. The server builds nothing itself, and writes no file.

mod answer;
mod body;
mod connections;
mod watch;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch as news;

use crate::diagnostic::{Diagnostic, Kind, Result};
use answer::{Reply, Wanted};
use body::Body;
use connections::Connections;
pub use watch::Watch;

/// How long a browser's request for news stays open when there is none. A browser opens six connections at most: a page
/// that loads meanwhile must not wait for long.
const HELD: Duration = Duration::from_secs(10);
/// How much of an answer waits in memory for its reader, and how long a request may be.
const BUFFER: usize = 64 << 10;
/// The ports that are tried when none is named.
const PORTS: std::ops::Range<u16> = 8080..8100;

/// What the last builds came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rises with every build, failed ones too.
    number: u64,
    /// Names the site that is shown; empty where there is none yet.
    site: String,
    /// What is wrong since then.
    error: Option<String>,
}

/// Informs the server of a build's result.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<news::Sender<Outcome>>);

impl Notifier {
    /// A build has ended; the error's text if it failed.
    pub fn built(&self, result: std::result::Result<(), String>) {
        self.0.send_modify(|outcome| {
            outcome.number += 1;
            outcome.error = result.err();
            if outcome.error.is_none() {
                // A server that is started again must not be taken for the one before.
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                outcome.site = format!("{}-{}", now.as_millis(), outcome.number);
            }
        });
    }
}

/// A server that has its port, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    folder: PathBuf,
    notifier: Notifier,
}

impl Server {
    /// Takes a port of `address`: the one named, any for 0, the first free one from 8080 for none.
    ///
    /// # Errors
    /// The port is taken, or the address is not this machine's.
    pub fn bind(address: IpAddr, port: Option<u16>, folder: &Path) -> Result<Self> {
        let tried = match port {
            Some(port) => TcpListener::bind(SocketAddr::new(address, port)),
            None => first_free(address),
        };
        let listener = tried.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let listener = listener.map_err(|error| {
            let place = match port {
                Some(port) => SocketAddr::new(address, port).to_string(),
                None => address.to_string(),
            };
            let problem = Diagnostic::output(format!("cannot listen at {place}: {error}"));
            match error.kind() {
                ErrorKind::AddrInUse => {
                    problem.help("end the other program, or name another port; `--port 0` takes a free one")
                }
                ErrorKind::PermissionDenied => {
                    problem.help("ports below 1024 are the system’s; name a higher one with --port")
                }
                _ => problem.help("the address must be one of this machine’s"),
            }
        })?;
        Ok(Self {
            listener,
            folder: folder.to_owned(),
            notifier: Notifier(Arc::new(news::channel(Outcome::default()).0)),
        })
    }

    /// Where a browser finds it.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| failed(&error))
    }

    /// Sends it the results of builds.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Answers until Ctrl-C or another signal requests an end.
    ///
    /// # Errors
    /// The system gives no connections or no signals.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let done = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            tokio::spawn(accept(listener, self.folder.into(), self.notifier));
            crate::interrupt::wait().await;
            io::Result::Ok(())
        });
        // Questions for news may still be open; nobody waits for their answers.
        runtime.shutdown_background();
        done.map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Diagnostic {
    Diagnostic::new(Kind::Output, format!("the server failed: {error}"))
}

fn first_free(address: IpAddr) -> io::Result<TcpListener> {
    for port in PORTS {
        match TcpListener::bind(SocketAddr::new(address, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    TcpListener::bind(SocketAddr::new(address, 0))
}

async fn accept(listener: tokio::net::TcpListener, folder: Arc<Path>, notifier: Notifier) {
    let connections = Connections::new();
    tokio::spawn(connections.clone().end_still_ones());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, most likely.
            connections.end_oldest();
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        connections.make_room().await;
        let (folder, notifier) = (Arc::clone(&folder), notifier.clone());
        let service = service_fn(move |request| respond(request, Arc::clone(&folder), notifier.clone()));
        connections.spawn(TokioIo::new(stream), |stream| {
            let mut http = hyper::server::conn::http1::Builder::new();
            let serving = http
                .timer(TokioTimer::new())
                .max_buf_size(BUFFER)
                .serve_connection(stream, service);
            // A browser that goes away is no error of ours.
            async move { _ = serving.await }
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    folder: Arc<Path>,
    notifier: Notifier,
) -> std::result::Result<Response<Body>, Infallible> {
    let mut news = notifier.0.subscribe();
    let host = request
        .headers()
        .get(hyper::header::HOST)
        .and_then(|host| host.to_str().ok());
    let asked = answer::read(request.method(), host, request.uri());
    if let Ok(Wanted::News(seen)) = asked {
        _ = tokio::time::timeout(HELD, news.wait_for(|outcome| outcome.number > seen)).await;
    }
    let outcome = news.borrow().clone();
    let Reply {
        status,
        kind,
        location,
        body,
    } = match asked {
        Ok(asked) => answer::answer(&asked, &folder, &outcome),
        Err(refusal) => refusal,
    };
    let mut response = Response::builder()
        .status(status)
        .header("Content-Type", kind)
        // What was just edited must be what is seen.
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
        // Pages from elsewhere may not load it either.
        .header("Cross-Origin-Resource-Policy", "same-origin");
    if let Some(location) = location {
        response = response.header("Location", location);
    }
    if status == 405 {
        response = response.header("Allow", "GET, HEAD");
    }
    // To HEAD, hyper sends the length of the body and not the body.
    Ok(response.body(body).unwrap_or_else(|_| Response::new(Body::default())))
}
