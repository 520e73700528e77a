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
BOARD ?= host
unexport AUDIO STATE # nothing for here; make would expand what is in them
WORD ?= alexa
WORDFILE ?= words/$(WORD).toml
MODEL ?= models/$(WORD)
PYTHON ?= .venv/bin/python
OUT ?= build/$(BOARD)$(if $(SANITIZE),-sanitize)/$(WORD)

include firmware/rules.mk

.PHONY: all emulator device tests library generated size image bench
all: emulator tests

# The generated C, for the core's kernel set. With GENERATED=folder given, that folder is taken as
# it is.
GENERATED ?= build/generated/$(WORD)/$(BOARD_KERNELS)
GENERATED_FILES := $(addprefix $(GENERATED)/,ws_model.h ws_model.c ws_frontend.c ws_kernels.h \
	ws_network.c)
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

HEADERS := $(GENERATED)/ws_model.h

ENGINE := firmware/wakestate.c firmware/detector.c
UPLINK := $(addprefix firmware/uplink/,frame.c preroll.c uplink.c)
EMULATOR := $(addprefix firmware/emulator/,emulator.c event.c states.c text.c wav.c) $(UPLINK)
VECTORS := firmware/test/vectors.c firmware/emulator/text.c
ENGINE_TEST := firmware/test/engine.c firmware/emulator/text.c
MODEL_OBJECTS := $(addprefix $(OUT)/obj/generated/,ws_model.o ws_frontend.o)
NETWORK_OBJECT := $(OUT)/obj/generated/ws_network.o
TRACED_OBJECT := $(OUT)/obj/generated/ws_network_traced.o
ENGINE_OBJECTS := $(call object,$(ENGINE)) $(MODEL_OBJECTS)

ifeq ($(BOARD_KIND),host)
EMULATOR_PROGRAM := $(OUT)/wake-emulator
VECTORS_PROGRAM := $(OUT)/vectors
ENGINE_TEST_PROGRAM := $(OUT)/engine-test
LIBRARY := $(OUT)/libwakestate.so
all: library
else
VECTORS_C := $(if $(BOARD_CHIP),$(BOARD_OUT)/board_vectors.c)
CFLAGS += -I$(BOARD_OUT)
# Its ring and its driver: what a semihosting microphone needs, or a real one.
DEVICE := $(addprefix firmware/device/,device.c ring.c pdm.c) boards/common/startup.c \
	$(addprefix firmware/emulator/,event.c states.c text.c) $(UPLINK) $(BOARD_SOURCES) $(VECTORS_C) \
	$(if $(BOARD_EMULATED),boards/common/semihosting.c firmware/emulator/wav.c,boards/common/restart.c)
DEVICE_PROGRAM := $(OUT)/device.elf
EMULATOR_PROGRAM := $(OUT)/wakestate.elf
VECTORS_PROGRAM := $(OUT)/vectors.elf
ENGINE_TEST_PROGRAM := $(OUT)/engine-test.elf
# Counted by bench/: the engine, its layers by trace, and the least image that wakes.
BENCH_PROGRAMS := $(addprefix $(OUT)/,bench.elf bench-layers.elf image.elf)
$(EMULATOR_PROGRAM) $(VECTORS_PROGRAM) $(ENGINE_TEST_PROGRAM) $(BENCH_PROGRAMS): $(BOARD_OUT)/board.mk
$(DEVICE_PROGRAM): $(BOARD_OUT)/board.mk
all: device
endif

# What nothing can wake is not built to listen; the library is, since evaluation needs it.
.PHONY: awake
awake: $(GENERATED)/ws_model.h
	@! grep -q WS_NO_THRESHOLDS $< || { echo "$(MODEL): no thresholds are set (an evaluation that was \
	interrupted?), so nothing would wake it; make evaluate WORD=$(WORD) MODEL=$(MODEL) SET=yes" >&2; exit 2; }
$(EMULATOR_PROGRAM) $(DEVICE_PROGRAM): | awake

emulator: $(EMULATOR_PROGRAM)
device: $(DEVICE_PROGRAM)
# The unit tests keep whole recordings in memory: too much for a real chip.
tests: $(VECTORS_PROGRAM) $(if $(BOARD_CHIP),,$(ENGINE_TEST_PROGRAM))
library: $(LIBRARY)
image: $(OUT)/image.elf
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

BENCH := $(call object,firmware/test/bench.c firmware/test/count.c firmware/emulator/text.c \
	$(MACHINE))
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

size: $(or $(DEVICE_PROGRAM),$(EMULATOR_PROGRAM))
	@$(if $(DEVICE_PROGRAM),$(PYTHON) -m boards budget --board $(BOARD) $<,$(BOARD_PREFIX)size $<)
