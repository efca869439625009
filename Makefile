# `make help` lists the targets. Root is not needed: see README for what an ordinary user's machine must allow.

CARGO ?= cargo
TARGET = $${CARGO_TARGET_DIR:-target}
PREFIX ?= /usr/local
CNI_BIN ?= /opt/cni/bin
FUZZ_SECONDS ?= 60

# Debian gives ordinary users no sbin, where ip, tc and nft may be.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help demo test check netns fuzz bench soak micro doc install tools

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## play the walk-through on real interfaces and check every fact of it
	@.ci/tools demo
	$(CARGO) build --locked --profile demo -p vswitchd -p cni-shim --bins
	$(TARGET)/demo/vswitchctl lab demo

test: ## unit, property, walk and namespace tests
	@.ci/tools test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace

netns: ## only the tests on real interfaces, in namespaces of their own
	@.ci/tools test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test 'netns*'

check: ## formatting, lints, documentation, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check licenses bans sources; \
	else $(CARGO) test --locked --quiet -p lab --test licences; fi

fuzz: ## every fuzz target for FUZZ_SECONDS each (needs a nightly toolchain and cargo-fuzz)
	for folder in $(wildcard */fuzz */*/fuzz); do \
	targets=$$(cd $$folder/.. && $(CARGO) +nightly fuzz list) || exit 1; \
	for target in $$targets; do \
	(cd $$folder/.. && $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS)) || exit 1; done; done

bench: ## vswitchd against the kernel, VXLAN, Open vSwitch and a naive loop, quickly; report in target/bench.html
	@.ci/tools test
	$(CARGO) build --locked --release -p vswitchd -p cni-shim -p vswitch-bench --bins
	$(TARGET)/release/vswitch-bench run --quick --topology same-node,two-node \
	--json $(TARGET)/bench.json --html $(TARGET)/bench.html

soak: ## 10 minutes of everything at once, every packet accounted for; what was found as JSON in target/soak.json
	@.ci/tools test
	$(CARGO) build --locked --release -p vswitchd -p cni-shim -p vswitch-bench --bins
	$(TARGET)/release/vswitch-soak --minutes 10 --json $(TARGET)/soak.json

micro: ## what the data plane costs per frame, without devices
	$(CARGO) bench --locked -p vswitch-bench

doc: ## the documentation of every crate, in target/doc
	$(CARGO) doc --locked --workspace --no-deps

install: ## release builds, man pages and bash completion under PREFIX, the plugin into CNI_BIN, a link into Wireshark's extcap folder (DESTDIR is honoured)
	$(CARGO) build --locked --release -p vswitchd -p cni-shim --bins
	install -D -t $(DESTDIR)$(PREFIX)/bin $(TARGET)/release/vswitchd $(TARGET)/release/vswitchctl
	install -D -t $(DESTDIR)$(CNI_BIN) $(TARGET)/release/vswitch
	if folder=$$(tshark -G folders 2>/dev/null | sed -nE 's/^(Global )?Extcap path:[[:space:]]*//p' | head -1) && [ -n "$$folder" ]; then \
	install -d "$(DESTDIR)$$folder" && ln -sf $(PREFIX)/bin/vswitchctl "$(DESTDIR)$$folder/vswitch-extcap"; fi
	$(TARGET)/release/vswitchctl man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(TARGET)/release/vswitchctl completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vswitchctl

tools: ## install the Debian packages that demo and tests need, if missing
	@.ci/tools test
