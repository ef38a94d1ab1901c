# SPDX-License-Identifier: Apache-2.0
# What a person repeats; the work itself is in scripts/.
DATA   ?= data
HOSTS  ?= 2
LAB    ?= .cache/hosts
STAGES ?=
SEEDS  ?= 2000
HOURS  ?= 8
SITES  ?=

.DEFAULT_GOAL := help
.PHONY: help run stop clean-data test test-deep check sim soak deb bench bench-scale bench-web screenshots lab lab-down fmt

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start the manager and a host, deploy a first VM (DATA=data)
	@scripts/run up --data '$(DATA)'

stop: ## end what make run started; the data stay
	@scripts/run stop --data '$(DATA)'

clean-data: ## stop, and delete all data of make run
	@scripts/run clean --data '$(DATA)'

test: ## everything CI runs (STAGES="arrows build tests": only these)
	@scripts/test $(STAGES)

test-deep: ## also the tests under load, and each fuzzer for five minutes
	@scripts/test --deep

check: ## the checks that need no build
	@scripts/test arrow-check arrows rules scripts

sim: ## the manager in a simulated world, SEEDS=2000 runs (docs/simulation.md)
	@scripts/ci/build plain >/dev/null && scripts/sim run $(SEEDS)

soak: ## the same with new seeds for HOURS=8
	@scripts/ci/build plain >/dev/null && scripts/sim soak $(HOURS)

deb: ## Debian packages in build-deb/packages
	@scripts/deb

bench: ## figures of a release build
	@scripts/bench

bench-scale: ## 500, 1,000 and 5,000 simulated hosts on a real manager (SITES="500": only these)
	@scripts/bench --scale $(SITES)

bench-web: ## the web console: sizes, times of long lists
	@scripts/ci/build plain >/dev/null && scripts/build-web --check && tests/web/bench build-ci/plain

screenshots: ## pictures of the web console's pages in build-web-screenshots/
	@scripts/ci/build plain >/dev/null && scripts/build-web --check && tests/web/screenshots build-ci/plain build-web-screenshots

bench-plan: ## the balancer beside Debian's hbal (up to an hour)
	@scripts/bench --plan

lab: ## HOSTS=2 hosts out of namespaces, in LAB=.cache/hosts
	@scripts/lab up --hosts $(HOSTS) --dir '$(LAB)'

lab-down: ## end that lab and delete it
	@scripts/lab down '$(LAB)' --purge

fmt: ## format the C files
	@scripts/fmt
