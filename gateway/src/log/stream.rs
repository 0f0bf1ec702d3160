//! Lines on their way out of the process, written by a thread of their own.
//!
//! Whoever has a line puts it into a bounded queue and goes on: no reader of the log holds anybody up. The thread takes what has
//! gathered and writes it at once. Lines that find the queue full, or that cannot be written, are lost and counted.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written.
const QUEUE: usize = 16_384;
/// Bytes that are written at once.
const BATCH: usize = 64 << 10;
/// Lines gather for this long after the first, so that not each wakes the thread.
const GATHER: Duration = Duration::from_millis(2);

/// Where lines go.
#[derive(Debug, Clone)]
pub struct Stream {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// To be answered when all before it is written.
    Flush(SyncSender<()>),
}

impl Stream {
    /// A stream into this file.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn into(out: File, name: &str) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let of_writer = lost.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || write(&lines, out, &of_writer))?;
        Ok(Self { queue, lost })
    }

    /// Sends a line, with its end. It never waits.
    pub fn send(&self, line: Vec<u8>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until all that was sent is written; for ever, if nobody reads it.
    pub fn flush(&self) {
        let (written, answer) = sync_channel(1);
        if self.queue.send(Message::Flush(written)).is_ok() {
            let _ = answer.recv();
        }
    }
}

fn write(lines: &Receiver<Message>, mut out: File, lost: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(first) = lines.recv() {
        if matches!(first, Message::Line(_)) {
            thread::sleep(GATHER);
        }
        let mut flushed = Vec::new();
        let mut count = 0;
        let mut messages = std::iter::once(first).chain(lines.try_iter());
        while batch.len() < BATCH
            && let Some(message) = messages.next()
        {
            match message {
                Message::Line(line) => {
                    batch.extend_from_slice(&line);
                    count += 1;
                }
                Message::Flush(written) => flushed.push(written),
            }
        }
        if out.write_all(&batch).is_err() {
            lost.fetch_add(count, Ordering::Relaxed);
        }
        batch.clear();
        for written in flushed {
            let _ = written.send(());
        }
    }
}

/// One line is written at once.
impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Stream {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn lines_come_in_order_and_those_that_nobody_takes_are_counted() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let stream = Stream::into(File::from(std::os::fd::OwnedFd::from(writer)), "test").unwrap();
        for line in 0..100 {
            stream.send(format!("{line}\n").into_bytes());
        }
        stream.flush();
        let mut bytes = [0; 290];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"0\n1\n2\n") && bytes.ends_with(b"98\n99\n"));
        // Nobody reads any more, and the queue and the socket are bounded.
        let sent = 100_000;
        (0..sent).for_each(|_| stream.send(vec![b'x'; 512]));
        assert!((1..sent).contains(&stream.lost()), "{}", stream.lost());
        drop(reader);
        stream.flush();
        assert!(stream.lost() <= sent);
    }
}
