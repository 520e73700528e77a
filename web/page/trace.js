/* SPDX-License-Identifier: Apache-2.0 */
// What was processed so far: sound, columns, scores, wakes and device states, by sample.
import { SCORE, WAKE, eachEvent } from "./engine.js";

const MAX_S = 600; // of the microphone's sound that is kept
const DROP_S = 60;

/** A typed array that grows at its end, and may lose its beginning. */
class Growing {
  constructor(Type) {
    this.all = new Type(4096);
    this.length = 0;
  }

  push(values) {
    if (this.length + values.length > this.all.length) {
      const more = new this.all.constructor(Math.max(2 * this.all.length, this.length + values.length));
      more.set(this.all.subarray(0, this.length));
      this.all = more;
    }
    this.all.set(values, this.length);
    this.length += values.length;
  }

  drop(count) {
    this.all.copyWithin(0, count, this.length);
    this.length -= count;
  }

  slice(from, to) { return this.all.slice(Math.max(0, from), Math.min(to, this.length)); }
}

export class Trace {
  constructor(facts, state) {
    this.facts = facts;
    this.first = 0; // sample that is still kept
    this.samples = 0; // processed since the start
    this.pcm = new Growing(Int16Array);
    this.columns = new Growing(Int8Array);
    this.events = new Growing(Float64Array); // all of them, for lines()
    this.scores = facts.words.map(() => []); // { sample, score }
    this.wakes = [];
    this.states = [{ sample: 0, state }];
  }

  append({ pcm, columns, events }) {
    this.pcm.push(pcm);
    this.columns.push(columns);
    this.events.push(events);
    this.samples += pcm.length;
    const found = [];
    for (const event of eachEvent(events)) {
      if (event.type === SCORE) this.scores[event.word].push({ sample: event.sample, score: event.score });
      if (event.type === WAKE) found.push(event);
    }
    this.wakes.push(...found);
    return found;
  }

  setState(state) { this.states.push({ sample: this.samples, state }); }

  /** Drops the beginning of a long recording. */
  trim() {
    const { rate, hop, bands } = this.facts;
    if (this.samples - this.first < (MAX_S + DROP_S) * rate) return;
    const dropped = Math.floor((DROP_S * rate) / hop) * hop;
    this.first += dropped;
    this.pcm.drop(dropped);
    this.columns.drop((dropped / hop) * bands);
    this.events.drop(this.events.length); // lines() is for recordings
    this.scores = this.scores.map((list) => list.filter((one) => one.sample >= this.first));
    this.wakes = this.wakes.filter((wake) => wake.start >= this.first);
    const before = this.states.filter((one) => one.sample <= this.first).length - 1;
    this.states.splice(0, Math.max(0, before));
  }

  /** int16 samples from `start` to `end`, as far as they are kept. */
  sound(start, end) {
    return this.pcm.slice(Math.round(start) - this.first, Math.round(end) - this.first);
  }

  /** Peak of the newest samples, 0 .. 1. */
  level() {
    const { all, length } = this.pcm;
    let peak = 0;
    for (let i = Math.max(0, length - this.facts.rate / 10); i < length; i++) {
      peak = Math.max(peak, Math.abs(all[i]));
    }
    return peak / 32768;
  }
}
