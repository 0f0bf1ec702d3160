"""Every way in which a shop in Python may come to the path of a request: one JSON string a line, a list of paths back."""
import json
import posixpath
import sys
from urllib.parse import unquote, urljoin, urlparse, urlsplit

WAYS = [
    lambda target: urlsplit(target).path,
    lambda target: urlparse(target).path,
    lambda target: urlsplit(urljoin("http://shop.example/", target)).path,
    lambda target: urlsplit("http://shop.example" + target).path,
    lambda target: target.split("?")[0],
    lambda target: "/" + target.split("?")[0].lstrip("/"),  # http.server
]


def attempt(way, target):
    try:
        return [way(target)]
    except ValueError:
        return []


def readings(target):
    paths = [path for way in WAYS for path in attempt(way, target)]
    decoded = paths + [unquote(path) for path in paths]
    return sorted({*decoded, *map(posixpath.normpath, decoded)})


for line in sys.stdin:
    print(json.dumps(readings(json.loads(line))))
