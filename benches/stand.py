"""What the runs share: a directory of their own, free ports on loopback, Weir, nginx, and a client.

Everything that is started here is ended here, by its process id, whatever happens in between.
"""

import contextlib
import http.client
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHOP, QUEUE = "shop.test", "queue.test"

WEIR = """
[listen]
http = "127.0.0.1:{http}"
https = {https}
admin = "127.0.0.1:{admin}"
workers = {workers}
idle_timeout = "1h"
waiting_idle_timeout = "1h"
[store]
{store}
[quota]
requests_per_second = 1000000
request_burst = 1000000
joins_per_second = 1000000
join_burst = 1000000
[log]
access = false
level = "warn"
[[upstream]]
name = "shop"
servers = ["127.0.0.1:{shop}"]
max_in_flight = 10000
[[room]]
name = "launch"
host = "shop.test"
upstream = "shop"
new_users_per_minute = 600000
session_duration = "24h"
[[room]]
name = "queue"
host = "queue.test"
upstream = "shop"
new_users_per_minute = 6
session_duration = "24h"
poll = {{ min = "1s", max = "60s", budget = 1000000 }}
{tls}
"""

# Limits of requests per connection are lifted: all servers keep theirs for the whole run.
NGINX = """
daemon off;
worker_processes {workers};
pid {dir}/{name}.pid;
error_log {dir}/{name}.log error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/{name}-body;
  proxy_temp_path {dir}/{name}-proxy;
  fastcgi_temp_path {dir}/{name}-fastcgi;
  uwsgi_temp_path {dir}/{name}-uwsgi;
  scgi_temp_path {dir}/{name}-scgi;
  {body}
}}
"""


def ports(count):
    """Ports of loopback that nobody uses now, below those that the kernel gives to connections: none can take them before
    their server does."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with contextlib.ExitStack() as held:
        found = []
        for port in random.sample(range(10_000, lowest), min(lowest - 10_000, 1_000)):
            s = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError(f"no {count} free ports of loopback between 10,000 and {lowest}")


def weir():
    """The gateway that is measured: the release build, or the binary that the variable WEIR names."""
    return pathlib.Path(os.environ.get("WEIR", ROOT / "target/release/weir"))


def machine():
    """This machine and its Redis, in words."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()[2]
    return f"{cpu.group(1) if cpu else 'unknown'}, {os.cpu_count()} cores; Redis {redis.removeprefix('v=')}"


class Stand:
    """Processes and their directory; a context manager."""

    def __init__(self):
        self.dir = None
        self._dir = None
        self._running = []

    def __enter__(self):
        self._dir = tempfile.TemporaryDirectory(prefix="weir-bench-")
        self.dir = pathlib.Path(self._dir.name)
        return self

    def __exit__(self, *_):
        for process in reversed(self._running):
            stop(process)
        self._dir.cleanup()

    def start(self, command, **options):
        process = subprocess.Popen([str(part) for part in command], cwd=self.dir, **options)
        self._running.append(process)
        return process

    def weir(self, shop, workers, before=(), redis=None, tls=None):
        """A gateway in front of `shop`, with its lines in this Redis if one is named: its process and the
        ports of shoppers and operator. `tls` is a port and the files of certificate and key."""
        http_port, admin = ports(2)
        store = f'kind = "redis"\nurl = "redis://127.0.0.1:{redis}"' if redis else 'path = "weir.redb"'
        https, certificate, key = tls or (None, None, None)
        places = {
            "https": f'"127.0.0.1:{https}"' if tls else "[]",
            "tls": f'[[tls]]\ncertificate = "{certificate}"\nkey = "{key}"' if tls else "",
        }
        text = WEIR.format(http=http_port, admin=admin, shop=shop, workers=workers, store=store, **places)
        (self.dir / "weir.toml").write_text(text)
        env = {**os.environ, "WEIR_SECRET": secrets.token_hex(32)}
        process = self.start([*before, weir(), "serve", "--config", "weir.toml"], env=env)
        answers(http_port, process, "/.weir/status/launch")
        return process, http_port, admin

    def redis(self):
        """A Redis that keeps nothing: its process and its port."""
        # Somebody else may take the port before Redis does.
        for port in ports(5):
            process = self.start(["redis-server", "--port", port, "--save", "", "--loglevel", "warning"], stdout=subprocess.DEVNULL)
            for _ in range(50):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    if process.poll() is None:
                        return process, port
                time.sleep(0.1)
                if process.poll() is not None:
                    break
        raise SystemExit("redis-server does not answer")

    def nginx(self, name, servers, workers=1, before=()):
        """nginx with these `server`s; its process."""
        file = self.dir / f"{name}.conf"
        file.write_text(NGINX.format(workers=workers, dir=self.dir, name=name, body=servers))
        return self.start([*before, "nginx", "-c", file])


def program(name):
    """A measuring program of this package; the variable PROBES names another place than the release build."""
    return pathlib.Path(os.environ.get("PROBES", ROOT / "target/release")) / name


def stop(process):
    """Ends a process that was started here."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def children(process):
    """The processes that a process started, such as the workers of an nginx master."""
    text = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def get(port, path, host=SHOP, **headers):
    """One request on a connection of its own: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def answers(port, process, path="/"):
    """Waits until somebody answers at a port."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"a server ended before it answered (status {process.returncode})")
        with contextlib.suppress(OSError, http.client.HTTPException):
            get(port, path)
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody answers at port {port}")


def cookie_of(headers):
    """The cookie that an answer sets, as a request sends it."""
    return headers["Set-Cookie"].split(";")[0]


def a_pass(port):
    """The cookie of a shopper who got in."""
    for _ in range(50):
        status, headers, body = get(port, "/", SHOP, Accept="text/html")
        if status == 200 and body.startswith(b"xxx"):
            return cookie_of(headers)
        time.sleep(0.1)
    raise SystemExit("nobody is let in")


def claim(port, ticket):
    """The cookie of the shopper who waited with this one."""
    for _ in range(300):
        _, headers, body = get(port, "/", QUEUE, Accept="text/html", Cookie=ticket)
        if body.startswith(b"xxx"):
            return cookie_of(headers)
        time.sleep(0.1)
    raise SystemExit("nobody is called")


def a_ticket(port, ahead=1500):
    """The cookie of somebody who waits, with people ahead of them, none of whom comes back: the line calls up to 30 a minute."""
    for _ in range(ahead):
        _, headers, _ = get(port, "/", QUEUE, Accept="text/html")
    return cookie_of(headers)


def shop_answer(size=1024):
    """An nginx `location` that answers from memory."""
    return f'location / {{ default_type text/plain; return 200 "{"x" * size}"; }}'


def status_field(pid, field):
    """A figure of /proc/PID/status, in KiB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+)", text, re.M).group(1))
