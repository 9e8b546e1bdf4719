//! A small HTTP server that answers `GET /metrics`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mycelia::{System, WeakSystem};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::text::{self, prometheus};

/// Most connections at once; more wait.
const CONNECTIONS: usize = 64;

/// How long a connection may take to send a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the server waits after a failed accept, as when no more files can be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// A running server. It ends when it is stopped or dropped; it does not keep the system running.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// The address that it listens on: with the port that was chosen, if 0 was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server with all its connections, and waits for that.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves a system's metrics over HTTP, as a task of the calling runtime: `GET /metrics` gives what
/// [`prometheus()`] writes of a snapshot taken then. There is no encryption and no access control: give it an address
/// that only the metrics system reaches.
///
/// After the system has been dropped the answer is 503.
///
/// # Errors
/// The address can't be listened on.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Examples
/// See the [crate](crate).
pub async fn serve(system: &System, address: impl ToSocketAddrs) -> io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(accept(listener, system.downgrade()));
    Ok(Server { address, task })
}

async fn accept(listener: TcpListener, system: WeakSystem) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let system = system.clone();
                connections.spawn(async move {
                    connection(stream, system).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, system: WeakSystem) {
    let service = service_fn(|request| std::future::ready(answer(&request, &system)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or talks nonsense, is no one's error here.
    let _ = served.await;
}

fn answer(
    request: &Request<Incoming>,
    system: &WeakSystem,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match system.upgrade() {
            Some(system) => (StatusCode::OK, prometheus(&system.snapshot())),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the system is gone\n".into(),
            ),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "use GET\n".into()),
        _ => (StatusCode::NOT_FOUND, "there is /metrics\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = match status {
        StatusCode::OK => text::CONTENT_TYPE,
        _ => "text/plain; charset=utf-8",
    };
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static(content_type),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}
