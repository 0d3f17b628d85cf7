# The few commands that matter. `make help` lists them.
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build demo test promqltest torture bench fuzz faults swarm tidy documents lint fmt clean

help: ## Lists these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## Builds the three programs, optimised, into target/release
	cargo build --release --locked -p quorate-agent -p quorate-aggregator -p quorate

demo: ## Runs an aggregator and three agents on this machine until Ctrl-C
	cargo build --locked -p quorate-agent -p quorate-aggregator -p quorate
	$(TARGET)/debug/quorate demo

test: ## Installs what the tests need and runs all of them
	.ci/run

promqltest: ## Judges our PromQL by the cases of Prometheus, and says how many pass
	@cargo test --quiet --locked -p quorate-tests --test promql all_files_together -- --nocapture \
		| grep -E '^(promqltest:|SKIPPED|test result: FAILED)'

torture: ## Kills processes, cuts power, fills and damages disks, and ends with one line a promise; as root
	@.ci/torture

bench: ## Measures the figures into target/bench/results.json; flags in BENCH
	cargo build --release --locked -p quorate-tests --bin bench --bin agent --bin aggregator
	$(TARGET)/release/bench $(BENCH)

fuzz: ## Hands every decoder what nobody would write, 10 minutes; flags in FUZZ, such as --seconds 3600
	cargo run --locked -p quorate-tests --bin fuzz -- $(FUZZ)

faults: ## Breaks processes and networks on purpose, as root: chaos proxy, network namespaces, a swarm
	cargo nextest run --locked -p quorate-tests --test faults

swarm: ## Runs virtual agents at a running aggregator; flags in SWARM, such as --help
	cargo run --release --locked -p quorate-tests --bin swarm -- $(SWARM)

tidy: ## Runs the checks of the code's own shape
	cargo nextest run --locked --workspace --profile tidy

documents: ## Writes docs/config.md, docs/metrics.md and deploy/config from the code
	QUORATE_WRITE_DOCUMENTS=1 cargo nextest run --locked -p quorate-tests --test tidy documents::they_say

lint: ## Runs clippy as the tests do
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt: ## Formats the code
	cargo fmt --all

clean: ## Removes everything that was built
	cargo clean
