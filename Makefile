# `make` alone prints what there is. Everything happens inside this directory, in .venv.
#
# PYTHON  the Python to set up with, for example: make clean setup PYTHON=/usr/bin/python3.12
# ARGS    more arguments, for example: make test ARGS="-k dates", make lock ARGS=--upgrade

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-cli test-mcp test-hermes drill check fix bench bench-peers lock clean FORCE

PYTHON ?= python3.13 python3.12 python3.11 python3
ARGS :=
UV := uv==0.13.9
PROCESSES := $(shell cores=$$(nproc); echo $$((cores < 8 ? cores + 1 : 8)))
APART := --ignore=tests/conformance --ignore=tests/hermes

# What a user set for other projects must not leak into this one; where pip finds its index stays the user's choice.
unexport PYTHONHOME PYTHONPATH
unexport PIP_CONSTRAINT PIP_PREFIX PIP_REQUIRE_HASHES PIP_REQUIREMENT PIP_ROOT PIP_TARGET PIP_USER
PIP_INSTALL := -m pip install --disable-pip-version-check --no-input --no-user

# An environment is good in the directory it was made in, for as long as its Python is there.
INTACT := { [ "$$(.venv/bin/python -I -c "" && cat .venv/ready)" = "$$(pwd -P)" ]; } 2>/dev/null

# Sets $$python to the first candidate that is new enough and can make environments, or says what to install.
define find_python
python= bare=
for candidate in $(PYTHON); do
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
	if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi
	bare=$$candidate
done
if [ -z "$$python" ] && [ -n "$$bare" ]; then
	echo "$$bare cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv" \
		"(or $$("$$bare" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'))." >&2
	exit 1
elif [ -z "$$python" ]; then
	echo "Python 3.11 or newer is needed; tried: $(PYTHON). Install one (Debian, Ubuntu: apt install python3" \
		"python3-venv) or name one: make setup PYTHON=/path/to/python3" >&2
	exit 1
fi
endef

help: ## Print this
	@echo "usage: make TARGET"
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 15

setup: .venv/ready ## Make .venv with everything pinned in constraints.txt, and .venv/bin/kugetsu

demo: setup ## Watch three shadows fix three bugs: no key, no server, no network
	@.venv/bin/kugetsu demo $(ARGS)

test: setup ## Run the tests
	@.venv/bin/pytest --numprocesses=$(PROCESSES) --dist=worksteal -m "not drill and not story" $(APART) $(ARGS)

test-cli: setup ## Run stories from the command line: the program as users start it, many times
	@.venv/bin/pytest --numprocesses=$(PROCESSES) --dist=worksteal -m "story and not drill" tests/cli $(ARGS)

test-mcp: setup ## Run the conformance suite of MCP against a real server (npm installs it outside of this directory)
	@.venv/bin/pytest tests/conformance $(ARGS)

test-hermes: setup ## Run whole stories with the real Hermes (pip installs it outside of this directory)
	@.venv/bin/pytest tests/hermes $(ARGS)

drill: setup ## Kill the program at every named point and at random, fail its providers in every way, and see that nothing is lost
	@.venv/bin/pytest --numprocesses=$(PROCESSES) --dist=worksteal -m drill $(APART) $(ARGS)

check: setup ## Lint, formatting, types and the layers' contracts
	@.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

fix: setup ## Repair what the linter can, and format
	@.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: setup ## Measure CPU and memory per model call
	@.venv/bin/python bench/run.py $(ARGS)

bench-peers: setup ## Measure beside Pi and OpenCode, which npm installs outside of this directory
	@.venv/bin/python -m bench.peers $(ARGS)

lock: ## Write constraints.txt anew from pyproject.toml (needs the network)
	@$(find_python)
	scratch=$$(mktemp -d)
	trap 'rm -rf "$$scratch"' EXIT
	"$$python" -m venv "$$scratch/venv"
	"$$scratch/venv/bin/python" $(PIP_INSTALL) --quiet $(UV)
	for version in 3.11 3.12 3.13; do
		for machine in x86_64 aarch64; do
			echo "resolving for Python $$version on $$machine"
			# What stands in the output file is kept where it still fits.
			cp constraints.txt "$$scratch/$$version-$$machine"
			"$$scratch/venv/bin/uv" pip compile --no-config --quiet --python "$$python" --extra dev \
				--python-version "$$version" --python-platform "$$machine-unknown-linux-gnu" \
				--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
				--output-file "$$scratch/$$version-$$machine" $(ARGS) pyproject.toml
			cmp "$$scratch/3.11-x86_64" "$$scratch/$$version-$$machine" # one set must fit all
		done
	done
	{
		echo "# Every distribution that Kugetsu needs to run, to be built and to be checked, with the hashes of all"
		echo "# files that the public index has of it. Written by make lock, installed by make setup."
		cat "$$scratch/3.11-x86_64"
	} > "$$scratch/constraints.txt"
	cp "$$scratch/constraints.txt" constraints.txt
	echo "constraints.txt pins $$(grep -c == constraints.txt) distributions"

clean: ## Remove .venv, caches and builds
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ready: pyproject.toml constraints.txt $(shell $(INTACT) || echo FORCE)
	@if ! $(INTACT); then
		$(find_python)
		echo "making .venv with $$("$$python" -V)"
		"$$python" -m venv --clear .venv
	fi
	rm -f $@ # only a set-up that came to its end counts
	echo "installing $$(grep -c == constraints.txt) pinned distributions"
	.venv/bin/python $(PIP_INSTALL) --require-hashes --no-deps -r constraints.txt |
		sed -un 's/^Collecting \([^ ]*\).*/  \1/p'
	.venv/bin/python $(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable .
	pwd -P > $@
	echo "ready: .venv/bin/kugetsu"

FORCE:
