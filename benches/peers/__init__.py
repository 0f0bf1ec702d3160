"""The servers that Weir is measured beside. Their configurations are the files here, with the places
between two `@` filled in.

Each gets the same services, one port for each: an answer that Weir gave, sent again to the byte, or the
way to the shop. All access logs are off.
"""

import pathlib
import secrets
import subprocess
import time
from dataclasses import dataclass, field

from stand import answers, children, get, ports

HERE = pathlib.Path(__file__).resolve().parent
# Headers that a server makes for itself.
OWN = {"connection", "content-length", "content-type", "date", "keep-alive", "server", "transfer-encoding"}
# What Varnish would write to its log for each request.
VARNISH_LOG = (
    "SessOpen SessClose Begin End Link Hit Timestamp ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset ReqAcct "
    "RespProtocol RespStatus RespReason RespHeader RespUnset VCL_call VCL_return"
)
# Calls a minute of the home-made rooms, and how many are called at the start.
RATE, CALLED = 6, 60


@dataclass
class Answer:
    """What Weir answered, for others to answer too."""

    kind: str
    headers: dict
    body: bytes
    tls: bool = False

    @classmethod
    def of(cls, port, path, host, headers):
        status, head, body = get(port, path, host, **headers)
        assert status == 200, f"{host}{path}: {status}"
        kept = {name.title(): value for name, value in head.items() if name.lower() not in OWN}
        return cls(head["Content-Type"], kept, body)


@dataclass
class Way:
    """To the shop, and what the shop is told of it: header -> name of what it says."""

    told: dict = field(default_factory=dict)


@dataclass
class Room:
    """A home-made waiting room."""


@dataclass
class Server:
    """One that runs: processes whose time is its own, and the port of each service."""

    name: str
    pids: list
    ports: dict


# What Weir tells the shop about the way of a request, as the others can tell it too.
THE_WAY = Way(
    {
        "X-Forwarded-For": {"nginx": "$remote_addr", "haproxy": "%[src]"},
        "X-Forwarded-Proto": {"nginx": "$scheme", "haproxy": "http"},
        "X-Forwarded-Host": {"nginx": "$http_host", "haproxy": "%[req.hdr(host)]"},
        "Forwarded": {
            "nginx": "for=$remote_addr;host=$http_host;proto=$scheme",
            "haproxy": "for=%[src];host=%[req.hdr(host)];proto=http",
        },
        "Via": {"nginx": "1.1 nginx", "haproxy": "1.1 haproxy"},
        "X-Request-Id": {"nginx": "$request_id", "haproxy": "%[uuid()]"},
    }
)


def fill(file, **places):
    """A file of this directory with its places filled in."""
    text = (HERE / file).read_text()
    for name, value in places.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def certificate(stand):
    """A certificate of its own for ECDSA P-256, and its key: their files."""
    cert, key = stand.dir / "cert.pem", stand.dir / "key.pem"
    if not cert.exists():
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        names = ["-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test"]
        command = ["openssl", "req", "-x509", *curve, *names, "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True)
    return cert, key


def nginx(stand, shop, services, options):
    """nginx with these services."""
    at = dict(zip(services, ports(len(services))))
    sites = "\n".join(nginx_site(stand, name, service, at[name]) for name, service in services.items())
    cert, key = certificate(stand)
    common = fill("nginx.conf", certificate=cert, key=key, shop=shop)
    process = stand.nginx("nginx", common + sites, options.workers, options.pin_server)
    answers(at["status"], process)
    return Server("nginx", children(process), at)


def nginx_site(stand, name, service, port):
    if isinstance(service, Room):
        return fill("nginx-room.conf", rate=RATE, port=port, secret=secrets.token_hex(16))
    if isinstance(service, Way):
        told = "".join(f'proxy_set_header {header} "{value["nginx"]}"; ' for header, value in service.told.items())
        location = f'proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection ""; {told}'
    else:
        location = nginx_answer(stand, name, service)
    return f"server {{ listen 127.0.0.1:{port}{' ssl' if tls_of(service) else ''}; location / {{ {location} }} }}"


def nginx_answer(stand, name, answer):
    """From the configuration if it fits there, else from the file that is called as the path."""
    heads = "".join(f'add_header {header} "{value}"; ' for header, value in answer.headers.items())
    kind = f'types {{ }} default_type "{answer.kind}"; {heads}'
    body = answer.body.decode()
    if len(body) < 4_000 and not set("'$\\") & set(body):
        return f"{kind}return 200 '{body}';"
    # The workers are not root.
    stand.dir.chmod(0o711)
    files = stand.dir / "pages"
    files.mkdir()
    (files / name).write_bytes(answer.body)
    return f'{kind}add_header Last-Modified ""; root {files};'


def haproxy(stand, shop, services, options):
    """haproxy with these services."""
    at = dict(zip(services, ports(len(services))))
    texts = [fill("haproxy.cfg", workers=options.workers, shop=shop)]
    texts += [haproxy_site(stand, name, service, at[name], shop) for name, service in services.items()]
    (stand.dir / "haproxy.cfg").write_text("\n".join(texts))
    process = stand.start([*options.pin_server, "haproxy", "-db", "-f", stand.dir / "haproxy.cfg"])
    answers(at["status"], process)
    return Server("haproxy", [process.pid], at)


def haproxy_site(stand, name, service, port, shop):
    if isinstance(service, Room):
        start = int(time.time()) - CALLED * 60 // RATE
        return fill("haproxy-room.cfg", rate=RATE, port=port, start=start, shop=shop)
    lines = [f"frontend {name}", f"  bind 127.0.0.1:{port}{haproxy_tls(stand) if tls_of(service) else ''}"]
    if isinstance(service, Way):
        lines += [f'  http-request set-header {header} "{value["haproxy"]}"' for header, value in service.told.items()]
        lines.append("  default_backend shop")
    else:
        file = stand.dir / f"{name}.haproxy"
        file.write_bytes(service.body)
        heads = " ".join(f'hdr {header} "{value}"' for header, value in service.headers.items())
        lines.append(f'  http-request return status 200 content-type "{service.kind}" {heads} file {file}')
    return "\n".join(lines) + "\n"


def haproxy_tls(stand):
    """Certificate and key are one file there."""
    cert, key = certificate(stand)
    both = stand.dir / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    return f" ssl crt {both}"


def varnish(stand, documents, origin, options):
    """Varnish, which holds documents that nginx answers at these ports."""
    at = dict(zip(documents, ports(len(documents))))
    backends = "\n".join(f'backend {name} {{ .host = "127.0.0.1"; .port = "{origin[name]}"; }}' for name in documents)
    choices = "\n  ".join(f'if (local.socket == "{name}") {{ set req.backend_hint = {name}; }}' for name in documents)
    (stand.dir / "varnish.vcl").write_text(fill("varnish.vcl", backends=backends, choices=choices))
    listen = [part for name, port in at.items() for part in ("-a", f"{name}=127.0.0.1:{port}")]
    quiet = ",".join(f"-{tag}" for tag in VARNISH_LOG.split())
    tuned = {"thread_pools": options.workers, "timeout_idle": 3600, "http_gzip_support": "off", "vsl_mask": quiet}
    settings = [part for name, value in tuned.items() for part in ("-p", f"{name}={value}")]
    command = ["varnishd", "-F", "-j", "none", "-n", stand.dir / "varnish", "-f", stand.dir / "varnish.vcl", "-s", "malloc,64m"]
    process = stand.start([*options.pin_server, *command, *listen, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    answers(at["status"], process)
    return Server("varnish", [process.pid, *children(process)], at)


def tls_of(service):
    return isinstance(service, Answer) and service.tls
