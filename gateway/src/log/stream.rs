//! Lines on their way out of the process, written by a thread of their own.
//!
//! The sender of a line puts it into a bounded queue and goes on: no reader of the log delays it. The thread takes all
//! gathered lines and writes them at once. Lines that find the queue full, or that cannot be written, are lost and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait to be written, of up to some kilobytes each.
const QUEUE: usize = 16_384;
/// Bytes written at once.
const BATCH: usize = 64 << 10;
/// Lines gather for this long after a write, so that not each wakes the thread.
const GATHER: Duration = Duration::from_millis(2);

/// Lost lines of a stream.
#[derive(Debug)]
pub(super) struct Lost {
    queue: ErrorCounter,
    unwritten: Arc<AtomicU64>,
}

impl Lost {
    /// Total so far.
    pub(super) fn lines(&self) -> u64 {
        self.queue.dropped_lines() as u64 + self.unwritten.load(Ordering::Relaxed)
    }
}

/// Begins a stream: the input for its lines, its losses, and a guard that waits for the last lines when dropped.
pub(super) fn begin(out: impl Write + Send + 'static, name: &str) -> (NonBlocking, Lost, WorkerGuard) {
    let unwritten = Arc::new(AtomicU64::new(0));
    let batch = Batch { out, bytes: Vec::with_capacity(BATCH), lines: 0, lost: unwritten.clone() };
    let (lines, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name(name).finish(batch);
    let lost = Lost { queue: lines.error_counter(), unwritten };
    (lines, lost, guard)
}

/// The lines to write at once. The thread does not report errors, so it gets none: they are counted here.
struct Batch<W> {
    out: W,
    bytes: Vec<u8>,
    lines: u64,
    lost: Arc<AtomicU64>,
}

impl<W: Write> Batch<W> {
    fn write_out(&mut self) {
        if self.out.write_all(&self.bytes).is_err() {
            self.lost.fetch_add(self.lines, Ordering::Relaxed);
        }
        self.bytes.clear();
        self.lines = 0;
    }
}

impl<W: Write> Write for Batch<W> {
    /// Takes a line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(line);
        self.lines += 1;
        if self.bytes.len() >= BATCH {
            self.write_out();
        }
        Ok(line.len())
    }

    /// The queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        thread::sleep(GATHER);
        Ok(())
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
        let (mut stream, lost, guard) = begin(writer, "test");
        for line in 0..100 {
            stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let mut bytes = [0; 290];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"0\n1\n2\n") && bytes.ends_with(b"98\n99\n"));
        // There is no reader any more, and the queue and the socket are bounded.
        let sent = 4 * QUEUE as u64;
        (0..sent).for_each(|_| stream.write_all(b"a line of some length\n").unwrap());
        let full = lost.lines();
        assert!((1..sent).contains(&full), "{full}");
        drop(reader);
        drop(guard);
        assert!(lost.lines() > full && lost.lines() <= sent, "what could not be written is lost too: {}", lost.lines());
    }
}
