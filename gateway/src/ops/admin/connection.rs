//! Connections of the operator's listener: bounded in time and number.
//!
//! All of it holds before a token was shown. At the bound the longest open connection without a request in work gives
//! way to a new one, so that probes and operators always get in.
//!
//! Out of scope: the answers ([`super`]).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections open at once.
const MOST: usize = 128;
/// How long the head of a request may take, and how long a connection may idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long a request may take, with its body.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest life of a connection without a request in work; it is asked to end then, and has [`HEAD`] for that.
const LIFE: Duration = Duration::from_mins(5);
/// How long incoming bytes are still read after the last answer, so that the answer arrives.
const LINGER: Duration = Duration::from_secs(2);
/// How long bytes may wait for a peer that takes none, or that cannot be reached: the kernel ends the connection then.
const STALL: Duration = Duration::from_secs(10);
/// Pause when file descriptors run out.
const NO_DESCRIPTOR: Duration = Duration::from_millis(50);
/// Bound on the head of a request, in bytes.
const HEAD_SIZE: usize = 64 << 10;
/// How long requests in work have at the end of the process.
const END: Duration = Duration::from_secs(2);

/// Serves until `stop`, then lets requests in work finish.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let mut connections = Connections::default();
    let router = TowerToHyperService::new(router);
    loop {
        let accepted = tokio::select! { accepted = listener.accept() => accepted, () = stop.cancelled() => break };
        match accepted {
            Ok((stream, _)) => connections.welcome(stream, &router, &stop),
            Err(error) => {
                tracing::warn!(%error, "no connection of an operator accepted");
                sleep(NO_DESCRIPTOR).await;
            }
        }
    }
    let _ = timeout(END, async { while connections.tasks.join_next().await.is_some() {} }).await;
}

/// The open connections, the longest open first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: Vec<Open>,
}

struct Open {
    task: AbortHandle,
    in_work: InWork,
}

impl Connections {
    fn welcome(&mut self, stream: TcpStream, router: &TowerToHyperService<Router>, stop: &CancellationToken) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= MOST {
            let Some(idle) = self.open.iter().position(|open| open.in_work.is_none()) else { return };
            self.open.remove(idle).task.abort();
        }
        let in_work = InWork::default();
        let task = self.tasks.spawn(serve_one(stream, router.clone(), in_work.clone(), stop.clone()));
        self.open.push(Open { task, in_work });
    }
}

/// Requests in work of a connection: unanswered, or answered by a stream that goes on.
#[derive(Clone, Default)]
pub(super) struct InWork(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Working(InWork);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl InWork {
    fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// A request begins.
    pub(super) fn begin(&self) -> Working {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(self.clone())
    }

    /// The connection is old, and no request is in work.
    async fn retires(&self) {
        sleep(LIFE).await;
        while !self.is_none() {
            sleep(HEAD).await;
        }
    }
}

async fn serve_one(stream: TcpStream, router: TowerToHyperService<Router>, in_work: InWork, stop: CancellationToken) {
    // A kernel that has no such bound keeps the others.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(STALL));
    let working = in_work.clone();
    let service = service_fn(move |request| Box::pin(answer(router.clone(), working.clone(), request)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_SIZE);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let over = async {
        tokio::select! { () = stop.cancelled() => {} () = in_work.retires() => {} }
    };
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = over => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        let Ok(ended) = timeout(HEAD, poll_fn(|cx| connection.poll_without_shutdown(cx))).await else { return };
        ended
    };
    if ended.is_ok() {
        linger(connection.into_parts().io.into_inner()).await;
    }
}

async fn answer(
    router: TowerToHyperService<Router>,
    in_work: InWork,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let _working = in_work.begin();
    request.extensions_mut().insert(in_work);
    let answered = timeout(REQUEST, router.call(request)).await;
    answered.unwrap_or_else(|_| {
        let late = format!("the request took longer than {REQUEST:?}\n");
        Ok((StatusCode::REQUEST_TIMEOUT, late).into_response())
    })
}

/// Closes a connection after its last answer. Reads and drops incoming bytes for a while: an earlier close would lose
/// the answer, too (TCP reset).
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = [0; 8 << 10];
    let _ = timeout(LINGER, async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} }).await;
}
