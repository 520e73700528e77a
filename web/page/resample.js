/* SPDX-License-Identifier: Apache-2.0 */
// Sound at any rate to another, piece by piece: a windowed sinc at as many phases as there are.

const ZERO_CROSSINGS = 24;
const PASS = 0.92; // of half the lower rate; the rest is the filter's slope
const BETA = 9; // of the Kaiser window: 90 dB

const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export class Resampler {
  /** Rates in Hz, whole. */
  constructor(from, to) {
    const common = gcd(from, to);
    this.up = to / common;
    this.down = from / common;
    const lower = Math.min(1, to / from); // of `from`
    const half = Math.ceil(ZERO_CROSSINGS / lower);
    this.taps = 2 * half;
    this.phases = Array.from({ length: this.up }, (_, phase) => this.#phase(phase, half, lower));
    this.history = new Float32Array(this.taps - 1);
    this.at = half * this.up; // of the next sample, in steps of 1 / up; its filter's middle
    this.half = half;
  }

  #phase(phase, half, lower) {
    const cut = lower * PASS, taps = new Float64Array(this.taps);
    let sum = 0;
    for (let i = 0; i < this.taps; i++) {
      const t = i - half + 1 - phase / this.up;
      const x = Math.PI * cut * t;
      const edge = 1 - (t / half) ** 2;
      taps[i] = (x === 0 ? 1 : Math.sin(x) / x) * (edge > 0 ? bessel(BETA * Math.sqrt(edge)) : 0);
      sum += taps[i];
    }
    return taps.map((tap) => tap / sum);
  }

  /** float32 in, float32 out; what its end needs of the next piece is kept. */
  push(piece) {
    const held = this.history.length;
    const all = new Float32Array(held + piece.length);
    all.set(this.history);
    all.set(piece, held);
    const out = [];
    for (; Math.floor(this.at / this.up) + this.half < all.length; this.at += this.down) {
      const middle = Math.floor(this.at / this.up), taps = this.phases[this.at % this.up];
      let sum = 0;
      for (let i = 0, j = middle - this.half + 1; i < this.taps; i++, j++) sum += taps[i] * all[j];
      out.push(sum);
    }
    const kept = Math.min(all.length, Math.max(0, Math.floor(this.at / this.up) - this.half + 1));
    this.history = all.slice(kept);
    this.at -= kept * this.up;
    return Float32Array.from(out);
  }
}

/** float32 -1 .. 1 to int16, into `out` from `at` on: a sample that was int16 / 32768 comes back as it was. */
export function toInt16(sound, out = new Int16Array(sound.length), at = 0) {
  for (let i = 0; i < sound.length; i++) {
    out[at + i] = Math.max(-32768, Math.min(32767, Math.round(sound[i] * 32768)));
  }
  return out;
}
