# Everything runs in .venv, which is made on first use from constraints.txt: what the demo needs by `make demo`, the
# developers' tools too by every other target.
PYTHON ?= python3
BIN := .venv/bin
# --no-compile: Python compiles what it imports; all modules of all packages would be another 350 MB and half a minute.
PIP = $(BIN)/python -m pip install --quiet --no-compile

# PyTorch without CUDA (constraints-cpu.txt) on Linux without an NVIDIA GPU, unless pip was given an index of one's own.
# TORCH=cpu and TORCH=default choose it by hand.
TORCH ?= $(shell if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi > /dev/null && ! env | grep -Eq '^(PIP|UV)_.*(INDEX|FIND)' \
	&& ! $(PYTHON) -m pip config list 2> /dev/null | grep -Eq 'index|find'; then echo cpu; else echo default; fi)

.PHONY: screenshots demo test test-all fuzz mutations cluster-test chaos check bench bench-downstream format lavis-env clean

.venv/.plain: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	if [ "$(TORCH)" = cpu ]; then $(PIP) -c constraints.txt -c constraints-cpu.txt torch; else $(PIP) -c constraints.txt torch; fi
	$(PIP) -c constraints.txt -e .
	touch $@

.venv/.ready: .venv/.plain
	$(PIP) -c constraints.txt -e '.[dev]'
	touch $@

# DEMO='--executor loop' does without Ray, which a very busy machine may not start in time.
DEMO ?=
demo: .venv/.plain
	$(BIN)/relforge demo $(DEMO)

# One process a core, one thread each: torch's own threads would compete with the other process.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

# The first tier: what one runs between two edits. The second holds what takes long: kills, packaging, trainings.
test: .venv/.ready
	$(PYTEST) -m "not slow"

# Clusters come last, one at a time: Ray's processes miss their deadlines when they have no core to run on.
test-all: .venv/.ready
	$(PYTEST) --durations 20 -m "not alone"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 20 -m alone

# Mutated inputs for every adapter and reader; FUZZ=20000 tries fewer.
FUZZ ?= 100000
fuzz: .venv/.ready
	RELFORGE_FUZZ=$(FUZZ) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --timeout 0 tests/stages/test_fuzz.py tests/data/test_fuzz_files.py

# Every protection of tests/mutations.md taken away in a copy: the test beside it has to fail.
mutations: .venv/.ready
	$(BIN)/python tests/run_mutations.py

# Nodes and heads lost, nodes joined, two submissions, a node without the folder, too few CPUs, a folder on object storage: on
# clusters of this machine.
cluster-test: .venv/.ready
	$(BIN)/python -m pytest --numprocesses 0 tests/pipeline/run/test_cluster.py tests/pipeline/run/test_ray_nodes.py tests/pipeline/submit

# Workers, actors, nodes, drivers and heads killed at seeded places of runs with the shipped models, and the data compared with
# that of an undisturbed run; an hour of one idle core. Stopped, it continues.
SEED ?= 0
KILLS ?= 250
CHAOS ?= runs/chaos
chaos: .venv/.ready
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.chaos --work $(CHAOS) --seed $(SEED) --kills $(KILLS)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.chaos --work $(CHAOS)-asked --seed $(SEED) --kills 90 --job asked

check: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Those that need no files of yours; `make bench BENCH=match` runs one. The others say what they need by --help.
# `quality` trains twelve small models: three quarters of an hour on one core.
BENCH ?= match ingest read_shards msda caption tagger assignment scene_graphs defr quality
bench: .venv/.ready
	for name in $(BENCH); do $(BIN)/python benchmarks/$$name.py || exit 1; done

# Pre-training with and without pseudo-labels, fine-tuning on HICO-DET files of the drawn world, official measures; a quarter of an
# hour on one idle core. Stopped, it continues: WORK keeps trainings and measures.
WORK ?= runs/bench-downstream
bench-downstream: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/downstream.py --work $(WORK) --write benchmarks/results/downstream.md

# The screenshots of docs/view.md; needs Chromium.
screenshots: .venv/.ready
	$(BIN)/python benchmarks/screenshots.py

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# salesforce-lavis pins versions nothing else here can use: an environment of its own, for backend `lavis`.
LAVIS_ENV ?= .venv-lavis
lavis-env: $(LAVIS_ENV)/.ready

$(LAVIS_ENV)/.ready: configs/lavis-requirements.txt
	$(PYTHON) -m venv $(LAVIS_ENV)
	$(LAVIS_ENV)/bin/python -m pip install --quiet 'setuptools<81' wheel
	$(LAVIS_ENV)/bin/python -m pip install --quiet torch==2.13.0
	$(LAVIS_ENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -r $<
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
