/* SPDX-License-Identifier: Apache-2.0 */
// In the audio thread: the microphone's sound to int16 at the engine's rate, on to the worker.
import { Resampler, toInt16 } from "./resample.js";

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate, piece } }) {
    super();
    this.resampler = sampleRate === rate ? null : new Resampler(sampleRate, rate);
    this.pieces = [];
    this.samples = 0;
    this.piece = piece;
    this.port.onmessage = ({ data }) => { this.to = data; };
  }

  process([input]) {
    if (input.length === 0 || !this.to) return true;
    const sound = this.resampler ? this.resampler.push(input[0]) : input[0];
    this.pieces.push(toInt16(sound));
    this.samples += sound.length;
    if (this.samples >= this.piece) {
      const pcm = new Int16Array(this.samples);
      let at = 0;
      for (const piece of this.pieces) { pcm.set(piece, at); at += piece.length; }
      this.to.postMessage(pcm, [pcm.buffer]);
      this.pieces = [];
      this.samples = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
