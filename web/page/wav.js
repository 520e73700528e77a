/* SPDX-License-Identifier: Apache-2.0 */
// WAV files: 16 kHz mono int16 is read bit for bit; what else there is, the browser decodes.
import { toInt16 } from "./resample.js";

/** int16 samples of a plain WAV at `rate`, or null: then it is something else. */
export function plainWav(bytes, rate) {
  const view = new DataView(bytes);
  const name = (at) => String.fromCharCode(...new Uint8Array(bytes, at, 4));
  if (view.byteLength < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let plain = false;
  for (let at = 12; at + 8 <= view.byteLength;) {
    const start = at + 8, size = Math.min(view.getUint32(at + 4, true), view.byteLength - start);
    if (name(at) === "fmt " && size >= 16) {
      const tag = view.getUint16(start, true);
      const pcm = tag === 1 || (tag === 0xfffe && size >= 26 && view.getUint16(start + 24, true) === 1);
      plain = pcm && view.getUint16(start + 2, true) === 1 &&
        view.getUint32(start + 4, true) === rate && view.getUint16(start + 14, true) === 16;
    } else if (name(at) === "data") {
      if (!plain) return null;
      return Int16Array.from({ length: size >> 1 }, (_, i) => view.getInt16(start + 2 * i, true));
    }
    at = start + size + (size % 2);
  }
  return null;
}

/** int16 mono samples at `rate` of any file that the browser decodes. Throws what to report. */
export async function decoded(bytes, rate) {
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  } catch {
    throw new Error("The browser cannot decode this file. Try WAV, FLAC, MP3, Ogg or M4A.");
  }
  const mean = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((x, i) => { mean[i] += x / buffer.numberOfChannels; });
  }
  return toInt16(mean);
}

/** A WAV file of int16 samples. */
export function wavOf(pcm, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * pcm.length));
  const text = (at, name) => [...name].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * pcm.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * pcm.length, true);
  pcm.forEach((x, i) => view.setInt16(44 + 2 * i, x, true));
  return new Uint8Array(view.buffer);
}
