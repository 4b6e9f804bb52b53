# moonlit: one build description for developers, CI and LuaRocks.
#   make             build in place: build/release, ./moonlit.lua, ./moonlit
#   make quickstart  set up, build, train a small GPT and print a sample
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

comma := ,
# ours come after $(CFLAGS), so that LuaRocks' own flags never beat them
OWN := -std=gnu11 -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -pthread -Icsrc -MMD -MP \
       -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wno-unused-parameter -Wno-missing-field-initializers
OWN += $(if $(SAN),-g -O1 -fsanitize=$(SAN) -fno-omit-frame-pointer,$(OPT))
LDOWN := -pthread $(if $(SAN),-fsanitize=$(SAN))
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
FLAGS_f64    := -DML_F64

PLAIN   := $(addprefix csrc/kernels/,dispatch.c detmath.c cast.c run_gemm.c run_attention.c)
KERNELS := $(filter-out $(PLAIN),$(wildcard csrc/kernels/*.c))
CORE    := $(wildcard $(addsuffix /*.c,$(addprefix csrc/,base tensor autograd ops nn optim text data ckpt))) $(wildcard $(PLAIN))
BIND    := $(wildcard csrc/bind/*.c)

KOBJ    := $(foreach isa,$(ISAS),$(KERNELS:csrc/%.c=$(BUILD)/%.$(isa).o))
COREOBJ := $(CORE:csrc/%.c=$(BUILD)/%.o)
BINDOBJ := $(BIND:csrc/%.c=$(BUILD)/%.o)

.PHONY: all lib
all: $(BUILD)/moonlit/core.so $(BUILD)/moonlit/blas.so moonlit.lua moonlit
lib: $(BUILD)/libmoonlit.a

define KRULE
$(BUILD)/kernels/%.$(1).o: csrc/kernels/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(OWN) $$(FLAGS_$(1)) -c $$< -o $$@
endef
$(foreach isa,$(ISAS),$(eval $(call KRULE,$(isa))))

$(BUILD)/bind/%.o: csrc/bind/%.c      # the only code that sees lua.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(OWN) -I$(LUA_INCDIR) -c $< -o $@
$(BUILD)/%.o: csrc/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(OWN) -c $< -o $@
$(BUILD)/libmoonlit.a: $(COREOBJ) $(KOBJ)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/moonlit/core.so: $(BINDOBJ) $(BUILD)/libmoonlit.a
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) -o $@ $(BINDOBJ) $(BUILD)/libmoonlit.a $(LDOWN) $(LIBS)

-include $(KOBJ:.o=.d) $(COREOBJ:.o=.d) $(BINDOBJ:.o=.d)

# ---- C tests: tests/c/test_<area>.c, one cmocka program each, no Lua ----
CTESTS := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(wildcard tests/c/test_*.c))
$(BUILD)/tests/%: tests/c/%.c $(BUILD)/libmoonlit.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(OWN) -Itests/c $< -o $@ $(BUILD)/libmoonlit.a $(LDOWN) $(LIBS) -lcmocka
.PHONY: ctests
ctests: $(CTESTS)
