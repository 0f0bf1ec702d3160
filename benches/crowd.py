"""Latency of pass holders with and without a crowd at the door, behind Weir and behind home-made rooms.

Holders ask at a fixed rate; a crowd of so many times as many requests waits, or does not, in turns. The
figure is the ratio of both. A turn in which the generator itself was late counts for nothing.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field

from stand import QUEUE, claim, cookie_of, get, program

# Microseconds of the generator's own lag, 99th percentile, above which a turn is invalid.
LAG = 2_000
# Of the ratio of Weir's 99th percentiles. Where generator and gateway share two cores the gate is wide.
GOAL, GATE = 1.20, 2.00
WAYS = {
    "weir": "a room that lets in 6 a minute",
    "nginx": "`limit_req` for all but holders (peers/nginx-room.conf)",
    "haproxy": "numbers in a stick table, `maxconn` queue (peers/haproxy-room.cfg)",
}


@dataclass
class Latency:
    """Of one server: a round is a turn without the crowd and one with it."""

    who: str
    rounds: list = field(default_factory=list)
    dropped: int = 0

    def ratios(self, quantile):
        return [with_crowd[quantile] / without[quantile] for without, with_crowd, _ in self.rounds]


def command(options, name, port, cookie, more):
    headers = [f"Host: {QUEUE}", "Accept: application/json", *([f"Cookie: {cookie}"] if cookie else [])]
    shown = [part for header in headers for part in ("--header", header)]
    return [*options.pin_load, program(name), f"127.0.0.1:{port}", *shown, *[str(part) for part in more]]


def places(servers, who):
    """Port, and the cookies of a holder and of somebody who waits. Of the home-made rooms too: the first who
    ask are let in, the next wait."""
    if who == "weir":
        port = servers.running[who].ports["http"]
        return port, claim(port, servers.cookies["first"]), servers.cookies["waiter"]
    port = servers.running[who].ports["room"]
    status, headers, _ = get(port, "/", QUEUE)
    assert status == 200, f"{who}'s room lets nobody in: {status}"
    holder = cookie_of(headers)
    for _ in range(200):
        status, headers, _ = get(port, "/", QUEUE)
    assert status == 503, f"{who}'s room lets everybody in: {status}"
    return port, holder, cookie_of(headers) if headers["Set-Cookie"] else None


def turn(options, place, crowded):
    """Holders for a while: what they saw, and what the crowd did."""
    port, holder, waiter = place
    rate = options.holders * options.crowd
    # The crowd is there before the holders and stays until they are done. It stands back behind holders and shop,
    # with which it shares its core: what they wait for is to be the server.
    crowd = ["--rate", rate, "--seconds", options.turn + 2]
    holders = ["--rate", options.holders, "--seconds", options.turn]
    polite = ["nice", "-n", "10", *command(options, "crowd", port, waiter, crowd)]
    door = crowded and subprocess.Popen(polite, stdout=subprocess.PIPE, text=True)
    out = subprocess.run(command(options, "holders", port, holder, holders), check=True, capture_output=True, text=True)
    saw = json.loads(out.stdout)
    if not door:
        return saw, None
    text, _ = door.communicate(timeout=options.turn + 60)
    if door.returncode:
        sys.exit("the crowd failed")
    return saw, json.loads(text)


def measure(servers, options):
    """All servers in turns."""
    all_places = {who: places(servers, who) for who in WAYS}
    latencies = [Latency(who) for who in WAYS]
    for number in range(options.rounds):
        for latency in latencies:
            without, _ = turn(options, all_places[latency.who], crowded=False)
            with_crowd, crowd = turn(options, all_places[latency.who], crowded=True)
            if latency.who == "weir" and crowd["from_shop"]:
                sys.exit(f"{crowd['from_shop']} of those who wait behind Weir got in: they were called, or it is broken")
            valid = max(without["lag_p99"], with_crowd["lag_p99"]) <= LAG
            if valid:
                latency.rounds.append((without, with_crowd, crowd))
            else:
                latency.dropped += 1
            figures = f"p99 {without['p99']} us, {with_crowd['p99']} us with {crowd['rate']} a second at the door"
            lag = f"lag {without['lag_p99']} and {with_crowd['lag_p99']} us{'' if valid else ': invalid'}"
            print(f"holders, {latency.who}: round {number + 1}: {figures}; {lag}; {crowd['from_shop']} of the crowd got in", flush=True)
    return latencies
