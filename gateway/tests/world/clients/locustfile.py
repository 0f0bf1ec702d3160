"""Shoppers of Locust: half look at the product and order it, half send the order alone. Each does it once."""

from itertools import count

from locust import constant, task
from locust.exception import StopUser
from weir import WeirUser

numbers, done = count(), []


class Shopper(WeirUser):
    wait_time = constant(0)

    @task
    def buy(self):
        if next(numbers) % 2:
            self.client.get("/launch/item")
        self.client.post("/launch/order", {"item": "weir-one"})
        done.append(self)
        if len(done) == self.environment.parsed_options.num_users:
            self.environment.runner.quit()
        raise StopUser
