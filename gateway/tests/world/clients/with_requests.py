# Python requests.
import sys

import requests

session = requests.Session()
for url in sys.stdin:
    answer = session.get(url.strip())
    print(answer.status_code, answer.text.split("\n")[0], flush=True)
