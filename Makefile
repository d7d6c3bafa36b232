# make demo   search Python's standard library with LangChain and with LlamaIndex
# make test   everything that must hold: lint, types, tests, the ServiceContext environment, the lowest versions, the
#             built wheel, vector stores, notebooks, Ray and a web server, the site
#
# make matrix         the tests with every living version of what this package stands on (.matrix; 30 minutes)
# make release-check  wheel and sdist, built and installed into empty environments
# make site           the documentation, into site/
# make simulate       10,000 simulated accounts with every order and fault drawn from a seed (2 minutes); SEED=… for one
# make simulate-breakages  break two dozen rules of the scheduler, and see which seed notices each (a minute)
# make mutants        break the modules without I/O in thousands of ways, and see that the tests notice (10 minutes)
# make bench          how fast, and in how much memory, beside its peers (10 minutes; benchmarks/results)
# make bench-limit    this package and its peers under the same limit (11 minutes; table and picture in benchmarks/results)
# make bench-pacing   how close to the shortest possible time the limiter comes (3 minutes)
# make bench-company  the limit in company: another client, four processes, and a RAG application with an ingestion, chat
#                     and searches on one key (36 minutes; table and picture in benchmarks/results)
# make kills          200 kills at random moments of jobs of 20,000 texts (5 minutes)
# make million        a million texts through a service that shuffles, drops and fails at random (5 minutes)
# make soak           ten minutes of mixed traffic, with each fault at random
# make audit          known weaknesses of all that the package runs on (asks the package index)
#
# Nothing needs to be there but Python 3.10 or newer with venv, and a package index to install from. The tests start a
# Redis server; where there is none it is installed from Debian's packages.

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet
ON_ALL_CORES := -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test lint types unit simulate simulate-breakages service-context lowest packaging ecosystem site redis matrix release-check mutants bench bench-limit bench-pacing bench-company kills million soak audit clean

demo: .venv/ready
	$(BIN)/python examples/quickstart.py

test: lint types unit service-context lowest packaging ecosystem site

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready
	$(BIN)/mypy

unit: .venv/ready redis
	$(BIN)/python -m pytest tests --ignore tests/packaging --ignore tests/ecosystem $(ON_ALL_CORES) --durations 10

# LlamaIndex 0.10 is the last core whose ServiceContext works: an environment of its own.
service-context: .venv-0.10/ready
	.venv-0.10/bin/python -m pytest tests/service_context tests/test_aclose.py tests/test_llama_index.py tests/test_llama_index_whole.py $(ON_ALL_CORES)

# Vector stores, notebooks, Ray and a web server: real ones, in an environment of their own, for they are large.
ecosystem: .venv-ecosystem/ready .venv-sdks/ready redis
	.venv-ecosystem/bin/python -m pytest tests/ecosystem
	.venv-sdks/bin/python -m pytest tests/ecosystem/test_other_sdks.py

# The page that mkdocs prints about its own next version is no warning of ours.
site: export NO_MKDOCS_2_WARNING = 1
site: .venv-docs/ready
	.venv-docs/bin/mkdocs build --strict --quiet

# The oldest versions that are allowed, and every living one.
lowest: .venv/ready redis
	$(BIN)/python tests/matrix.py lowest

matrix: .venv/ready redis
	$(BIN)/python tests/matrix.py

release-check: .venv/ready
	$(BIN)/python -m pytest tests/packaging
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist

packaging: .venv/ready
	$(BIN)/python -m pytest tests/packaging

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(UV) --python $(BIN)/python --editable ".[all]" --group dev
	touch $@

.venv-docs/ready .venv-ecosystem/ready .venv-sdks/ready .venv-bench/ready: .venv-%/ready: .venv/ready
	$(PYTHON) -m venv .venv-$*
	$(UV) --python .venv-$*/bin/python --editable ".[all]" --group $*
	touch $@

.venv-0.10/ready: .venv/ready
	$(PYTHON) -m venv .venv-0.10
	$(UV) --python .venv-0.10/bin/python --editable ".[all]" --group test "llama-index-core==0.10.68.post1"
	touch $@

.venv-mutants/ready: .venv/ready
	$(PYTHON) -m venv .venv-mutants
	$(UV) --python .venv-mutants/bin/python --editable ".[emulator]" --group mutants
	touch $@

redis:
	command -v redis-server >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet redis-server; }

mutants: .venv-mutants/ready
	.venv-mutants/bin/python tests/mutants.py

simulate: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python -m simulation.run $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))

simulate-breakages: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python -m simulation.breakages

bench-limit: .venv-bench/ready
	.venv-bench/bin/python benchmarks/limit.py

bench: .venv-bench/ready
	.venv-bench/bin/python benchmarks/speed/run.py

bench-pacing: .venv/ready
	$(BIN)/python benchmarks/pacing.py

bench-company: .venv-bench/ready
	.venv-bench/bin/python benchmarks/company.py
	.venv-bench/bin/python benchmarks/situations.py
	.venv-bench/bin/python benchmarks/rag/run.py

# With more arenas glibc keeps memory for threads that are gone, and a leak could not be told from that.
soak: export MALLOC_ARENA_MAX = 1
kills million soak: .venv/ready
	$(BIN)/python -m pytest tests/endurance/test_$@.py --full --quiet

# --strict: a dependency that could not be looked up is a failure, not a footnote.
audit: .venv/ready
	$(BIN)/uv pip compile --quiet --no-header --extra all pyproject.toml --output-file .venv/audited.txt
	$(BIN)/uv tool run pip-audit --strict --no-deps --disable-pip --requirement .venv/audited.txt

clean:
	rm -rf .venv .venv-0.10 .venv-bench .venv-docs .venv-ecosystem .venv-mutants .venv-sdks .matrix mutants dist site
