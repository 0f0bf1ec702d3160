//! A shop that takes orders: one at a time answers when it is told to, and it remembers each that reached it.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{head, of, ok, server};

/// An order that reached the shop.
#[derive(Debug, Clone)]
pub struct Order {
    pub head: String,
    pub body: String,
}

impl Order {
    pub fn header(&self, name: &str) -> Option<&str> {
        of(&self.head, name)
    }

    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// What comes for a path with `order` or `pay` in it waits until it may be answered, and with `quick` for 30 ms; with `hang` it is
/// read and never answered, and with `reset` the connection ends. `checkout` is a page with a form.
#[derive(Clone, Default)]
pub struct Orders {
    got: Arc<Mutex<Vec<Order>>>,
    answers: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    broken_off: Arc<AtomicUsize>,
}

const CHECKOUT: &str = "<!doctype html><html lang=en><title>Checkout</title><h1>Checkout</h1>\
    <form method=post action=/launch/order><input name=name><textarea name=memo></textarea><button>Order</button></form></html>";

impl Orders {
    /// Opens it; returns its address.
    pub fn open(&self) -> SocketAddr {
        let shop = self.clone();
        server(move |stream| shop.serve(stream))
    }

    /// So many more are answered.
    pub fn answer(&self, count: usize) {
        self.answers.fetch_add(count, Ordering::SeqCst);
    }

    /// All that reached it, in order.
    pub fn got(&self) -> Vec<Order> {
        self.got.lock().unwrap().clone()
    }

    /// The bodies of all that were sent.
    pub fn bodies(&self) -> Vec<String> {
        self.got().into_iter().filter(|order| !order.head.starts_with("GET")).map(|order| order.body).collect()
    }

    /// In work now, and at most so far.
    pub fn in_work(&self) -> (usize, usize) {
        (self.now.load(Ordering::SeqCst), self.most.load(Ordering::SeqCst))
    }

    /// Requests whose connection was closed before their answer.
    pub fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            let mut body = vec![0; of(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let order = Order { head, body: String::from_utf8_lossy(&body).into_owned() };
            let Some(answer) = self.work(order) else { return };
            // What a client that has left sends is the end.
            stream.set_nonblocking(true).unwrap();
            let left = matches!(stream.peek(&mut [0]), Ok(0));
            stream.set_nonblocking(false).unwrap();
            self.broken_off.fetch_add(usize::from(left), Ordering::SeqCst);
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    /// The answer; `None`: the connection ends.
    fn work(&self, order: Order) -> Option<Vec<u8>> {
        let path = order.path().to_owned();
        if path.ends_with("checkout") {
            return Some(html(&ok(CHECKOUT)));
        }
        if !path.contains("order") && !path.contains("pay") && !path.contains("slow") {
            return Some(ok("welcome to the shop"));
        }
        let thanks = format!("thank you: {}", order.body);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.got.lock().unwrap().push(order);
        let answer = self.wait(&path).then(|| ok(&thanks));
        self.now.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn wait(&self, path: &str) -> bool {
        if path.ends_with("reset") {
            return false;
        }
        if path.ends_with("hang") {
            std::thread::sleep(Duration::from_secs(20));
            return false;
        }
        if path.ends_with("quick") {
            std::thread::sleep(Duration::from_millis(30));
            return true;
        }
        let take = |left: usize| left.checked_sub(1);
        while self.answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// The same as a page.
fn html(page: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    text.replacen("\r\n", "\r\nContent-Type: text/html; charset=utf-8\r\n", 1).into_bytes()
}
