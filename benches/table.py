"""The tables of RESULTS.md: ratios of the rounds, and what they were made on."""

import os
import pathlib
import platform
import re
import statistics
import subprocess

import crowd

# Between the least and the greatest ratio of a row; above it the machine was not quiet.
NOISY = 0.1


def spread(ratios):
    """Minimum, median and maximum as cells, and a mark where they lie far apart."""
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    mark = " (noisy)" if high - low > NOISY else ""
    return f"{low:.2f} | **{middle:.2f}** | {high:.2f}{mark}"


def beside(works):
    """Weir's figures beside those of the others, one row for each work and server."""
    rows = [
        "| work | beside | Weir | the other | ratio min | median | max | goal | gate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for work in works:
        for peer, way in work.ways.items():
            weir, other = (amount(work.figures[who], work.unit) for who in ("weir", peer))
            bounds = f"{work.goal:.2f} | {work.gate:.2f}" if peer == "nginx" and work.goal else " | "
            rows.append(f"| {work.name} | {peer}: {way} | {weir} | {other} | {spread(work.ratios(peer))} | {bounds} |")
    return "\n".join(rows)


def amount(figures, unit):
    middle = statistics.median(figures)
    return f"{middle:,.1f} {unit}" if unit == "us" else f"{middle:,.0f} {unit}"


def latency(latencies, options):
    """What holders saw with and without the crowd, one row for each server and percentile."""
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
    rounds = f"{options.rounds} rounds, {dropped} of {options.rounds * len(latencies)} left out because the generator itself was late."
    return "\n".join(rows) + f"\n\n{rounds}"


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
