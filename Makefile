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
CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer
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

.PHONY: all demo test unit cli clean setup install check-layers check-format check-headers
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

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

demo:
	@scripts/demo.sh

clean:
	rm -rf build build-san build-cov

-include $(OBJ:.o=.d) $(UNIT:=.d)
