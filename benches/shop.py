"""The demo shop as a bench sees it: its log of the launch pages, and what is done to it."""

import http.client
import json


class Log:
    """A read cursor on the shop's log."""

    def __init__(self, shop):
        self.shop, self.after = shop, 0

    def new(self):
        """The entries since the last time; none if the shop does not answer."""
        status, text = ask(self.shop, "GET", f"/shop/log?after={self.after}")
        entries = [json.loads(line) for line in text.splitlines()] if status == 200 else []
        self.after = entries[-1]["seq"] if entries else self.after
        return entries


def took(entry):
    """How long the shop took for a request, in seconds."""
    return (entry["answered_us"] - entry["arrived_us"]) / 1e6


def p95(times):
    """The time within which 95 of 100 are; `None` of none.

    >>> p95([3, 1, 2]), p95(range(1, 101)), p95([])
    (3, 95, None)
    """
    times = sorted(times)
    return times[-(-len(times) * 95 // 100) - 1] if times else None


def ask(port, method, path, document=None, timeout=2):
    """A request to a port of loopback: status and text; status 0 if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Host": "localhost", **({"Content-Type": "application/json"} if document else {})}
    try:
        connection.request(method, path, body=document, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
