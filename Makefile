.PHONY: parity parity-self

# The same bootstrap and bytes on Envoy 1.40 and on Outrigger; PARITY passes flags, as in
# `make parity PARITY="--only retries"`.
parity:
	cargo build --bin outrigger --bin parity
	cargo run --quiet --bin parity -- $(PARITY)

# Envoy on both sides: finds cases that do not repeat.
parity-self:
	cargo run --quiet --bin parity -- --right envoy $(PARITY)
