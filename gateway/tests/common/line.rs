//! A line that several gateways share.

use std::net::SocketAddr;
use std::path::Path;

use policy::line::segment::SPAN;

use super::redis::sentinel;
use super::{Answer, JSON, Weir, config, until};

/// The secret of all gateways of a line.
pub const SECRET: &str = "one secret for all the gateways of a line";

/// A room where this many enter in a minute, one by one, and no one without a pass.
pub fn room(per_minute: u32) -> String {
    format!(
        "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = {per_minute}\n\
         visits_per_minute = 0\nburst = 1\n"
    )
}

/// A gateway of the fleet on the Redis at this address, with one secret.
pub fn gateway(redis: SocketAddr, shop: SocketAddr, room: &str) -> Weir {
    gateway_with(&format!("url = \"redis://{redis}\"\n"), shop, room)
}

/// The same, with these lines in its `[store]`.
pub fn gateway_with(store: &str, shop: SocketAddr, room: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(shop, room) + &shared_store(dir.path(), store)).unwrap();
    Weir::start_in(dir)
}

/// A `[store]` with these lines; the files that they may name are put into the folder.
pub fn shared_store(dir: &Path, lines: &str) -> String {
    std::fs::write(dir.join("shared.secret"), SECRET).unwrap();
    std::fs::write(dir.join("redis.password"), format!("{}\n", sentinel::PASSWORD)).unwrap();
    std::fs::write(dir.join("sentinel.password"), sentinel::SENTINEL_PASSWORD).unwrap();
    format!("[store]\nkind = \"redis\"\nsecret_file = \"shared.secret\"\n{lines}")
}

/// Sixty shoppers who come at one moment, to these gateways in turn; the first tickets of the ones who have to wait.
pub fn tickets(gateways: &[&Weir], count: usize) -> Vec<(u64, String)> {
    let mut tickets = all_tickets(gateways, count);
    tickets.truncate(count);
    tickets
}

/// The same, the last tickets.
pub fn last_tickets(gateways: &[&Weir], count: usize) -> Vec<(u64, String)> {
    let mut tickets = all_tickets(gateways, count);
    tickets.split_off(tickets.len() - count)
}

fn all_tickets(gateways: &[&Weir], at_least: usize) -> Vec<(u64, String)> {
    let mut tickets: Vec<_> = Vec::new();
    // On a slow machine many of them come so late that they need not wait.
    for _ in 0..5 {
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let come = |n: usize| scope.spawn(move || gateways[n % gateways.len()].get("/launch/item", &[JSON]));
            let tabs: Vec<_> = (0..60).map(come).collect();
            tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
        });
        let waiting = answers.iter().filter(|answer| !answer.is_shop());
        tickets.extend(waiting.map(|answer| (answer.ticket(), answer.cookie().unwrap())));
        if tickets.len() >= at_least {
            tickets.sort();
            return tickets;
        }
    }
    panic!("no line has formed: {tickets:?}")
}

/// The number of a place, once it has one; a shopper who is in already shows it to the shop.
pub fn number(weir: &Weir, cookie: &str) -> u64 {
    until("the place has a number", || {
        let answer = weir.get("/launch/headers", &[JSON, ("Cookie", cookie)]);
        let Some(id) = pass_id_of(&answer) else { return answer.number() };
        let (segment, number) = id.split_once('.')?;
        Some(segment.parse::<u64>().ok()? * SPAN + number.parse::<u64>().ok()?)
    })
}

/// The headers that the shop gets for this cookie, once its holder is in.
pub fn pass_id(weir: &Weir, cookie: &str) -> String {
    until("the shopper is in", || pass_id_of(&weir.get("/launch/headers", &[JSON, ("Cookie", cookie)])))
}

pub fn pass_id_of(answer: &Answer) -> Option<String> {
    let mut lines = answer.body.lines().map(str::to_lowercase);
    lines.find_map(|line| line.strip_prefix("weir-pass-id:").map(|id| id.trim().to_owned()))
}
