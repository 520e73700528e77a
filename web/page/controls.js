/* SPDX-License-Identifier: Apache-2.0 */
// The panels next to the picture: device state, words and thresholds, wakes, clips, costs.

/** An element with properties, attributes (where a name has a dash, or is role) and children. */
export function element(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.includes("-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

export const find = (id) => document.getElementById(id);

/** Radio buttons for each field of the states' names; `changed` gets the state's number. */
export class DeviceState {
  constructor(place, states, changed) {
    this.parts = states.map((name) => Object.fromEntries(name.split(",").map((item) => item.split("="))));
    this.state = 0;
    for (const field of Object.keys(this.parts[0])) {
      const values = [...new Set(this.parts.map((part) => part[field]))];
      const choices = values.map((value) => {
        const input = element("input", { type: "radio", name: field, value, checked: value === this.parts[0][field] });
        input.addEventListener("change", () => this.#choose(changed));
        return element("label", {}, input, element("span", { textContent: value }));
      });
      place.append(element("fieldset", {}, element("legend", { textContent: field }),
        element("div", { className: "choices" }, ...choices)));
    }
  }

  #choose(changed) {
    const chosen = (field) => document.querySelector(`input[name="${field}"]:checked`).value;
    this.state = this.parts.findIndex((part) => Object.keys(part).every((field) => part[field] === chosen(field)));
    changed(this.state);
  }

  /** { player, volume }, as far as the words know these. */
  get now() { return this.parts[this.state]; }
}

/** Thresholds and switches of the words; as a slider in the picture and another next to it. */
export class Words {
  constructor(facts, words, picture, changed) {
    Object.assign(this, { facts, picture, changed });
    this.sensitivities = facts.words.map(() => 0);
    this.off = facts.words.map(() => false);
    this.state = 0;
    this.rows = facts.words.map((_, word) => this.#row(word, words[word].phrase));
    this.place();
  }

  threshold(word) { return this.facts.words[word].thresholds[this.state] - this.sensitivities[word]; }

  get thresholds() { return this.off.map((off, word) => (off ? null : this.threshold(word))); }

  #row(word, phrase) {
    const color = `var(--s${word % 5})`;
    const on = element("input", { type: "checkbox", checked: true });
    const value = element("span", { className: "value" });
    const [low, high] = [this.picture.scoreAt(word, 1e6), this.picture.scoreAt(word, 0)];
    const slider = element("input", { type: "range", min: low, max: high, step: 1, "aria-label": `Threshold of ${phrase}` });
    const reset = element("button", { type: "button", className: "small", textContent: "As shipped" });
    const grip = element("span");
    const line = element("div", { className: "threshold", tabIndex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": `Threshold of ${phrase} in the picture`, "aria-valuemin": low, "aria-valuemax": high }, grip);
    const row = element("div", { className: "word" },
      element("div", { className: "head" }, element("label", {}, on, phrase), value), slider,
      element("div", { className: "ends" }, element("span", { textContent: "more readily" }), reset, element("span", { textContent: "more rarely" })));
    for (const one of [row, line]) one.style.setProperty("--c", color);
    grip.style.right = `${0.5 + word * 5}rem`;
    on.addEventListener("change", () => { this.off[word] = !on.checked; this.#set(word, this.threshold(word)); });
    slider.addEventListener("input", () => this.#set(word, slider.valueAsNumber));
    reset.addEventListener("click", () => this.#set(word, this.facts.words[word].thresholds[this.state]));
    this.#draggable(line, word);
    find("words").append(row);
    find("thresholds").append(line);
    return { value, slider, reset, line, grip };
  }

  #draggable(line, word) {
    line.addEventListener("pointerdown", (event) => { line.setPointerCapture(event.pointerId); event.preventDefault(); line.focus(); });
    line.addEventListener("pointermove", (event) => {
      if (!line.hasPointerCapture(event.pointerId)) return;
      const { top } = this.picture.canvas.getBoundingClientRect();
      this.#set(word, this.picture.scoreAt(word, event.clientY - top));
    });
    line.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.#set(word, this.threshold(word) + steps[event.key]);
    });
  }

  #set(word, threshold) {
    const { slider } = this.rows[word];
    const within = Math.max(Number(slider.min), Math.min(Number(slider.max), threshold));
    this.sensitivities[word] = this.facts.words[word].thresholds[this.state] - within;
    this.place();
    this.changed(word);
  }

  setState(state) {
    this.state = state;
    this.place();
  }

  /** Puts all where the thresholds are now. */
  place() {
    this.rows.forEach(({ value, slider, reset, line, grip }, word) => {
      const score = this.threshold(word), p = this.picture.probability(word, score);
      const text = `${(100 * p).toFixed(p > 0.9999 ? 3 : p > 0.99 ? 2 : 1)} %`;
      const given = this.sensitivities[word];
      slider.value = score;
      slider.disabled = this.off[word];
      slider.setAttribute("aria-valuetext", `wakes at ${text}`);
      value.textContent = this.off[word] ? "off" : `wakes at ${text}`;
      reset.disabled = given === 0;
      line.hidden = this.off[word];
      line.style.top = `${this.picture.y(word, score)}px`;
      line.setAttribute("aria-valuenow", score);
      line.setAttribute("aria-valuetext", `wakes at ${text}`);
      grip.textContent = text;
    });
  }
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} KB`;

/** What the words cost on each core, from bench/baseline.json. */
export function showCosts(table, note, { costs, words }) {
  const head = ["Core", "Instructions a second", "Flash", "RAM"];
  const cells = ({ instructions, flash, ram }) => [`${(instructions / 1e6).toFixed(2)} M`, kilobytes(flash), kilobytes(ram)];
  const row = (kind, texts, scope) => element("tr", {}, ...texts.map((text, i) => element(i === 0 ? "th" : kind, { textContent: text, ...(i === 0 || kind === "th" ? { scope } : {}) })));
  const body = element("tbody"), several = new Set(costs.map((one) => one.word)).size > 1;
  for (const one of costs) {
    const core = several ? `${one.core}, ${one.word}` : one.core;
    body.append(row("td", [core, ...cells(one)], "row"));
  }
  if (costs.length) table.append(element("thead", {}, row("th", head, "col")), body);
  const missing = words.filter((word) => !costs.some((one) => one.word === word.name)).map((word) => word.name);
  const counted = [...new Set(costs.map((one) => one.word))].join(" or ");
  note.textContent = counted ? `“${counted}” alone: instructions, counted in QEMU, for a second of sound; flash and RAM of the whole image, without its stack.` : "";
  if (missing.length) note.append(` Not counted: ${missing.join(", ")}; make bench counts.`);
}
