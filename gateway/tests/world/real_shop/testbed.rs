//! The shop, the gateway and what stands in front of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::Weir;
use crate::common::browser::Browser;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The book that every shopper is after.
pub(crate) const BOOK: &str = "/catalogue/book-3_3/";

/// A server that is killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// django-oscar on uvicorn, with books and one customer.
pub(crate) struct Oscar {
    address: SocketAddr,
    data: tempfile::TempDir,
    log: Arc<Mutex<String>>,
    _server: Server,
}

/// Where `deploy/tools shop` puts it.
fn installed() -> PathBuf {
    let place = Path::new(ROOT).join("target/oscar");
    assert!(place.join("made").exists(), "the shop is not installed: run deploy/tools shop (make real-shop does)");
    place
}

fn python() -> Command {
    Command::new(installed().join("venv/bin/python"))
}

impl Oscar {
    pub(crate) fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(installed().join("data/.")).arg(data.path()).status().unwrap();
        assert!(copied.success());
        let mut server = python()
            .args(["-m", "uvicorn", "asgi:application", "--port", "0", "--lifespan", "off", "--no-use-colors"])
            .current_dir(Path::new(ROOT).join("gateway/tests/shop_oscar"))
            .env("SHOP_DATA", data.path())
            .env("DJANGO_SETTINGS_MODULE", "settings")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let server = Server(server);
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            said += &(line + "\n");
            said.split_once("running on http://")?.1.split_whitespace().next()?.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("the shop did not open:\n{said}"));
        let log = Arc::new(Mutex::new(said));
        let kept = log.clone();
        std::thread::spawn(move || lines.for_each(|line| *kept.lock().unwrap() += &(line + "\n")));
        Self { address, data, log, _server: server }
    }

    /// The rows of the database's answer, one a line.
    pub(crate) fn ask(&self, question: &str) -> String {
        let script = "import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row)";
        let file = self.data.path().join("shop.sqlite3");
        let out = python().args(["-c", script]).arg(file).arg(question).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Adds so many customers: `kim1@example.com` with `waiting-1`, and on.
    pub(crate) fn customers(&self, count: usize) {
        let script = "import sys, django\ndjango.setup()\nfrom django.contrib.auth.models import User\n\
                      for n in range(1, int(sys.argv[1]) + 1): User.objects.create_user(f'kim{n}', f'kim{n}@example.com', f'waiting-{n}')";
        let out = python()
            .args(["-W", "ignore", "-c", script, &count.to_string()])
            .current_dir(Path::new(ROOT).join("gateway/tests/shop_oscar"))
            .env("SHOP_DATA", self.data.path())
            .env("DJANGO_SETTINGS_MODULE", "settings")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    pub(crate) fn orders(&self) -> String {
        self.ask("select count(*) from order_order")
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

/// How shoppers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrangement {
    Clear,
    Tls,
    /// TLS that ends at nginx, as `deploy/nginx-in-front.conf` has it.
    Nginx,
}

/// A shop that is about to open, behind its gateway.
pub(crate) struct Testbed {
    pub(crate) shop: Oscar,
    pub(crate) weir: Weir,
    /// Scheme, and port.
    came: (&'static str, u16),
    _nginx: Option<Server>,
}

impl Testbed {
    /// A closed room in front of the whole shop, with these lines of its own.
    pub(crate) fn closed(way: Arrangement, more: &str) -> Self {
        Self::new(way, &format!("queue_all = true\n{more}"))
    }

    pub(crate) fn new(way: Arrangement, more: &str) -> Self {
        let shop = Oscar::open();
        let dir = tempfile::tempdir().unwrap();
        certificate(dir.path());
        fs::write(dir.path().join("weir.toml"), written(shop.address, more)).unwrap();
        let weir = Weir::start_in(dir);
        let nginx = (way == Arrangement::Nginx).then(|| nginx(weir.dir.path(), weir.http));
        let came = match way {
            Arrangement::Clear => ("http", weir.http.port()),
            Arrangement::Tls => ("https", weir.https.unwrap().port()),
            Arrangement::Nginx => ("https", nginx.as_ref().unwrap().1),
        };
        Self { shop, weir, came, _nginx: nginx.map(|(server, _)| server) }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        let (scheme, port) = self.came;
        format!("{scheme}://shop.test:{port}{path}")
    }

    /// The configuration is another from now on.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        let file = self.weir.config_file();
        let before = fs::read_to_string(&file).unwrap();
        assert!(before.contains(from));
        fs::write(file, before.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn open_doors(&self) {
        self.rewrite("queue_all = true\n", "");
    }

    pub(crate) fn close_doors(&self) {
        self.rewrite("queueing_method", "queue_all = true\nqueueing_method");
        until_true("the room is closed", || self.weir.get("/.weir/status/launch", &[]).json()["open"] == false);
    }

    /// Waits until no living pass is left.
    pub(crate) fn passes_end(&self) {
        until_true("the pass ends", || self.weir.room()["active_users"] == 0);
    }

    pub(crate) fn counted(&self, verdict: &str) -> f64 {
        self.weir.metric(&format!(r#"weir_requests_total{{room="launch",verdict="{verdict}"}}"#))
    }
}

/// The operator's configuration file.
fn written(shop: SocketAddr, more: &str) -> String {
    format!(
        r#"
[listen]
http = "127.0.0.1:0"
https = "127.0.0.1:0"
admin = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]

[[tls]]
certificate = "cert.pem"
key = "key.pem"

[[upstream]]
name = "shop"
servers = ["{shop}"]

[[upstream]]
name = "payment"
servers = ["{shop}"]

[[route]]
host = "pay.test"
upstream = "payment"

[[room]]
name = "launch"
host = "shop.test"
upstream = "shop"
bypass = ["/static/*", "/media/*"]
return_paths = ["/checkout/paid/"]
new_users_per_minute = 600
total_active_users = 100
poll.max = "1s"
queueing_method = "fifo"
{more}
"#
    )
}

/// A self-signed certificate.
fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned(), "pay.test".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// The nginx of `deploy/nginx-in-front.conf`, in this folder, which has a certificate.
fn nginx(dir: &Path, weir: SocketAddr) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shipped = fs::read_to_string(Path::new(ROOT).join("deploy/nginx-in-front.conf")).unwrap();
    let front = shipped
        .replace("127.0.0.1:8080", &weir.to_string())
        .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
        .replace("shop.example.com", "shop.test pay.test");
    let text = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.log;\nevents {{}}\nhttp {{ access_log off;\n\
         client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         {front} }}\n",
        dir.display()
    );
    fs::write(dir.join("nginx.conf"), text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-c").arg(dir.join("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server(command.spawn().expect("nginx is installed (deploy/tools shop installs it)"));
    until_true("nginx listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (server, port)
}

const FLAGS: [&str; 2] = ["--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors"];

/// A browser that finds the shop and takes its certificate.
pub(crate) fn browser() -> Browser {
    Browser::with(true, &FLAGS)
}

/// The same in which no script runs.
pub(crate) fn without_javascript() -> Browser {
    Browser::with(false, &FLAGS)
}

/// Waits for what may take a while: a shop that renders pages on a busy machine, a pass that ends.
pub(crate) fn until_true(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain until {what}");
        sleep(Duration::from_millis(50));
    }
}
