//! A proxy that harms a TCP connection: late, stalled, reset or cut, switched while it runs. One for each
//! gateway makes a fault that only that gateway sees.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

/// The fault on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They arrive.
    None,
    /// They arrive this much later, in each direction.
    Late(Duration),
    /// They are kept, and arrive when the fault is over. New connections are accepted, and stall.
    Stalled,
    /// They are lost in silence; new connections are accepted and stay silent. All of them end when
    /// the fault does.
    Cut,
    /// Connections end with a reset, new ones at once.
    Reset,
}

/// The proxy; its threads end with the process.
pub struct Faulty {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: Mutex<SocketAddr>,
    fault: Mutex<Fault>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

impl Faulty {
    /// A way to this server that is sound so far.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (server, fault) = (Mutex::new(server), Mutex::new(Fault::None));
        let state = Arc::new(State { server, fault, changed: Condvar::new(), open: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                shared.carry(client);
            }
        });
        Self { address, state }
    }

    /// Switches the fault.
    pub fn set(&self, fault: Fault) {
        let before = std::mem::replace(&mut *self.state.fault.lock().unwrap(), fault);
        if fault == Fault::Reset || before == Fault::Cut {
            self.state.open.lock().unwrap().drain(..).for_each(|stream| reset(&stream));
        }
        self.state.changed.notify_all();
    }

    /// Leads to another server from now on. All connections to the one before end.
    pub fn turn_to(&self, server: SocketAddr) {
        let mut before = self.state.server.lock().unwrap();
        *before = server;
        self.state.open.lock().unwrap().drain(..).for_each(|stream| reset(&stream));
    }
}

/// Ends a connection: its threads wake up, and when the last of them has let go, the other end gets a reset.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Read);
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn carry(self: &Arc<Self>, client: TcpStream) {
        if self.fault() == Fault::Reset {
            return reset(&client);
        }
        // Until the connection is in the list of open ones, no switch to another server: it would stay with this one.
        let address = self.server.lock().unwrap();
        let Ok(server) = TcpStream::connect(*address) else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            self.open.lock().unwrap().push(stream.try_clone().unwrap());
        }
        drop(address);
        self.pipe(client.try_clone().unwrap(), server.try_clone().unwrap());
        self.pipe(server, client);
    }

    /// Carries bytes in one direction: one thread reads them and says when they are due, one writes.
    fn pipe(self: &Arc<Self>, mut from: TcpStream, mut to: TcpStream) {
        let (sender, due) = mpsc::channel::<(Instant, Vec<u8>)>();
        let state = self.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Some(bytes) = read(&mut from, &mut buffer) {
                let late = match state.fault() {
                    Fault::Late(late) => late,
                    Fault::Cut => continue,
                    _ => Duration::ZERO,
                };
                if sender.send((Instant::now() + late, bytes.to_vec())).is_err() {
                    break;
                }
            }
        });
        let state = self.clone();
        std::thread::spawn(move || {
            for (due, bytes) in due {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                drop(state.changed.wait_while(state.fault.lock().unwrap(), |fault| *fault == Fault::Stalled));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            if state.fault() != Fault::Reset {
                let _ = to.shutdown(Shutdown::Both);
            }
        });
    }
}

/// The next bytes; `None` at the end.
fn read<'b>(from: &mut TcpStream, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    loop {
        return match from.read(buffer) {
            Ok(0) => None,
            Ok(read) => Some(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => None,
        };
    }
}
