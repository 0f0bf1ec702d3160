//! Attacks that look for a way past the room, or ask in one line for work that costs much.

use std::io;

use launch_model::attack::FORGED_PASS;

use super::attacker::Attacker;

/// How often a costly piece is repeated: some kilobytes of path.
const COSTLY: usize = 400;
/// Requests of a flood that are written at once: less work to send than to answer.
const AT_ONCE: usize = 40;
const FORM: &str = "item=weir-one&quantity=1";

impl Attacker {
    pub(super) async fn twisted(&mut self) -> io::Result<()> {
        let spelling = spelling(&self.ground.page, &self.ground.target.authority, self.count);
        let head = self.head("GET", &spelling, &["Accept: */*", "Sec-Fetch-Mode: cors"]);
        self.ask(head.as_bytes()).await.map(drop)
    }

    pub(super) async fn flood(&mut self) -> io::Result<()> {
        let status = format!("/.weir/status/{}", self.ground.room);
        let requests = self.head("GET", &status, &[]).repeat(AT_ONCE);
        self.ask_at_once(requests.as_bytes(), AT_ONCE).await.map(drop)
    }

    /// A preflight that carries a form, and names itself.
    pub(super) async fn preflight(&mut self) -> io::Result<()> {
        let folder = self.ground.page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (order, room) = (format!("{folder}/order"), format!("Weir-Room: {}", self.ground.room));
        let (pass, length) = (format!("Weir-Pass-Id: {FORGED_PASS}"), format!("Content-Length: {}", FORM.len()));
        let lines = [
            "Origin: https://shop.example",
            "Access-Control-Request-Method: POST",
            "X-HTTP-Method-Override: POST",
            "Content-Type: application/x-www-form-urlencoded",
            &room,
            &pass,
            &length,
        ];
        let request = self.head("OPTIONS", &order, &lines) + FORM;
        self.ask(request.as_bytes()).await.map(drop)
    }

    /// Like the return from a payment page, but for no payment: the shop has to look for the order.
    pub(super) async fn come_back(&mut self) -> io::Result<()> {
        let folder = self.ground.page.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (back, form) = (format!("{folder}/return"), format!("order={}&key=none", u32::MAX));
        let length = format!("Content-Length: {}", form.len());
        let lines = [
            "Origin: https://payment.example",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
            "Accept: text/html",
            "Content-Type: application/x-www-form-urlencoded",
            &length,
        ];
        let request = self.head("POST", &back, &lines) + &form;
        self.ask(request.as_bytes()).await.map(drop)
    }
}

/// Targets that some server reads as the room's page, and targets that are long to read, in turns.
fn spelling(page: &str, host: &str, turn: u64) -> String {
    let inner = page.trim_start_matches('/');
    match turn % 13 {
        0 => format!("//x{page}"),
        1 => format!("///x{page}"),
        2 => format!("/\\x{page}"),
        3 => format!("//x@y{page}"),
        4 => format!("//x\\{inner}"),
        5 => format!("http://{host}//x{page}"),
        6 => format!("/x/..{page}"),
        7 => format!("/%2e%2e{page}"),
        8 => format!("/./%2e/{inner}"),
        9 => format!("/{}{inner}", "%2e%2e/a/../".repeat(COSTLY)),
        10 => format!("/{}{inner}", "%25".repeat(COSTLY)),
        11 => format!("{}{page}", "/".repeat(4 * COSTLY)),
        _ => format!("/{}{page}", ";a=b/..".repeat(COSTLY)),
    }
}

#[cfg(test)]
mod tests {
    use demo_shop::pages::read_as_url;

    use super::*;

    #[test]
    fn the_demo_shop_reads_some_spellings_as_the_page() {
        let read = |turn| read_as_url(&spelling("/launch/item", "shop.test", turn)).to_owned();
        assert!((0..4).all(|turn| read(turn) == "/launch/item"));
        assert_ne!(read(7), "/launch/item", "others are for other shops");
    }
}
