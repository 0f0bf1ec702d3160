# Python's own urllib.
import sys
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener

opener = build_opener(HTTPCookieProcessor())
for url in sys.stdin:
    try:
        answer = opener.open(url.strip())
    except HTTPError as error:
        answer = error
    print(answer.status, answer.read().decode().split("\n")[0], flush=True)
