# The two commands are `make demo` and `make test`; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-19s %s\n", $$1, $$2 }'

.PHONY: tools
tools: ## Check what the build needs, and install what is missing where that is allowed
	@deploy/tools build

.PHONY: build
build: tools ## Build the release binaries
	cargo build --release --locked

.PHONY: demo
demo: tools ## Show what Weir is for, in about a minute: a shop alone, then behind Weir
	cargo build --profile demo --locked -p gateway -p loadtest --bins
	target/demo/loadtest demo --weir target/demo/weir

.PHONY: load
load: build ## A shoe launch against a stage of this machine, and the verdict over it: about four minutes
	target/release/loadtest run nike-launch --weir target/release/weir

.PHONY: scenarios
scenarios: build ## Every launch that ships against a stage of this machine, and the verdict over each: forty minutes
	for name in $$(target/release/loadtest scenarios | awk '$$1 != "million" { print $$1 }'); do \
	  target/release/loadtest run $$name --weir target/release/weir; done
	target/release/loadtest simulate million

.PHONY: test
test: lint unit ## Everything that CI runs

.PHONY: lint
lint: ## Format, clippy, documentation, licences
	@deploy/tools test
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	cargo fetch --locked --quiet
	cargo deny --offline --all-features check --hide-inclusion-graph bans licenses sources

# Tests wait more than they compute: for lines that move, passes that end, servers that come back.
TEST_THREADS ?= $(shell echo $$((4 * $$(nproc))))

.PHONY: unit
unit: ## The tests alone
	@deploy/tools test
	cargo test --workspace --doc --locked --quiet
	cargo nextest run --workspace --locked --test-threads $(TEST_THREADS)
	python3 -m doctest benches/table.py benches/shielded.py benches/aimd.py benches/shop.py

.PHONY: mutants
mutants: ## Five faults in the queue of a room, one by one: the launches in virtual time must catch each
	@deploy/tools test
	gateway/policy/mutants

.PHONY: draw
draw: ## What an insider gains in a draw, and whether its orders are uniform, by ten times as many draws as in make test: a minute
	WEIR_DRAW_ORDERS=10 cargo nextest run --workspace --locked --test launches --no-capture -E 'test(/^draw::(uniform|threats::who_knows)/)'

.PHONY: test-world
test-world: differential clients locust openapi page real-shop fuzz ## Tests against other people's programs and random bytes, longer than make test

.PHONY: differential
differential: ## Readings of a path by Node, Python, nginx and HAProxy against Weir's, over 10,000 spellings: some minutes
	@deploy/tools world
	WEIR_SPELLINGS=$${WEIR_SPELLINGS:-10000} cargo nextest run --workspace --locked --test world --run-ignored all differential::

.PHONY: clients
clients: ## Clients of eight kinds wait, enter and stay, and HAProxy checks on Weir: writes docs/clients-table.md
	@deploy/tools world
	deploy/venv gateway/tests/world/clients >/dev/null
	WEIR_CLIENTS_TABLE=$(CURDIR)/docs/clients-table.md cargo nextest run --workspace --locked --test world --run-ignored all clients::

.PHONY: locust
locust: ## Users of Locust wait in the line, with deploy/locust/weir.py: a minute
	@deploy/tools world
	deploy/venv deploy/locust >/dev/null
	cargo nextest run --workspace --locked --test world --run-ignored all users_of_locust

.PHONY: openapi
openapi: ## The description of the API, by a validator of OpenAPI: seconds
	@deploy/tools world
	deploy/venv gateway/tests/world/openapi >/dev/null
	cargo nextest run --workspace --locked --test world --run-ignored all openapi::

.PHONY: page
page: ## What axe finds on the shopper's page in every state and language, and twenty browsers in order: minutes
	@deploy/tools world
	cargo nextest run --workspace --locked --test world --run-ignored all -E 'test(/^page::(axe|twenty)/)'

.PHONY: pictures-page
pictures-page: ## Pictures of every state of the shopper's page, in 13 languages and two widths, in target/pictures/page: minutes
	@deploy/tools world
	cargo nextest run --workspace --locked --test world --run-ignored all page::pictures

.PHONY: real-shop
real-shop: ## A shop of django-oscar behind Weir and nginx, Chromium that buys something, and loadtest's crowd: some minutes
	@deploy/tools shop
	cargo build --workspace --locked --bin loadtest --test world
	cargo nextest run --workspace --locked --test world --run-ignored all real_shop::

.PHONY: record-shop
record-shop: ## Chromium buys something in that shop, and its developer tools export it: loadtest/journeys/oscar.har anew, and a journey in target
	@deploy/tools shop
	rm -rf target/record && mkdir -p target/record && cp -r target/oscar/data target/record/data
	target/oscar/venv/bin/python loadtest/journeys/record.py target/record/data loadtest/journeys/oscar.har --pages
	cargo run --locked --bin loadtest -- record loadtest/journeys/oscar.har --out target/record/oscar.toml

.PHONY: pictures-shop
pictures-shop: ## Pictures of that journey, on a desk and on a phone, in target/pictures
	@deploy/tools shop
	WEIR_PICTURES=$(CURDIR)/target/pictures cargo nextest run --workspace --locked --test world --run-ignored all real_shop::journey::pictures

.PHONY: pictures-console
pictures-console: ## Pictures of the operators' console, on a desk and on a phone, light and dark, in target/pictures
	@deploy/tools test
	mkdir -p target/pictures
	WEIR_PICTURES=$(CURDIR)/target/pictures cargo nextest run --workspace --locked --test operator console::every_page

.PHONY: try-compose
try-compose: build ## deploy/compose.yaml with a container engine of its own, and a launch through it: half an hour, as root
	@deploy/tools compose
	deploy/try-compose

.PHONY: try-systemd
try-systemd: build ## deploy/weir.service under the systemd of a Debian in namespaces of its own: some minutes, as root
	@deploy/tools systemd
	deploy/try-systemd

.PHONY: fuzz
fuzz: ## Random bytes against what reads tokens, paths, hosts, heads, PROXY headers and the configuration, a minute for each
	@deploy/tools fuzz
	fuzz/run

.PHONY: bench
bench: build ## Weir beside nginx, haproxy and Varnish, and instruction counts, in 25 minutes (see benches/README.md)
	@deploy/tools bench
	benches/run
	benches/instructions

.PHONY: bench-instructions
bench-instructions: build ## Instructions per request against the record: fails where they grew
	@deploy/tools bench
	benches/instructions

.PHONY: siege
siege: build ## Every attack of a crowd at the rate of one core, and pass holders beside it: writes benches/SIEGE.md, in twelve minutes
	@deploy/tools bench
	benches/siege

.PHONY: bench-draw
bench-draw: ## How long one place of a draw takes, and all of a million
	cargo bench --profile opt --locked -p benches --bench policy -- draw/

.PHONY: bench-connections
bench-connections: ## Memory of 20,000 idle connections, and of 5,000 with closed windows
	cargo build --release --locked -p gateway -p benches
	target/release/connections

.PHONY: bench-rooms
bench-rooms: build ## 2,000 rooms on three gateways and one Redis, idle and with ten busy: writes benches/ROOMS.md, in four minutes
	@deploy/tools bench
	benches/rooms

.PHONY: bench-actions
bench-actions: build ## How soon an operator's action is in force on three gateways: writes benches/ACTIONS.md, in two minutes
	@deploy/tools bench
	benches/actions

.PHONY: bench-events
bench-events: build ## How far apart an event starts at three gateways, by the store's clock: writes benches/EVENTS.md, in two minutes
	@deploy/tools bench
	benches/events

.PHONY: bench-shield
bench-shield: build ## A shop on a PostgreSQL with a fault in mid-launch, behind Weir, two other ways and alone: writes benches/SHIELD.md, in 45 minutes
	@deploy/tools bench
	benches/shield

.PHONY: clean
clean: ## Remove what was built
	cargo clean
