/* SPDX-License-Identifier: Apache-2.0 */
// Runs the engine beside the page: recordings as fast as it can, the microphone as it comes.
import { Engine, WAKE, eachEvent } from "./engine.js";

const PIECE_S = 10; // of a recording, between looks at what else came in
const SILENCE_S = 0.5; // after a recording, as the host emulator does: a word may end with the file

let engine;
let session = 0; // of what is heard now; answers carry it
let cost = { ms: 0, samples: 0 };

function answer(pcm, heard, more) {
  const { columns, events } = heard;
  postMessage({ type: "heard", session, pcm, columns, events, ...more },
    [pcm.buffer, columns.buffer, events.buffer]);
}

function hear(pcm) {
  const began = performance.now();
  const heard = engine.hear(pcm);
  cost.ms += performance.now() - began;
  cost.samples += pcm.length;
  return heard;
}

function share() {
  return cost.samples === 0 ? 0 : cost.ms / 1000 / (cost.samples / engine.facts.rate);
}

function begin(data) {
  session = data.session;
  cost = { ms: 0, samples: 0 };
  data.sensitivities.forEach((value, word) => engine.configure(word, value, data.off[word]));
  engine.restart(data.state);
}

/** Only a wake counts of what is heard behind a recording. */
function wakesOf(events) {
  const found = [...eachEvent(events)].filter((event) => event.type === WAKE);
  return Float64Array.from(found.flatMap((e) => Object.values(e)));
}

async function recording(data) {
  begin(data);
  const piece = PIECE_S * engine.facts.rate;
  for (let at = 0; at < data.pcm.length; at += piece) {
    const part = data.pcm.slice(at, at + piece);
    answer(part, hear(part), { share: share(), done: false });
    await new Promise((go) => setTimeout(go));
    if (session !== data.session) return;
  }
  const { events } = engine.hear(new Int16Array(SILENCE_S * engine.facts.rate));
  const nothing = { columns: new Int8Array(0), events: wakesOf(events) };
  answer(new Int16Array(0), nothing, { share: share(), done: true });
}

function microphone(data) {
  begin(data);
  data.port.onmessage = ({ data: pcm }) => {
    if (session === data.session) answer(pcm, hear(pcm), { share: share() });
  };
}

const commands = {
  load: ({ bytes }) => {
    engine = new Engine(bytes);
    postMessage({ type: "ready", facts: engine.facts });
  },
  recording,
  microphone,
  stop: (data) => { session = data.session; },
  state: ({ state }) => engine.setState(state),
  configure: ({ word, sensitivity, off }) => engine.configure(word, sensitivity, off),
};

onmessage = ({ data }) => commands[data.type](data);
