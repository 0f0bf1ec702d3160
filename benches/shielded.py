"""The figures of a launch before a shop with a fault, and which of them pass. Times are seconds since the start of the launch.

Everything but the rate is read off the shop's own log, which all systems have; the rate and the overshoot are of the load test's report.
"""

import dataclasses
import statistics

from shop import p95, took

# What a shielded shop must reach.
LEAST_GOODPUT, MOST_OVER, MOST_BACK, MOST_DEVIATION = 0.90, 3, 20, 0.08
# The goodput that counts as back, and the seconds over which it is looked at.
BACK, LOOK = 0.8, 5


@dataclasses.dataclass
class Launch:
    """A launch that is over. `begin` and `end` are those of the fault, `None` if there was none, and `during` is what the database can do
    meanwhile, in orders a second; `most` is what it can do else. The first `settled` seconds do not count, nor what is after `closed`."""

    log: list
    report: dict
    target: float
    ceiling: float
    most: float
    settled: int
    closed: int
    begin: float = None
    end: float = None
    during: float = None

    def can(self, second):
        """Orders that the database can do in this second.

        >>> launch = Launch([], {}, 1, 100, 60, 0, 9, begin=2.5, end=4, during=20)
        >>> [launch.can(second) for second in range(5)]
        [60, 60, 40.0, 20, 60]
        """
        if self.begin is None:
            return self.most
        within = max(min(self.end, second + 1) - max(self.begin, second), 0)
        return self.most + within * (self.during - self.most)

    def paid(self):
        """Orders paid in each second, each once."""
        return counted(({entry["order"]: entry for entry in reversed(self.log) if is_paid(entry)}).values(), self.closed, "answered")

    def goodput(self, steady=False):
        """Orders paid, as a share of what the database can do; `steady`: without the seconds after the fault in which a system may come
        back, which is judged by itself.

        >>> paid = [{"page": "payment", "outcome": "ok", "order": n, "answered": n / 10} for n in range(200)]
        >>> Launch(paid, {}, 1, 100, 10, settled=5, closed=15).goodput()
        1.0
        >>> launch = Launch(paid[:60] + paid[300:], {}, 1, 100, 10, settled=5, closed=30, begin=6, end=9, during=0)
        >>> f"{launch.goodput():.2f} {launch.goodput(steady=True):.2f}"
        '0.05 0.50'
        """
        paid = self.paid()
        coming_back = range(int(self.end), int(self.end) + MOST_BACK) if steady and self.end is not None else ()
        seconds = [second for second in range(self.settled, self.closed) if second not in coming_back]
        return sum(paid[second] for second in seconds) / sum(self.can(second) for second in seconds)

    def over(self):
        """Seconds with orders over the target: while the fault lasts, and from its end on. A second in which the database can do
        something and no order is answered is one of them; where it can do nothing, none is.

        >>> order = lambda at, took: {"page": "order", "answered": at, "arrived_us": 0, "answered_us": took * 1e6}
        >>> log = [order(0.1, 0.3), order(1.1, 2), order(2.1, 0.3), order(4.2, 2), order(5.3, 0.3)]
        >>> Launch(log, {}, 1, 100, 10, settled=0, closed=6).over()
        (0, 3)
        >>> Launch(log, {}, 1, 100, 10, settled=0, closed=6, begin=1, end=4, during=5).over()
        (2, 1)
        >>> Launch(log, {}, 1, 100, 10, settled=0, closed=6, begin=1, end=4, during=0).over()
        (0, 1)
        """
        times = [[] for _ in range(self.closed)]
        for entry in self.log:
            if entry["page"] == "order" and 0 <= entry["answered"] < self.closed:
                times[int(entry["answered"])].append(took(entry))
        begin, end = (self.settled, self.settled) if self.begin is None else (int(self.begin), int(self.end))
        late = [second for second in range(begin, self.closed) if not times[second] or p95(times[second]) > self.target]
        return sum(second < end for second in late) if self.during else 0, sum(second >= end for second in late)

    def back(self):
        """Seconds from the end of the fault until the goodput is back for good; `None`: never.

        >>> paid = [{"page": "payment", "outcome": "ok", "order": n, "answered": 6 + n / 10} for n in range(140)]
        >>> launch = Launch(paid, {}, 1, 100, 10, settled=0, closed=20, begin=1, end=4, during=0)
        >>> launch.back()
        1
        >>> launch.log[90:] = []
        >>> launch.back()
        """
        paid = self.paid()
        enough = [sum(paid[second : second + LOOK]) >= BACK * self.most * LOOK for second in range(self.closed - LOOK + 1)]
        if not enough[-1]:
            return None
        last = max((second for second, is_enough in enumerate(enough) if not is_enough and second >= int(self.end)), default=None)
        return 0 if last is None else last + 1 - self.end

    def overshoot(self):
        """New shoppers over the ceiling in the worst window: as the gateways gave passes, or without any as the shop saw them.

        >>> new = lambda at: {"new": True, "answered": at}
        >>> Launch([new(n / 30) for n in range(60)], {"checks": []}, 1, 20, 10, settled=0, closed=4).overshoot()
        0.0
        >>> Launch([new(n / 30) for n in range(120)], {"checks": []}, 1, 20, 10, settled=0, closed=4).overshoot()
        20.0
        """
        by_grants = [check["measured"] for check in self.report["checks"] if check["id"] == "limit-any" and check["measured"] is not None]
        if by_grants:
            return by_grants[0]
        # A bucket that holds a second of the ceiling, which is what a room has.
        level, worst = 0.0, 0.0
        for new in counted((entry for entry in self.log if entry["new"]), self.closed, "answered"):
            level = max(level + new - self.ceiling, 0)
            worst = max(worst, level - self.ceiling)
        return worst

    def deviation(self):
        """Standard deviation of the rate in force, as a share of its mean; `None`: no gateway told one."""
        rates = [second["rate"] for second in self.report["purchases"] if self.settled < second["at"] <= self.closed and second["rate"]]
        return statistics.pstdev(rates) / statistics.mean(rates) if rates else None

    def broken(self):
        """Pages that led people with a pass nowhere: a 5xx, or no answer."""
        return sum(second["white"] for second in self.report["purchases"])


    def was_late(self):
        """Whether the load test itself was late, so that the figures say more of the machine than of the system.

        >>> Launch([], {"checks": [{"id": "generator-lag", "outcome": "invalid"}]}, 1, 100, 10, settled=0, closed=9).was_late()
        True
        """
        return any(check["id"].startswith("generator") and check["outcome"] == "invalid" for check in self.report["checks"])


def is_paid(entry):
    return entry["page"] == "payment" and entry["outcome"] == "ok" and entry["order"] is not None


def counted(entries, seconds, key):
    """How many fall into each second."""
    counts = [0] * seconds
    for entry in entries:
        if 0 <= entry[key] < seconds:
            counts[int(entry[key])] += 1
    return counts


def cells(launch, system):
    """The figures of a row: for each its text, and whether it passes; `None` where nothing is asked.

    >>> paid = [{"page": "payment", "outcome": "ok", "order": n, "answered": n / 10, "new": False} for n in range(200)]
    >>> report = {"checks": [], "purchases": [{"at": n, "rate": 10 + n % 2, "white": 0} for n in range(16)], "ends": {"order_failed": 3}}
    >>> for cell in cells(Launch(paid, report, 1, 100, 10, settled=5, closed=15), "weir"): print(cell)
    ('100 %', True)
    ('10', False)
    ('-', None)
    ('0', True)
    ('5 %', True)
    ('150', None)
    ('3', None)
    ('0', None)
    """
    calm = launch.begin is None
    goodput, steady, (during, after), deviation = launch.goodput(), launch.goodput(steady=True), launch.over(), launch.deviation()
    back, overshoot = None if calm else launch.back(), launch.overshoot()
    return [
        (percent(goodput) if calm else f"{percent(goodput)}, {percent(steady)}", steady >= LEAST_GOODPUT),
        (f"{after}" if calm else f"{during}, {after}", max(during, after) <= MOST_OVER),
        ("-", None) if calm else ("never" if back is None else f"{back:.0f} s", back is not None and back <= MOST_BACK),
        (f"{overshoot:.0f}", overshoot <= 0),
        (percent(deviation), deviation <= MOST_DEVIATION) if calm and deviation is not None else ("-", None),
        (f"{sum(launch.paid()):,}", None),
        (f"{launch.report['ends'].get('order_failed', 0):,}", None),
        (f"{launch.broken():,}", None),
    ]


def percent(share):
    return f"{share:.0%}".replace("%", " %")


HEAD = [
    "fault", "system", "goodput, of what the database can do: in all, and without the 20 s after the fault", "seconds with orders over the target, during and after", "back at 80 %",
    "new shoppers over the ceiling", "deviation of the rate", "orders paid", "orders failed", "5xx or no answer after the turn",
]  # fmt: skip


def table(rows):
    """A table of rows: a fault, a system, and its cells. What misses its bound is in bold.

    >>> print(table([("calm", "weir", [("97 %", True), ("4", False)])]).splitlines()[-1])
    | calm | weir | 97 % | **4** |
    """
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for fault, system, row in rows:
        told = [f"**{text}**" if passes is False else text for text, passes in row]
        lines.append(f"| {' | '.join([fault, system, *told])} |")
    return "\n".join(lines)


def misses(rows, system):
    """What of this system's rows misses its bound, in words.

    >>> misses([("calm", "weir", [("97 %", True), ("4", False)]), ("calm", "aimd", [("60 %", False)])], "weir")
    ['calm: seconds with orders over the target, during and after is 4']
    """
    named = [(fault, zip(HEAD[2:], row)) for fault, who, row in rows if who == system]
    return [f"{fault}: {name} is {text}" for fault, cells in named for name, (text, passes) in cells if passes is False]
