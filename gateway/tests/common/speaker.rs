//! A shop that speaks to the gateway in headers of its answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::answering;

/// A server of the shop that says these headers with each of its answers, until it says others.
#[derive(Clone, Default)]
pub struct Speaker(Arc<Mutex<String>>);

impl Speaker {
    pub fn open(&self) -> SocketAddr {
        let said = self.0.clone();
        answering(move |head| {
            let body = format!("welcome to the shop\n{head}");
            let said = said.lock().unwrap().clone();
            format!("HTTP/1.1 200 OK\r\n{said}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        })
    }

    pub fn says(&self, headers: &str) {
        *self.0.lock().unwrap() = headers.lines().flat_map(|line| [line, "\r\n"]).collect();
    }
}
