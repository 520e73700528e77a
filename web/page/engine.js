/* SPDX-License-Identifier: Apache-2.0 */
// The engine: the firmware's C as a WebAssembly module (firmware/platform/wasm/module.c).

const FIELDS = 8;
export const SCORE = 0, WAKE = 1, NEAR_MISS = 2;

/** The facts of a module's models. */
function factsOf(x) {
  const text = (address) => {
    const bytes = new Uint8Array(x.memory.buffer, address);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  };
  const list = (count, of) => Array.from({ length: count }, (_, i) => of(i));
  return {
    rate: x.rate(), hop: x.hop(), window: x.window(), bands: x.bands(), ram: x.ram(), lfbe_hash: x.lfbe_hash() >>> 0,
    states: list(x.states(), (state) => text(x.state_name(state))),
    words: list(x.words(), (word) => ({
      name: text(x.word_name(word)),
      smoothing: x.smoothing(word),
      stride: x.stride(word),
      thresholds: list(x.states(), (state) => x.threshold(word, state)),
      ...logitScale(new Uint16Array(x.memory.buffer, x.probability(word), 256)),
    })),
  };
}

/** A step of the int8 logit, and which is zero: from the table of probabilities, Q15. `linear`: the
 * output is no logit, but a probability. */
function logitScale(table) {
  const linear = table.every((p, i) => Math.abs(p - 128 * i) <= 1);
  const logit = (i) => Math.log(table[i] / (32768 - table[i]));
  const low = table.findIndex((p) => p > 3277), high = table.findIndex((p) => p > 29491);
  const scale = (logit(high) - logit(low)) / (high - low);
  return { scale, zero: low - 128 - logit(low) / scale, linear };
}

export class Engine {
  /** `bytes` of engine.wasm. An Error where it does not start. */
  constructor(bytes) {
    this.x = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    const status = this.x.start();
    if (status !== 0) throw new Error(`engine.wasm: ws_init failed with ${status}; build it again`);
    this.facts = factsOf(this.x);
  }

  restart(state) { this.x.restart(state); }

  setState(state) { this.x.set_state(state); }

  configure(word, sensitivity, off) { this.x.configure(word, sensitivity, 0, off ? 1 : 0); }

  /** Processes int16 samples: { columns: int8[hops * bands], events: float64[events * 8] }. */
  process(pcm) {
    const { x } = this, piece = x.piece(), columns = [], events = [];
    for (let at = 0; at < pcm.length; at += piece) {
      const part = pcm.subarray(at, at + piece);
      new Int16Array(x.memory.buffer, x.pcm(), part.length).set(part);
      const count = x.push(part.length);
      const bytes = x.column_count() * this.facts.bands;
      columns.push(new Int8Array(x.memory.buffer, x.columns(), bytes).slice());
      events.push(new Float64Array(x.memory.buffer, x.events(), count * FIELDS).slice());
    }
    return { columns: joined(Int8Array, columns), events: joined(Float64Array, events) };
  }
}

function joined(Type, parts) {
  if (parts.length === 1) return parts[0];
  const all = new Type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}

/** Events as objects: { type, word, state, score, probability, sample, start, end }. */
export function* eachEvent(events) {
  for (let i = 0; i < events.length; i += FIELDS) {
    const [type, word, state, score, probability, sample, start, end] = events.subarray(i, i + FIELDS);
    yield { type, word, state, score, probability, sample, start, end };
  }
}
