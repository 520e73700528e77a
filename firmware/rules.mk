# SPDX-License-Identifier: Apache-2.0
# What every build shares: the board's facts, the compiler's flags, how objects and programs are
# made. Included first by build.mk and compile.mk, which set OUT before; later they set GENERATED,
# the folder of the generated C, and HEADERS, the generated files that all objects wait for.
#
#     build/boards/BOARD/   what boards/ makes of board.toml
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDEXPANSION:
.DEFAULT_GOAL := all

# The project's folder, with a slash; empty where it is the current folder.
ROOT := $(patsubst %firmware/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BOARD_OUT := build/boards/$(BOARD)

# Facts of the board, and its linker script.
$(BOARD_OUT)/board.mk: $(addprefix $(ROOT)boards/,$(BOARD)/board.toml schema.py generate.py svd.py) \
		$(wildcard $(ROOT)templates/board*.j2) $(ROOT)templates/linker.ld.j2 \
		$(wildcard $(ROOT)boards/$(BOARD)/*.c $(ROOT)boards/chips/*.[ch])
	@$(PYTHON) -m wakestate board generate $(BOARD) --out $(BOARD_OUT)
ifneq ($(wildcard $(ROOT)boards/$(BOARD)/board.toml),)
include $(BOARD_OUT)/board.mk
else
$(error no board '$(BOARD)'; there are: $(notdir $(patsubst %/,%,$(dir $(wildcard $(ROOT)boards/*/board.toml)))))
endif

CC := $(BOARD_PREFIX)gcc
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror
# The device code must be free of float and of recursion; -fstack-usage reports the deepest frames.
CFLAGS = -std=c11 -O2 -g $(WARNINGS) -fstack-usage -ffunction-sections -fdata-sections -MMD -MP \
	-I$(ROOT)firmware/include -I$(ROOT)firmware $(BOARD_CFLAGS) $(SANITIZERS)
# No debug paths of these very folders in what is built.
CFLAGS += '-ffile-prefix-map=$(CURDIR)=.' '-ffile-prefix-map=$(CURDIR)/=' \
	$(if $(ROOT),'-ffile-prefix-map=$(ROOT)=') $(EXTRA_CFLAGS)
LDFLAGS = $(BOARD_LDFLAGS) $(filter -fsanitize=%,$(SANITIZERS))
ifdef SANITIZE
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-DWS_CHECKED
endif

# What knows nothing of a word or a model is compiled once for a board, with its usual flags.
FIXED := $(addprefix firmware/,$(addprefix platform/,cortex-m/% posix/% semihosting/%) \
	programs/common/text.c programs/common/wav.c test/count.c test/records.c)
FIXED_OUT := $(if $(SANITIZE)$(EXTRA_CFLAGS),$(OUT)/fixed,$(BOARD_OUT))/obj
object = $(foreach c,$(1),$(if $(filter $(FIXED),$(c)),$(FIXED_OUT),$(OUT)/obj)/$(c:.c=.o))

ifeq ($(BOARD_KIND),host)
MACHINE := firmware/platform/posix/posix.c
LINK = @echo "LD $@"; $(CC) $(LDFLAGS) $(filter %.o,$^) -o $@
else
MACHINE := firmware/platform/cortex-m/startup.c firmware/platform/semihosting/semihosting.c firmware/platform/semihosting/main.c
LINK = @echo "LD $@"; $(CC) $(BOARD_CFLAGS) $(LDFLAGS) -T $(BOARD_OUT)/linker.ld -Wl,-Map=$@.map \
	$(filter %.o,$^) -o $@
endif

# Flags come from the board's facts and these files.
BUILT_BY = $(ROOT)firmware/rules.mk $(firstword $(MAKEFILE_LIST)) $(BOARD_OUT)/board.mk $(HEADERS)
COMPILE = @mkdir -p $(@D); echo "CC $@"; $(CC) $(CFLAGS)

$(OUT)/obj/generated/%_traced.o: $$(GENERATED)/%.c $$(BUILT_BY)
	$(COMPILE) -DWS_TRACE -c $< -o $@
# The library that evaluations run: hours of sound.
$(OUT)/obj/generated/%.pic.o: $$(GENERATED)/%.c $$(BUILT_BY)
	$(COMPILE) -O3 -fPIC -c $< -o $@
$(OUT)/obj/generated/%.o: $$(GENERATED)/%.c $$(BUILT_BY)
	$(COMPILE) -c $< -o $@
$(FIXED_OUT)/%.o: $(ROOT)%.c $(ROOT)firmware/rules.mk $(BOARD_OUT)/board.mk
	$(COMPILE) -c $< -o $@
$(OUT)/obj/%.pic.o: $(ROOT)%.c $$(BUILT_BY)
	$(COMPILE) -O3 -fPIC -c $< -o $@
$(OUT)/obj/%.o: $(ROOT)%.c $$(BUILT_BY)
	$(COMPILE) -c $< -o $@

-include $(shell find $(OUT)/obj $(FIXED_OUT) -name '*.d' 2>/dev/null)
