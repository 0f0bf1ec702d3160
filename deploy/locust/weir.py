"""Locust users who wait in Weir's line as shoppers do: derive from WeirUser instead of HttpUser, and write tasks as ever.
Each look at the line is named "in line", each wait is a LINE of its own, and neither is a failure."""
from time import monotonic, sleep
from locust import HttpUser
from locust.clients import HttpSession

IN_LINE, LATER = {"waiting", "needs-pass", "expired"}, {"too-fast", "busy"}


class WeirSession(HttpSession):
    def request(self, method, url, catch_response=False, **options):
        begun, looks, asked = monotonic(), 0, method
        while True:
            sent = options if asked == method else {key: options.get(key) for key in ("headers", "name")}
            answer = super().request(asked, url, catch_response=True, **sent)
            status = (answer.headers or {}).get("Weir-Status")
            if status in IN_LINE | LATER:
                looks, asked = looks + 1, "GET" if status in IN_LINE else asked  # a place is asked for by GET
                answer.request_meta["name"] = "in line"
                with answer:
                    answer.success()
                sleep(float(answer.headers.get("Retry-After", 5)))
            elif asked != method:
                asked = method  # their turn: what was to be sent is sent now
            else:
                break
        if looks:
            told = {"name": options.get("name") or url, "response_time": (monotonic() - begun) * 1000, "response_length": 0}
            self.request_event.fire(request_type="LINE", exception=None, context={}, **told)
        if not catch_response:
            answer.__exit__(None, None, None)  # counted by its status
        return answer


class WeirUser(HttpUser):
    abstract = True
    def __init__(self, environment):
        super().__init__(environment)
        self.client = WeirSession(self.host, environment.events.request, self, pool_manager=self.pool_manager)
        self.client.headers.update({"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"})
