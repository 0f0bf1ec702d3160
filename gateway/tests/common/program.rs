//! Other people's programs: nginx, `HAProxy`, curl.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};

use super::until_true;

/// A server that is killed when dropped.
pub struct Program(Child);

impl Program {
    /// Starts one, and waits until it listens on these ports of 127.0.0.1.
    pub fn start(command: &mut Command, ports: &[u16]) -> Self {
        let program = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for port in ports {
            until_true("it listens", || TcpStream::connect(("127.0.0.1", *port)).is_ok());
        }
        program
    }

    /// nginx with this text after its usual first lines; its other files are in the directory too.
    pub fn nginx(dir: &Path, text: &str, ports: &[u16]) -> Self {
        let first = format!(
            "daemon off; master_process off; worker_processes 1; pid {}/nginx.pid; error_log /dev/null;\n",
            dir.display()
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, first + text).unwrap();
        Self::start(Command::new("nginx").arg("-e").arg("stderr").arg("-c").arg(file), ports)
    }

    /// `HAProxy` with this configuration.
    pub fn haproxy(dir: &Path, text: &str, ports: &[u16]) -> Self {
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        Self::start(Command::new("haproxy").arg("-db").arg("-f").arg(file), ports)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of nginx's `http { }` that keep its files in this directory alone.
pub fn nginx_folders(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; \
         scgi_temp_path {dir}/s;"
    )
}

/// Ports that were free just now, on all addresses. They lie below the kernel's ephemeral ports, of which another test
/// may have one a moment later.
pub fn ports<const N: usize>() -> [u16; N] {
    let free = || TcpListener::bind(("0.0.0.0", rand::random_range(10_000..30_000))).ok();
    let held = [(); N].map(|()| std::iter::repeat_with(free).flatten().next().unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// The output of curl with these arguments; nothing if it fails.
pub fn curl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("curl").args(["--silent", "--max-time", "30"]).args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A connection from 127.0.0.`client`.
pub fn connect_from(client: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((IpAddr::from(Ipv4Addr::new(127, 0, 0, client)), 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    stream
}
