/* SPDX-License-Identifier: Apache-2.0 */
// Runs the engine in a thread of its own: recordings as fast as it can, the microphone as it comes.
import { Engine, WAKE, eachEvent } from "./engine.js";

const PIECE_S = 10; // of a recording, between looks at what else came in
const SILENCE_S = 0.5; // after a recording, as the host emulator does: a word may end with the file

let engine;
let session = 0; // of what is processed now; answers carry it
let cost = { ms: 0, samples: 0 };

function answer(pcm, processed, more) {
  const { columns, events } = processed;
  postMessage({ type: "processed", session, pcm, columns, events, ...more },
    [pcm.buffer, columns.buffer, events.buffer]);
}

function process(pcm) {
  const began = performance.now();
  const processed = engine.process(pcm);
  cost.ms += performance.now() - began;
  cost.samples += pcm.length;
  return processed;
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

/** Of the silence after a recording only a wake counts. */
function wakesOf(events) {
  const found = [...eachEvent(events)].filter((event) => event.type === WAKE);
  return Float64Array.from(found.flatMap((e) => Object.values(e)));
}

async function recording(data) {
  begin(data);
  const piece = PIECE_S * engine.facts.rate;
  for (let at = 0; at < data.pcm.length; at += piece) {
    const part = data.pcm.slice(at, at + piece);
    answer(part, process(part), { share: share(), done: false });
    await new Promise((go) => setTimeout(go));
    if (session !== data.session) return;
  }
  const { events } = engine.process(new Int16Array(SILENCE_S * engine.facts.rate));
  const nothing = { columns: new Int8Array(0), events: wakesOf(events) };
  answer(new Int16Array(0), nothing, { share: share(), done: true });
}

function microphone(data) {
  begin(data);
  data.port.onmessage = ({ data: pcm }) => {
    if (session === data.session) answer(pcm, process(pcm), { share: share() });
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
