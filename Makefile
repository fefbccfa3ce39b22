# The entry points of the workspace. Each target sets up what it needs in $(VENV) first.

PYTHON ?= python3
VENV ?= .venv
# Where PyTorch's own CPU builds are; the ones on PyPI bring several GB of CUDA libraries on x86-64 Linux.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
DEMO_MINUTES ?= 1

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := inference sim training bringup
TOOLS := ruff mypy pytest hypothesis types-PyYAML stable-baselines3 xacro
# Real rclpy and DDS for the tests of the nodes; there are wheels for x86-64 Linux.
ROS := ros-rclpy ros-kilted-rclpy ros-rmw-fastrtps-cpp ros-common-interfaces
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

# The stamp names the folder, because a virtual environment does not survive being moved.
STAMP := $(VENV)/installed
ifneq ($(shell cat '$(STAMP)' 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help setup demo test lint format bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.* ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  make %-7s %s\n' "$$name" "$$text"; done

setup: $(STAMP) ## Install everything into .venv (done by the other targets on their own)

demo: $(STAMP) ## Train a model named demo on camera images, evaluate 10 laps, write report and video
	@$(BIN)/deepracer create demo --replace --force
	@$(BIN)/deepracer train demo --minutes $(DEMO_MINUTES)
	@$(BIN)/deepracer evaluate demo --laps 10 --all-clean

test: $(STAMP) ## Run all tests
	@$(BIN)/python -m pytest

lint: $(STAMP) ## Check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo 'Run `make format` for the files named by: $(BIN)/ruff format --diff .'; exit 1; }
	@$(BIN)/mypy src/*/deepracer_* $(wildcard tests benchmarks)
	@# One by one: every package has a test/conftest.py, and mypy knows no two modules of one name.
	@for package in $(PACKAGES); do [ ! -d src/deepracer_$$package/test ] || $(BIN)/mypy src/deepracer_$$package/test || exit 1; done

format: $(STAMP) ## Put imports and layout of all files in order
	@$(BIN)/ruff check --select I --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(STAMP) ## Measure the figures of the README and write bench.json
	@$(BIN)/python benchmarks/bench.py

clean: ## Remove the environment, caches and builds; models in DEEPRACER_HOME stay
	@rm -rf '$(VENV)' build install log .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*/build src/*/*.egg-info
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): constraints.txt $(wildcard src/*/setup.py)
	@command -v $(PYTHON) >/dev/null || { echo 'There is no $(PYTHON); install Python 3.10 or newer, or name one: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed, but $(PYTHON) is $$($(PYTHON) -V); name another one: make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo 'Creating $(VENV)'; rm -rf '$(VENV)'; \
	  $(PYTHON) -m venv '$(VENV)' >'$(VENV).log' 2>&1 && rm '$(VENV).log' || { \
	    cat '$(VENV).log'; rm -rf '$(VENV)' '$(VENV).log'; \
	    echo 'No virtual environment could be made. On Debian and Ubuntu: sudo apt install python3-venv'; exit 1; }; }
	@echo 'Installing (the first time takes a few minutes)'
	@$(PIP) install --quiet -c constraints.txt setuptools wheel
	@$(PIP) show torch 2>/dev/null | grep -q '^Version: $(TORCH)' || { echo '  torch $(TORCH)'; \
	  $(PIP) install --quiet --no-deps 'torch==$(TORCH)+cpu' 2>/dev/null || \
	  $(PIP) install --quiet --no-deps --index-url $(TORCH_INDEX) 'torch==$(TORCH)' 2>/dev/null || \
	  echo '  no CPU build was found; taking the one from PyPI, which can be several GB'; }
	@echo '  the workspace, its libraries and tools'
	@$(PIP) install --quiet --use-pep517 --no-build-isolation -c constraints.txt $(TOOLS) $(PACKAGES:%=-e src/deepracer_%)
	@echo '  ROS 2 for the tests of the nodes'
	@$(PIP) install --quiet -c constraints.txt $(ROS) 2>'$(VENV)/ros.log' || \
	  echo '  there is none for this machine: those tests will be skipped'
	@printf '%s\n' '$(CURDIR)' >'$(STAMP)'
