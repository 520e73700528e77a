/* SPDX-License-Identifier: Apache-2.0 */
// The panel that records labeled clips.
import { element, find } from "./controls.js";
import { kinds, ownKind, zipped } from "./recorder.js";

export class Clips {
  /** `play` gets int16 samples; `say` a message and whether it is a problem. */
  constructor(words, rate, play, say) {
    Object.assign(this, { words, rate, play, say, list: [], from: null, kinds: kinds(words) });
    find("clip-kind").append(...this.kinds.map(({ title }, i) => element("option", { value: i, textContent: title })));
    for (const id of ["clip-kind", "clip-phrase", "clip-split"]) find(id).addEventListener("input", () => this.#show());
    find("record").addEventListener("click", () => this.#toggle());
    find("download").addEventListener("click", () => this.#download());
    this.#show();
  }

  /** `trace` that is live, or null. */
  listen(trace) {
    this.trace = trace;
    this.from = null;
    this.#show();
  }

  #toggle() {
    if (!this.trace) {
      this.say("Press Listen first: clips are cut from what the microphone records.", true);
      return;
    }
    if (!this.kind) {
      this.say("Type in which phrase is said.", true);
      find("clip-phrase").focus();
      return;
    }
    if (this.from === null) {
      this.from = this.trace.samples;
    } else {
      const pcm = this.trace.sound(this.from, this.trace.samples);
      this.from = null;
      this.add(pcm);
    }
    this.#show();
  }

  /** The chosen kind; null: a phrase that is not typed in yet. */
  get kind() {
    const kind = this.kinds[find("clip-kind").value], phrase = find("clip-phrase").value.trim().replaceAll(/\s+/g, " ");
    return !kind.own ? kind : phrase ? ownKind(phrase) : null;
  }

  /** Keeps a clip; `kind` or the chosen kind. */
  add(pcm, kind = this.kind) {
    if (pcm.length === 0) return;
    const speaker = find("clip-speaker").value.trim() || "unknown";
    this.list.push({ pcm, kind, speaker, split: find("clip-split").value });
    this.#show();
  }

  #show() {
    const recording = this.from !== null, said = this.list.find(({ kind }) => kind.text)?.kind ?? this.kind;
    const judged = this.list.some(({ split }) => split === "dev") ? " --judge recordings" : "";
    const phrase = (said?.text || this.words[0].phrase).replaceAll(/["$`\\]/g, "");
    find("own-phrase").hidden = !this.kinds[find("clip-kind").value].own;
    find("train-command").textContent = `make word PHRASE="${phrase}" ARGS="--recordings recordings${judged}"`;
    find("record").setAttribute("aria-pressed", recording);
    find("record").textContent = recording ? "Stop and keep" : "Record";
    find("download").disabled = this.list.length === 0;
    find("clips").replaceChildren(...this.list.map((clip, i) => {
      const tool = (text, act) => {
        const button = element("button", { type: "button", className: "small", textContent: text,
          "aria-label": `${text} clip ${i + 1}` });
        button.addEventListener("click", act);
        return button;
      };
      const text = element("span", {}, element("span", { className: "name", textContent: clip.kind.title }), ` ${(clip.pcm.length / this.rate).toFixed(1)} s`,
        element("span", { className: "under", textContent: `${clip.speaker}, ${clip.split}` }));
      return element("li", {}, text,
        element("span", { className: "tools" }, tool("Play", () => this.play(clip.pcm)),
          tool("Remove", () => { this.list.splice(i, 1); this.#show(); })));
    }));
  }

  /** All of them as a Blob. */
  zip() { return zipped(this.list, this.rate); }

  #download() {
    const url = URL.createObjectURL(this.zip());
    element("a", { href: url, download: "recordings.zip" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}
