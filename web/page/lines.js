/* SPDX-License-Identifier: Apache-2.0 */
// Events as the host emulator prints them: `wakestate emulate --scores`, a line for each.
import { SCORE } from "./engine.js";

const NAMES = ["score", "wake", "near"];
const seconds = (sample, rate) => {
  const ms = Math.floor((sample * 1000 + rate / 2) / rate);
  return `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, "0")}`;
};
export const probability = (q15) => {
  const parts = (q15 * 10000 + 16384) >>> 15;
  return `${Math.floor(parts / 10000)}.${String(parts % 10000).padStart(4, "0")}`;
};

export function lineOf(event, facts, file) {
  const fields = [`"type":"${NAMES[event.type]}"`];
  if (facts.words.length > 1) fields.push(`"word":"${facts.words[event.word].name}"`);
  const score = event.type === SCORE;
  if (!score) fields.push(`"file":${JSON.stringify(file)}`);
  fields.push(`"t":${seconds(event.sample, facts.rate)}`);
  if (!score) {
    fields.push(`"start":${seconds(event.start, facts.rate)}`, `"end":${seconds(event.end, facts.rate)}`);
  }
  fields.push(`"p":${probability(event.probability)}`);
  if (!score) fields.push(`"state":"${facts.states[event.state]}"`);
  return `{${fields.join(",")}}`;
}
