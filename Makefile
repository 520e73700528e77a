# SPDX-License-Identifier: Apache-2.0
# What people type daily. `make` alone prints the help, made from the ## comments; all the rest is
# `.venv/bin/wakestate NOUN VERB`, listed by `.venv/bin/wakestate --help`.
WORD ?= alexa
BOARD ?= mps2-an386
DATA ?= $(if $(wildcard ../shared/data/manifest.csv),../shared/data,data/$(WORD))
DOWNLOADS ?= downloads
MINUTES ?= 1
# Names of files may hold anything, and nothing in them is for make or the shell to read: as they
# are given they go into the environment, and recipes write "$$AUDIO".
override export AUDIO := $(value AUDIO)
override export TFLITE := $(value TFLITE)
override export PHRASE := $(value PHRASE)
#? WORD=alexa         the wake word: words/WORD.toml and models/WORD/; WORD="alexa computer": both in
#?                    one program, for run, build, emulate, qemu, demo, flash, monitor, debug
#? BOARD=mps2-an386   the board: boards/BOARD/
#? DATA=data/alexa    recordings to train and evaluate on: a folder with manifest.csv
#? MODEL=runs/alexa/model   a model folder instead of models/WORD; or a bundle, x.wakestate
#? AUDIO=x.wav TFLITE=x.tflite   the input; what compile takes
#? ARGS='--scores'    more options of the command: .venv/bin/wakestate COMMAND --help
#? PHRASE="hey jupiter" RECIPE=quick   for word: a new one; quick, standard or best
#? NAME=mine LIKE=b-l475e-iot01a   what new-board makes, and which board it copies
#? EXTRAS='serve voices'   what setup installs as well, of pyproject.toml
#? MINUTES=1 TARGETS='wav frame'   how long fuzz runs in all, and what
#? DOWNLOADS=downloads   where voices and packages are kept; only clean-all removes them

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
WAKESTATE = $(PYTHON) -m wakestate
OF = $(WORD:%=--word %) $(MODEL:%=--model %)
ON = $(OF) --board $(BOARD)
INPUT = $(if $(AUDIO),-- "$$AUDIO")
# A chip's registers are known from the vendor's file, which comes with pyocd.
BOARD_SETUP = $(VENV)/.base $(if $(shell grep -s '^svd' boards/$(BOARD)/board.toml),$(VENV)/.flash)
PEERS_SETUP = $(if $(findstring --short,$(ARGS)),,$(VENV)/.peers)
DECODER = $(if $(AUDIO),+@$(WAKESTATE) data plain -- "$$AUDIO" || $(MAKE) --no-print-directory $(VENV)/.audio >&2)

.PHONY: help run test check build emulate qemu flash monitor debug size compile data train evaluate \
	report demo site bench bench-diff fuzz new-board lint clean clean-all setup given again remake word
help: ## This text
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 } \
		/^#\? / { notes = notes "  " substr($$0, 4) "\n" } \
		END { printf "\nVariables:\n%s", notes }' $(MAKEFILE_LIST)

given: # said before anything is installed or built
	@GOALS='$(MAKECMDGOALS)' WORD='$(WORD)' DATA='$(DATA)' BOARD='$(BOARD)' MODEL='$(MODEL)' \
		AUDIO='$(if $(AUDIO),yes)' TFLITE='$(if $(TFLITE),yes)' sh tools/given.sh

run: $(BOARD_SETUP) ## The sample, or AUDIO, in the host emulator and in QEMU, side by side
	$(DECODER)
	@$(WAKESTATE) run $(ON) $(ARGS) $(INPUT)
build: $(BOARD_SETUP) ## Host emulator, library and the images of BOARD
	@$(WAKESTATE) build $(ON) $(ARGS)
emulate: $(BOARD_SETUP) ## Process AUDIO in the host emulator; what is no 16 kHz WAV is decoded
	$(DECODER)
	@$(WAKESTATE) emulate $(OF) $(ARGS) $(INPUT)
qemu: $(BOARD_SETUP) ## Process AUDIO in the firmware of BOARD, in QEMU
	$(DECODER)
	@$(WAKESTATE) qemu $(ON) $(ARGS) $(INPUT)

# Whether the board is there is asked before anything is built.
define on_board
@$(WAKESTATE) board connected --board $(BOARD) --to $@
+@$(MAKE) --no-print-directory $(BOARD_SETUP) >&2
$(DECODER)
@$(WAKESTATE) $@ $(ON) $(ARGS) $(INPUT)
endef
flash: $(VENV)/.base ## Load the device image onto BOARD (emulated: by the gdb port) and start it
	$(on_board)
monitor: $(VENV)/.base ## The serial port of BOARD; an emulated one gets AUDIO or the sample
	$(on_board)
debug: $(VENV)/.base ## gdb on BOARD with the device image loaded
	$(on_board)
size: $(BOARD_SETUP) ## Flash, RAM and stack of the images for BOARD, by object, against its budget
	@$(WAKESTATE) size $(ON) $(ARGS)
new-board: $(VENV)/.base ## A folder boards/NAME like LIKE, that builds; see docs/porting.md
	@$(if $(and $(NAME),$(LIKE)),$(WAKESTATE) board new --like '$(LIKE)' -- '$(NAME)',\
		echo "give both: make new-board NAME=mine LIKE=b-l475e-iot01a" >&2; exit 2)
compile: $(VENV)/.base ## Any int8 TFLITE to C for BOARD, and what it costs there
	@$(WAKESTATE) compile --board $(BOARD) $(ARGS) -- "$$TFLITE"

word: $(VENV)/.base $(if $(PHRASE),$(VENV)/.synth $(VENV)/.train $(VENV)/.voices) ## The wake words here; of PHRASE a new one, from nothing else
	@$(WAKESTATE) word $(if $(PHRASE),new $(RECIPE:%=--recipe %) --downloads $(DOWNLOADS) $(ARGS) -- "$$PHRASE",list)
data: $(VENV)/.synth ## Synthesize DATA=data/WORD to train WORD on: speech engines and packages
	$(WAKESTATE) data synthesize --word $(WORD) --downloads $(DOWNLOADS) \
		--data $(if $(filter file,$(origin DATA)),data/$(WORD),$(DATA)) $(ARGS)
train: $(VENV)/.train $(PEERS_SETUP) ## Train WORD on DATA into runs/WORD, convert it and measure it; resumes
	$(WAKESTATE) train --word $(WORD) --data $(DATA) $(ARGS)
evaluate: $(VENV)/.train $(PEERS_SETUP) ## Misses of MODEL on DATA at fixed false accepts; peers as well
	$(WAKESTATE) evaluate $(OF) --data $(DATA) $(ARGS)
report: $(VENV)/.train $(PEERS_SETUP) ## All of that as one HTML page; evaluates first where it must
	$(WAKESTATE) report $(OF) --data $(DATA) $(ARGS)
demo: $(VENV)/.base ## WORD in the browser, on this computer: microphone or files (docs/web.md)
	@sh tools/setup.sh web && $(WAKESTATE) web serve $(OF) $(ARGS)
site: $(VENV)/.site ## Docs and the browser's emulator as a folder of static pages
	@sh tools/setup.sh web && $(WAKESTATE) web site $(OF) $(ARGS)

BENCH = $(WAKESTATE) bench run $(OF) --peers $(or $(PEERS),../shared/peers) $(ARGS)
bench: $(VENV)/.base ## Instructions, flash, RAM and stack of WORD on every core that QEMU has
	@$(BENCH)
bench-diff: $(VENV)/.base ## The same; fails when anything is more than 1 % above bench/baseline.json
	@$(BENCH)
	@$(WAKESTATE) bench diff

PYTEST = $(PYTHON) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder
check: lint $(BOARD_SETUP) ## Lint, the unit tests, and one word in QEMU: two minutes
	@$(PYTEST) -q tests/unit && $(WAKESTATE) run --board $(BOARD)
test: $(VENV)/.dev ## Lint and all tests, at the same time
	@+$(MAKE) --no-print-directory lint & $(PYTEST); status=$$?; wait $$! && exit $$status
fuzz: $(VENV)/.dev ## Coverage-guided fuzzing of what takes foreign bytes, for MINUTES: docs/fuzzing.md
	@sh tools/setup.sh fuzz
	@$(WAKESTATE) model generate --without-copies --out build/generated/alexa/plain >&2
	@$(WAKESTATE) board generate mps2-an386
	@$(PYTHON) -m tests.fuzz --minutes $(MINUTES) $(TARGETS)
C_FILES = $(wildcard firmware/*/*.[ch] firmware/*/*/*.[ch] boards/*/*.[ch] tests/scripted/*.[ch] tests/native/*.c* tests/native/*/*.[ch] tests/fuzz/*.[ch])
lint: $(VENV)/.dev ## Style and types of all sources
	@$(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/vulture
	@$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)
clean: ## Remove what was built; the Python environment and downloads stay
	rm -rf build
clean-all: clean ## Remove the Python environment and DOWNLOADS as well; data/ and runs/ are yours and stay
	rm -rf $(VENV) $(DOWNLOADS)
setup: again $(VENV)/.base $(EXTRAS:%=$(VENV)/.%) ## Install compilers, QEMU and the light Python environment

# Set-up, each part once: system packages, then Python packages as far as the goal needs them.
again: # looks again at what is missing
	@sh tools/setup.sh
build/.tools: tools/setup.sh | given
	@sh tools/setup.sh && mkdir -p $(@D) && touch $@
# What is interrupted, or of another Python, does not count as done.
REMAKE := $(if $(wildcard $(VENV)/bin),$(shell \
	[ ! -e $(VENV)/.busy ] && $(VENV)/bin/python -c 'import pip' 2>/dev/null || echo remake))
PACKAGES = @python3 tools/packages.py $(VENV) $(patsubst .%,%,$(@F))
$(addprefix $(VENV)/.,base audio bundle dask flash ray serve site train): \
		pyproject.toml $(REMAKE) | given build/.tools
	$(PACKAGES)
$(VENV)/.peers: pyproject.toml $(REMAKE) | $(VENV)/.train # measured without them where they cannot be had
	$(PACKAGES) || echo "setup: no other engine for this machine; measuring without" >&2
$(VENV)/.synth $(VENV)/.voices: pyproject.toml $(REMAKE) | given build/.tools
	@sh tools/setup.sh $(if $(findstring voices,$@),voices,speech)
	$(PACKAGES)
$(VENV)/.dev: pyproject.toml $(REMAKE) | given build/.tools
	$(PACKAGES)
	@touch $(VENV)/.base $(VENV)/.audio $(VENV)/.flash $(VENV)/.serve $(VENV)/.site $(VENV)/.train $(VENV)/.peers
