/* SPDX-License-Identifier: Apache-2.0 */
// In the audio thread: the microphone's sound to int16 at the engine's rate, on to the worker.
import { Resampler, toInt16 } from "./resample.js";

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate, piece } }) {
    super();
    this.resampler = sampleRate === rate ? null : new Resampler(sampleRate, rate);
    this.pcm = new Int16Array(piece);
    this.filled = 0;
    this.port.onmessage = ({ data }) => { this.to = data; };
  }

  process([input]) {
    if (input.length === 0 || !this.to) return true;
    const sound = this.resampler ? this.resampler.push(input[0]) : input[0];
    for (let at = 0; at < sound.length;) {
      const part = sound.subarray(at, at + this.pcm.length - this.filled);
      toInt16(part, this.pcm, this.filled);
      at += part.length;
      this.filled += part.length;
      if (this.filled === this.pcm.length) this.#pass();
    }
    return true;
  }

  #pass() {
    const { length } = this.pcm;
    this.to.postMessage(this.pcm, [this.pcm.buffer]);
    this.pcm = new Int16Array(length);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
