# vnet: `make up` and `make test` do all set-up on a bare Debian machine with Python 3.11 and make.
SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
# each program that is needed, and the Debian package that brings it
TOOLS := ip:iproute2 iptables:iptables busybox:busybox mount:mount unshare:util-linux
TEST_TOOLS := $(TOOLS) sudo:sudo dnsmasq:dnsmasq-base ping:iputils-ping tcpdump:tcpdump socat:socat curl:curl \
	ps:procps nginx:nginx-light etcd:etcd-server etcdctl:etcd-client keepalived:keepalived wrk:wrk podman:podman \
	redis-server:redis-server redis-sentinel:redis-sentinel strace:strace nft:nftables g++:build-essential
# the benchmark's rivals: whichever can't be installed is left out, by name
RIVALS := mn:mininet /usr/sbin/brctl:bridge-utils /usr/lib/cni/bridge:containernetworking-plugins podman:podman
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

# $(call need,PROGRAM:PACKAGE ...): install the packages of those programs that are missing
need = missing=(); for each in $(1); do \
	PATH="$$PATH:/usr/sbin:/sbin" command -v "$${each%%:*}" > /dev/null || missing+=("$${each\#\#*:}"); done; \
	if (( $${\#missing[@]} )); then $(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; fi

# $(call pip,KEY): install what pyproject.toml lists there
pip = $(BIN)/pip install -q --disable-pip-version-check $$($(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]$(1))')

.PHONY: help setup up down test test-long check fmt shell faults bench bench-docs tools test-tools bench-tools

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: tools .venv/.run  ## install what is missing

up: setup  ## install what is missing, bring the example lab up, show it
	bin/vnet-up -f settings.example.toml
	bin/vnet-status

down:  ## take everything of yours down
	bin/vnet-down --all --gateway

test: test-tools .venv/.dev  ## the quick tests
	$(PYTEST) -q -n 4 --dist worksteal -m "not long"

test-long: test-tools .venv/.dev  ## all tests
	$(PYTEST) -q -n 4

check: .venv/.dev  ## format, lint, types, tests
	$(BIN)/ruff format --check vnet hooks tests examples bench
	$(BIN)/ruff check vnet hooks tests examples bench
	$(BIN)/mypy
	$(MAKE) test

fmt: .venv/.dev  ## format the code
	$(BIN)/ruff format vnet hooks tests examples bench

shell: test-tools .venv/.dev  ## a shell on a simulated machine, to play in
	$(BIN)/python tests/shell.py

faults: test-tools .venv/.dev  ## kill, fail and meddle with vnet at every place, hours long; FAULTS="--way root --every 10"
	$(BIN)/python tests/faults/campaign.py $(FAULTS)
	$(BIN)/python tests/faults/storm.py

bench: test-tools bench-tools .venv/.bench  ## measure vnet beside its rivals; BENCH="up data" QUICK=yes RUNS=9
	$(BIN)/python bench/run.py $(if $(QUICK),--quick) $(if $(RUNS),--runs $(RUNS)) $(BENCH)

bench-docs: .venv/.dev  ## put the last benchmark's tables and pictures into docs/
	$(BIN)/python bench/run.py --docs

tools:
	@$(call need,$(TOOLS))

test-tools:
	@$(call need,$(TEST_TOOLS))

bench-tools:
	-@$(foreach rival,$(RIVALS),$(call need,$(rival));)

.venv/.run: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || $(call need,no-such-program:python3-venv)
	$(PYTHON) -m venv .venv
	$(call pip,["dependencies"])
	@touch $@

.venv/.dev: .venv/.run
	$(call pip,["optional-dependencies"]["dev"])
	@touch $@

.venv/.bench: .venv/.dev
	-$(call pip,["optional-dependencies"]["bench"])
	@touch $@
