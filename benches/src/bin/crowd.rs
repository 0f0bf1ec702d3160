//! A crowd that waits at the door: an open loop of so many requests a second on kept connections.
//!
//! A connection that was not answered in time asks again as soon as it is, and goes on until it has
//! caught up. Prints one line of JSON when it ends: the rate that was reached, and how many of the
//! answers came from the shop, which should not be.

use std::time::Duration;

use anyhow::ensure;
use benches::wire::{Answer, RequestArgs};
use clap::Parser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

#[derive(Parser, Clone)]
#[command(about = "A crowd that waits, open loop")]
struct Options {
    #[command(flatten)]
    asked: RequestArgs,
    /// Requests per second, of all connections together.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    #[arg(long, default_value_t = 500)]
    connections: u32,
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

#[derive(Default)]
struct Count {
    answers: u64,
    from_shop: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let start = Instant::now() + Duration::from_millis(300);
    let mut crowd = JoinSet::new();
    for number in 0..options.connections {
        crowd.spawn(wait(number, options.clone(), start));
    }
    let mut all = Count::default();
    while let Some(count) = crowd.join_next().await {
        let count = count??;
        all.answers += count.answers;
        all.from_shop += count.from_shop;
    }
    let rate = all.answers as f64 / start.elapsed().as_secs_f64();
    println!(r#"{{"answers": {}, "rate": {rate:.0}, "from_shop": {}}}"#, all.answers, all.from_shop);
    Ok(())
}

/// One connection's requests, until the time is over.
async fn wait(number: u32, options: Options, start: Instant) -> anyhow::Result<Count> {
    let mut stream = TcpStream::connect(options.asked.address).await?;
    stream.set_nodelay(true)?;
    let request = options.asked.request();
    let (mut buffer, mut count) = (vec![0; 32_768], Count::default());
    let end = start + Duration::from_secs(1) * options.seconds;
    // The connections take turns, evenly.
    let mut due = start + Duration::from_secs(1) * number / options.rate;
    while Instant::now() < end && due < end {
        sleep_until(due).await;
        due += Duration::from_secs(1) * options.connections / options.rate;
        stream.write_all(&request).await?;
        let answer = read(&mut stream, &mut buffer).await?;
        count.answers += 1;
        count.from_shop += u64::from(answer.from_shop);
    }
    Ok(count)
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<Answer> {
    let mut have = 0;
    loop {
        let more = stream.read(&mut buffer[have..]).await?;
        ensure!(more > 0, "the connection was closed, or the answer is too long");
        have += more;
        match Answer::read(&buffer[..have])? {
            Some(answer) if have >= answer.length => return Ok(answer),
            _ => {}
        }
    }
}
