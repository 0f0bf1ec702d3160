"""A rate that is steered from outside by additive increase and multiplicative decrease: what is written when there is a rate to set
and a latency to look at.

Source: D.-M. Chiu, R. Jain, Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks (1989),
with the factor of TCP.
"""

import json
import threading
import time

from shop import Log, ask, p95, took


def step(rate, p95, errors, target, ceiling):
    """The rate of the next second. `p95` in seconds, `None` if nothing was answered.

    >>> step(60, 0.4, 0, target=1, ceiling=100)
    61.0
    >>> step(100, 0.4, 0, target=1, ceiling=100)
    100
    >>> step(60, 1.2, 0, target=1, ceiling=100), step(60, 0.4, 3, target=1, ceiling=100)
    (30.0, 30.0)
    >>> step(1, 9.0, 50, target=1, ceiling=100)
    1
    >>> step(60, None, 0, target=1, ceiling=100)
    61.0
    """
    if errors or (p95 is not None and p95 > target):
        return max(rate * 0.5, 1)
    return min(rate + ceiling / 100, ceiling)


class Loop(threading.Thread):
    """Looks at a shop's log once a second, and sets the rate of a room at a gateway."""

    def __init__(self, shop, admin, target, ceiling):
        super().__init__(daemon=True)
        self.shop, self.admin, self.target, self.ceiling = shop, admin, target, ceiling
        self.stopped, self.rates = threading.Event(), []

    def run(self):
        rate, log = self.ceiling, Log(self.shop)
        while not self.stopped.wait(1):
            orders = [entry for entry in log.new() if entry["page"] == "order"]
            errors = sum(entry["status"] >= 500 for entry in orders)
            rate = step(rate, p95([took(entry) for entry in orders]), errors, self.target, self.ceiling)
            document = json.dumps({"rate": f"{rate * 60:.0f}/m", "ttl": "30s"})
            ask(self.admin, "PUT", "/api/rooms/launch/rate", document)
            self.rates.append((time.time(), rate))
