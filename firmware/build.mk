# SPDX-License-Identifier: Apache-2.0
# Builds one word, or several that share a front end, for one board:
#
#     make -f firmware/build.mk BOARD=mps2-an386 WORD="alexa computer" [SANITIZE=1] [targets]
#
#     build/generated/WORD/KERNELS/  the C that convert/ makes of each word and its model
#     build/generated/A_B/           that of a program of several words
#     build/boards/BOARD/            what boards/ makes of board.toml
#     build/BOARD/A_B/               host: wake-emulator, libwakestate.so; for tests vectors,
#                                    engine-test; others: device.elf, microphone to wake;
#                                    wakestate.elf, the emulator on a board; vectors.elf,
#                                    engine-test.elf; for the target bench: bench.elf,
#                                    bench-layers.elf, image.elf
#
# GENERATED=folder: one word's C is there already. The Makefile calls this once Python is set up;
# nothing here installs anything.
BOARD ?= host
unexport AUDIO STATE # nothing for here; make would expand what is in them
WORD ?= alexa
PYTHON ?= .venv/bin/python
FIRST := $(firstword $(WORD))
NAME := $(subst $() $(),_,$(strip $(WORD)))
OUT ?= build/$(BOARD)$(if $(SANITIZE),-sanitize)/$(NAME)

include $(dir $(lastword $(MAKEFILE_LIST)))rules.mk

# Of each word WORDFILE_word and MODEL_word; of the first also WORDFILE and MODEL. What is not given
# is here or in the project.
found = $(or $(firstword $(wildcard $(1) $(ROOT)$(1))),$(1))
wordfile = $(or $(WORDFILE_$(1)),$(call found,words/$(1).toml))
model = $(or $(MODEL_$(1)),$(call found,models/$(1)))
WORDFILE ?= $(call wordfile,$(FIRST))
MODEL ?= $(call model,$(FIRST))

.PHONY: all emulator device tests library generated size image bench
all: emulator tests

# The generated C, for the core's kernel set, of a word, its word file and its model.
GENERATED ?= build/generated/$(FIRST)/$(BOARD_KERNELS)
folder = $(if $(filter $(FIRST),$(1)),$(GENERATED),build/generated/$(1)/$(BOARD_KERNELS))
define generate
$(addprefix $(2)/,ws_$(1).h ws_$(1).c ws_frontend.c ws_words.c): $(2)/.stamp ;
# Which word file and model it was made of last: another MODEL is generated again.
$(2)/.inputs: always
	@mkdir -p $$(@D)
	@echo '$(3) $(4)' | cmp -s - $$@ || echo '$(3) $(4)' > $$@
$(2)/.stamp: $(2)/.inputs $(3) $$(wildcard $(4)/*.tflite) $(4)/model.json \
		$$(wildcard $$(addprefix $$(ROOT),convert/*.py convert/compile/*.py words/*.py templates/*.j2))
	@mkdir -p $$(@D)
	$$(PYTHON) -m wakestate model generate --word $(3) --model $(4) --kernels $(BOARD_KERNELS) \
		--without-copies --out $(2)
	@touch $$@
$(3) $(4)/model.json:
	$$(error $$@: no such file; `wakestate train --word $(1)` makes the model of a word)
endef
.PHONY: always
ifeq ($(origin GENERATED),file)
$(eval $(call generate,$(FIRST),$(GENERATED),$(WORDFILE),$(MODEL)))
endif
OTHERS := $(filter-out $(FIRST),$(WORD))
$(foreach w,$(OTHERS),$(eval $(call generate,$(w),$(call folder,$(w)),$(call wordfile,$(w)),$(call model,$(w)))))
HEADERS := $(foreach w,$(WORD),$(call folder,$(w))/ws_$(w).h)
# What lists the words; of one word it is among its C.
ifneq ($(OTHERS),)
WORDS_FOLDER := build/generated/$(NAME)
WORD_FILES := $(WORDFILE) $(foreach w,$(OTHERS),$(call wordfile,$(w)))
$(WORDS_FOLDER)/ws_words.h $(WORDS_FOLDER)/ws_words.c &: $(WORD_FILES) $(wildcard $(ROOT)convert/*.py) \
		$(wildcard $(ROOT)templates/ws_words.*)
	$(PYTHON) -m wakestate model generate-words $(WORD_FILES:%=--word %) --out $(WORDS_FOLDER)
	@touch $(WORDS_FOLDER)/ws_words.h $(WORDS_FOLDER)/ws_words.c
HEADERS += $(WORDS_FOLDER)/ws_words.h
CFLAGS += -I$(WORDS_FOLDER) -DWS_SHARED_KERNELS
endif
CFLAGS += -I$(GENERATED) $(foreach w,$(OTHERS),-I$(call folder,$(w)))
generated: $(HEADERS)

# Objects of the other words, and of what lists them all.
define generated_object
$(OUT)/obj/generated/$(1).o: $(2)/$(1).c $$$$(BUILT_BY)
	$$(COMPILE) -c $$< -o $$@
$(OUT)/obj/generated/$(1).pic.o: $(2)/$(1).c $$$$(BUILT_BY)
	$$(COMPILE) -fPIC -c $$< -o $$@
endef
$(foreach w,$(OTHERS),$(eval $(call generated_object,ws_$(w),$(call folder,$(w)))))
$(if $(OTHERS),$(eval $(call generated_object,ws_words,$(WORDS_FOLDER))))

# What runs once a step: its size counts, not its speed.
$(OUT)/obj/firmware/engine/%.o: CFLAGS += -Os
ENGINE := $(patsubst $(ROOT)%,%,$(wildcard $(ROOT)firmware/engine/*.c))
UPLINK := $(addprefix firmware/uplink/,frame.c uplink.c)
COMMON := $(addprefix firmware/programs/common/,text.c words.c)
EMULATOR := firmware/programs/emulator/emulator.c firmware/programs/common/wav.c $(COMMON) $(UPLINK)
VECTORS := $(addprefix firmware/,test/vectors.c test/records.c programs/common/text.c)
ENGINE_TEST := $(addprefix firmware/test/,engine.c detector.c) firmware/programs/common/text.c
MODEL_OBJECTS := $(addprefix $(OUT)/obj/generated/,ws_frontend.o ws_words.o $(OTHERS:%=ws_%.o))
NETWORK_OBJECT := $(OUT)/obj/generated/ws_$(FIRST).o
TRACED_OBJECT := $(OUT)/obj/generated/ws_$(FIRST)_traced.o
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
# Its driver: what a semihosting microphone needs, or a real one.
DEVICE := $(addprefix firmware/programs/device/,device.c pdm.c) firmware/platform/cortex-m/startup.c \
	$(COMMON) $(UPLINK) $(BOARD_SOURCES) $(VECTORS_C) \
	$(if $(BOARD_EMULATED),firmware/platform/semihosting/semihosting.c firmware/programs/common/wav.c,firmware/platform/cortex-m/restart.c)
DEVICE_PROGRAM := $(OUT)/device.elf
EMULATOR_PROGRAM := $(OUT)/wakestate.elf
VECTORS_PROGRAM := $(OUT)/vectors.elf
ENGINE_TEST_PROGRAM := $(OUT)/engine-test.elf
# Counted by bench/: the engine, its layers by trace, and the least image that wakes.
BENCH_PROGRAMS := $(addprefix $(OUT)/,bench.elf bench-layers.elf image.elf)
$(EMULATOR_PROGRAM) $(DEVICE_PROGRAM) $(VECTORS_PROGRAM) $(ENGINE_TEST_PROGRAM) $(BENCH_PROGRAMS): \
	$(BOARD_OUT)/board.mk
all: device
endif

# What nothing can wake is not built to listen; the library is, since evaluation needs it.
.PHONY: awake
awake: $(HEADERS)
	@! grep -q WS_NO_THRESHOLDS $^ || { echo "$(MODEL): no thresholds are set (an evaluation that was \
	interrupted?), so nothing would wake it; wakestate evaluate --word $(WORDFILE) --model $(MODEL) --set-thresholds" >&2; exit 2; }
$(EMULATOR_PROGRAM) $(DEVICE_PROGRAM): | awake

emulator: $(EMULATOR_PROGRAM)
device: $(DEVICE_PROGRAM)
# The unit tests keep whole recordings in memory: too much for a real chip.
tests: $(VECTORS_PROGRAM) $(if $(BOARD_CHIP),,$(ENGINE_TEST_PROGRAM))
library: $(LIBRARY)
image: $(OUT)/image.elf
bench: $(or $(BENCH_PROGRAMS),$(if $(filter bench,$(MAKECMDGOALS)),$(error \
	board '$(BOARD)' is no Cortex-M: its instructions cannot be counted)))

BENCH := $(call object,$(addprefix firmware/,test/bench.c test/count.c programs/common/text.c) $(MACHINE))
$(EMULATOR_PROGRAM): $(call object,$(EMULATOR) $(MACHINE)) $(NETWORK_OBJECT)
$(DEVICE_PROGRAM): $(call object,$(DEVICE)) $(NETWORK_OBJECT)
$(VECTORS_PROGRAM): $(call object,$(VECTORS) $(MACHINE)) $(TRACED_OBJECT)
$(ENGINE_TEST_PROGRAM): $(call object,$(ENGINE_TEST) $(MACHINE)) $(NETWORK_OBJECT)
$(OUT)/bench.elf: $(BENCH) $(NETWORK_OBJECT)
$(OUT)/bench-layers.elf: $(BENCH) $(TRACED_OBJECT)
$(OUT)/image.elf: $(call object,firmware/test/image.c $(filter-out %/main.c,$(MACHINE))) $(NETWORK_OBJECT)
$(EMULATOR_PROGRAM) $(DEVICE_PROGRAM) $(VECTORS_PROGRAM) $(ENGINE_TEST_PROGRAM) $(BENCH_PROGRAMS): \
		$(ENGINE_OBJECTS)
	$(LINK)

$(LIBRARY): $(patsubst %.o,%.pic.o,$(call object,firmware/platform/python/capi.c) $(ENGINE_OBJECTS) \
		$(NETWORK_OBJECT))
	@echo "LD $@"; $(CC) $(LDFLAGS) -shared $^ -o $@

size: $(or $(DEVICE_PROGRAM),$(EMULATOR_PROGRAM))
	@$(if $(DEVICE_PROGRAM),$(PYTHON) -m wakestate board budget --board $(BOARD) $<,$(BOARD_PREFIX)size $<)
