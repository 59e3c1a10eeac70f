# facewash: `make demo` runs the main job on real faces, `make test` all tests; both set the machine up first.
# `make` alone builds build/facewash. SAN=address,undefined builds with sanitizers into build-san/.
SHELL := /bin/bash
SAN ?=
COV ?=
B := build$(if $(SAN),-san)$(if $(COV),-cov)
PREFIX ?= /usr/local
PY := /usr/bin/python3

-include build/deps.mk

# V=1 shows the commands
Q := $(if $(V),,@)
PKGS := libjpeg libpng libwebp libwebpdemux libexif libxxhash libcrypto jansson inih lmdb libmicrohttpd libarchive openblas zlib
OPT ?= -O3
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS += -D_GNU_SOURCE -DFW_SHARE='"$(PREFIX)/share/facewash"' -DFW_MODELS_DEFAULT='"$(MODELS_DIR)"' \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(ORT_CFLAGS) $(FAISS_CFLAGS)
CFLAGS += -std=gnu11 $(OPT) -g -fopenmp -fno-math-errno -ffp-contract=off $(WARN)
LDLIBS += $(FAISS_LIBS) $(ORT_LIBS) $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lstdc++ -lm -lpthread
ifneq ($(SAN),)
# instrumented code makes gcc 12 warn of overflows that are none; the plain build has all warnings as errors
CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -Wno-error
LDFLAGS += -fsanitize=$(SAN)
endif
ifneq ($(COV),)
CFLAGS += --coverage
LDFLAGS += --coverage
endif

SRC := $(wildcard lib/*.c index/*.c stages/*.c)
LIBSRC := $(filter-out stages/main.c,$(SRC))
OBJ := $(SRC:%.c=$B/%.o)
LIBOBJ := $(LIBSRC:%.c=$B/%.o)
UNIT := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all browser demo fuzz fuzz-coverage test tests-built unit cli kill asan asan-run coverage coverage-run clean setup models install format bench bench-accuracy bench-identify \
	check-layers check-format check-headers check-scripts
all: $B/facewash

build/deps.mk: scripts/setup.sh
	@scripts/setup.sh deps models

$B/facewash: $(OBJ)
	@echo "  LD $@"
	$Q$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/libfacewash.a: $(LIBOBJ)
	@rm -f $@; ar rcs $@ $^

$B/%.o: %.c | build/deps.mk
	@mkdir -p $(@D)
	@echo "  CC $<"
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/tests/%: tests/unit/%.c $B/libfacewash.a
	@mkdir -p $(@D)
	@echo "  CC $<"
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -I. $(LDFLAGS) -o $@ $< $B/libfacewash.a $(LDLIBS) -lcmocka

models:
	@scripts/setup.sh models

# ---- tests: each suite can be run alone; `make test` runs all of SUITES and ends with one line that sums them up --------
SUITES ?= unit cli kill check-headers check-layers check-format check-scripts
export FACEWASH := $(abspath $B/facewash)
export FIXTURES := $(abspath build/tests/fixtures)
export FW_CPPFLAGS = $(CPPFLAGS)

build/tests/fixtures/kind: tests/fixtures.py $(wildcard $(DEMO_DIR)/.stamp)
	@rm -rf build/tests/fixtures
	@$(PY) tests/fixtures.py --out build/tests/fixtures $(if $(DEMO_DIR),--photos $(DEMO_DIR))

tests-built: $(UNIT) $B/facewash build/tests/fixtures/kind

test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory -j $$(nproc) all tests-built
	@tests/run.sh $(SUITES)

unit: $(UNIT)
	@tests/unit/run.sh $(UNIT)

cli: $B/facewash build/tests/fixtures/kind
	@tests/cli/run.sh $(TESTS)

kill: $B/facewash build/tests/fixtures/kind
	@tests/kill/run.sh $(TESTS)

# Not part of `make test`: it needs Chromium and times the scrolling of 20,000 rows.
browser: $B/facewash
	@tests/browser/run.sh

check-layers check-headers check-format check-scripts:
	@tests/check.sh $(@:check-%=%)

format:
	clang-format -i lib/*.[ch] index/*.[ch] stages/*.[ch] tests/*/*.[ch]

# Unit and CLI tests with AddressSanitizer and UndefinedBehaviorSanitizer. tests/lsan.supp names what libraries keep.
asan:
	@ASAN_OPTIONS=detect_stack_use_after_return=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
		LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 SANITIZED=1 \
		$(MAKE) --no-print-directory SAN=address,undefined OPT=-O1 SUITES="unit cli" asan-run

asan-run: tests-built
	@tests/run.sh $(SUITES)

# Share of the lines that unit and CLI tests reach.
coverage:
	@$(MAKE) --no-print-directory COV=1 OPT=-O0 SUITES="unit cli" coverage-run

coverage-run: tests-built
	@find $B -name '*.gcda' -delete
	@tests/run.sh $(SUITES) || true
	@tests/coverage.sh $B

# ---- figures: ratios measured in one run; never part of the tests ----------------------------------------------------------
# BENCH_ROWS=100000 is the size that the goals speak of; the defaults take a few minutes on two cores. FACEWASH_LFW: the LFW
# folder, whose photos are then used instead of the demo's, and which ingest is timed on (BENCH_COLD=1, as root: with cold caches
# too, which empties those of the whole machine). BENCH_LIKE: embeddings (.npy) whose covariance k-NN data get.
BENCH_ROWS ?= 20000
BENCH_PHOTOS ?= 100
$B/bench: $(filter-out %/bench_identify.c,$(wildcard tests/bench/*.[ch])) $B/libfacewash.a
	@echo "  CC $@"
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -I. $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(LDLIBS)

bench:
	@scripts/setup.sh bench
	@$(MAKE) --no-print-directory $B/bench $B/facewash
	@$(PY) tests/bench/bench.py --program $B/bench --rows $(BENCH_ROWS) --photos $(BENCH_PHOTOS) --cache "$(DEPS_DIR)" \
		--lfw "$(FACEWASH_LFW)" --like "$(BENCH_LIKE)" --facewash $B/facewash $(if $(BENCH_COLD),--cold) --json $B/bench.json

# A search of a large gallery: what it costs and finds. Building the index takes minutes.
BENCH_GALLERY ?= 1000000
$B/bench_identify: tests/bench/bench_identify.c $B/libfacewash.a
	@echo "  CC $<"
	$Q$(CC) $(CPPFLAGS) $(CFLAGS) -I. $(LDFLAGS) -o $@ $< $B/libfacewash.a $(LDLIBS)

bench-identify: $B/bench_identify
	$B/bench_identify $(BENCH_GALLERY)

# Needs the LFW folder (FACEWASH_LFW) and the folder of make_dataset.py and score.py (FACEWASH_BENCH). SEEDS=11-15 takes hours.
SEEDS ?= 11-15
bench-accuracy: $B/facewash
	$(PY) tests/bench/accuracy.py --lfw "$(FACEWASH_LFW)" --bench "$(FACEWASH_BENCH)" --facewash $B/facewash --seeds $(SEEDS)

# ---- make install PREFIX=/usr/local [DESTDIR=] ---------------------------------------------------------------------------
# The program looks for its files beside itself, so the tree may be moved; ONNX Runtime comes along where it is not Debian's.
share := $(DESTDIR)$(PREFIX)/share
comma := ,

$B/facewash.install: $(OBJ)
	@echo "  LD $@"
	$Q$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(filter-out -Wl$(comma)-rpath%,$(LDLIBS)) -Wl,-rpath,'$$ORIGIN/../lib/facewash'

install: $B/facewash.install
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/facewash $(share)/facewash/models \
		$(share)/bash-completion/completions $(share)/doc/facewash
	install $B/facewash.install $(DESTDIR)$(PREFIX)/bin/facewash
	$(if $(ORT_LIB),install -m 644 $(ORT_LIB) $(DESTDIR)$(PREFIX)/lib/facewash/)
	cp -r configs reports $(share)/facewash/
	$(if $(MODELS_DIR),install -m 644 $(wildcard $(MODELS_DIR)/*.onnx $(MODELS_DIR)/*LICENSE*) $(share)/facewash/models/)
	install -m 644 scripts/completion.bash $(share)/bash-completion/completions/facewash
	install -m 644 LICENSE NOTICE README.md $(share)/doc/facewash/

# ---- fuzzing: every target of tests/fuzz with clang's libFuzzer, FUZZ_SECONDS each, one after the other -------------------------
# fuzz_source is one target per reader of a format. FUZZ="rec tar" runs those alone. What was found lies in build-fuzz/crash-*; the
# corpus grows from run to run. `make fuzz-coverage` then prints the share of each reader's lines that its corpus reaches.
# clang 14 does not know gcc's name for F16C; the kernels that ask for it are not fuzzed.
FUZZ_SECONDS ?= 60
FUZZ_READERS := rec tar zip tsv bin npy feat list
FUZZ ?= $(FUZZ_READERS) $(filter-out source,$(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_image := -max_len=65536 -malloc_limit_mb=100
fuzz_decisions := -max_len=16384
fuzz_review := -max_len=4096
fuzz_tar := -max_len=24576 -malloc_limit_mb=300
fuzz_else := -max_len=8192 -malloc_limit_mb=300
FB ?= build-fuzz
FUZZ_SAN := fuzzer,address,undefined

$(FB)/fuzz_%: tests/fuzz/fuzz_%.c $(FB)/libfacewash.a
	@echo "  CC $<"
	$Qclang $(CPPFLAGS) -std=gnu11 -O1 -g -fopenmp -fsanitize=$(FUZZ_SAN) $(FUZZ_COV) -I. -o $@ $< $(FB)/libfacewash.a $(LDLIBS)

$(FUZZ_READERS:%=$(FB)/fuzz_%): $(FB)/fuzz_source
	@ln -f $< $@

build-fuzz/seeds: $(wildcard tests/fuzz/*.py) tests/fuzz/corpus.txt tests/make_sources.py tests/make_bad_images.py
	@rm -rf $@
	@mkdir -p $@/image
	@$(PY) tests/make_bad_images.py $@/image
	@$(PY) tests/fuzz/seeds.py $@
	@$(PY) tests/fuzz/seeds_review.py $@

fuzz: build-fuzz/seeds
	@command -v clang >/dev/null || { echo "fuzz needs clang (apt-get install clang libomp-dev)"; exit 1; }
	@CPPFLAGS="-D'__builtin_cpu_supports(x)=0'" CFLAGS="$(FUZZ_COV)" $(MAKE) --no-print-directory B=$(FB) CC=clang OPT=-O1 \
		SAN=$(subst fuzzer,fuzzer-no-link,$(FUZZ_SAN)) $(FB)/libfacewash.a
	@$(MAKE) --no-print-directory $(FUZZ:%=$(FB)/fuzz_%)
	@for name in $(FUZZ); do mkdir -p build-fuzz/corpus/$$name; done
	@$(if $(FUZZ_COV),,$(foreach name,$(FUZZ),echo "fuzz_$(name): $(FUZZ_SECONDS) s" && (cd $(FB) && ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		./fuzz_$(name) -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
		-verbosity=0 -close_fd_mask=1 $(or $(fuzz_$(name)),$(fuzz_else)) corpus/$(name) seeds/$(name)) &&)) true

# The same inputs through a build that counts lines.
fuzz-coverage:
	@$(MAKE) --no-print-directory fuzz FB=build-fuzz-cov FUZZ_SAN=fuzzer FUZZ_COV="-fprofile-instr-generate -fcoverage-mapping"
	@tests/fuzz/coverage.sh build-fuzz-cov build-fuzz $(FUZZ)

demo:
	@scripts/demo.sh

clean:
	rm -rf build build-san build-cov build-fuzz build-fuzz-cov

-include $(OBJ:.o=.d) $(UNIT:=.d)
