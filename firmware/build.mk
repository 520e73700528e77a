# Builds one word for one board:
#
#     make -f firmware/build.mk BOARD=mps2-an386 WORD=alexa [SANITIZE=1] [GENERATED=folder] [targets]
#
#     build/generated/WORD/KERNELS/  the C that convert/ makes of the word and its model
#     build/boards/BOARD/           what boards/ makes of board.toml
#     build/BOARD/WORD/             host: wake-emulator, libwakestate.so; for tests vectors, engine-test
#                                   others: device.elf, microphone to wake; wakestate.elf, the
#                                   emulator on a board; vectors.elf, engine-test.elf; for
#                                   the target bench: bench.elf, bench-layers.elf, image.elf
#
# The Makefile calls this once Python is set up; nothing here installs anything.
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

BOARD ?= host
WORD ?= alexa
WORDFILE ?= words/$(WORD).toml
MODEL ?= models/$(WORD)
PYTHON ?= .venv/bin/python
OUT ?= build/$(BOARD)$(if $(SANITIZE),-sanitize)/$(WORD)
BOARD_OUT := build/boards/$(BOARD)

.PHONY: all emulator device tests library generated size bench
all: emulator tests

# Facts of the board, and its linker script.
$(BOARD_OUT)/board.mk: boards/$(BOARD)/board.toml boards/schema.py boards/generate.py boards/svd.py \
		$(wildcard templates/board*.j2) templates/linker.ld.j2 \
		$(wildcard boards/$(BOARD)/*.c boards/chips/*.[ch])
	@$(PYTHON) -m boards generate $(BOARD) --out $(BOARD_OUT)
ifneq ($(wildcard boards/$(BOARD)/board.toml),)
include $(BOARD_OUT)/board.mk
else
$(error no board '$(BOARD)'; there are: $(notdir $(patsubst %/,%,$(dir $(wildcard boards/*/board.toml)))))
endif

# The generated C, for the core's kernel set. With GENERATED=folder given, that folder is taken as
# it is.
GENERATED ?= build/generated/$(WORD)/$(BOARD_KERNELS)
GENERATED_FILES := $(addprefix $(GENERATED)/,ws_model.h ws_model.c ws_frontend.c ws_network.c)
ifeq ($(origin GENERATED),file)
# Which word file and model it was made of last: another MODEL is generated anew.
$(GENERATED)/.inputs: always
	@mkdir -p $(@D)
	@echo '$(WORDFILE) $(MODEL)' | cmp -s - $@ || echo '$(WORDFILE) $(MODEL)' > $@
.PHONY: always
$(GENERATED)/.stamp: $(GENERATED)/.inputs $(WORDFILE) $(wildcard $(MODEL)/*.tflite) $(MODEL)/model.json \
		$(wildcard convert/*.py words/*.py) $(wildcard templates/ws_*.j2 templates/format.j2)
	@mkdir -p $(@D)
	$(PYTHON) -m convert c --word $(WORDFILE) --model $(MODEL) --kernels $(BOARD_KERNELS) \
		--out $(GENERATED)
	@touch $@
$(GENERATED_FILES): $(GENERATED)/.stamp ;
$(WORDFILE) $(MODEL)/model.json:
	$(error $@: no such file; `make train WORD=$(WORD)` makes the model of words/$(WORD).toml)
endif
generated: $(GENERATED_FILES)

CC := $(BOARD_PREFIX)gcc
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror
# The device code must be free of float and of recursion; the stack use tells the deepest frames.
CFLAGS := -std=c11 -O2 -g $(WARNINGS) -fstack-usage -ffunction-sections -fdata-sections -MMD -MP \
	-Ifirmware -I$(GENERATED) $(BOARD_CFLAGS)
# No debug paths of this very folder in what is built.
CFLAGS += '-ffile-prefix-map=$(CURDIR)/=' $(EXTRA_CFLAGS)
LDFLAGS := $(BOARD_LDFLAGS)
ifdef SANITIZE
CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif

ENGINE := firmware/wakestate.c firmware/detector.c
EMULATOR := $(addprefix firmware/emulator/,emulator.c event.c states.c text.c wav.c)
VECTORS := firmware/test/vectors.c firmware/emulator/text.c
ENGINE_TEST := firmware/test/engine.c firmware/emulator/text.c
object = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
MODEL_OBJECTS := $(addprefix $(OUT)/obj/generated/,ws_model.o ws_frontend.o)
NETWORK_OBJECT := $(OUT)/obj/generated/ws_network.o
TRACED_OBJECT := $(OUT)/obj/generated/ws_network_traced.o
ENGINE_OBJECTS := $(call object,$(ENGINE)) $(MODEL_OBJECTS)

ifeq ($(BOARD_KIND),host)
MACHINE := firmware/host/main.c firmware/host/posix.c
EMULATOR_PROGRAM := $(OUT)/wake-emulator
VECTORS_PROGRAM := $(OUT)/vectors
ENGINE_TEST_PROGRAM := $(OUT)/engine-test
LIBRARY := $(OUT)/libwakestate.so
all: library
LINK = @echo "LD $@"; $(CC) $(LDFLAGS) $(filter %.o,$^) -o $@
else
VECTORS_C := $(if $(BOARD_CHIP),$(BOARD_OUT)/board_vectors.c)
MACHINE := boards/common/startup.c boards/common/semihosting.c boards/common/main.c
CFLAGS += -I$(BOARD_OUT)
# Its ring and its driver: what a semihosting microphone needs, or a real one.
DEVICE := $(addprefix firmware/device/,device.c ring.c pdm.c) boards/common/startup.c \
	$(addprefix firmware/emulator/,event.c states.c text.c) $(BOARD_SOURCES) $(VECTORS_C) \
	$(if $(BOARD_EMULATED),boards/common/semihosting.c firmware/emulator/wav.c,boards/common/restart.c)
DEVICE_PROGRAM := $(OUT)/device.elf
EMULATOR_PROGRAM := $(OUT)/wakestate.elf
VECTORS_PROGRAM := $(OUT)/vectors.elf
ENGINE_TEST_PROGRAM := $(OUT)/engine-test.elf
LINK = @echo "LD $@"; $(CC) $(BOARD_CFLAGS) $(LDFLAGS) -T $(BOARD_OUT)/linker.ld -Wl,-Map=$@.map \
	$(filter %.o,$^) -o $@
# Counted by bench/: the engine, its layers by trace, and the least image that wakes.
BENCH_PROGRAMS := $(addprefix $(OUT)/,bench.elf bench-layers.elf image.elf)
$(EMULATOR_PROGRAM) $(VECTORS_PROGRAM) $(ENGINE_TEST_PROGRAM) $(BENCH_PROGRAMS): $(BOARD_OUT)/board.mk
$(DEVICE_PROGRAM): $(BOARD_OUT)/board.mk
all: device
endif

emulator: $(EMULATOR_PROGRAM)
device: $(DEVICE_PROGRAM)
# The unit tests keep whole recordings in memory: too much for a real chip.
tests: $(VECTORS_PROGRAM) $(if $(BOARD_CHIP),,$(ENGINE_TEST_PROGRAM))
library: $(LIBRARY)
bench: $(or $(BENCH_PROGRAMS),$(if $(filter bench,$(MAKECMDGOALS)),$(error \
	board '$(BOARD)' is no Cortex-M: its instructions cannot be counted)))

$(EMULATOR_PROGRAM): $(call object,$(EMULATOR) $(MACHINE)) $(ENGINE_OBJECTS) $(NETWORK_OBJECT)
	$(LINK)

$(DEVICE_PROGRAM): $(call object,$(DEVICE)) $(ENGINE_OBJECTS) $(NETWORK_OBJECT)
	$(LINK)

$(VECTORS_PROGRAM): $(call object,$(VECTORS) $(MACHINE)) $(ENGINE_OBJECTS) $(TRACED_OBJECT)
	$(LINK)

$(ENGINE_TEST_PROGRAM): $(call object,$(ENGINE_TEST) $(MACHINE)) $(ENGINE_OBJECTS) $(NETWORK_OBJECT)
	$(LINK)

BENCH := $(call object,firmware/test/bench.c firmware/emulator/text.c $(MACHINE))
$(OUT)/bench.elf: $(BENCH) $(ENGINE_OBJECTS) $(NETWORK_OBJECT)
	$(LINK)

$(OUT)/bench-layers.elf: $(BENCH) $(ENGINE_OBJECTS) $(TRACED_OBJECT)
	$(LINK)

$(OUT)/image.elf: $(call object,firmware/test/image.c $(filter-out %/main.c,$(MACHINE))) \
		$(ENGINE_OBJECTS) $(NETWORK_OBJECT)
	$(LINK)

$(LIBRARY): $(patsubst %.o,%.pic.o,$(call object,firmware/host/capi.c) $(ENGINE_OBJECTS) \
		$(NETWORK_OBJECT))
	@echo "LD $@"; $(CC) $(LDFLAGS) -shared $^ -o $@

# Flags come from the board's facts and this file.
BUILT_BY := firmware/build.mk $(BOARD_OUT)/board.mk
COMPILE = @mkdir -p $(@D); echo "CC $@"; $(CC) $(CFLAGS)

$(OUT)/obj/generated/ws_network_traced.o: $(GENERATED)/ws_network.c $(GENERATED)/ws_model.h $(BUILT_BY)
	$(COMPILE) -DWS_TRACE -c $< -o $@
$(OUT)/obj/generated/%.pic.o: $(GENERATED)/%.c $(GENERATED)/ws_model.h $(BUILT_BY)
	$(COMPILE) -fPIC -c $< -o $@
$(OUT)/obj/generated/%.o: $(GENERATED)/%.c $(GENERATED)/ws_model.h $(BUILT_BY)
	$(COMPILE) -c $< -o $@
$(OUT)/obj/%.pic.o: %.c $(GENERATED)/ws_model.h $(BUILT_BY)
	$(COMPILE) -fPIC -c $< -o $@
$(OUT)/obj/%.o: %.c $(GENERATED)/ws_model.h $(BUILT_BY)
	$(COMPILE) -c $< -o $@

size: $(EMULATOR_PROGRAM) $(DEVICE_PROGRAM)
	@$(BOARD_PREFIX)size $(EMULATOR_PROGRAM)
	@$(if $(DEVICE_PROGRAM),$(PYTHON) -m boards budget --board $(BOARD) $(DEVICE_PROGRAM))
	@$(BOARD_PREFIX)size $(ENGINE_OBJECTS) $(NETWORK_OBJECT)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
