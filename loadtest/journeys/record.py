#!/usr/bin/env python3
"""Buys something in the shop of gateway/tests/shop_oscar with Chromium, and saves what Chromium's own DevTools export as HAR.

A second tab of the same browser shows the developer tools of the first one, as a person would have them open beside the shop;
the file is what their "Export HAR (with sensitive data)" writes. Nothing in it comes from this script.

Usage: record.py SHOP-DATA HAR [--pages]    (make record-shop calls it with the shop's own Python)
With --pages the network log is filtered by what is no picture, style, font or script before it is exported.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

SHOP = Path(__file__).resolve().parents[2] / "gateway/tests/shop_oscar"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--lang=en", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
ADDRESS = {
    "first_name": "Min-ji", "last_name": 'Kim & "Söhne"', "line1": "1 Weir <Street>", "line4": "Seoul",
    "postcode": "04524", "notes": "3ème étage ✓ + 1 %20",
}
# What the developer tools do when somebody exports: import of their own modules, from inside their own page.
KEEP = """(async () => {
  const common = await import("./core/common/common.js");
  common.Settings.Settings.instance().moduleSetting("network-log.preserve-log").set(true);
  return true;
})()"""
READ = """(async () => {
  const logs = await import("./models/logs/logs.js");
  const done = logs.NetworkLog.NetworkLog.instance().requests().filter(request => request.finished);
  await Promise.all(done.map(request => request.requestContentData()));
  return done.length;
})()"""
EXPORT = """(async () => {
  const logs = await import("./models/logs/logs.js"), har = await import("./models/har/har.js");
  const common = await import("./core/common/common.js");
  let text = "";
  const stream = { write: async piece => { text += piece }, close: async () => {} };
  const left = PAGES ? ["image", "stylesheet", "font", "script"] : [];
  const listed = logs.NetworkLog.NetworkLog.instance().requests();
  const requests = listed.filter(request => !left.includes(request.resourceType().name()));
  await har.Writer.Writer.write(stream, requests, { sanitize: false }, new common.Progress.Progress());
  return text;
})()"""


class Tab:
    """A tab, spoken to over the DevTools protocol."""

    def __init__(self, stack, url):
        self.socket = stack.enter_context(connect(url, max_size=None))
        self.number = 0

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv(60))).get("id") != self.number:
            pass
        return answer["result"]

    def run(self, script):
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"])
        return told["result"].get("value")

    def until(self, script):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.run(f"(async () => !!await ({script}))()"):
                    return
            except RuntimeError:
                pass  # the page is being changed for another one
            time.sleep(0.1)
        where = self.run("location.href + '\\n' + document.body.innerText")
        raise SystemExit(f"waited in vain for {script} at {where}")


def until(what, of):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if found := of():
            return found
        time.sleep(0.1)
    raise SystemExit(f"waited in vain for {what}")


def open_shop(stack, data):
    environment = {**os.environ, "SHOP_DATA": str(Path(data).resolve()), "DJANGO_SETTINGS_MODULE": "settings", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "uvicorn", "asgi:application", "--port", "0", "--lifespan", "off", "--no-use-colors"]
    server = subprocess.Popen(words, cwd=SHOP, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    stack.callback(end, server)
    for line in server.stderr:
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise SystemExit("the shop did not open")


def open_browser(stack, profile):
    browser = subprocess.Popen(["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
    stack.callback(end, browser)
    told = Path(profile, "DevToolsActivePort")
    port = until("Chromium", lambda: told.exists() and told.read_text().split())[0]

    def ask(path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        return json.load(urllib.request.urlopen(request))

    page = until("a tab", lambda: [tab for tab in ask("/json") if tab["type"] == "page"])[0]
    inspects = f"devtools://devtools/bundled/devtools_app.html?ws=127.0.0.1:{port}/devtools/page/{page['id']}"
    tools = ask(f"/json/new?{inspects}", "PUT")
    return Tab(stack, page["webSocketDebuggerUrl"]), Tab(stack, tools["webSocketDebuggerUrl"])


def buy(page, tools, shop):
    """The purchase, with the pauses of somebody who reads and types."""

    def settle(pause):
        page.until("document.readyState === 'complete'")
        tools.run(READ)
        time.sleep(pause)

    def click(selector, then, pause):
        page.run(f"document.querySelector({json.dumps(selector)}).click()")
        page.until(then)
        settle(pause)

    def fill(fields):
        for name, value in fields.items():
            page.run(f"document.querySelector('[name={json.dumps(name)}]').value = {json.dumps(value)}")

    page.call("Page.navigate", url=f"{shop}/catalogue/book-3_3/")
    page.until("location.pathname === '/catalogue/book-3_3/' && document.querySelector('#add_to_basket_form')")
    settle(3)
    click("#add_to_basket_form button", "document.body.innerText.includes('has been added to your basket')", 2)
    page.call("Page.navigate", url=f"{shop}/checkout/")
    page.until("document.querySelector('[name=login-username]')")
    settle(3)
    fill({"login-username": "kim@example.com", "login-password": "waiting-1"})
    click("[name=login_submit]", "document.querySelector('#new_shipping_address')", 4)
    fill(ADDRESS)
    click("#new_shipping_address button", "location.pathname === '/checkout/payment-details/'", 2)
    click("#view_preview", "document.querySelector('#place-order')", 3)
    click("#place-order", "location.hostname === 'pay.test' && document.querySelector('#pay')", 3)
    click("#pay", "document.body && document.body.innerText.includes('your order number is')", 1)


def main(data, har, pages=None):
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        port = open_shop(stack, data)
        page, tools = open_browser(stack, profile)
        tools.until(KEEP)
        buy(page, tools, f"http://shop.test:{port}")
        Path(har).write_text(tools.run(EXPORT.replace("PAGES", "true" if pages == "--pages" else "false")))


def end(process):
    process.terminate()
    process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
