# httpx.
import sys

import httpx

with httpx.Client() as client:
    for url in sys.stdin:
        answer = client.get(url.strip())
        print(answer.status_code, answer.text.split("\n")[0], flush=True)
