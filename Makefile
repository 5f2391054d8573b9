# Everything that is done in this checkout is a target here; .ci/run and pre-commit call these.
# Needs Python 3.11 or later, make and git. As root, missing Debian packages are installed; otherwise they are named.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=
TESTED := mke2fs debugfs lspci bwrap diod libseccomp.so.2 qemu-system-x86_64 qemu-img fusermount3 gcc python3-config go ip  # programs without which tests would be skipped

export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/sbin
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test coverage check format accel bench bench-9p soak docs fuzz clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo      the whole chain on the simulated machine, step by step'
	@echo 'make test      every test, none skipped'
	@echo 'make check     ruff, mypy and pyright, all strict'
	@echo 'make setup     the virtual environment that the others use (.venv)'
	@echo 'make coverage  the tests again, with branch coverage'
	@echo 'make bench     what it costs, beside the floor of this machine'
	@echo 'make accel     the short ways of the 9P server in C, into .venv: optional'
	@echo 'make bench-9p  the 9P server beside diod, a minimal one in C, and aio9p'
	@echo 'make soak      a driver killed a hundred times under a reader that checks every byte'
	@echo 'make docs      the manual, into site/'
	@echo 'make fuzz      the property tests with other examples, a million mutated messages in each dialect, atheris for a minute'

setup: $(VENV)/.base $(VENV)/.dev

# One stamp for each set of packages: a demo does not wait for the checkers.
$(VENV)/.base: pyproject.toml tools/venv
	tools/venv $(PYTHON) $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[fast]' || \
	    $(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev $(VENV)/.bench $(VENV)/.docs $(VENV)/.fuzz: $(VENV)/.%: $(VENV)/.base
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[$*]'
	@touch $@

.guest/linux: tools/guest
	tools/guest $(@D)

demo: $(VENV)/.base
	@tools/need mke2fs
	$(BIN)/lux9 demo

test: $(VENV)/.dev .guest/linux
	@tools/need $(TESTED)
	$(BIN)/python -m pytest --no-skips $(PYTEST_ARGS)

coverage: $(VENV)/.dev .guest/linux
	@tools/need $(TESTED)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --no-skips $(PYTEST_ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --warnings

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.base
	@tools/need mke2fs
	$(BIN)/python -m bench

accel: $(VENV)/.accel

$(VENV)/.accel: $(VENV)/.base accel/lux9_short.c accel/setup.py accel/pyproject.toml
	@tools/need gcc python3-config
	$(BIN)/python -m pip install -q --disable-pip-version-check ./accel
	@touch $@

bench-9p: $(VENV)/.bench $(VENV)/.accel
	@tools/need gcc diod
	$(BIN)/python -m bench.nine $(BENCH_ARGS)

soak: $(VENV)/.base
	@tools/need mke2fs
	$(BIN)/python -m soak $(SOAK_ARGS)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build -q --strict

fuzz: $(VENV)/.dev $(VENV)/.fuzz
	mkdir -p fuzz/corpus
	$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile explore
	$(BIN)/python -m fuzz.sessions $(FUZZ_ARGS)
	$(BIN)/python fuzz/fuzz_wire.py -max_total_time=60 -artifact_prefix=fuzz/ fuzz/corpus

clean:
	rm -rf $(VENV) .guest site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
