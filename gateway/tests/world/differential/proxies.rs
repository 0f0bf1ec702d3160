//! Real proxies as shops behind a closed room: nginx and `HAProxy`, each with its own ideas of a path, also before Node.

use std::net::SocketAddr;
use std::path::Path;

use super::shop::{Node, inside};
use super::spellings::{Dice, how_many, seed};
use crate::common::program::{Program, nginx_folders, ports};
use crate::common::{CLOSED, Weir, config};

/// As it reads paths itself, with slashes merged and not; and in front of Node, the path as sent and as read.
fn nginx(dir: &Path, node: SocketAddr) -> (Program, Vec<(String, u16)>) {
    let kinds = ["merged", "unmerged", "read", "sent"];
    let ports = ports::<4>();
    let own = "location ~* ^/launch(/|$) { return 200 inside; } location / { return 200 outside; }";
    let forward = |end| format!("location / {{ proxy_pass http://{node}{end}; proxy_http_version 1.1; }}");
    let bodies = [
        own.to_owned(),
        format!("merge_slashes off; {own}"),
        format!("merge_slashes off; {}", forward("/")),
        forward(""),
    ];
    let servers = ports.iter().zip(&bodies);
    let servers: Vec<_> =
        servers.map(|(port, body)| format!("server {{ listen 127.0.0.1:{port}; {body} }}\n")).collect();
    let servers = servers.concat();
    let text = format!(
        "events {{}}\nhttp {{ access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         {}\n{servers} }}\n",
        nginx_folders(dir)
    );
    let server = Program::nginx(dir, &text, &ports);
    (server, kinds.iter().map(|kind| format!("nginx-{kind}")).zip(ports).collect())
}

/// As it reads paths itself, as sent, decoded and with its normalizers; and in front of Node.
fn haproxy(dir: &Path, node: SocketAddr) -> (Program, Vec<(String, u16)>) {
    let kinds = ["sent", "decoded", "normal", "node", "normal-node"];
    let ports = ports::<5>();
    let answer = |what| format!("http-request return status 200 content-type text/plain string {what}");
    let own = |path| format!("{} if {{ {path} -m reg -i ^/launch(/|$) }}\n{}\n", answer("inside"), answer("outside"));
    let normal = "http-request normalize-uri percent-decode-unreserved\nhttp-request normalize-uri path-merge-slashes\n\
                  http-request normalize-uri path-strip-dot\nhttp-request normalize-uri path-strip-dotdot full\n";
    let forward = format!("server node {node}\n");
    let bodies = [
        own("path"),
        own("path,url_dec"),
        format!("{normal}{}", own("path")),
        forward.clone(),
        format!("{}{forward}", normal.replace("http-request normalize-uri path-merge-slashes\n", "")),
    ];
    let proxies = ports.iter().zip(&bodies).enumerate();
    let proxies: Vec<_> =
        proxies.map(|(n, (port, body))| format!("listen p{n}\nbind 127.0.0.1:{port}\n{body}")).collect();
    let proxies = proxies.concat();
    let text = format!(
        "global\nexpose-experimental-directives\ndefaults\nmode http\ntimeout connect 5s\ntimeout client 600s\ntimeout server 600s\n{proxies}"
    );
    let server = Program::haproxy(dir, &text, &ports);
    (server, kinds.iter().map(|kind| format!("haproxy-{kind}")).zip(ports).collect())
}

#[test]
#[ignore = "needs nginx and HAProxy, and minutes: make differential"]
fn what_a_proxy_reads_as_inside_a_room_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start();
    let (_nginx, mut shops) = nginx(dir.path(), node.address);
    let (_haproxy, more) = haproxy(dir.path(), node.address);
    shops.extend(more);
    let part = |(name, port): &(String, u16)| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nservers = \"127.0.0.1:{port}\"\n[[route]]\nhost = \"{name}.example\"\n\
             upstream = \"{name}\"\n"
        )
    };
    let routes: String = shops.iter().map(part).collect();
    let weir = Weir::start(&(config(node.address, CLOSED) + &routes));
    let mut dice = Dice::new(seed());
    let targets: Vec<String> = (0..how_many(2_000)).map(|_| dice.target()).collect();
    let look = |(name, port): &(String, u16)| {
        let host = format!("{name}.example");
        let meant = inside(SocketAddr::from(([127, 0, 0, 1], *port)), &host, &targets);
        (meant.len(), inside(weir.http, &host, &targets))
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let tasks: Vec<_> = shops.iter().map(|shop| scope.spawn(|| look(shop))).collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    for ((name, _), (meant, through)) in shops.iter().zip(found) {
        println!("{name}: {meant} of {} targets are inside", targets.len());
        assert!(meant > targets.len() / 100, "{name}: too few to tell: {meant}");
        assert!(through.is_empty(), "{name}: {} came through: {:?}", through.len(), &through[..through.len().min(20)]);
    }
    weir.is_well();
}
