/* SPDX-License-Identifier: Apache-2.0 */
// What moves through the picture, each column of it painted once: a frame only copies.

const SPARE = 4; // columns that are kept and not seen
const REDONE = 2; // columns before the newest score that are painted again: a line's end changes with the next point

/** The columns that were painted last, in a canvas of device pixels that goes around. */
class Ring {
  /** Each column `pixels` wide and `height` high, as many as `count` are seen at a time. */
  constructor(pixels, height, count) {
    Object.assign(this, { pixels, height, count: count + SPARE, from: 0, end: 0 });
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width: this.count * pixels, height });
  }

  /** Paints columns `from` to `to`; `kept`: those that are there already stay as they are, up to `done`. */
  extend(kept, from, to, done, paint) {
    if (!kept || from < this.from || from > this.end) this.from = this.end = from;
    this.#pieces(Math.max(this.from, Math.min(this.end, done)), to, paint);
    this.end = Math.max(this.end, to);
    this.from = Math.max(this.from, this.end - this.count);
  }

  /** Onto a canvas whose unit is a device pixel, column `from` at x = `left`, the top at y = `top`. */
  draw(g, from, to, left, top) {
    const { pixels, height } = this;
    this.#pieces(from, to, (at, place, width) => {
      g.drawImage(this.canvas, place * pixels, 0, width * pixels, height, left + (at - from) * pixels, top, width * pixels, height);
    });
  }

  /** Where columns are in the ring: one or two pieces. */
  #pieces(from, to, act) {
    for (let at = from; at < to;) {
      const place = at % this.count, width = Math.min(to - at, this.count - place);
      act(at, place, width);
      at += width;
    }
  }
}

/** The LFBE columns. */
export class Columns extends Ring {
  constructor(bands, ...shape) {
    super(...shape);
    Object.assign(this, { bands, trace: null, levels: [0, 0] });
    this.small = document.createElement("canvas");
    Object.assign(this.small, { width: this.count, height: bands });
  }

  /** Columns `from` to `to` with these values, from the darkest to the lightest of `levels`. */
  paint(trace, from, to, values, levels, ramp) {
    const moved = Math.max(...levels.map((level, i) => Math.abs(level - this.levels[i])));
    const kept = this.trace === trace && this.ramp === ramp && moved < 1;
    if (!kept) Object.assign(this, { trace, ramp, levels });
    this.extend(kept, from, to, to, (at, place, width) => this.#piece(values.subarray((at - from) * this.bands), place, width));
  }

  #piece(values, place, width) {
    const { bands, pixels, height, ramp, levels: [low, high] } = this, image = new ImageData(width, bands);
    const colors = new Uint32Array(image.data.buffer);
    for (let i = 0; i < width; i++) {
      for (let band = 0; band < bands; band++) {
        const level = (255 * (values[i * bands + band] - low)) / (high - low);
        colors[(bands - 1 - band) * width + i] = ramp[Math.max(0, Math.min(255, level | 0))];
      }
    }
    this.small.getContext("2d").putImageData(image, place, 0);
    this.canvas.getContext("2d").drawImage(this.small, place, 0, width, bands, place * pixels, 0, width * pixels, height);
  }
}

/** The words' scores as lines, on a grid. */
export class Scores extends Ring {
  /** `look`: { scale, hop, rate, ticks, y(word, score) }, in CSS pixels. */
  constructor(look, ...shape) {
    super(...shape);
    Object.assign(this, { look, trace: null, scored: 0 });
  }

  /** Columns `from` to `to`, scored up to `scored`; `shown`: of each word, whether it is. */
  paint(trace, from, to, scored, colors, shown) {
    const kept = this.trace === trace && this.colors === colors && this.shown === String(shown);
    if (!kept) Object.assign(this, { trace, colors, shown: String(shown) });
    this.extend(kept, from, to, this.scored - REDONE, (at, place, width) => this.#piece(at, place, width, shown));
    this.scored = scored;
  }

  #piece(at, place, width, shown) {
    const { pixels, height, colors, trace, look: { scale, hop, rate, ticks } } = this;
    const g = this.canvas.getContext("2d", { alpha: false }), column = pixels / scale, high = height / scale;
    const x = (sample) => (sample / hop - at) * column;
    g.save();
    g.setTransform(scale, 0, 0, scale, place * pixels, 0);
    g.beginPath();
    g.rect(0, 0, width * column, high);
    g.clip();
    g.fillStyle = colors.page;
    g.fillRect(0, 0, width * column, high);
    g.beginPath();
    for (const y of ticks) { g.moveTo(0, y); g.lineTo(width * column, y); }
    for (let s = Math.floor((at * hop) / rate); s * rate <= (at + width + 1) * hop; s++) {
      g.moveTo(x(s * rate), 0);
      g.lineTo(x(s * rate), high);
    }
    g.strokeStyle = colors.grid;
    g.lineWidth = 1;
    g.stroke();
    trace.scores.forEach((list, word) => { if (shown[word]) this.#line(g, list, word, x, at * hop, (at + width) * hop); });
    g.restore();
  }

  /** Of a word, from before sample `first` to behind sample `last`. */
  #line(g, list, word, x, first, last) {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].sample < first) low = middle + 1;
      else high = middle;
    }
    low = Math.max(0, low - 2);
    high = low;
    g.beginPath();
    for (let behind = 0; high < list.length && behind < 2; high++) {
      g.lineTo(x(list[high].sample), this.look.y(word, list[high].score));
      behind += list[high].sample > last;
    }
    if (high === low) return;
    g.strokeStyle = g.fillStyle = this.colors.words[word % this.colors.words.length];
    g.lineWidth = 2;
    g.lineJoin = "round";
    g.stroke();
    g.lineTo(x(list[high - 1].sample), this.height);
    g.lineTo(x(list[low].sample), this.height);
    g.globalAlpha = 0.12;
    g.fill();
    g.globalAlpha = 1;
  }
}
