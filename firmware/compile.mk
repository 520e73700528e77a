# SPDX-License-Identifier: Apache-2.0
# Builds any int8 .tflite for one board:
#
#     make -f firmware/compile.mk BOARD=mps2-an386 TFLITE=kws.tflite [NAME=kws] [STREAM=yes] [targets]
#
#     build/generated/compiled/NAME/KERNELS/  the C that convert/ makes of the model
#     build/BOARD/compiled/NAME/              compiled[.elf], which runs inputs from a file; for the
#                                             target bench: bench.elf, bench-layers.elf, image.elf
#
# The target show builds and names what was made.
#
# NAME ends in _stream where STREAM is given, so that both may exist side by side.
BOARD ?= host
PYTHON ?= .venv/bin/python
# One word of the shell, whatever it is named.
MODEL_FILE = '$(subst ','\'',$(TFLITE))'
ifndef NAME
NAME := $(shell $(PYTHON) -m wakestate.convert.compile.names $(MODEL_FILE))$(if $(STREAM),_stream)
endif
OUT ?= build/$(BOARD)$(if $(SANITIZE),-sanitize)/compiled/$(NAME)

include $(dir $(lastword $(MAKEFILE_LIST)))rules.mk

.PHONY: all bench show
GENERATED ?= build/generated/compiled/$(NAME)/$(BOARD_KERNELS)
CFLAGS += -I$(GENERATED)
HEADERS := $(GENERATED)/ws_compiled.h
# A copy, since file names of make cannot have spaces; a new one where the model is another.
.PHONY: again
$(GENERATED)/.model: again
	@[ -f $(MODEL_FILE) ] || \
		{ printf "%s: no such file; give TFLITE=model.tflite\n" $(MODEL_FILE) >&2; exit 1; }
	@mkdir -p $(@D)
	@cmp -s $(MODEL_FILE) $@ || cp $(MODEL_FILE) $@
$(GENERATED)/.stamp: $(GENERATED)/.model $(wildcard $(addprefix $(ROOT),convert/*.py \
		convert/compile/*.py templates/ws_compiled.h.j2 templates/compiled*.j2 templates/kernels.c.j2))
	$(PYTHON) -m wakestate model compile --kernels $(BOARD_KERNELS) --name $(NAME) \
		$(if $(STREAM),--stream) --without-copies --out $(GENERATED) -- $(MODEL_FILE)
	@touch $@
$(GENERATED)/ws_compiled.h $(GENERATED)/$(NAME).c: $(GENERATED)/.stamp ;

MODEL_OBJECT := $(OUT)/obj/generated/$(NAME).o
TRACED_OBJECT := $(OUT)/obj/generated/$(NAME)_traced.o
PROGRAM := $(OUT)/compiled$(if $(filter host,$(BOARD_KIND)),,.elf)
all: $(PROGRAM)
show: $(PROGRAM)
	@echo "$(GENERATED)/$(NAME).h"
	@echo "$(GENERATED)/$(NAME).c"
	@echo "$(PROGRAM)"

$(PROGRAM): $(call object,$(addprefix firmware/,test/compiled.c test/records.c programs/common/text.c) \
		$(MACHINE)) $(TRACED_OBJECT)
ifeq ($(BOARD_KIND),host)
bench:
	$(error board '$(BOARD)' is no Cortex-M: its instructions cannot be counted)
else
BENCH_PROGRAMS := $(addprefix $(OUT)/,bench.elf bench-layers.elf image.elf)
bench: $(BENCH_PROGRAMS)
BENCH := $(call object,$(addprefix firmware/,test/compiled_bench.c test/count.c programs/common/text.c) \
	$(MACHINE))
$(OUT)/bench.elf: $(BENCH) $(MODEL_OBJECT)
$(OUT)/bench-layers.elf: $(BENCH) $(TRACED_OBJECT)
$(OUT)/image.elf: $(call object,firmware/test/compiled_image.c $(filter-out %/main.c,$(MACHINE))) \
		$(MODEL_OBJECT)
endif
$(PROGRAM) $(BENCH_PROGRAMS):
	$(LINK)
