/* SPDX-License-Identifier: Apache-2.0 */
// The page: sound goes to the worker, its results into the picture.
import { Clips } from "./clips.js";
import { DeviceState, Words, element, find, showCosts } from "./controls.js";
import { eachEvent } from "./engine.js";
import { lineOf, probability } from "./lines.js";
import { forgetKey, keptKey, loaded, openBundle, openKey } from "./loading.js";
import { Microphone } from "./microphone.js";
import { Picture } from "./picture.js";
import { Loudspeaker } from "./sounds.js";
import { Trace } from "./trace.js";
import { decoded, plainWav, wavOf } from "./wav.js";

const LONGEST_S = 1800; // of a recording
const WOKEN_MS = 1500;
const STATUS_MS = 1000; // between updates of what listening costs

const { worker, about, facts, problem } = await loaded();
const picture = new Picture(find("canvas"), facts);
const device = new DeviceState(find("fields"), facts.states, stateChanged);
const words = new Words(facts, about.words, picture, thresholdChanged);
const clips = new Clips(about.words, facts.rate, playSound, say);
const loudspeaker = new Loudspeaker();
let trace = new Trace(facts, 0);
let session = 0;
let microphone = null;
let recording = null; // { name, pcm }
let playing = null; // { source, from, began }
let output = null; // AudioContext of recordings
let awaited = false; // whether a frame is
let share = 0;
let cost = 0; // the share that is shown
let costed = 0; // when
let whole = null; // resolves where a recording was processed to its end
let processed = null; // a promise of that
let refresh = null;

function say(text, wrong = false) {
  find("message").textContent = text;
  find("message").classList.toggle("wrong", wrong);
}

function status(text, kind = "") {
  if (find("status-text").textContent === text) return;
  find("status").className = `status ${kind}`;
  find("status-text").textContent = text;
}

const settings = () => ({ session, state: device.state, sensitivities: words.sensitivities, off: words.off });

// Sources of sound

function begin() {
  session++;
  find("empty").hidden = true;
  trace = new Trace(facts, device.state);
  find("wakes").replaceChildren();
  find("no-wakes").hidden = false;
  find("announce").textContent = "";
  redraw();
}

function processRecording(keepView = false) {
  const end = picture.end;
  begin();
  picture.end = keepView ? end : picture.span;
  processed = new Promise((done) => { whole = done; });
  worker.postMessage({ type: "recording", pcm: recording.pcm, ...settings() });
  return processed;
}

async function open(name, bytes) {
  if (name.endsWith(".wakestate")) {
    await openBundle(bytes).catch((error) => say(`${name}: ${error.message}`, true));
    return;
  }
  if (/\.(pem|pub)$/.test(name)) {
    await openKey(bytes).then((key) => say(`${name}: bundles that are opened now must be signed by this key, ${key}.`),
      (error) => say(`${name}: ${error.message}`, true));
    await showSigner();
    return;
  }
  stopMicrophone();
  stopPlaying();
  const exact = plainWav(bytes, facts.rate);
  try {
    const pcm = exact ?? (await decoded(bytes, facts.rate));
    recording = { name, pcm: pcm.slice(0, LONGEST_S * facts.rate) };
    const cut = pcm.length > recording.pcm.length ? `, the first ${LONGEST_S / 60} minutes` : "";
    const how = exact ? "" : ": decoded and resampled by the browser";
    say(`${name}, ${(pcm.length / facts.rate).toFixed(1)} s${cut}${how}`);
  } catch (error) {
    say(`${name}: ${error.message}`, true);
    return;
  }
  showRecording();
  await processRecording();
}

/** Where the word is from, who signed that, and which key is asked for. */
async function showSigner() {
  const place = find("from-bundle"), key = await keptKey().catch(() => null), parts = [];
  if (about.bundle) {
    const { name, license, signed } = about.bundle;
    const whose = { nobody: "not signed", unchecked: "signed, not checked by whom: open the signer’s public key (.pem), then the bundle again" };
    parts.push(`“${name}” is from a bundle, license ${license}, ${whose[signed] ?? `signed by the key ${signed}`}. `,
      element("a", { href: "./", textContent: "Back to this page’s own words" }), ". ");
  }
  if (key) {
    const forget = element("button", { type: "button", className: "small", textContent: "Forget the key" });
    forget.addEventListener("click", async () => { await forgetKey(); await showSigner(); });
    parts.push(`Bundles must be signed by the key ${key.name}. `, forget);
  }
  place.replaceChildren(...parts);
}

function showRecording() {
  find("play").hidden = !recording;
  const position = find("position");
  position.hidden = !recording || recording.pcm.length <= picture.span;
  if (recording) position.max = Math.max(0, recording.pcm.length - picture.span);
}

async function startMicrophone() {
  stopPlaying();
  find("microphone").disabled = true;
  try {
    microphone = await Microphone.start(facts.rate, { canceller: find("canceller").checked });
  } catch (error) {
    say(error.message, true);
    return;
  } finally {
    find("microphone").disabled = false;
  }
  recording = null;
  showRecording();
  begin();
  worker.postMessage({ type: "microphone", port: microphone.port, ...settings() }, [microphone.port]);
  find("microphone").setAttribute("aria-pressed", "true");
  find("microphone-text").textContent = "Stop";
  clips.listen(trace);
  playDevice();
  say(microphone.resampled
    ? `The microphone, at ${microphone.context.sampleRate / 1000} kHz; this page resamples it to ${facts.rate / 1000} kHz.`
    : `The microphone, at ${facts.rate / 1000} kHz.`);
}

function stopMicrophone() {
  if (!microphone) return;
  microphone.stop();
  microphone = null;
  loudspeaker.stop();
  worker.postMessage({ type: "stop", session: ++session });
  find("microphone").setAttribute("aria-pressed", "false");
  find("microphone-text").textContent = "Listen";
  picture.level = null;
  clips.listen(null);
  recording = { name: "microphone", pcm: trace.sound(trace.first, trace.samples) };
  if (trace.first > 0) processRecording(); // the beginning is gone
  showRecording();
  redraw();
  say("What the microphone gave is stored until you listen again or open a file: play it, move in it, try other thresholds.");
}

worker.onmessage = ({ data }) => {
  if (data.session !== session) return;
  share = data.share;
  const wakes = trace.append(data);
  if (microphone) trace.trim();
  wakes.forEach(showWake);
  if (data.done) whole?.();
  redraw();
};

// Device state and thresholds

function stateChanged(state) {
  words.setState(state);
  if (microphone) {
    worker.postMessage({ type: "state", state });
    trace.setState(state);
    playDevice();
  } else if (recording) {
    processRecording(true);
  }
  redraw();
}

function thresholdChanged(word) {
  redraw();
  if (microphone) {
    worker.postMessage({ type: "configure", word, sensitivity: words.sensitivities[word], off: words.off[word] });
  } else if (recording) {
    clearTimeout(refresh);
    refresh = setTimeout(() => processRecording(true), 60);
  }
}

function playDevice() {
  const { player, volume } = device.now;
  if (microphone && find("loudspeaker").checked) loudspeaker.play(player, volume);
  else loudspeaker.stop();
}

// Wakes

function showWake(wake) {
  const { name } = facts.words[wake.word], { phrase } = about.words[wake.word];
  const seconds = (sample) => (sample / facts.rate).toFixed(2);
  const tool = (text, label, act) => {
    const button = element("button", { type: "button", className: "small", textContent: text, "aria-label": label });
    button.addEventListener("click", act);
    return button;
  };
  const around = () => trace.sound(wake.start - facts.rate / 2, wake.end + facts.rate / 2);
  const keep = () => clips.add(around(), clips.kinds[wake.word]);
  const text = element("span", {}, element("span", { className: "name", textContent: phrase }), ` ${seconds(wake.start)}–${seconds(wake.end)} s`,
    element("span", { className: "under", textContent: `p ${probability(wake.probability)}, ${facts.states[wake.state].replaceAll(/\w+=/g, "").replaceAll(",", ", ")}` }));
  const row = element("li", {}, text,
    element("span", { className: "tools" },
      tool("Show", `Show ${name} at ${seconds(wake.start)} s`, () => { if (recording) picture.end = wake.end + picture.span / 2; redraw(); }),
      tool("Keep", `Keep ${name} at ${seconds(wake.start)} s as a clip`, keep)));
  row.style.setProperty("--c", `var(--s${wake.word % 5})`);
  find("wakes").prepend(row);
  find("no-wakes").hidden = true;
  if (!microphone) return;
  find("announce").textContent = `${phrase} at ${seconds(wake.sample)} seconds`;
  find("status").style.setProperty("--c", `var(--s${wake.word % 5})`);
  trace.woken = performance.now();
  trace.wokenBy = phrase;
}

// Playing

async function playSound(pcm, from = 0) {
  output ??= new AudioContext();
  await output.resume();
  const buffer = output.createBuffer(1, pcm.length, facts.rate);
  buffer.copyToChannel(Float32Array.from(pcm, (x) => x / 32768), 0);
  const source = new AudioBufferSourceNode(output, { buffer });
  source.connect(output.destination);
  source.start(0, from / facts.rate);
  return source;
}

function stopPlaying() {
  playing?.source.stop();
  playing = null;
  picture.playhead = null;
  redraw();
  find("play").setAttribute("aria-pressed", "false");
}

async function togglePlay() {
  if (playing) {
    stopPlaying();
    return;
  }
  const from = Math.max(0, picture.end - picture.span);
  const start = from + facts.rate >= recording.pcm.length ? 0 : from;
  const source = await playSound(recording.pcm, start);
  playing = { source, from: start, began: output.currentTime };
  source.onended = () => { if (playing?.source === source) stopPlaying(); };
  find("play").setAttribute("aria-pressed", "true");
  redraw();
}

// The picture

function follow() {
  if (microphone) {
    picture.end = Math.max(trace.samples, picture.span);
    picture.level = Math.min(1, Math.max(0, 1 + Math.log10(trace.level() + 1e-6) / 3));
  } else if (playing) {
    picture.playhead = playing.from + (output.currentTime - playing.began) * facts.rate;
    if (picture.playhead > picture.end - picture.span / 4) picture.end = picture.playhead + picture.span / 4;
  }
  if (!recording && !microphone) picture.end = picture.span;
  if (recording) {
    const most = Math.max(picture.span, recording.pcm.length);
    picture.end = Math.max(picture.span, Math.min(most, picture.end));
    find("position").value = picture.end - picture.span;
  }
}

function showStatus(now) {
  if (now - costed > STATUS_MS) [cost, costed] = [share, now];
  if (microphone && performance.now() - (trace.woken ?? -1e9) < WOKEN_MS) status(`${trace.wokenBy}!`, "woken");
  else if (microphone) status(`Listening, ${(100 * cost).toFixed(1)} % of a core`, "live");
  else if (recording) status(trace.wakes.length === 1 ? "1 wake" : `${trace.wakes.length} wakes`);
  else status("Ready");
}

function draw() {
  follow();
  showStatus(performance.now());
  picture.draw(trace, words.thresholds);
}

/** With the next frame, once; nobody sees a hidden page, which has none. */
function redraw() {
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(() => {
    awaited = false;
    draw();
    if (playing) redraw();
  });
}

function moveBy(seconds) {
  if (!recording) return;
  picture.end += seconds * facts.rate;
  redraw();
}

// Wiring

find("microphone").addEventListener("click", () => (microphone ? stopMicrophone() : startMicrophone()));
find("canceller").addEventListener("change", async () => {
  if (microphone) { stopMicrophone(); await startMicrophone(); }
});
find("sample").addEventListener("click", openSample);
find("file").addEventListener("change", ({ target }) => { if (target.files[0]) openFile(target.files[0]); target.value = ""; });
find("play").addEventListener("click", togglePlay);
find("loudspeaker").addEventListener("change", playDevice);
find("own-sound").addEventListener("change", async ({ target }) => {
  const [file] = target.files, { player } = device.now;
  if (!file) return;
  try {
    await loudspeaker.choose(player, await file.arrayBuffer());
    find("own-sound-text").textContent = `${file.name}, while ${player}`;
    playDevice();
  } catch {
    say(`${file.name}: the browser cannot decode this file. Try WAV, FLAC, MP3, Ogg or M4A.`, true);
  }
});
find("position").addEventListener("input", ({ target }) => { picture.end = target.valueAsNumber + picture.span; redraw(); });
find("canvas").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -0.5, ArrowRight: 0.5, PageUp: -5, PageDown: 5, Home: -1e6, End: 1e6 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  moveBy(steps[event.key]);
});
let grabbed = null;
find("canvas").addEventListener("pointerdown", (event) => { grabbed = event.clientX; find("canvas").setPointerCapture(event.pointerId); });
find("canvas").addEventListener("pointermove", (event) => {
  if (grabbed === null || !recording) return;
  moveBy(((grabbed - event.clientX) / picture.width) * (picture.span / facts.rate));
  grabbed = event.clientX;
});
find("canvas").addEventListener("lostpointercapture", () => { grabbed = null; });
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    find("drop").hidden = type === "drop" || (type === "dragleave" && event.relatedTarget === null);
    if (type === "drop" && event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
  });
}
new ResizeObserver(() => { picture.resize(); words.place(); showRecording(); redraw(); }).observe(find("canvas"));
picture.dark.addEventListener("change", redraw);

async function openFile(file) { await open(file.name, await file.arrayBuffer()); }

async function openSample() {
  const { sample } = about.words.find((word) => word.sample) ?? {};
  if (sample) await open(sample, await (await fetch(sample)).arrayBuffer());
}

const events = () => [...eachEvent(trace.events.all.subarray(0, trace.events.length))];

/** For the browser's console, and for tests: the events so far, as `wakestate emulate` prints them. */
globalThis.wakestate = {
  lines: () => events().map((event) => lineOf(event, facts, recording?.name ?? "microphone")),
  state: () => events().at(-1).state,
  samples: () => trace.samples,
  wav: () => wavOf(trace.sound(trace.first, trace.samples), facts.rate),
  words: about.words, wakes: () => trace.wakes, processed: () => processed, share: () => share, open, clips,
};

showCosts(find("costs"), find("costs-note"), about);
find("version").textContent = about.version;
showSigner();
for (const id of ["microphone", "file"]) find(id).disabled = false;
find("sample").hidden = !about.words.some((word) => word.sample);
find("sample").disabled = false;
find("empty").hidden = !find("sample").hidden;
redraw();
performance.mark("usable");
if (problem) say(problem, true);
else if (!find("sample").hidden) await openSample();
performance.mark("processed");
navigator.serviceWorker?.register("offline.js").catch(() => {}); // a copy for later: it does without
