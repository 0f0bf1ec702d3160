"""What is measured side by side: the works, and the servers that run for them.

A work is one kind of request. Its figure is the CPU time of the server's processes for one of them; or,
for idle connections, the memory of one. The other servers do the same work, or are left out where it is
not theirs.
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

import peers
from stand import QUEUE, SHOP, Stand, a_pass, a_ticket, answers, ports, program, shop_answer

WHO = ("weir", "nginx", "haproxy", "varnish")
STATUS = "/.weir/status/launch"
# Where nginx has it as a file.
PAGE = "/page"


@dataclass
class Work:
    """One kind of request: how it is asked, who does it in which way, and the ratio to nginx that is wanted, if
    one is."""

    key: str
    name: str
    ways: dict
    goal: float | None = None
    gate: float | None = None
    path: str = "/"
    host: str = SHOP
    headers: dict = field(default_factory=dict)
    scheme: str = "http"
    unit: str = "us"
    figures: dict = field(default_factory=dict)

    def who(self):
        return ["weir", *self.ways]

    def ratios(self, peer):
        """Weir's figure by the other's, round by round."""
        return [w / p for w, p in zip(self.figures["weir"], self.figures[peer])]


DOCUMENT = {"nginx": "`return 200`", "haproxy": "`http-request return`", "varnish": "cached object"}
FRESH = {"Connection": "close"}


def all_works():
    """The works on the CPU, in the order of the table."""
    proxies = {"nginx": "`proxy_pass`, kept connections", "haproxy": "`http-reuse always`"}
    telling = {"nginx": "`proxy_pass` and six headers", "haproxy": "`http-reuse always` and six headers"}
    page = {**DOCUMENT, "nginx": "file, `sendfile`"}
    closing = {"nginx": "`return 200`, TLS by OpenSSL", "haproxy": "`http-request return`, TLS by OpenSSL"}
    return [
        Work("admitted", "admitted request, 1 KiB answer", proxies, 1.00, 1.20),
        Work("telling", "the same, the others telling the way", telling, 1.00, 1.20),
        Work("status", "status document", DOCUMENT, 1.00, 1.25, STATUS),
        Work("waiting", "waiting JSON", DOCUMENT, 1.15, 1.50, host=QUEUE, headers={"Accept": "application/json"}),
        Work("page", "waiting page", page, 1.15, 1.50, PAGE, QUEUE, {"Accept": "text/html"}),
        Work("fresh", "new connection and status document", DOCUMENT, 1.15, 1.50, STATUS, headers=FRESH),
        Work("tls", "whole TLS 1.3 handshake and status document", closing, 1.00, 1.25, STATUS, headers=FRESH, scheme="https"),
        Work("resumed", "resumed TLS 1.3 session and status document", closing, 1.00, 1.25, STATUS, headers=FRESH, scheme="https"),
        Work("idle", "idle connection", DOCUMENT, path=STATUS, unit="bytes"),
        Work("idle-tls", "idle TLS 1.3 connection", closing, path=STATUS, scheme="https", unit="bytes"),
    ]


class Field:
    """All servers, running, with what Weir answers told to the others; a context manager."""

    def __init__(self, options):
        self.options = options
        self.stand = Stand()
        self.servers = {}
        self.cookies = {}

    def __enter__(self):
        self.stand.__enter__()
        try:
            self.start()
        except BaseException:
            self.stand.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stand.__exit__()

    def start(self):
        stand, options = self.stand, self.options
        shop, https = ports(2)
        site = f"server {{ listen 127.0.0.1:{shop}; {shop_answer()} }}"
        answers(shop, stand.nginx("shop", site, before=options.pin_load))
        tls = (https, *peers.certificate(stand))
        weir, port, _ = stand.weir(shop, options.workers, options.pin_server, tls=tls)
        self.cookies = {"holder": a_pass(port), "first": a_ticket(port, ahead=1), "waiter": a_ticket(port)}
        self.servers["weir"] = peers.Server("weir", [weir.pid], {"http": port, "https": https})
        documents = self.documents(port)
        services = {
            "admitted": peers.Way(),
            "telling": peers.THE_WAY,
            "room": peers.Room(),
            "tls": peers.Answer(**{**vars(documents["status"]), "tls": True}),
            **documents,
        }
        for start in (peers.nginx, peers.haproxy):
            server = start(stand, shop, services, options)
            self.servers[server.name] = server
        self.servers["varnish"] = peers.varnish(stand, documents, self.servers["nginx"].ports, options)

    def documents(self, port):
        """What Weir itself answers, for the others to answer the same."""
        waiter = {"Cookie": self.cookies["waiter"]}
        return {
            "status": peers.Answer.of(port, STATUS, SHOP, {}),
            "waiting": peers.Answer.of(port, "/", QUEUE, {**waiter, "Accept": "application/json"}),
            "page": peers.Answer.of(port, PAGE, QUEUE, {**waiter, "Accept": "text/html"}),
        }

    def port(self, work, who):
        if who == "weir":
            return self.servers[who].ports[work.scheme]
        service = {"fresh": "status", "idle": "status", "idle-tls": "tls", "resumed": "tls"}.get(work.key, work.key)
        return self.servers[who].ports[service]

    def headers(self, work):
        cookie = {"admitted": "holder", "telling": "holder", "waiting": "waiter", "page": "waiter"}.get(work.key)
        shown = {"Cookie": self.cookies[cookie]} if cookie else {}
        return {"Host": work.host, **shown, **work.headers}


def cpu_seconds(pids):
    """User and system time of whole processes, threads that ended included."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def load(field, work, who, seconds):
    """Requests answered in about so many seconds. wrk makes a new connection where the last was closed; with
    TLS it resumes its session then, so whole handshakes are made by a program of ours."""
    if work.key == "tls":
        return handshakes(field, work, who, seconds)
    options = field.options
    command = [*options.pin_load, "wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s"]
    for name, value in field.headers(work).items():
        command += ["-H", f"{name}: {value}"]
    url = f"{work.scheme}://127.0.0.1:{field.port(work, who)}{work.path}"
    out = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{work.name}: not every request was answered well by {who}\n{out}")
    return int(re.search(r"(\d+) requests in", out).group(1))


def handshakes(field, work, who, seconds):
    options = field.options
    heads = [part for name, value in field.headers(work).items() for part in ("--header", f"{name}: {value}")]
    more = ["--path", work.path, "--connections", str(options.connections), "--seconds", str(seconds), *heads]
    command = [*options.pin_load, program("handshakes"), f"127.0.0.1:{field.port(work, who)}", *more]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cpu(field, work, who, seconds):
    """CPU microseconds of one request."""
    pids = field.servers[who].pids
    before = cpu_seconds(pids)
    requests = load(field, work, who, seconds)
    return (cpu_seconds(pids) - before) / requests * 1e6


def memory(pids):
    """What these processes use alone, and their share of what they use together, in bytes."""
    texts = [open(f"/proc/{pid}/smaps_rollup").read() for pid in pids]
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) * 1024 for text in texts)


def idle(field, work, who):
    """Bytes of memory of one connection that is kept after a request. For servers that were just started: what a
    server once freed it would use again."""
    count = field.options.idle
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(4096, count + 500), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.ExitStack() as opened:
        connect = lambda: opened.enter_context(asked(field, work, who))
        warm = [connect() for _ in range(50)]
        before = memory(field.servers[who].pids)
        kept = [connect() for _ in range(count)]
        after = memory(field.servers[who].pids)
        for connection in warm + kept:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                if not connection.recv(1):
                    sys.exit(f"{who} closed an idle connection: no figure")
    return (after - before) / count


def asked(field, work, who):
    """A connection on which one request was answered."""
    connection = socket.create_connection(("127.0.0.1", field.port(work, who)))
    if work.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    heads = "".join(f"{name}: {value}\r\n" for name, value in field.headers(work).items())
    connection.sendall(f"GET {work.path} HTTP/1.1\r\n{heads}\r\n".encode())
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65_536)
    return connection
