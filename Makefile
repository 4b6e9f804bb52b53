# moonlit: one build description for developers, CI and LuaRocks.
#   make             build in place: build/release, ./moonlit.lua, ./moonlit
#   make quickstart  set up, build, go from a raw crawl to a model you can talk to
#   make test        set up, build, run every test
#   make help        the other targets

CC      ?= gcc
CFLAGS  ?= -g
LIBFLAG ?= -shared
OPT     ?= -O3
LUA     ?= lua5.4
LUA_INCDIR ?= $(firstword $(wildcard /usr/include/lua5.4 /usr/local/include/lua5.4 /usr/include) /usr/include)
SAN     ?=
BUILD   ?= build/$(if $(SAN),$(SAN),release)

Q := $(if $(V),,@)# make V=1 shows the commands
# ours come after $(CFLAGS), so that LuaRocks' own flags never beat them
OWN := -std=gnu11 -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -pthread -Icsrc -MMD -MP \
       -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wno-unused-parameter -Wno-missing-field-initializers
OWN += $(if $(SAN),-g -O1 -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-var-tracking -DML_SANITIZED,$(OPT))
LDOWN := -pthread -Wl,-z,nodelete $(if $(SAN),-fsanitize=$(SAN))
LIBS  := -lm -lz -ljansson -lpcre2-8 -lutf8proc -lcrypto

# ---- kernels: one source, one object per ISA; f64 is the scalar source with double ----
MACHINE := $(shell $(CC) -dumpmachine)
ifneq ($(filter x86_64%,$(MACHINE)),)
ISAS := scalar avx2 avx512 f64
else ifneq ($(filter aarch64%,$(MACHINE)),)
ISAS := scalar neon f64
else
ISAS := scalar f64
endif
FLAGS_avx2   := -DML_USE_AVX2 -mavx2 -mfma
FLAGS_avx512 := -DML_USE_AVX512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
FLAGS_neon   := -DML_USE_NEON
FLAGS_f64    := -DML_USE_F64
ifneq ($(SAN),) # gcc takes minutes to optimise arrays of lanes with checks in between
FLAGS_scalar += -O0
FLAGS_f64    += -O0
endif

PLAIN   := $(addprefix csrc/kernels/,dispatch.c detmath.c cast.c integer.c run_gemm.c run_attention.c native16.c peak.c)
KERNELS := $(filter-out $(PLAIN),$(wildcard csrc/kernels/*.c))
CORE    := $(wildcard $(addsuffix /*.c,$(addprefix csrc/,base tensor autograd ops nn optim text data ckpt))) $(wildcard $(PLAIN))
BIND    := $(wildcard csrc/bind/*.c)

KOBJ    := $(foreach isa,$(ISAS),$(KERNELS:csrc/%.c=$(BUILD)/%.$(isa).o))
COREOBJ := $(CORE:csrc/%.c=$(BUILD)/%.o)
BINDOBJ := $(BIND:csrc/%.c=$(BUILD)/%.o)

.DELETE_ON_ERROR:
.PHONY: all lib parts
all: parts moonlit.lua moonlit
parts: $(BUILD)/moonlit/core.so $(BUILD)/moonlit/blas.so
lib: $(BUILD)/libmoonlit.a

define KRULE
$(BUILD)/kernels/%.$(1).o: csrc/kernels/%.c
	@mkdir -p $$(@D)
	@echo "  cc $$@"
	$$(Q)$$(CC) $$(CFLAGS) $$(OWN) $$(FLAGS_$(1)) -c $$< -o $$@
endef
$(foreach isa,$(ISAS),$(eval $(call KRULE,$(isa))))

$(BUILD)/bind/%.o: csrc/bind/%.c      # the only code that sees lua.h
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -I$(LUA_INCDIR) -c $< -o $@
$(BUILD)/%.o: csrc/%.c
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -c $< -o $@
$(BUILD)/libmoonlit.a: $(COREOBJ) $(KOBJ)
	@rm -f $@
	@echo "  ar $@"
	$(Q)ar rcs $@ $^
$(BUILD)/moonlit/core.so: $(BINDOBJ) $(BUILD)/libmoonlit.a
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(LIBFLAG) -o $@ $(BINDOBJ) $(BUILD)/libmoonlit.a $(LDOWN) $(LIBS)

$(BUILD)/moonlit/blas.so: csrc/blas/blas.c   # a part: OpenBLAS, reached through bind/api.h
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(LDOWN) -lopenblas

-include $(BUILD)/moonlit/blas.d $(KOBJ:.o=.d) $(COREOBJ:.o=.d) $(BINDOBJ:.o=.d)

# ---- C tests: tests/c/test_<area>.c, one cmocka program each, no Lua ----
CTESTS := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(wildcard tests/c/test_*.c))
$(BUILD)/tests/test_host: tests/c/test_host.c $(BUILD)/moonlit/core.so   # an embedding C program: links Lua, requires core.so
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -I$(LUA_INCDIR) $< -o $@ $(LDOWN) -llua5.4 -lcmocka
$(BUILD)/tests/%: tests/c/%.c $(BUILD)/libmoonlit.a
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -Itests/c $< -o $@ $(BUILD)/libmoonlit.a $(LDOWN) $(LIBS) -lcmocka
$(BUILD)/tests/shim.so: tests/crash/shim.c   # preloaded by the crash tests, stands alone
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) -std=gnu11 -O1 -fPIC -shared -Wall -Wextra -Wshadow $< -o $@ -ldl
.PHONY: ctests
ctests: $(CTESTS) $(BUILD)/tests/shim.so
# the kernels alone, without any library, for another machine (tests/bits.sh): test_<area> --hash
$(BUILD)/tests/hash_%: tests/c/test_%.c $(filter-out %/hash.o %/private.o,$(filter $(BUILD)/base/% $(BUILD)/kernels/%,$(COREOBJ))) $(KOBJ)
	@mkdir -p $(@D)
	@echo "  cc $@"
	$(Q)$(CC) $(CFLAGS) $(OWN) -Wno-unused-function -DML_TEST_NO_CMOCKA $^ -o $@ -lm

# ---- run from the checkout: two ignored files at the top ----
moonlit.lua: Makefile
	@printf '%s\n' '-- made by make: lets `lua5.4 -l moonlit` work from this directory' \
	  'local here = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$$") or ".")' \
	  'local build = here .. "/" .. (os.getenv("MOONLIT_BUILD") or "$(BUILD)")' \
	  'package.path = here .. "/lua/?.lua;" .. here .. "/lua/?/init.lua;" .. package.path' \
	  'package.cpath = build .. "/?.so;" .. package.cpath' \
	  'package.loaded["moonlit"] = nil' \
	  'return dofile(here .. "/lua/moonlit/init.lua")' > $@
moonlit: Makefile
	@printf '%s\n' '#!/bin/sh' '# made by make: the command, from this checkout' \
	  'here=$$(dirname -- "$$(readlink -f -- "$$0")")' \
	  'LUA_PATH="$$here/lua/?.lua;$$here/lua/?/init.lua;$${LUA_PATH:-;}"' \
	  'LUA_CPATH="$$here/$${MOONLIT_BUILD:-$(BUILD)}/?.so;$${LUA_CPATH:-;}"' \
	  'export LUA_PATH LUA_CPATH' \
	  'exec $(LUA) "$$here/lua/moonlit/cli/main.lua" "$$@"' > $@
	@chmod +x $@
export LUA_PATH  := lua/?.lua;lua/?/init.lua;tests/spec/?.lua;;
export LUA_CPATH := $(BUILD)/?.so;;

# ---- set-up: Debian's packages; every command is printed before it runs ----
DEPS     := gcc make lua5.4 liblua5.4-dev luarocks lua-filesystem lua-argparse lua-readline libjansson-dev \
            libpcre2-dev libutf8proc-dev libssl-dev zlib1g-dev libopenblas-dev
DEPS_DEV := lua-busted lua-check libcmocka-dev clang clang-format qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
.PHONY: deps deps-dev
deps: ; @sh tests/install.sh $(DEPS)
deps-dev: ; @sh tests/install.sh $(DEPS) $(DEPS_DEV)

# ---- the two commands ----
.PHONY: quickstart test
quickstart: deps
	@$(MAKE) --no-print-directory all
	@$(LUA) recipes/quickstart.lua --out runs/quickstart

SANLIB := $(if $(findstring address,$(SAN)),$(shell $(CC) -print-file-name=libasan.so))$(if $(findstring thread,$(SAN)),$(shell $(CC) -print-file-name=libtsan.so))
test: deps-dev
	@$(MAKE) --no-print-directory all ctests
	@SANLIB=$(SANLIB) $(LUA) tests/run.lua $(BUILD) $(T)

# ---- LuaRocks: install offline into ./lua_modules, smoke test from there, remove ----
.PHONY: rock
rock:
	@sh tests/rock.sh $(LUA)

# ---- longer work, each with its own target ----
PY ?= .bench-venv/bin/python
.PHONY: bench bench-text bench-data bench-deps race bits chain crash anchor quality near fuzz soak oracle-text oracle-data
bench-deps:
	python3 -m venv .bench-venv && $(PY) -m pip install -q torch transformers numpy
bench: all
	@sh tests/bench/run.sh $(BUILD)
bench-text: all   # after oracle-text, which leaves the text and the tokenizers
	@sh tests/bench/text.sh $(PY)
bench-data: all   # after oracle-data, which leaves documents
	@$(PY) tests/bench/data.py build/oracle/documents.jsonl
race: all
	@sh tests/bench/race.sh "$(DATA)" $(PY)
bits: all
	@sh tests/bits.sh
chain: all
	@sh tests/chain.sh $(SIZE)
anchor: all
	@sh tests/anchor.sh $(DATA)
quality: all       # does a quality classifier make better models?
	@$(LUA) tests/quality.lua
near: all          # how many near-duplicates are found: make near DATA=documents.jsonl
	@$(LUA) tests/near.lua $(DATA)
crash: all $(BUILD)/tests/shim.so
	@$(LUA) tests/crash/run.lua $(PARTS)
soak: all
	@$(LUA) tests/soak.lua
fuzz:
	@sh tests/fuzz/run.sh $(FUZZ_SECONDS)
oracle-text: all   # our tokenizers against tokenizers and tiktoken, on real files: tests/oracle/text.py
	@$(PY) -m pip install -q tokenizers tiktoken gguf
	@HF_HUB_OFFLINE=1 $(PY) tests/oracle/text.py 100000
oracle-data: all   # our filters beside others': make oracle-data DATA="/usr/share/doc more.txt"
	@$(PY) -m pip install -q datatrove spacy nltk regex && $(PY) -m pip install -q --no-deps nemo-curator
	@$(PY) tests/oracle/data.py 2500 $(DATA)

.PHONY: lint fmt clean install help
lint:
	@$(LUA) tests/lint.lua
fmt:
	clang-format -i $(shell git ls-files 'csrc/*.c' 'csrc/*.h' 'tests/*.c')
clean:
	rm -rf build lua_modules moonlit moonlit.lua
install: $(BUILD)/moonlit/core.so $(BUILD)/moonlit/blas.so      # called by LuaRocks
	mkdir -p $(INST_LIBDIR)/moonlit $(INST_LUADIR)
	cp $(BUILD)/moonlit/core.so $(BUILD)/moonlit/blas.so $(INST_LIBDIR)/moonlit/
	cp -r lua/moonlit $(INST_LUADIR)/
help:
	@sed -n '2,5p' Makefile
	@echo '#   make rock bench bench-text bench-data race bits chain crash anchor quality near soak fuzz'
	@echo '#   make oracle-text oracle-data lint fmt clean    SAN=address|undefined|thread'
