"""What is measured side by side: the works, and the figure of a server for each.

A work is one kind of request. Its figure is the CPU time of the server's processes for one of them; or,
for idle connections, the memory of one.
"""

import contextlib
import re
import resource
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field

from servers import PAGE, STATUS
from stand import QUEUE, SHOP, program


@dataclass
class Work:
    """One kind of request: which service it asks, who does it in which way, and the ratio to nginx that is
    wanted, if one is."""

    key: str
    name: str
    ways: dict
    service: str
    goal: float | None = None
    gate: float | None = None
    scheme: str = "http"
    path: str = "/"
    host: str = SHOP
    cookie: str | None = None
    headers: dict = field(default_factory=dict)
    unit: str = "us"
    figures: dict = field(default_factory=dict)

    def who(self):
        return ["weir", *self.ways]

    def ratios(self, peer):
        """Weir's figure by the other's, round by round."""
        return [w / p for w, p in zip(self.figures["weir"], self.figures[peer])]


def all_works():
    """The works in the order of the table. What a server is not made for is left out: Varnish speaks no TLS,
    and what it must not keep is not its work."""
    proxy = {"nginx": "`proxy_pass`, kept connections", "haproxy": "`http-reuse always`"}
    telling = {who: f"{way}, six headers" for who, way in proxy.items()}
    document = {"nginx": "`return 200`", "haproxy": "`http-request return`", "varnish": "cached object"}
    page = {**document, "nginx": "file, `sendfile`"}
    tls = {"nginx": "`return 200`, OpenSSL", "haproxy": "`http-request return`, OpenSSL"}
    holder = {"cookie": "holder"}
    waiter = {"host": QUEUE, "cookie": "waiter"}
    status = {"path": STATUS}
    closed = {"path": STATUS, "headers": {"Connection": "close"}}
    json, html = ({"headers": {"Accept": kind}} for kind in ("application/json", "text/html"))
    return [
        Work("admitted", "admitted request, 1 KiB answer", proxy, "admitted", 1.00, 1.20, **holder),
        Work("telling", "the same, the others telling the way", telling, "telling", 1.00, 1.20, **holder),
        Work("status", "status document", document, "status", 1.00, 1.25, **status),
        Work("waiting", "waiting JSON", document, "waiting", 1.15, 1.50, **waiter, **json),
        Work("page", "waiting page", page, "page", 1.15, 1.50, path=PAGE, **waiter, **html),
        Work("fresh", "new connection, status document", document, "status", 1.15, 1.50, **closed),
        Work("tls", "TLS 1.3 handshake, status document", tls, "tls", 1.00, 1.25, "https", **closed),
        Work("resumed", "resumed TLS 1.3 session, status document", tls, "tls", 1.00, 1.25, "https", **closed),
        Work("idle", "idle connection", document, "status", unit="bytes", **status),
        Work("idle-tls", "idle TLS 1.3 connection", tls, "tls", scheme="https", unit="bytes", **status),
    ]


def cpu_seconds(pids):
    """User and system time of whole processes, threads that ended included."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def load(servers, work, who, seconds):
    """Requests answered in about so many seconds. wrk makes a new connection where the last was closed; with
    TLS it resumes its session then, so whole handshakes are made by a program of ours."""
    if work.key == "tls":
        return handshakes(servers, work, who, seconds)
    options = servers.options
    command = [*options.pin_load, "wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s", "--timeout", "10s"]
    for name, value in servers.headers(work).items():
        command += ["-H", f"{name}: {value}"]
    url = f"{work.scheme}://127.0.0.1:{servers.port(work, who)}{work.path}"
    out = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{work.name}: not every request was answered well by {who}\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def handshakes(servers, work, who, seconds):
    options = servers.options
    heads = [part for name, value in servers.headers(work).items() for part in ("--header", f"{name}: {value}")]
    more = ["--path", work.path, "--connections", str(options.connections), "--seconds", str(seconds), *heads]
    command = [*options.pin_load, program("handshakes"), f"127.0.0.1:{servers.port(work, who)}", *more]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cpu(servers, work, who, seconds):
    """CPU microseconds of one request."""
    pids = servers.running[who].pids
    before = cpu_seconds(pids)
    requests = load(servers, work, who, seconds)
    return (cpu_seconds(pids) - before) / requests * 1e6


def memory(pids):
    """What these processes use alone, and their share of what they use together, in bytes."""
    texts = [open(f"/proc/{pid}/smaps_rollup").read() for pid in pids]
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) * 1024 for text in texts)


def idle(servers, work, who):
    """Bytes of memory of one connection that is kept after a request. For servers that were just started: what a
    server once freed it would use again."""
    count = servers.options.idle
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, count + 500), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.ExitStack() as opened:
        connect = lambda: opened.enter_context(asked(servers, work, who))
        warm = [connect() for _ in range(50)]
        before = memory(servers.running[who].pids)
        kept = [connect() for _ in range(count)]
        after = memory(servers.running[who].pids)
        for connection in warm + kept:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                if not connection.recv(1):
                    sys.exit(f"{who} closed an idle connection: no figure")
    return (after - before) / count


def asked(servers, work, who):
    """A connection on which one request was answered."""
    connection = socket.create_connection(("127.0.0.1", servers.port(work, who)))
    if work.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    heads = "".join(f"{name}: {value}\r\n" for name, value in servers.headers(work).items())
    connection.sendall(f"GET {work.path} HTTP/1.1\r\n{heads}\r\n".encode())
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65_536)
    return connection
