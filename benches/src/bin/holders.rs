//! How long pass holders wait for their answers: open loop, latency from the instant that was planned.
//!
//! Each holder is a thread with a kept connection of its own, so that no timer of a runtime and no
//! other holder comes between the plan and the request. A request whose forerunner is not answered is
//! sent late and counted from its plan all the same. How late the threads woke is the program's own lag.
//! Prints one line of JSON, in microseconds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use benches::wire::{Answer, RequestArgs};
use clap::Parser;
use hdrhistogram::Histogram;

#[derive(Parser, Clone)]
#[command(about = "Latency of pass holders, open loop")]
struct Options {
    #[command(flatten)]
    asked: RequestArgs,
    /// Requests per second, of all holders together.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    #[arg(long, default_value_t = 20)]
    holders: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

/// Times in microseconds.
struct Times {
    took: Histogram<u64>,
    lag: Histogram<u64>,
}

impl Times {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { took: Histogram::new(3)?, lag: Histogram::new(3)? })
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // By then all are connected.
    let start = Instant::now() + Duration::from_millis(500);
    let holders: Vec<_> = (0..options.holders)
        .map(|number| {
            let options = options.clone();
            thread::spawn(move || hold(number, &options, start))
        })
        .collect();
    let mut all = Times::new()?;
    for holder in holders {
        let times = holder.join().map_err(|_| anyhow::anyhow!("a holder panicked"))??;
        all.took.add(times.took)?;
        all.lag.add(times.lag)?;
    }
    let [p50, p99, lag] = [(&all.took, 0.5), (&all.took, 0.99), (&all.lag, 0.99)].map(|(h, q)| h.value_at_quantile(q));
    println!(
        r#"{{"requests": {}, "p50": {p50}, "p99": {p99}, "max": {}, "lag_p99": {lag}}}"#,
        all.took.len(),
        all.took.max()
    );
    Ok(())
}

/// One holder's requests: the holders take turns.
fn hold(number: u32, options: &Options, start: Instant) -> anyhow::Result<Times> {
    let mut stream = TcpStream::connect(options.asked.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = options.asked.request();
    ask(&mut stream, &request)?;
    let mut times = Times::new()?;
    for turn in (number..options.rate * options.seconds).step_by(options.holders as usize) {
        let due = start + Duration::from_secs(1) * turn / options.rate;
        let early = due.checked_duration_since(Instant::now());
        if let Some(early) = early {
            thread::sleep(early);
            times.lag.record(due.elapsed().as_micros() as u64)?;
        }
        ask(&mut stream, &request)?;
        times.took.record(due.elapsed().as_micros() as u64)?;
    }
    Ok(times)
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<()> {
    stream.write_all(request)?;
    let (mut buffer, mut have) = ([0; 16_384], 0);
    let answer = loop {
        let more = stream.read(&mut buffer[have..])?;
        ensure!(more > 0, "the connection was closed");
        have += more;
        match Answer::read(&buffer[..have])? {
            Some(answer) if have >= answer.length => break answer,
            _ => {}
        }
    };
    ensure!(answer.from_shop, "a holder was not let through: status {}", answer.status);
    Ok(())
}
