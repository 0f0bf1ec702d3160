//! Sockets: accept, connection limits, idle connections, graceful end.
//!
//! Each worker thread has its own listening sockets (`SO_REUSEPORT`) and a runtime of its own, so
//! that a request never changes threads. Instead of a timer for each connection, a sweep each second
//! reads all connections of a worker: one that idles too long, or never sent a whole head, is closed.
//!
//! Out of scope: the meaning of a request. The caller of [`work`] passes the handler.

mod eviction;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::client::body::Body;
use crate::client::connection::{Connection, ConnectionState, InFlight, Ledger};
use crate::client::flow::{self, Stream, Watched};
use crate::client::load::{Full, Load};
use crate::client::proxy_header::{self, HeaderError, ProxyHeader};
use crate::client::seats::{Class, ConnectionPermit, Lack};
use crate::client::timer::{sleep, timeout};
use crate::client::visitor::Peer;
use crate::request::worker::Worker;
use crate::telemetry::{PROCESS, catalogue};

/// Connections that wait to be accepted.
pub(crate) const BACKLOG: i32 = 4_096;
/// Pause when file descriptors run out.
const NO_DESCRIPTOR: Duration = Duration::from_millis(50);
/// Interval between rounds over the connections during a shutdown...
const ROUND: Duration = Duration::from_millis(20);
/// ...and the rounds after which those without a request are closed.
const PATIENT_ROUNDS: u32 = 50;
/// The preface of a connection of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that the socket holds unsent. The rest stays with us, where it is counted; without this bound the
/// kernel would take megabytes for a slow reader.
const NOT_SENT: u32 = 64 << 10;
/// Bytes of requests that a connection of HTTP/2 may send ahead of their reader.
const UPLOAD_WINDOW: u32 = 256 << 10;
/// Bytes of an answer that a stream of HTTP/2 holds, besides the piece that exceeds the bound.
const SEND_BUFFER: usize = 16 << 10;

/// A listening socket for one worker; several may share an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_notsent_lowat(NOT_SENT)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs futures of HTTP/2 connections on the worker that accepted them.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// The connections of one worker, and the handler of their requests.
struct Listener<H> {
    worker: Rc<Worker>,
    /// Answers requests.
    handle: H,
    /// The open connections, and until the next sweep the closed ones.
    connections: RefCell<Vec<Weak<Connection>>>,
    /// Their last reported classes.
    classes: Cell<[usize; Class::ALL.len()]>,
    /// Number since the last sweep.
    requests: Cell<u64>,
    ledger: Rc<Ledger>,
    /// Untaken bytes of answers, as last reported.
    told_untaken: Cell<usize>,
    load: Load,
}

/// A listening socket of one worker, and the layers below HTTP on its connections.
#[derive(Debug)]
pub(crate) struct Door {
    /// The socket.
    pub socket: std::net::TcpListener,
    /// TLS.
    pub tls: bool,
    /// A PROXY header, before TLS.
    pub proxied: bool,
}

/// Serves at these doors until `stop`, then lets requests in flight finish. `handle` answers each request; it is
/// known at compile time: no dynamic dispatch.
pub(crate) async fn work<H, A>(worker: Worker, handle: H, doors: Vec<Door>, stop: CancellationToken) -> io::Result<()>
where
    H: Fn(InFlight, Rc<Worker>, Request<Incoming>) -> A + Copy + 'static,
    A: Future<Output = Result<Response<Body>, Infallible>> + 'static,
{
    let listener = Rc::new(Listener {
        worker: Rc::new(worker),
        handle,
        connections: RefCell::default(),
        classes: Cell::default(),
        requests: Cell::new(0),
        ledger: Rc::default(),
        told_untaken: Cell::default(),
        load: Load::default(),
    });
    listener.bound_answers();
    for Door { socket, tls, proxied } in doors {
        let socket = TcpListener::from_std(socket)?;
        tokio::task::spawn_local(listener.clone().accept(socket, Kind { tls, proxied }, stop.clone()));
    }
    tokio::task::spawn_local(sweep(listener.clone()));
    tokio::task::spawn_local(listener.load.stand());
    stop.cancelled().await;
    listener.end().await;
    Ok(())
}

/// Sweeps, by the clock of the control thread: without a timer of its own a worker waits for
/// sockets alone, which saves a good part of the cost of waiting.
async fn sweep<H: 'static>(listener: Rc<Listener<H>>) {
    let mut clock = listener.worker.shared.clock.subscribe();
    while clock.changed().await.is_ok() {
        let now = *clock.borrow_and_update();
        listener.worker.pool.sweep(now);
        if listener.worker.shared.seats.is_one_wanted() {
            listener.make_room(&Lack::All, false);
        }
        listener.relieve();
        listener.load.tick(Full(listener.ledger.is_full()));
        listener.worker.shared.rooms.stretch_polls(listener.load.stretch());
        if now.as_secs() > listener.ledger.second.get() {
            listener.sweep(now.as_secs());
        }
    }
}

/// The layers below HTTP on the connections of a door.
#[derive(Debug, Clone, Copy)]
struct Kind {
    tls: bool,
    proxied: bool,
}

impl<H, A> Listener<H>
where
    H: Fn(InFlight, Rc<Worker>, Request<Incoming>) -> A + Copy + 'static,
    A: Future<Output = Result<Response<Body>, Infallible>> + 'static,
{
    async fn accept(self: Rc<Self>, socket: TcpListener, kind: Kind, stop: CancellationToken) {
        loop {
            let accepted = async {
                self.load.accepts().await;
                socket.accept().await
            };
            let accepted = tokio::select! { a = accepted => a, () = stop.cancelled() => return };
            match accepted {
                Ok((stream, peer)) => self.clone().welcome(stream, peer, kind),
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    sleep(NO_DESCRIPTOR).await;
                }
            }
        }
    }

    fn welcome(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, kind: Kind) {
        let _ = stream.set_nodelay(true);
        let peer = self.peer(peer.ip());
        if !kind.proxied {
            self.admit(stream, peer, kind.tls, kind.tls);
        } else if peer.trusted {
            tokio::task::spawn_local(self.hear_proxy(stream, peer, kind.tls));
        } else {
            self.worker.shared.proxy_headers.untrusted(peer.address, *self.worker.shared.clock.borrow());
        }
    }

    /// Reads the PROXY header with the client's address, and continues for that client. Until then the connection counts for no
    /// client, and the sweep ends it as one that sends no head.
    async fn hear_proxy(self: Rc<Self>, mut stream: TcpStream, proxy: Peer, tls: bool) {
        let proxy = Peer { trusted: false, ..proxy };
        let Some(connection) = self.seat(proxy.clone(), false, None) else { return };
        let told = while_open(&connection, proxy_header::read(&mut stream)).await.unwrap_or(Err(HeaderError::Cut));
        // Its seat belongs to its client now, or is free.
        drop(connection);
        self.worker.shared.proxy_headers.note(told, proxy.address, *self.worker.shared.clock.borrow());
        match told {
            Ok(ProxyHeader::Client { address, tls: at_proxy }) => {
                let client = self.peer(address);
                self.admit(stream, client, tls, tls || at_proxy);
            }
            // It speaks for itself, and so for no other client.
            Ok(ProxyHeader::Own) => self.admit(stream, proxy, tls, tls),
            Err(_) => {}
        }
    }

    /// Serves a connection, over TLS or not; TLS may have ended at a proxy before.
    fn admit(self: Rc<Self>, stream: TcpStream, peer: Peer, handshake: bool, tls: bool) {
        let client = (!peer.trusted).then_some(peer.address);
        let Some(connection) = self.seat(peer, tls, client) else { return };
        // Two tasks and not one of two kinds, which would be as large as the larger: most connections idle.
        if handshake {
            tokio::task::spawn_local(self.shake_hands(stream, connection));
        } else {
            tokio::task::spawn_local(self.look_and_serve(stream, connection));
        }
    }

    async fn shake_hands(self: Rc<Self>, stream: TcpStream, connection: Rc<Connection>) {
        let Some(tls) = &self.worker.shared.tls else { return };
        let handshake = TlsAcceptor::from(tls.server.clone()).accept(stream);
        // The sweep bounds the handshake: no request came yet.
        if let Some(Ok(stream)) = while_open(&connection, handshake).await {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            if http2 {
                self.serve_http2(stream, &connection).await;
            } else {
                self.serve_http1(stream, &connection).await;
            }
        }
    }

    /// Detects the protocol here: hyper would read the first bytes apart, and the buffer that begins with them would
    /// grow to twice its size.
    async fn look_and_serve(self: Rc<Self>, stream: TcpStream, connection: Rc<Connection>) {
        match begins_http2(&stream, &connection).await {
            Some(true) => self.serve_http2(stream, &connection).await,
            Some(false) => self.serve_http1(stream, &connection).await,
            None => {}
        }
    }

    /// hyper keeps its buffers, 8 KiB each, as long as it serves. So it is dropped while a connection only waits for the next
    /// request, and starts again when there are bytes to read.
    async fn serve_http1<I: Stream>(self: Rc<Self>, io: I, connection: &Rc<Connection>) {
        let mut io = Watched::new(io, connection.flow.clone());
        loop {
            let service = service_fn(|request: Request<Incoming>| {
                let in_flight = InFlight::begin(connection, request.version(), request.body().is_end_stream());
                self.requests.set(self.requests.get() + 1);
                (self.handle)(in_flight, self.worker.clone(), request)
            });
            let mut http = self.http1().serve_connection(TokioIo::new(io), service).with_upgrades();
            let rests = poll_fn(|cx| {
                let http = Pin::new(&mut http);
                match self.poll_served(connection, http, http1::UpgradeableConnection::graceful_shutdown, cx) {
                    Poll::Ready(()) => Poll::Ready(false),
                    Poll::Pending if connection.is_resting() => Poll::Ready(true),
                    Poll::Pending => Poll::Pending,
                }
            });
            let parts = if rests.await { http.into_parts() } else { None };
            let Some(http1::Parts { io: watched, read_buf, .. }) = parts else {
                carry(connection).await;
                return;
            };
            io = watched.into_inner();
            if read_buf.is_empty() {
                // An empty one still holds its 8 KiB.
                drop(read_buf);
                if !comes_back(io.tcp(), connection).await {
                    let _ = while_open(connection, io.shutdown()).await;
                    return;
                }
            } else {
                io.unread(read_buf);
            }
            connection.rises();
        }
    }

    async fn serve_http2<I: Stream>(self: Rc<Self>, io: I, connection: &Rc<Connection>) {
        let site = self.worker.shared.site.load();
        let (few, most) = (site.config.listen.max_streams_without_pass, site.config.listen.max_streams);
        drop(site);
        connection.bound_streams(few as usize, most as usize);
        let service = service_fn(|request: Request<Incoming>| {
            let mut in_flight = InFlight::begin(connection, request.version(), false);
            self.requests.set(self.requests.get() + 1);
            let (handle, worker) = (self.handle, self.worker.clone());
            async move {
                if !in_flight.take_slot().await {
                    // The rest of its connection went with it; there is no client to answer.
                    return Ok(Response::new(Body::empty()));
                }
                // Boxed: the box is gone when the answer waits for the peer's window.
                Box::pin(handle(in_flight, worker, request)).await
            }
        });
        let mut http = pin!(self.http2().serve_connection(TokioIo::new(io), service));
        poll_fn(|cx| self.poll_served(connection, http.as_mut(), http2::Connection::graceful_shutdown, cx)).await;
        connection.finish(ConnectionState::Over);
    }
}

impl<H> Listener<H> {
    fn peer(&self, address: IpAddr) -> Peer {
        Peer::new(address, &self.worker.shared.site.load().config.listen.trusted_proxies)
    }

    /// Takes a seat for a connection, which counts for this client.
    fn seat(&self, peer: Peer, tls: bool, client: Option<IpAddr>) -> Option<Rc<Connection>> {
        let seat = ConnectionPermit::take(&self.worker.shared.seats, client);
        if let Some(lack) = seat.lacks(&self.worker.shared.site.load().config.listen)
            && !self.make_room(&lack, true)
        {
            PROCESS.counter(&catalogue::CONNECTIONS_REFUSED, &[]).increment(1);
            return None;
        }
        let connection = Connection::new(peer, tls, self.ledger.clone(), Some(seat));
        self.connections.borrow_mut().push(Rc::downgrade(&connection));
        Some(connection)
    }

    /// Closes connections for a new one; false if none can be closed.
    fn make_room(&self, lack: &Lack, may_ask_others: bool) -> bool {
        let most = self.worker.shared.site.load().config.listen.max_connections;
        // A holder's connection may be closed for its own client; for other clients only if every connection is a holder's.
        let elsewhere = matches!(lack, Lack::All) && self.worker.shared.seats.has_others();
        let victims = eviction::victims(self.open().into_iter(), self.ledger.second.get(), lack, most, !elsewhere);
        if victims.is_empty() && elsewhere && may_ask_others {
            self.worker.shared.seats.want_one();
        }
        for victim in &victims {
            victim.evict();
        }
        PROCESS.counter(&catalogue::CONNECTIONS_EVICTED, &[lack.name()]).increment(victims.len() as u64);
        !victims.is_empty()
    }

    /// Sets the bound on untaken bytes of answers. Each worker has its part.
    fn bound_answers(&self) {
        let site = self.worker.shared.site.load();
        let listen = &site.config.listen;
        self.ledger.most_untaken.set(listen.answer_buffer_per_connection.0);
        self.ledger.most_held.set(listen.answer_buffer.0 / listen.workers.max(1));
    }

    /// Closes connections that do not take their answers while there are too many bytes of them: pass holders last, and
    /// first the ones that have taken nothing for the longest time.
    fn relieve(&self) {
        if !self.ledger.is_full() {
            return;
        }
        let mut open = self.open();
        // A connection closed before is gone when its task has run.
        open.retain(|connection| connection.held() > 0 && connection.state() != ConnectionState::Over);
        open.sort_by_key(|connection| (connection.class() == Class::Holder, connection.active()));
        let mut held: usize = open.iter().map(|connection| connection.held()).sum();
        // Down to 7/8, so that it is not the work of each tick.
        let enough = self.ledger.most_held.get() / 8 * 7;
        let mut closed = 0;
        for connection in &open {
            if held <= enough {
                break;
            }
            held = held.saturating_sub(connection.held());
            connection.evict();
            closed += 1;
        }
        PROCESS.counter(&catalogue::CONNECTIONS_EVICTED, &["answer_buffer"]).increment(closed);
    }

    /// The open connections.
    fn open(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    fn http1(&self) -> http1::Builder {
        let site = self.worker.shared.site.load();
        let listen = &site.config.listen;
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(listen.max_header_size.0).header_read_timeout(None).writev(false);
        if listen.max_headers != 100 {
            // Only if it differs: the default number of headers is parsed without an allocation.
            http1.max_headers(listen.max_headers);
        }
        http1
    }

    /// Our bounds for h2; the rest is left to its defaults: it keeps 20 reset streams that were not taken up yet, then sends the
    /// client away; headers in CONTINUATION frames are bounded by the size of a head, and HPACK's table by its usual 4 KiB. No
    /// ping keeps a connection alive: that would be a timer for each, and the sweep ends idle ones.
    fn http2(&self) -> http2::Builder<Here> {
        let site = self.worker.shared.site.load();
        let listen = &site.config.listen;
        let mut http2 = http2::Builder::new(Here);
        http2
            .max_concurrent_streams(listen.max_streams)
            .max_header_list_size(u32::try_from(listen.max_header_size.0).unwrap_or(u32::MAX))
            .initial_stream_window_size(UPLOAD_WINDOW)
            .initial_connection_window_size(UPLOAD_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(256);
        http2
    }

    /// Checks every connection once.
    fn sweep(&self, now: u64) {
        self.ledger.second.set(now);
        self.worker.shared.requests.fetch_add(self.requests.take(), Ordering::Relaxed);
        let site = self.worker.shared.site.load();
        let listen = &site.config.listen;
        self.connections.borrow_mut().retain(|connection| connection.strong_count() > 0);
        let connections = self.open();
        self.bound_answers();
        let untaken: usize = connections.iter().map(|connection| connection.untaken_bytes()).sum();
        self.load.report();
        self.worker.shared.seats.recount_untaken(self.told_untaken.replace(untaken), untaken);
        let mut classes = [0; Class::ALL.len()];
        for connection in &connections {
            classes[connection.class() as usize] += 1;
        }
        self.worker.shared.seats.recount(self.classes.replace(classes), classes);
        self.worker.pool.sweep_answers(listen.idle_timeout);
        for connection in connections.iter().filter(|c| c.requests() > 0) {
            let limit = listen.idle_timeout.as_secs();
            if connection.untaken() > limit || connection.takes_nothing(limit) {
                // A client that does not take its answer must not keep the shop from working on others'.
                connection.finish(ConnectionState::Over);
            }
        }
        for connection in connections.iter().filter(|c| c.is_idle()) {
            let limit = match connection.class() {
                _ if !connection.has_asked() => listen.header_timeout,
                Class::Holder => listen.idle_timeout,
                _ => listen.waiting_idle_timeout,
            };
            let late = now > connection.active() + limit.as_secs().max(1);
            match connection.state() {
                // Never sent a whole head, or does not take the last answer: there is nothing more to send.
                ConnectionState::Open if late && (!connection.has_asked() || connection.untaken_bytes() > 0) => {
                    connection.finish(ConnectionState::Over);
                }
                ConnectionState::Open if late => connection.end(),
                ConnectionState::Ending(by) if now > by => connection.finish(ConnectionState::Over),
                ConnectionState::Open => connection.rest(),
                _ => {}
            }
        }
    }

    /// Serves a connection until it ends or its state does, and calls `end` when its state is ending. One without a
    /// pass waits for its turn if the worker is overloaded.
    fn poll_served<C>(
        &self,
        connection: &Rc<Connection>,
        mut http: Pin<&mut C>,
        end: fn(Pin<&mut C>),
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        connection.serve_by(cx.waker());
        match connection.state() {
            ConnectionState::Over => return Poll::Ready(()),
            ConnectionState::Ending(_) => end(http.as_mut()),
            ConnectionState::Open if !connection.can_be_deferred() => {}
            ConnectionState::Open => {
                let full = Full(connection.is_http2() && self.ledger.is_full());
                if self.load.defers(connection, full) {
                    return Poll::Pending;
                }
                connection.begin_turn();
                let before = self.requests.get();
                let polled = http.poll(cx);
                self.load.charge(self.requests.get().wrapping_sub(before) as u32);
                return polled.map(note_unreadable);
            }
        }
        connection.begin_turn();
        http.poll(cx).map(note_unreadable)
    }

    /// Asks all connections to end and waits for them, at most the configured time.
    async fn end(&self) {
        let open = || self.connections.borrow().iter().any(|c| c.strong_count() > 0);
        self.open().iter().filter(|c| c.state() == ConnectionState::Open).for_each(|c| c.end());
        let all_ended = async {
            for round in 0.. {
                if !open() {
                    return;
                }
                sleep(ROUND).await;
                if round > PATIENT_ROUNDS {
                    // Connected and never asked: nothing is lost by closing it.
                    self.open().iter().filter(|c| c.requests() == 0).for_each(|c| c.finish(ConnectionState::Over));
                }
            }
        };
        let limit = self.worker.shared.site.load().config.listen.shutdown_timeout;
        if timeout(limit, all_ended).await.is_err() {
            tracing::warn!("requests were still under way when the time to shut down was over");
        }
    }
}

/// Counts connections with unreadable requests.
fn note_unreadable(end: hyper::Result<()>) {
    if end.is_err_and(|error| error.is_parse()) {
        PROCESS.counter(&catalogue::UNREADABLE, &[]).increment(1);
    }
}

/// Whether a connection in clear begins with the preface of HTTP/2; its bytes stay unread. `None` if the connection
/// is over before that is clear.
async fn begins_http2(stream: &TcpStream, connection: &Connection) -> Option<bool> {
    poll_fn(|cx| {
        connection.serve_by(cx.waker());
        while connection.state() == ConnectionState::Open {
            let mut first = [0; PREFACE.len()];
            let mut first = ReadBuf::new(&mut first);
            if ready!(stream.poll_peek(cx, &mut first)).is_err() {
                break;
            }
            let first = first.filled();
            if first.is_empty() || first == PREFACE || !PREFACE.starts_with(first) {
                return Poll::Ready(Some(first == PREFACE));
            }
            // Too few to tell: wait for more.
            let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        Poll::Ready(None)
    })
    .await
}

/// The result of a future, unless the connection is over before.
async fn while_open<T>(connection: &Connection, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        connection.serve_by(cx.waker());
        if connection.state() == ConnectionState::Over {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Whether an unserved connection has more bytes to read; false if it is over, or asked to end.
async fn comes_back(tcp: &TcpStream, connection: &Connection) -> bool {
    poll_fn(|cx| {
        connection.serve_by(cx.waker());
        if connection.state() == ConnectionState::Open { flow::poll_more(tcp, cx) } else { Poll::Ready(false) }
    })
    .await
}

/// Carries another protocol after an upgrade: the connection keeps its seat, and ends when it is asked to.
async fn carry(connection: &Rc<Connection>) {
    let Some(mut bridge) = connection.take_bridge() else { return };
    let _under_way = InFlight::begin(connection, http::Version::HTTP_11, false);
    poll_fn(|cx| match connection.state() {
        ConnectionState::Open => Pin::new(&mut bridge).poll(cx),
        ConnectionState::Ending(_) | ConnectionState::Over => Poll::Ready(()),
    })
    .await;
}
