# make demo   search Python's standard library with LangChain and with LlamaIndex
# make test   what can break in a day's work: lint, types, the tests, a part of the simulation (two to three minutes on two cores)
# make check  everything that must hold: `make test`, and then the slow tests, the ServiceContext environment, the lowest
#             versions, the built wheel, vector stores, notebooks, Ray and a web server, the site
#
# make matrix         the tests with every living version of what this package stands on (.matrix; 30 minutes)
# make rest           what `make check` runs after `make test`
# make coverage       the tests of `make test` with branch coverage: they take every branch of the modules without I/O
# make lock           take the newest versions of everything that the environments of this file install, into uv.lock
# make dist           wheel and sdist of each distribution, into dist/
# make release-check  build them, and check what an index and a user will meet; RELEASE=1 as strictly as for a release
# make site           the documentation, into site/, and a look at each page in a browser, on a desktop and on a phone
# make faults         docs/faults.md, from the table that the tests hold true (tests/support/faults_table.py)
# make simulate       10,000 simulated accounts with every order and fault drawn from a seed (5 minutes); SEED=… for one
# make simulate-breakages  break some forty rules of the scheduler, and see which seed notices each (2 minutes)
# make mutants        break the modules without I/O in thousands of ways, and see that the tests notice (an hour)
# make bench          how fast, and in how much memory, beside its peers, over HTTP and TLS (20 minutes; benchmarks/results)
# make bench-compression  which encoding is worth asking for (a minute; table in benchmarks/results)
# make bench-ingestion  a million texts on each plan and over TLS, and texts into FAISS, pgvector and Qdrant (8 minutes)
# make bench-limit    this package and its peers under the same limit (11 minutes; table and picture in benchmarks/results)
# make bench-pacing   how close to the shortest possible time the limiter comes (3 minutes)
# make bench-forecast  how close an estimate comes: 200 jobs of real text, ten of them in real minutes (15 minutes)
# make bench-company  the limit in company: another client, four processes, and a RAG application with an ingestion, chat
#                     and searches on one key (36 minutes; table and picture in benchmarks/results)
# make kills          200 kills at random moments of jobs of 20,000 texts (3 minutes)
# make million        a million texts through a service that shuffles, drops and fails at random (5 minutes)
# make soak           ten minutes of mixed traffic, with each fault at random
# make audit          known weaknesses of all that the package runs on (asks the package index)
#
# Nothing needs to be there but Python 3.10 or newer with venv, and a package index to install from. What is installed has
# the versions in uv.lock, whatever is newest on the day; only `make matrix`, `make lowest`, `make packaging` and the environment
# of llama-index-core 0.10 choose theirs anew. The tests of the store in Redis start a server: `make test` skips them where
# there is none, `make check` installs it from Debian's packages, and Chromium, which looks at the site.

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet
# Installs this package and what uv.lock has for groups and extras: `$(call install,FOLDER,OPTIONS,UV)`. By way of a file
# of requirements, for uv.lock itself names the files of one index.
install = $(or $(3),$(BIN)/uv) export --quiet --frozen --no-default-groups $(2) --output-file $(1)/locked.txt && \
	$(or $(3),$(BIN)/uv) pip install --quiet --python $(1)/bin/python --requirement $(1)/locked.txt
# Two tests for each core: half of the time a test waits, for a window or a process of its own. More than four processes
# only make tests about time slow.
WORKERS := $(shell $(PYTHON) -c "import os; print(min(2 * (os.cpu_count() or 1), 4))")
ON_ALL_CORES := -n $(WORKERS) --dist worksteal --quiet
HAS_REDIS := $(shell command -v redis-server)
# Where the files of tests are: in memory if there is a gigabyte. On a disk, each test with a window in SQLite waits for it
# to be written.
IN_MEMORY := $(shell df -k /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 1000000 { print "TMPDIR=/dev/shm" }')

# Else hundreds of child processes would compile all that they import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check rest lint types pyright unit coverage slow simulate simulate-breakages service-context lowest packaging release-check ecosystem site faults lock redis chromium matrix dist mutants bench bench-compression bench-ingestion bench-limit bench-pacing bench-forecast bench-company kills million soak audit clean

demo: .venv-demo/ready
	@.venv-demo/bin/python examples/quickstart.py

test: .venv/ready
	@$(MAKE) --no-print-directory -j3 lint types unit

check:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory rest

# The longest ones first, each with its own output in one piece. Two at a time: each has several processes of its own.
rest: .venv/ready redis
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		HAS_REDIS=$(HAS_REDIS) ecosystem slow lowest packaging service-context pyright site

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready
	$(BIN)/mypy

# What mypy lets pass, and that everything public has a known type. pyright finds the packages by the python that comes
# first in the path.
pyright: export PATH := $(CURDIR)/$(BIN):$(PATH)
pyright: .venv/ready
	pyright -p pyproject.toml
	for package in electronhub_embeddings langchain_electronhub llama_index_electronhub pytest_electronhub; do \
		pyright -p pyproject.toml --ignoreexternal --verifytypes $$package || exit 1; \
	done

TESTS := tests --ignore tests/packaging --ignore tests/ecosystem

unit: .venv/ready
	$(IN_MEMORY) $(BIN)/python -m pytest $(TESTS) -m "not slow" $(ON_ALL_CORES) --durations 10

# A branch of a module without I/O that neither the tests of its folder nor the simulation take is a missing test, or code
# that nothing can reach. Those are the same on every run. The rest has parts that only child processes run, which are not
# measured: the figure is that of the day, and may only rise. Whether the tests pass is for `make unit` to say: measured,
# one about time may be late.
WITHOUT_IO := codec rate_limit scheduling
EXACT := $(WITHOUT_IO:%=tests/unit/%) tests/simulation
MEASURED := -m "not slow" $(ON_ALL_CORES) --hypothesis-profile mutants --tb no --cov --cov-append --cov-report=

coverage: .venv/ready redis
	$(BIN)/coverage erase
	-$(IN_MEMORY) $(BIN)/python -m pytest $(EXACT) $(MEASURED)
	$(BIN)/coverage report --skip-covered --show-missing --fail-under 100 --include "*/_codec/*,*/_rate_limit/*,*/_scheduling/*"
	-$(IN_MEMORY) $(BIN)/python -m pytest $(TESTS) $(EXACT:%=--ignore %) $(MEASURED)
	$(BIN)/coverage report --skip-covered --show-missing --fail-under 98

# What `make test` has left out.
slow: .venv/ready redis
	$(IN_MEMORY) $(BIN)/python -m pytest $(TESTS) -m "slow$(if $(HAS_REDIS),, or needs_redis)" $(ON_ALL_CORES)

# LlamaIndex 0.10 is the last core whose ServiceContext works: an environment of its own.
service-context: .venv-0.10/ready
	.venv-0.10/bin/python -m pytest tests/unit/llama_index_electronhub tests/behaviour/test_aclose.py -n 2

# Vector stores, notebooks, Ray and a web server: real ones, in an environment of their own, for they are large.
ecosystem: .venv-ecosystem/ready .venv-sdks/ready redis
	$(IN_MEMORY) .venv-ecosystem/bin/python -m pytest tests/ecosystem -n 3 --dist loadgroup
	.venv-sdks/bin/python -m pytest tests/ecosystem/test_other_sdks.py

# The page that mkdocs prints about its own next version is no warning of ours.
site: export NO_MKDOCS_2_WARNING = 1
site: .venv-docs/ready chromium
	.venv-docs/bin/mkdocs build --strict --quiet
	.venv-docs/bin/python -m pytest tests/site

faults: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python -m support.faults_table

# The oldest versions that are allowed, and every living one.
lowest: .venv/ready redis
	$(IN_MEMORY) $(BIN)/python tests/tools/matrix.py lowest

matrix: .venv/ready redis
	$(BIN)/python tests/tools/matrix.py

dist: .venv/ready
	rm -rf dist
	$(BIN)/python distributions/build.py dist

# The tests would build a release of their own in each process.
release-check packaging: export DIST = $(CURDIR)/dist
release-check: dist
	$(BIN)/python -m pytest tests/packaging/test_release.py tests/packaging/test_distributions.py -n 2 --dist worksteal

packaging: dist
	$(BIN)/python -m pytest tests/packaging -n 2 --dist worksteal

.venv/ready: pyproject.toml uv.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(call install,.venv,--group dev --all-extras)
	touch $@

# Of its own, without the tools of a developer: who looks at the demo should not wait for those.
.venv-demo/ready: pyproject.toml uv.lock
	@echo "Installing into .venv-demo: about half a minute, once."
	@$(PYTHON) -m venv .venv-demo
	@.venv-demo/bin/python -m pip install --quiet uv
	@$(call install,.venv-demo,--extra langchain --extra llama-index --extra semantic,.venv-demo/bin/uv)
	@touch $@

.venv-docs/ready .venv-ecosystem/ready .venv-sdks/ready .venv-bench/ready: .venv-%/ready: .venv/ready
	$(PYTHON) -m venv .venv-$*
	$(call install,.venv-$*,--group $* --all-extras)
	touch $@

.venv-0.10/ready: .venv/ready
	$(PYTHON) -m venv .venv-0.10
	$(UV) --python .venv-0.10/bin/python --editable ".[all]" --group test "llama-index-core==0.10.68.post1"
	touch $@

.venv-mutants/ready: .venv/ready
	$(PYTHON) -m venv .venv-mutants
	$(call install,.venv-mutants,--group mutants --extra emulator --extra langchain --extra redis)
	touch $@

redis:
	command -v redis-server >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet redis-server; }

chromium:
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet chromium; }

mutants: .venv-mutants/ready
	.venv-mutants/bin/python tests/tools/mutants.py

lock: .venv/ready
	$(BIN)/uv lock --upgrade

simulate: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python -m simulation.run $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))

simulate-breakages: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python -m simulation.breakages

bench-limit: .venv-bench/ready
	.venv-bench/bin/python benchmarks/limit.py
	$(BIN)/python benchmarks/overview.py

bench: .venv-bench/ready
	.venv-bench/bin/python benchmarks/speed/run.py
	.venv-bench/bin/python benchmarks/speed/wire.py

bench-compression: .venv-bench/ready
	.venv-bench/bin/python benchmarks/speed/compression.py

bench-ingestion: .venv-bench/ready
	PYTHONPATH=.:tests $(BIN)/python benchmarks/plans.py
	PYTHONPATH=.:tests .venv-bench/bin/python benchmarks/speed/ingestion.py

bench-pacing: .venv/ready
	$(BIN)/python benchmarks/pacing.py

bench-forecast: .venv/ready
	PYTHONPATH=.:tests $(BIN)/python benchmarks/forecast.py

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
	rm -rf .venv .venv-0.10 .venv-bench .venv-demo .venv-docs .venv-ecosystem .venv-mutants .venv-sdks .matrix mutants dist site
