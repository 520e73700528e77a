/* SPDX-License-Identifier: Apache-2.0 */
// Draws a trace: the LFBE picture, below it each word's score and threshold, over both the wakes.
import { Columns, Scores } from "./rings.js";

const SCORE_SHARE = 0.42; // of the height
const STATES = 18; // px: the strip of device states
const AXIS = 22;
const METER = { width: 96, height: 6, right: 10 }; // px: the level, in the strip
const LABELS = 48; // px: the column of the score's labels
const LOWEST = -5.5, HIGHEST = [9, 12]; // logits of the score's axis; it goes up to most thresholds
const FONT = "11px system-ui, sans-serif";
const TICKS = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
const MIN_RANGE = 90; // int8 steps that the colors span, at least: 45 dB
const RAMPS = {
  dark: ["#0b1020", "#1b2450", "#44307c", "#86397f", "#cf4f63", "#f58a4b", "#fcd27a", "#fffbe0"],
  light: ["#ffffff", "#e6eefb", "#c2d6f3", "#93b4e6", "#5f8bd4", "#3a60b4", "#263a86", "#141f4d"],
};

function rampOf(colors) {
  const stops = colors.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1), from = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[from].map((x, c) => Math.round(x + (stops[from + 1][c] - x) * (at - from)));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const MIN_P = 1e-3; // of an output that is a probability itself, where its logit is drawn

/** The logit of a score; of imported networks the score is the sum of probabilities. */
function logitOf({ scale, zero, smoothing, linear }, score) {
  if (!linear) return scale * (score / smoothing - zero);
  const p = Math.max(MIN_P, Math.min(1 - MIN_P, (score / smoothing + 128) / 256));
  return Math.log(p / (1 - p));
}

const percent = (p) => `${(100 * p).toFixed(p > 0.9895 || p < 0.0105 ? 1 : 0)} %`;

export class Picture {
  constructor(canvas, facts) {
    this.canvas = canvas;
    this.facts = facts;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.restyle());
    this.span = 8 * facts.rate; // samples across
    this.end = this.span; // sample at the right edge
    this.playhead = null;
    this.level = null; // of the microphone, 0 .. 1
    const logits = facts.words.flatMap((word) => word.thresholds.map((score) => logitOf(word, score)));
    this.top = Math.min(HIGHEST[1], Math.max(HIGHEST[0], ...logits.map((logit) => logit + 1)));
    this.levels = null; // int8 of the darkest and of the lightest color
    this.restyle();
    this.resize();
  }

  restyle() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colors = {
      page: color("inset"), text: color("text"), soft: color("soft"), grid: color("grid"), alive: color("alive"),
      words: ["s0", "s1", "s2", "s3", "s4"].map(color),
    };
    this.ramp = rampOf(RAMPS[this.dark.matches ? "dark" : "light"]);
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect(), scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.scale = scale;
    this.width = width;
    this.height = height;
    const body = height - AXIS - STATES;
    this.lfbe = { top: 0, height: Math.round(body * (1 - SCORE_SHARE)) };
    // A column is some whole device pixels wide, so that 3.5 to 12 s are seen.
    const { hop, rate, bands } = this.facts, columns = (Math.max(3.5, Math.min(10, width / 100)) * rate) / hop;
    const pixels = Math.max(1, Math.round(this.canvas.width / columns)), seen = this.canvas.width / pixels;
    this.span = seen * hop;
    this.strip = { top: this.lfbe.height, height: STATES };
    this.score = { top: this.lfbe.height + STATES, height: body - this.lfbe.height };
    const shape = (high) => [pixels, Math.round(high * scale), Math.ceil(seen) + 1];
    const y = (logit) => this.#yOfLogit(logit) - this.score.top;
    this.columns = new Columns(bands, ...shape(this.lfbe.height));
    this.scores = new Scores({ scale, hop, rate, ticks: TICKS.map((p) => y(Math.log(p / (1 - p)))),
      y: (word, score) => y(logitOf(this.facts.words[word], score)) }, ...shape(this.score.height));
  }

  color(word) { return this.colors.words[word % this.colors.words.length]; }

  x(sample) { return this.width * (1 - (this.end - sample) / this.span); }

  sampleAt(x) { return this.end - this.span * (1 - x / this.width); }

  /** Height of a word's score: linear in its logit. */
  y(word, score) { return this.#yOfLogit(logitOf(this.facts.words[word], score)); }

  scoreAt(word, y) {
    const { scale, zero, smoothing, linear } = this.facts.words[word];
    const share = 1 - (y - this.score.top) / this.score.height;
    const logit = LOWEST + Math.max(0, Math.min(1, share)) * (this.top - LOWEST);
    return Math.round((linear ? 256 * sigmoid(logit) - 128 : logit / scale + zero) * smoothing);
  }

  probability(word, score) { return sigmoid(logitOf(this.facts.words[word], score)); }

  #yOfLogit(logit) {
    const share = (logit - LOWEST) / (this.top - LOWEST);
    return this.score.top + this.score.height * (1 - Math.max(-0.2, Math.min(1, share)));
  }

  /** thresholds: of each word, or null where it is off. */
  draw(trace, thresholds) {
    const g = this.canvas.getContext("2d", { alpha: false });
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.fillStyle = this.colors.page;
    g.fillRect(0, 0, this.width, this.height);
    g.font = FONT;
    g.textBaseline = "middle";
    this.#drawColumns(g, trace);
    this.#drawStates(g, trace);
    if (this.level !== null) this.#drawLevel(g);
    for (const wake of trace.wakes) this.#drawWord(g, wake);
    this.#drawLabels(g);
    g.save();
    g.beginPath();
    g.rect(LABELS, this.score.top, this.width, this.score.height);
    g.clip();
    this.#drawScores(g, trace, thresholds.map((score) => score !== null));
    thresholds.forEach((score, word) => { if (score !== null) this.#drawThreshold(g, word, score); });
    for (const wake of trace.wakes) this.#drawDecision(g, wake);
    g.restore();
    if (this.playhead !== null) this.#line(g, this.x(this.playhead), 0, this.height - AXIS, this.colors.text, 1);
  }

  #drawColumns(g, trace) {
    const { hop, window, bands } = this.facts;
    const middle = (window - hop) / 2; // a column is drawn at its window's middle
    const from = Math.max(trace.first / hop, Math.floor((this.end - this.span - middle) / hop));
    const kept = trace.first / hop + trace.columns.length / bands;
    const to = Math.min(kept, Math.ceil((this.end - middle) / hop));
    if (to <= from) return;
    const base = trace.first / hop, values = trace.columns.all.subarray((from - base) * bands, (to - base) * bands);
    this.columns.paint(trace, from, to, values, this.#fitted(values), this.ramp);
    g.setTransform(1, 0, 0, 1, 0, 0);
    this.columns.draw(g, from, to, Math.round(this.x(from * hop + middle) * this.scale), 0);
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
  }

  /** To the right edge, also where nothing was scored yet. */
  #drawScores(g, trace, shown) {
    const { hop } = this.facts;
    const from = Math.max(trace.first / hop, Math.floor((this.end - this.span) / hop)), to = Math.ceil(this.end / hop);
    const scored = Math.min(to, ...trace.scores.map((list) => Math.floor((list.at(-1)?.sample ?? 0) / hop)));
    this.scores.paint(trace, from, to, scored, this.colors, shown);
    g.setTransform(1, 0, 0, 1, 0, 0);
    this.scores.draw(g, from, to, Math.round(this.x(from * hop) * this.scale), Math.round(this.score.top * this.scale));
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
  }

  /** The levels that the colors span: they follow what is seen, without haste. */
  #fitted(values) {
    const counts = new Uint32Array(256);
    for (let i = 0; i < values.length; i += 5) counts[values[i] + 128]++;
    const quantile = (share) => {
      let left = share * Math.ceil(values.length / 5), level = 0;
      while (level < 255 && (left -= counts[level]) > 0) level++;
      return level - 128;
    };
    const low = quantile(0.35), high = Math.max(low + MIN_RANGE, quantile(0.995));
    this.levels ??= [low, high];
    this.levels = [low, high].map((x, i) => this.levels[i] + 0.06 * (x - this.levels[i]));
    return this.levels;
  }

  /** Whole seconds that are seen. */
  #seconds() {
    const { rate } = this.facts, first = Math.max(0, Math.ceil((this.end - this.span) / rate));
    return Array.from({ length: Math.max(0, Math.floor(this.end / rate) - first + 1) }, (_, i) => first + i);
  }

  #drawLabels(g) {
    g.fillStyle = this.colors.soft;
    g.textAlign = "left";
    for (const p of TICKS) g.fillText(percent(p), 6, this.#yOfLogit(Math.log(p / (1 - p))));
    g.textAlign = "center";
    for (const s of this.#seconds()) {
      const x = this.x(s * this.facts.rate);
      if (x > LABELS / 2 && x < this.width - 12) g.fillText(`${s} s`, x, this.height - AXIS / 2);
    }
  }

  #drawStates(g, trace) {
    g.fillStyle = this.colors.page;
    g.fillRect(0, this.strip.top, this.width, this.strip.height);
    g.textAlign = "left";
    trace.states.forEach(({ sample, state }, i) => {
      const next = trace.states[i + 1]?.sample ?? Math.max(trace.samples, this.end);
      const left = Math.max(0, this.x(sample)), right = Math.min(this.width, this.x(next));
      if (right <= left) return;
      const name = this.facts.states[state].replaceAll(/\w+=/g, "").replaceAll(",", ", ");
      g.fillStyle = this.colors.grid;
      g.fillRect(left, this.strip.top + 1, right - left - (i + 1 < trace.states.length ? 1 : 0), STATES - 2);
      if (right - left > g.measureText(name).width + 12) {
        g.fillStyle = this.colors.text;
        g.fillText(name, left + 6, this.strip.top + STATES / 2);
      }
    });
  }

  /** In the picture: an element of its own that moves costs the browser as much as half of the picture. */
  #drawLevel(g) {
    const left = this.width - METER.right - METER.width, top = this.strip.top + (STATES - METER.height) / 2;
    for (const [color, share] of [[this.colors.page, 1], [this.colors.alive, this.level]]) {
      g.fillStyle = color;
      g.beginPath();
      g.roundRect(left, top, METER.width * share, METER.height, METER.height / 2);
      g.fill();
    }
  }

  #drawThreshold(g, word, score) {
    const y = this.y(word, score);
    g.setLineDash([5, 4]);
    this.#line(g, 0, y, null, this.color(word), 1.5);
    g.setLineDash([]);
  }

  /** Where the word was: its start, its end, and its name. */
  #drawWord(g, wake) {
    const left = this.x(wake.start), right = this.x(wake.end);
    if (right < -80 || left > this.width) return;
    const color = this.color(wake.word);
    g.fillStyle = color;
    g.globalAlpha = 0.22;
    g.fillRect(left, 0, right - left, this.lfbe.height);
    g.globalAlpha = 1;
    this.#line(g, left, 0, this.lfbe.height, color, 2);
    this.#line(g, right, 0, this.lfbe.height, color, 2);
    const label = this.facts.words[wake.word].name.replaceAll("_", " ");
    g.font = "600 12px system-ui, sans-serif";
    g.textAlign = "left";
    g.beginPath();
    g.roundRect(left, 6, g.measureText(label).width + 14, 20, 5);
    g.fill();
    g.fillStyle = this.colors.page;
    g.fillText(label, left + 7, 16.5);
    g.font = FONT;
  }

  /** When it woke, on the score. */
  #drawDecision(g, wake) {
    const at = this.x(wake.sample), y = this.y(wake.word, wake.score), color = this.color(wake.word);
    this.#line(g, at, this.score.top, this.height - AXIS, color, 1);
    g.fillStyle = color;
    g.beginPath();
    g.arc(at, Math.max(this.score.top + 5, y), 5, 0, 7);
    g.fill();
  }

  /** Vertical from `a` to `b` at x, or, `b` null, horizontal from x on at y = a. */
  #line(g, x, a, b, color, width) {
    g.beginPath();
    if (b === null) {
      g.moveTo(x, a);
      g.lineTo(this.width, a);
    } else {
      g.moveTo(x, a);
      g.lineTo(x, b);
    }
    g.strokeStyle = color;
    g.lineWidth = width;
    g.stroke();
  }
}
