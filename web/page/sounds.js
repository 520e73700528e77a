/* SPDX-License-Identifier: Apache-2.0 */
// What a device plays, made by arithmetic: loops of music, of a voice that babbles, of an alarm.

const TAU = 2 * Math.PI;
const hertz = (note) => 440 * 2 ** ((note - 69) / 12);

/** Numbers 0 .. 1, the same every time. */
function drawn(seed) {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

function loudAs(sound, peak) {
  const most = sound.reduce((m, x) => Math.max(m, Math.abs(x)), 1e-9);
  return sound.map((x) => (x * peak) / most);
}

/** Adds a tone with overtones that fades; wraps around, so that the loop has no seam. */
function pluck(sound, rate, at, note, seconds, gain, overtones) {
  const f = hertz(note), from = Math.round(at * rate);
  for (let i = 0; i < seconds * rate; i++) {
    const t = i / rate, fade = Math.min(1, t / 0.004) * Math.exp((-4 * t) / seconds);
    let x = 0;
    for (let n = 1; n <= overtones; n++) x += Math.sin(TAU * f * n * t) / n ** 1.6;
    sound[(from + i) % sound.length] += gain * fade * x;
  }
}

function music(rate) {
  const beat = 0.5, chords = [[57, 60, 64, 69], [53, 57, 60, 65], [48, 55, 60, 64], [55, 59, 62, 67]];
  const sound = new Float32Array(Math.round(rate * beat * 16)), random = drawn(7);
  chords.forEach((chord, bar) => {
    const start = bar * 4 * beat;
    pluck(sound, rate, start, chord[0] - 12, 2.2, 0.9, 6);
    pluck(sound, rate, start + 2.5 * beat, chord[0] - 12, 1, 0.7, 6);
    for (const note of chord) pluck(sound, rate, start, note, 2.4, 0.25, 4);
    [0, 2, 1, 3, 2, 3, 1, 2].forEach((i, n) => {
      pluck(sound, rate, start + (n * beat) / 2, chord[i] + 12, 0.7, 0.45, 5);
    });
    for (let n = 0; n < 8; n++) {
      const from = Math.round((start + (n * beat) / 2) * rate), hard = n % 4 === 2 ? 0.5 : 0.16;
      for (let i = 0; i < 0.12 * rate; i++) {
        sound[from + i] += hard * (2 * random() - 1) * Math.exp((-i / rate) * (n % 4 === 2 ? 30 : 80));
      }
    }
  });
  return loudAs(sound, 0.9);
}

const VOWELS = [[730, 1090, 2440], [270, 2290, 3010], [530, 1840, 2480], [300, 870, 2240], [570, 840, 2410]];

/** A voice that says nothing: a buzz through three resonances that move, between hisses. */
function babble(rate) {
  const syllables = 26, length = 0.21, random = drawn(3);
  const sound = new Float32Array(Math.round(rate * syllables * length));
  const pause = new Set([8, 17, 25]);
  for (let s = 0; s < syllables; s++) {
    if (pause.has(s)) continue;
    const [from, to] = [VOWELS[Math.floor(random() * 5)], VOWELS[Math.floor(random() * 5)]];
    const pitch = 105 + 35 * random(), hiss = random() < 0.5;
    const memory = [[0, 0], [0, 0], [0, 0]];
    let phase = 0;
    const start = Math.round(s * length * rate);
    for (let i = 0; i < length * rate && start + i < sound.length; i++) {
      const share = i / (length * rate);
      if (share < 0.22) {
        if (hiss) sound[start + i] += 0.25 * (2 * random() - 1) * Math.sin((Math.PI * share) / 0.22);
        continue;
      }
      phase += (pitch * (1.1 - 0.25 * share)) / rate;
      let x = phase % 1 < 0.12 ? 1 : -0.13;
      memory.forEach((m, n) => {
        const f = from[n] + (to[n] - from[n]) * share, r = Math.exp((-Math.PI * (60 + 40 * n)) / rate);
        const y = (1 - r) * x + 2 * r * Math.cos((TAU * f) / rate) * m[0] - r * r * m[1];
        m[1] = m[0];
        m[0] = y;
        x = y + 0.35 * x;
      });
      sound[start + i] += x * Math.sin(Math.PI * Math.min(1, (share - 0.22) / 0.78)) ** 0.6;
    }
  }
  return loudAs(sound, 0.9);
}

function alarm(rate) {
  const sound = new Float32Array(Math.round(rate * 1.6));
  [0, 0.16, 0.32, 0.48].forEach((at, n) => {
    for (let i = 0; i < 0.11 * rate; i++) {
      const t = i / rate, edge = Math.min(1, t / 0.004, (0.11 - t) / 0.004);
      const f = n % 2 === 0 ? 1975 : 2637;
      sound[Math.round(at * rate) + i] = edge * (Math.sin(TAU * f * t) + 0.3 * Math.sin(3 * TAU * f * t));
    }
  });
  return loudAs(sound, 0.9);
}

export const SOUNDS = { music, speech: babble, alarm };
const GAINS = { low: 0.1, high: 0.6 };

/** The device's loudspeaker: one sound at a time, over and over. */
export class Loudspeaker {
  constructor() {
    this.own = {}; // AudioBuffers that a person chose, by player state
    this.made = {};
  }

  async choose(player, bytes) {
    this.context ??= new AudioContext();
    this.own[player] = await this.context.decodeAudioData(bytes);
  }

  #buffer(player) {
    if (this.own[player]) return this.own[player];
    if (!this.made[player]) {
      const sound = SOUNDS[player](this.context.sampleRate);
      const buffer = this.context.createBuffer(1, sound.length, this.context.sampleRate);
      buffer.copyToChannel(sound, 0);
      this.made[player] = buffer;
    }
    return this.made[player];
  }

  /** Plays what the device would in that player state, or nothing. */
  play(player, volume) {
    this.stop();
    if (!(player in SOUNDS)) return;
    this.context ??= new AudioContext();
    this.context.resume();
    const gain = new GainNode(this.context, { gain: GAINS[volume] ?? GAINS.low });
    this.source = new AudioBufferSourceNode(this.context, { buffer: this.#buffer(player), loop: true });
    this.source.connect(gain).connect(this.context.destination);
    this.source.start();
  }

  stop() {
    this.source?.stop();
    this.source = null;
  }
}
