# `make test` passes all tests on a fresh machine; `make check` is what needs no run. Both are what .ci/run calls.

.PHONY: test check setup parity parity-self istio istio-here bench bench-clocks bench-peers fuzz-smoke

CARGO_DENY = 0.20.2

# Where setup puts Go when the machine has none.
export PATH := $(CURDIR)/.go/bin:$(PATH)

test: setup
	cargo build --package outrigger --package outrigger-tests --bins --quiet
	cargo test --workspace --quiet
	$(MAKE) parity
	$(MAKE) fuzz-smoke
	$(MAKE) bench

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --quiet
	cargo deny --version 2>/dev/null | grep -q $(CARGO_DENY) || cargo install --quiet --locked --version $(CARGO_DENY) cargo-deny
	cargo deny --log-level error check bans licenses sources

# Installs what the tests talk to.
setup:
	tests/setup

# The same bootstrap and bytes on Envoy 1.40 and on Outrigger; PARITY passes flags, as in
# `make parity PARITY="--only retries"`.
parity:
	cargo build --package outrigger --package outrigger-tests --bins
	cargo run --quiet --package outrigger-tests --bin parity -- $(PARITY)

# Envoy on both sides: finds cases that do not repeat.
parity-self:
	cargo run --quiet --package outrigger-tests --bin parity -- --right envoy $(PARITY)

# The same mesh under the real istiod, pilot-agent and iptables rules, with Envoy and with Outrigger; needs root, elsewhere it says so. What is measured is
# measured with the binary of `make bench`. ISTIO passes flags, as in `make istio ISTIO="--set seed"`.
istio:
	@if unshare --net true 2>/dev/null; then $(MAKE) --no-print-directory istio-here; else \
		echo "istio: NOT RUN: it makes network namespaces and needs root" >&2; fi

istio-here:
	tests/setup istio
	cargo build --quiet --package outrigger --package outrigger-tests --bins
	cargo build --quiet --profile bench --bin outrigger
	cargo run --quiet --package outrigger-tests --bin istio -- --shipped target/release/outrigger $(ISTIO)

# Every parser of hostile bytes on its corpus and on mutations of it. FUZZ_RUNS and FUZZ_SEED change how many and which.
fuzz-smoke:
	cargo test -p outrigger-fuzz --quiet

# The CPU time of Envoy and of Outrigger for the same work, as a ratio, into the table of README.md. The machine should do nothing else for the ten minutes.
# PEERS passes flags, as in `make bench-peers PEERS="--rows sidecar-in --rounds 9"`.
bench-peers:
	tests/setup bench
	cargo build --profile bench -p outrigger -p outrigger-benches --bin outrigger --bin bench-peers
	cargo run --quiet --profile bench -p outrigger-benches --bin bench-peers -- --markdown README.md $(PEERS)

# Instructions and allocations of functions and of whole exchanges, held to benches/limits.json; needs valgrind. After a
# change for the better, or one that is worth its price: `make bench COUNTS=--update`. Old summaries must not count.
GUNGRAUN = 0.20.0

bench:
	gungraun-runner --version 2>/dev/null | grep -q $(GUNGRAUN) || cargo install --quiet --locked --version $(GUNGRAUN) gungraun-runner
	rm -rf "$${CARGO_TARGET_DIR:-target}/gungraun"
	cargo build --quiet --profile bench --bin outrigger
	cargo bench --quiet --package outrigger-benches --bench counts -- --save-summary=json >/dev/null
	cargo run --quiet --profile bench --package outrigger-benches --bin bench-counts -- $(COUNTS)

# The same functions by the clock, for people: figures of one machine.
bench-clocks:
	cargo bench --package outrigger-benches --bench clocks
