"""All servers at once, running, on the same shop: Weir, and the others with what Weir answers."""

import peers
from stand import QUEUE, SHOP, Stand, a_pass, a_ticket, answers, ports, shop_answer

STATUS = "/.weir/status/launch"
# Where nginx has the waiting page as a file.
PAGE = "/page"


class Servers:
    """All servers, running, with what Weir answers told to the others; a context manager."""

    def __init__(self, options):
        self.options = options
        self.stand = Stand()
        self.running = {}
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
        self.running["weir"] = peers.Server("weir", [weir.pid], {"http": port, "https": https})
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
            self.running[server.name] = server
        self.running["varnish"] = peers.varnish(stand, documents, self.running["nginx"].ports, options)

    def documents(self, port):
        """What Weir itself answers, for the others to answer the same."""
        waiter = {"Cookie": self.cookies["waiter"]}
        return {
            "status": peers.Answer.of(port, STATUS, SHOP, {}),
            "waiting": peers.Answer.of(port, "/", QUEUE, {**waiter, "Accept": "application/json"}),
            "page": peers.Answer.of(port, PAGE, QUEUE, {**waiter, "Accept": "text/html"}),
        }

    def port(self, work, who):
        ports = self.running[who].ports
        return ports[work.scheme] if who == "weir" else ports[work.service]

    def headers(self, work):
        """What every request of a work says."""
        shown = {"Cookie": self.cookies[work.cookie]} if work.cookie else {}
        return {"Host": work.host, **shown, **work.headers}
