# Everything a person types. `make` alone prints the help, made from the ## comments.
WORD ?= alexa
DATA ?= $(if $(wildcard ../shared/data/manifest.csv),../shared/data,data/$(WORD))
DOWNLOADS ?= downloads
BOARD ?= mps2-an386
SPLIT ?= dev
BESIDE ?=
MODEL ?= models/$(WORD)
RUN ?= runs/$(WORD)
AUDIO ?=
STATE ?=
# Names of files may hold anything, and nothing in them is for make or the shell to read: as they
# are given they go into the environment, and recipes write "$$AUDIO".
override AUDIO := $(value AUDIO)
override STATE := $(value STATE)
export AUDIO STATE
SCORES ?=
TFLITE ?=
STREAM ?=
PEERS ?= ../shared/peers
HOURS ?= 0.1
ALSO ?=
DEV ?=
POSITIVES ?= 3000
MORE ?=
MINUTES ?= 1
TARGETS ?=
#? WORD=alexa         the wake word: words/WORD.toml and models/WORD/; WORD="alexa computer": both in
#?                    one program, for run, build, emulate, qemu, flash, monitor and debug
#? BOARD=mps2-an386   the board: boards/BOARD/
#? DATA=data/alexa    recordings to train and evaluate on: a folder with manifest.csv
#? ALSO=data/alexa    more data folders to train on, each made by data or like DATA
#? DEV=data/hey_samuel   more data folders whose SPLIT evaluate and report hear
#? POSITIVES=3000 MORE='--near 500'  clips of the word that data makes; more of what it takes
#? RUN=runs/alexa      where train keeps what it makes; MODEL=runs/alexa/model uses it
#? FLOAT=models/alexa/alexa.keras   the float model that evaluate hears as well; FLOAT= for none
#? DRAWS=3 ECHO=low=10,high=0 SEED=1 SHORT=yes   how evaluate and report measure; SHORT: thresholds and
#?                    the main rows alone, also at the end of train
#? SET=yes            evaluate writes the thresholds that it finds into MODEL
#? BESIDE=plain=runs/plain/evaluate.json   other models' results, shown beside in the report
#? NAME=mine LIKE=b-l475e-iot01a   what new-board makes, and after whom
#? PORT=/dev/ttyACM0   the serial port of a real board, where several are plugged in
#? HOST=127.0.0.1 PORT=8080 KEYS=file   where verify-serve listens; who may ask, needed off loopback
#? TFLITE=x.tflite STREAM=yes   what compile takes; STREAM: column by column, axis 1 is time
#? PEERS=../shared/peers  other engines' models, which bench compiles and counts where they are
#? ROUNDS=40 BATCHES=500 AMOUNT=0.5   how long train and experiment train, on what share of the usual
#?                    scenes
#? ROUNDED=6 NEAR=16000   of train's rounds, the last that compute as int8 will; of its scenes, those
#?                    mixed around a near miss
#? TEACHERS='runs/x/model.keras'   networks of other runs, from which train learns as well
#? START=models/alexa/alexa.keras RATE=0.0003   the network, or the mean of several, that train begins
#?                    with (ROUNDS=0: and ends with), and how fast it learns
#? VARIANTS='none both' SEEDS='1 2 3'   what experiment trains
#? KINDS='cra dnn-hmm' CUTS=aligned AMOUNT=0.5 EPOCHS=6   what verify-experiment trains, on what share
#?                    of the usual scenes, and how long
#? VERIFY_RUN=runs/verify/alexa VERIFY_WAKES=runs/verify/alexa-wakes-1   where verify-train keeps what
#?                    it makes; other ones for another MODEL or ALSO
#? HOURS=0.1           of audio for bench-host
#? COUNT=10000 SEED=1 SAMPLE=500   how many mutants, which, and how many of them run
#? MINUTES=1 TARGETS='wav frame'   how long fuzz runs in all, and what; without TARGETS all
#? DOWNLOADS=downloads   where voices and packages are kept; only clean-all removes them
#? AUDIO=x.wav STATE=player=music,volume=high SCORES=yes   what emulate and qemu hear and print

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
BUILT := $(subst $() $(),_,$(strip $(WORD)))
HOST_PROGRAM := build/host/$(BUILT)/wake-emulator
BOARD_PROGRAM := build/$(BOARD)/$(BUILT)/wakestate.elf
DEVICE_PROGRAM := build/$(BOARD)/$(BUILT)/device.elf
# A chip's registers are known from the vendor's file, which comes with pyocd.
BOARD_SETUP = $(VENV)/.base $(if $(shell grep -s '^svd' boards/$(BOARD)/board.toml),$(VENV)/.flash)
SAMPLES = $(sort $(wildcard $(WORD:%=models/%/sample*.wav)))

# Build messages go to stderr: stdout is for the events.
BUILD = $(MAKE) --no-print-directory -s -f firmware/build.mk WORD='$(WORD)' \
	$(if $(word 2,$(WORD)),,MODEL=$(MODEL)) \
	PYTHON=$(PYTHON)
OPTIONS = $(if $(STATE),--state "$$STATE") $(if $(SCORES),--scores)

.PHONY: help
help: ## This text
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 } \
		/^#\? / { notes = notes "  " substr($$0, 4) "\n" } \
		END { printf "\nVariables:\n%s", notes }' $(MAKEFILE_LIST)

# Said before anything is installed or built.
.PHONY: given
given:
	@GOALS='$(MAKECMDGOALS)' WORD='$(WORD)' DATA='$(DATA)' MORE_DATA='$(ALSO) $(DEV)' BOARD='$(BOARD)' \
		AUDIO='$(if $(AUDIO),yes)' TFLITE='$(if $(TFLITE),yes)' sh tools/given.sh

.PHONY: run
run: $(BOARD_SETUP) ## The sample in the host emulator and in QEMU, side by side
	@$(if $(SAMPLES),,echo "models/$(WORD)/ has no sample.wav; hear your own: make emulate \
		WORD=$(WORD) AUDIO=x.wav" >&2; exit 1)
	+@$(BUILD) BOARD=host emulator >&2
	+@$(BUILD) BOARD=$(BOARD) emulator >&2
	@$(PYTHON) -m wakestate.boards timeline --build host=$(HOST_PROGRAM) --build $(BOARD)=$(BOARD_PROGRAM) \
		$(if $(STATE),--state "$$STATE") $(SAMPLES)

.PHONY: build
build: $(BOARD_SETUP) ## Host emulator, library and the images of BOARD
	+@$(BUILD) BOARD=host all >&2
	+@$(BUILD) BOARD=$(BOARD) all >&2
	@echo "$(HOST_PROGRAM)"
	@echo "$(BOARD_PROGRAM)"
	@echo "$(DEVICE_PROGRAM)"

# What must be decoded for the emulator needs packages that the others do not.
DECODER = @$(PYTHON) -m wakestate.boards plain -- "$$AUDIO" || $(MAKE) --no-print-directory $(VENV)/.audio >&2
HEAR = @$(PYTHON) -m wakestate.boards hear --board $(1) --program $(2) $(OPTIONS) -- "$$AUDIO"

.PHONY: emulate
emulate: $(BOARD_SETUP) ## Hear AUDIO in the host emulator; what is no 16 kHz WAV is decoded
	+@$(BUILD) BOARD=host emulator >&2
	+$(DECODER)
	$(call HEAR,host,$(HOST_PROGRAM))

.PHONY: qemu
qemu: $(BOARD_SETUP) ## Hear AUDIO in the firmware of BOARD, in QEMU
	+@$(BUILD) BOARD=$(BOARD) emulator >&2
	+$(DECODER)
	$(call HEAR,$(BOARD),$(BOARD_PROGRAM))

# The second look: docs/verifier.md.
VERIFIER ?= $(MODEL)/verifier
define verifier_given
$(if $(wildcard $(VERIFIER)/verifier.json),,@echo "$(VERIFIER)/verifier.json: no such file; \
	\`make verify-train WORD=$(WORD)\` makes it" >&2; exit 2)
endef
# Nothing is installed or built where there is nothing to serve.
SERVE_SETUP = $(if $(wildcard $(VERIFIER)/verifier.json),$(VENV)/.serve $(BOARD_SETUP))
SERVED = --word $(WORD) --model $(MODEL) --verifier $(VERIFIER)
VERIFY_RUN ?= runs/verify/$(WORD)
VERIFY = $(PYTHON) -m wakestate.verify train --word $(WORD) --model $(MODEL) --data $(DATA) $(ALSO:%=--also %) --amount $(AMOUNT) \
	--epochs $(EPOCHS) --wakes $(VERIFY_WAKES)
VERIFY_WAKES ?= runs/verify/$(WORD)-wakes-$(AMOUNT)
AMOUNT ?= 1
EPOCHS ?= 30
.PHONY: verify-train verify-limits verify-measure verify-experiment verify-serve demo-two-stage
verify-train: $(VENV)/.train ## Train WORD's second look on the wakes of MODEL, into VERIFIER if it is empty; resumes
	+@$(BUILD) BOARD=host library >&2
	$(VERIFY) --run $(VERIFY_RUN)
	@if [ -e $(VERIFIER)/verifier.json ]; then \
		echo "$(VERIFIER) stays as it was; to ship the new one: cp $(VERIFY_RUN)/verifier/* $(VERIFIER)/"; \
		else mkdir -p $(VERIFIER) && cp $(VERIFY_RUN)/verifier/* $(VERIFIER)/; fi
verify-limits: $(VENV)/.train ## Fit VERIFIER to MODEL anew, its network or its thresholds being others; trains nothing
	$(verifier_given)
	+@$(BUILD) BOARD=host library >&2
	$(PYTHON) -m wakestate.verify limits $(SERVED) --data $(DATA) $(ALSO:%=--also %) --amount $(AMOUNT)
# Each kind, way of cutting and seed; what is there already is not done again.
KINDS ?= cra cnn195 cnn100 cnn76 dnn-hmm
CUTS ?= aligned misaligned
VERIFY_RUNS ?= runs/verify/$(WORD)-experiment
verify-experiment: $(VENV)/.train ## CRA, CNNs and a DNN-HMM as the second look, at equal misses: KINDS x CUTS x SEEDS
	+@$(BUILD) BOARD=host library >&2
	@set -e; for seed in $(SEEDS); do for cuts in $(CUTS); do for kind in $(KINDS); do \
		run=$(VERIFY_RUNS)/$$kind-$$cuts-$$seed; ls $$run/verifier/*.json >/dev/null 2>&1 || \
		$(VERIFY) --kind $$kind --cuts $$cuts --seed $$seed --run $$run; done; done; done
	$(PYTHON) -m wakestate.verify compare $(VERIFY_RUNS) --word $(WORD) --data $(DATA) --split $(SPLIT) $(if $(RATE),--rate $(RATE))
verify-measure: $(VENV)/.train ## Misses and false accepts of MODEL on DATA with and without VERIFIER
	$(verifier_given)
	+@$(BUILD) BOARD=host library >&2
	$(PYTHON) -m wakestate.verify measure --word $(WORD) --model $(MODEL) --verifier $(VERIFIER) \
		--data $(DATA) --split $(SPLIT)
verify-serve: $(SERVE_SETUP) ## The HTTP service that looks a second time at WORD's wakes
	$(verifier_given)
	@$(PYTHON) -m wakestate.verify serve $(SERVED) $(if $(PORT),--port $(PORT)) $(if $(KEYS),--keys $(KEYS)) \
		$(if $(filter command,$(firstword $(origin HOST))),--host $(HOST))
demo-two-stage: $(SERVE_SETUP) ## Device -> gateway -> service here, on AUDIO or the samples
	$(verifier_given)
	$(if $(AUDIO),+$(DECODER))
	+@$(BUILD) BOARD=$(BOARD) $(if $(filter host,$(BOARD)),emulator,device) >&2
	@$(PYTHON) -m wakestate.verify demo $(SERVED) --board $(BOARD) \
		--program $(if $(filter host,$(BOARD)),$(HOST_PROGRAM),$(DEVICE_PROGRAM)) -- $(if $(AUDIO),"$$AUDIO",$(SAMPLES))

.PHONY: size
size: $(BOARD_SETUP) ## Flash, RAM and stack of the images for BOARD, by object, against its budget
	+@$(BUILD) BOARD=$(BOARD) size
	@$(if $(filter host,$(BOARD)),,$(PYTHON) -m wakestate.bench size --word $(WORD) --model $(MODEL) --board $(BOARD))

# Whether the board is there is asked before anything is built.
HEARS = $(if $(AUDIO),"$$AUDIO",$(firstword $(SAMPLES)))
define on_board
@$(PYTHON) -m wakestate.boards plugged --board $(BOARD) --to $@ $(if $(PORT),--port $(PORT))
+@$(MAKE) --no-print-directory $(BOARD_SETUP) >&2
+@$(BUILD) BOARD=$(BOARD) device >&2
$(if $(AUDIO),+$(DECODER))
@$(PYTHON) -m wakestate.boards $@ --board $(BOARD) --elf $(DEVICE_PROGRAM) $(if $(PORT),--port $(PORT)) -- $(HEARS)
endef
.PHONY: flash monitor debug
flash: $(VENV)/.base ## Load the device image onto BOARD (emulated: by the gdb port) and start it
	$(on_board)
monitor: $(VENV)/.base ## The serial port of BOARD; an emulated one hears AUDIO or the sample
	$(on_board)
debug: $(VENV)/.base ## gdb on BOARD with the device image loaded
	$(on_board)

.PHONY: new-board
new-board: $(VENV)/.base ## A folder boards/NAME like LIKE, that builds; see docs/porting.md
	@$(if $(and $(NAME),$(LIKE)),$(PYTHON) -m wakestate.boards new '$(NAME)' --like '$(LIKE)',\
		echo "give both: make new-board NAME=mine LIKE=b-l475e-iot01a" >&2; exit 2)

TFLITE_FILE = '$(subst ','\'',$(TFLITE))'
COMPILE = $(MAKE) --no-print-directory -s -f firmware/compile.mk BOARD=$(BOARD) \
	TFLITE=$(TFLITE_FILE) STREAM=$(STREAM) PYTHON=$(PYTHON)
.PHONY: compile
compile: $(VENV)/.base ## Any int8 TFLITE to C for BOARD, and what it costs there
	+@$(COMPILE) all >&2
	+@$(COMPILE) show
	@$(if $(filter host,$(BOARD)),true,$(PYTHON) -m wakestate.bench model --board $(BOARD) \
		--tflite $(TFLITE_FILE) $(if $(STREAM),--stream))

BENCH = $(PYTHON) -m wakestate.bench run --word $(WORD) --model $(MODEL) --peers $(PEERS)
.PHONY: bench bench-diff bench-baseline
bench: $(VENV)/.base ## Instructions, flash, RAM and stack of WORD on every core that QEMU has
	@$(BENCH)
bench-diff: $(VENV)/.base ## The same; fails when anything is more than 1 % above bench/baseline.json
	@$(BENCH)
	@$(PYTHON) -m wakestate.bench diff
bench-baseline: $(VENV)/.base ## The same; becomes the baseline, and the tables in docs/
	@$(BENCH)
	@$(PYTHON) -m wakestate.bench accept
	@$(PYTHON) -m wakestate.boards docs

.PHONY: bench-host
bench-host: $(VENV)/.audio ## x real time and memory of the host emulator, for HOURS and ten times as many
	+@$(BUILD) BOARD=host emulator >&2
	@$(PYTHON) -m wakestate.bench host --word $(WORD) --data $(DATA) --hours $(HOURS)

# Made data never goes where recordings lie: without DATA it has a folder of its own.
MADE = $(if $(filter file,$(origin DATA)),data/$(WORD),$(DATA))
.PHONY: data benchmark-data voices
data: $(VENV)/.synth ## Synthesize DATA=data/WORD to train WORD on: speech engines and packages
	$(PYTHON) -m wakestate.train data --word words/$(WORD).toml --data $(MADE) --positives $(POSITIVES) \
		--downloads $(DOWNLOADS) $(MORE)
benchmark-data: $(VENV)/.synth ## Gather hours of recorded sound into data/benchmark, for DEV=
	$(PYTHON) -m wakestate.train benchmark --data data/benchmark --downloads $(DOWNLOADS)
voices: $(VENV)/.voices ## Kokoro's voices, close to people's, for data (130 MB)
	$(PYTHON) tools/voices.py $(DOWNLOADS)/voices/kokoro

.PHONY: train
train: $(VENV)/.train ## Train WORD on DATA into RUN, convert it and measure it; resumes
	$(PYTHON) -m wakestate.train fit --word words/$(WORD).toml --data $(DATA) $(ALSO:%=--also %) --run $(RUN) \
		--rounds $(ROUNDS) --batches $(BATCHES) --amount $(AMOUNT) --rounded $(ROUNDED) --near $(NEAR) $(TEACHERS:%=--teacher %) \
		$(START:%=--start %) $(RATE:%=--rate %)
	KERAS_BACKEND=tensorflow $(PYTHON) -m wakestate.convert tflite --word words/$(WORD).toml --keras $(RUN)/model.keras \
		--calibration $(RUN)/calibration.npy --out $(RUN)/model
	@KERAS_BACKEND=tensorflow $(MAKE) --no-print-directory evaluate MODEL=$(RUN)/model RESULTS=$(RUN) SET=yes
	@echo "To hear with it: make emulate WORD=$(WORD) MODEL=$(RUN)/model AUDIO=x.wav"
	@echo "To see it: make report WORD=$(WORD) DATA=$(DATA) MODEL=$(RUN)/model RESULTS=$(RUN)$(MEASURED_AS)"
	@echo "To ship it: mkdir -p models/$(WORD) && cp $(RUN)/model/* models/$(WORD)/"

# Each variant and seed on the same scenes; what is there already is not done again.
VARIANTS ?= none join norm both
SEEDS ?= 1 2 3
ROUNDS ?= 40
BATCHES ?= 500
ROUNDED ?= 0
NEAR ?= 0
EXPERIMENT ?= runs/experiment/$(BUILT)
define experiment_run
$(EXPERIMENT)/$(1)/evaluate.json: | $(VENV)/.train
	$(PYTHON) -m wakestate.train fit --word words/$(WORD).toml --data $(DATA) $(ALSO:%=--also %) --run $(EXPERIMENT)/$(1) \
		--pool $(EXPERIMENT)/pool --conditioning $(2) --seed $(3) --rounds $(ROUNDS) --batches $(BATCHES) \
		--amount $(AMOUNT)
	KERAS_BACKEND=tensorflow $(PYTHON) -m wakestate.convert tflite --word words/$(WORD).toml \
		--keras $(EXPERIMENT)/$(1)/model.keras --calibration $(EXPERIMENT)/$(1)/calibration.npy \
		--out $(EXPERIMENT)/$(1)/model
	$(PYTHON) -m wakestate.convert c --word words/$(WORD).toml --model $(EXPERIMENT)/$(1)/model \
		--kernels plain --out $(EXPERIMENT)/$(1)/c
	+@$(MAKE) --no-print-directory -s -f firmware/build.mk WORD=$(WORD) \
		PYTHON=$(PYTHON) BOARD=host GENERATED=$(EXPERIMENT)/$(1)/c OUT=$(EXPERIMENT)/$(1)/host library >&2
	KERAS_BACKEND=tensorflow $(PYTHON) -m wakestate.train evaluate --word words/$(WORD).toml --data $(DATA) --split $(SPLIT) --short \
		--library $(EXPERIMENT)/$(1)/host/libwakestate.so --out $(EXPERIMENT)/$(1)
endef
$(foreach v,$(VARIANTS),$(foreach s,$(SEEDS),$(eval $(call experiment_run,$(v)-$(s),$(v),$(s)))))
.PHONY: experiment
experiment: $(foreach s,$(SEEDS),$(foreach v,$(VARIANTS),$(EXPERIMENT)/$(v)-$(s)/evaluate.json)) ## Does knowing the device's state help? VARIANTS x SEEDS
	@$(PYTHON) -m wakestate.train compare $(EXPERIMENT) --word words/$(WORD).toml

.PHONY: scenes
scenes: $(VENV)/.train ## Examples of the sound that WORD is trained on, as WAV and PNG
	@$(PYTHON) -m wakestate.train scenes --word words/$(WORD).toml --data $(DATA)

RESULTS ?= build/$(WORD)
FLOAT ?= $(wildcard $(MODEL)/$(WORD).keras)
# A run with the same ones takes what evaluate found; those given are repeated in what train says.
SHORT ?=
SET ?=
MEASURED_AS = $(foreach v,DEV DRAWS ECHO SEED SHORT,$(if $($(v)), $(v)='$($(v))'))
MEASURED = --word words/$(WORD).toml --data $(DATA) $(DEV:%=--also %) --split $(SPLIT) --out $(RESULTS) \
	$(if $(FLOAT),--float $(FLOAT)) $(if $(DRAWS),--draws $(DRAWS)) $(if $(ECHO),--echo $(ECHO)) \
	$(if $(SEED),--seed $(SEED)) $(if $(SHORT),--short)
PEERED := $(if $(SHORT),,$(VENV)/.peers)
.PHONY: evaluate report clips compare
evaluate: $(VENV)/.train $(PEERED) ## Misses of MODEL on DATA, SPLIT=dev, at fixed false accepts; peers beside
	+@$(BUILD) BOARD=host library >&2
	$(PYTHON) -m wakestate.train evaluate $(MEASURED) $(if $(SET),--set-thresholds $(MODEL))
report: $(VENV)/.train $(PEERED) ## All of that as one HTML page; evaluates first where it must
	+@$(BUILD) BOARD=host library >&2
	$(PYTHON) -m wakestate.train report $(MEASURED) --model $(MODEL) $(foreach b,$(BESIDE),--beside '$(b)')
clips: $(VENV)/.train ## The sound of each false accept that evaluate found, as WAV
	$(PYTHON) -m wakestate.train clips $(MEASURED)
compare: $(VENV)/.train ## A paired test of what evaluate found against BESIDE
	@$(PYTHON) -m wakestate.train paired '$(WORD)=$(RESULTS)/evaluate.json' $(foreach b,$(BESIDE),'$(b)')

.PHONY: lengths
lengths: $(VENV)/.train ## How long people say WORD, as MODEL places it: for shortest_s of the word file
	+@$(BUILD) BOARD=host library >&2
	@$(PYTHON) -m wakestate.train lengths --word words/$(WORD).toml --data $(DATA) $(ALSO:%=--also %)

.PHONY: test
test: lint ## Lint, then all tests
	@$(PYTHON) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Coverage-guided fuzzing of what takes foreign bytes, for MINUTES: docs/fuzzing.md
	@sh tools/setup.sh fuzz
	+@$(BUILD) WORD=alexa MODEL=models/alexa BOARD=host generated >&2
	+@$(BUILD) BOARD=mps2-an386 build/boards/mps2-an386/board.mk >&2
	@$(PYTHON) -m tests.fuzz --minutes $(MINUTES) $(TARGETS)

.PHONY: mutants
mutants: $(VENV)/.dev ## Damage TFLITE, or own small models, COUNT times at random: taken safely or refused
	@$(PYTHON) -m tests.fuzz.mutants $(if $(COUNT),--count $(COUNT)) \
		$(if $(SEED),--seed $(SEED)) $(if $(SAMPLE),--sample $(SAMPLE)) $(TFLITE)

C_FILES = $(wildcard firmware/*/*.[ch] firmware/*/*/*.[ch] boards/*/*.[ch] tests/scripted/*.[ch] tests/native/*.[ch] tests/fuzz/*.[ch])
.PHONY: lint
lint: $(VENV)/.dev ## Style and types of all sources
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/clang-format --dry-run -Werror $(C_FILES)

.PHONY: clean clean-all
clean: ## Remove what was built; the Python environment and downloads stay
	rm -rf build
clean-all: clean ## Remove the Python environment and DOWNLOADS as well; data/ and runs/ are yours and stay
	rm -rf $(VENV) $(DOWNLOADS)

.PHONY: setup
setup: again $(VENV)/.base ## Install compilers, QEMU and the light Python environment

# Set-up, each part once: system packages, then Python packages as far as the goal needs them.
.PHONY: again
again: # looks anew at what is missing
	@sh tools/setup.sh
build/.tools: tools/setup.sh | given
	@sh tools/setup.sh
	@mkdir -p $(@D)
	@touch $@

# What is interrupted, or of another Python, does not count as done.
REMAKE := $(if $(wildcard $(VENV)/bin),$(shell \
	[ ! -e $(VENV)/.busy ] && $(VENV)/bin/python -c 'import pip' 2>/dev/null || echo remake))
.PHONY: remake
PACKAGES = @python3 tools/packages.py $(VENV) $(patsubst .%,%,$(@F))
$(VENV)/.base $(VENV)/.audio $(VENV)/.train $(VENV)/.voices $(VENV)/.serve $(VENV)/.flash: \
		pyproject.toml $(REMAKE) | given build/.tools
	$(PACKAGES)
$(VENV)/.peers: pyproject.toml $(REMAKE) | $(VENV)/.train # measured without them where they cannot be had
	$(PACKAGES) || echo "setup: no other engine for this machine; measuring without" >&2
$(VENV)/.synth: pyproject.toml $(REMAKE) | given build/.tools
	@sh tools/setup.sh speech
	$(PACKAGES)
$(VENV)/.dev: pyproject.toml $(REMAKE) | given build/.tools
	$(PACKAGES)
	@touch $(VENV)/.base $(VENV)/.audio $(VENV)/.flash $(VENV)/.serve $(VENV)/.train $(VENV)/.peers
