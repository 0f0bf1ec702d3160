"""The tables of RESULTS.md: ratios of the rounds, and what they were made on."""

import os
import pathlib
import platform
import re
import statistics
import subprocess

import crowd
import works

# Between the least and the greatest ratio of a row; above it the machine was not quiet.
NOISY = 0.1


def spread(ratios):
    """Minimum, median and maximum as cells, and a mark where they lie far apart.

    >>> spread([1.02, 0.98, 1.0])
    '0.98 | **1.00** | 1.02'
    >>> spread([2.0, 1.0])
    '1.00 | **1.50** | 2.00 (noisy)'
    """
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    mark = " (noisy)" if high - low > NOISY else ""
    return f"{low:.2f} | **{middle:.2f}** | {high:.2f}{mark}"


def beside(chosen):
    """Weir's figures beside those of the others, one row for each work and server.

    >>> work = works.Work("idle", "idle connection", {"nginx": "kept"}, "status", 1.0, 2.0, unit="bytes")
    >>> work.figures = {"weir": [900, 1_500, 1_200], "nginx": [1_000, 1_500, 1_000]}
    >>> print(beside([work]).splitlines()[-1])
    | idle connection | nginx: kept | 1,200 bytes | 1,000 bytes | 0.90 | **1.00** | 1.20 (noisy) | 1.00 | 2.00 |
    """
    rows = [
        "| work | beside | Weir | the other | ratio min | median | max | goal | gate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for work in chosen:
        for peer, way in work.ways.items():
            weir, other = (amount(work.figures[who], work.unit) for who in ("weir", peer))
            bounds = f"{work.goal:.2f} | {work.gate:.2f}" if peer == "nginx" and work.goal else " | "
            rows.append(f"| {work.name} | {peer}: {way} | {weir} | {other} | {spread(work.ratios(peer))} | {bounds} |")
    return "\n".join(rows)


def amount(figures, unit):
    middle = statistics.median(figures)
    return f"{middle:,.1f} {unit}" if unit == "us" else f"{middle:,.0f} {unit}"


def latency(latencies, rounds):
    """What holders saw with and without the crowd, one row for each server and percentile.

    >>> turn = lambda p99: {"p50": 100, "p99": p99, "lag_p99": 70}
    >>> one = crowd.Latency("weir", [(turn(300), turn(330), {"rate": 20_000})], dropped=1)
    >>> print(latency([one], rounds=2).splitlines()[3])
    | weir: a room that lets in 6 a minute | p99 | 300 | 330 | 1.10 | **1.10** | 1.10 | 1.20 | 2.00 | 20,000 | 70 |
    """
    rows = [
        "| server | percentile | without, us | with the crowd, us | ratio min | median | max | goal | gate | crowd, requests/s | own lag p99, us |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in latencies:
        way = crowd.WAYS[one.who]
        if not one.rounds:
            rows.append(f"| {one.who}: {way} | | no valid round: the generator itself was late | | | | | | | | |")
            continue
        middle = lambda figures: f"{statistics.median(figures):,.0f}"
        for quantile, bounds in (("p50", " | "), ("p99", f"{crowd.GOAL:.2f} | {crowd.GATE:.2f}" if one.who == "weir" else " | ")):
            without, crowded = ([turn[side][quantile] for turn in one.rounds] for side in (0, 1))
            reached = middle([turn[2]["rate"] for turn in one.rounds])
            lag = max(turn[side]["lag_p99"] for turn in one.rounds for side in (0, 1))
            figures = f"{middle(without)} | {middle(crowded)} | {spread(one.ratios(quantile))} | {bounds}"
            rows.append(f"| {one.who}: {way} | {quantile} | {figures} | {reached} | {lag:,} |")
    dropped = sum(one.dropped for one in latencies)
    late = f"{dropped} of {rounds * len(latencies)} rounds are left out because the generator itself was late."
    return "\n".join(rows) + f"\n\n{late}"


def besieged(row):
    """How pass holders fared beside an attack, as cells.

    >>> row = {"p99_times": 1.24, "failed": 3, "throughput": 0.98, "memory": (31.2, 40.0), "p99_times_after": 1.1, "pages": 500}
    >>> besieged(row)
    '1.2 | 3 | 98 % | 31, 40 MiB | yes'
    """
    before, most = row["memory"]
    memory = "-" if before is None or most is None else f"{before:,.0f}, {most:,.0f} MiB"
    times = f"{row['p99_times']:.1f}" if row["pages"] else "none came"
    calm = "yes" if 0 < row["p99_times_after"] <= 3 else "no"
    return f"{times} | {row['failed']:,} | {row['throughput'] * 100:.0f} % | {memory} | {calm}"


def first_line(*command):
    out = subprocess.run(command, capture_output=True, text=True)
    return (out.stdout + out.stderr).strip().splitlines()[0]


def machine():
    """Processor, system, and the versions of what was measured."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = [
        first_line("nginx", "-v").split(": ")[-1],
        " ".join(first_line("haproxy", "-v").split()[:3]),
        re.search(r"varnish-[\d.]+", first_line("varnishd", "-V")).group(0),
        " ".join(first_line("openssl", "version").split()[:2]),
        first_line("rustc", "--version"),
    ]
    return f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; {', '.join(versions)}"
