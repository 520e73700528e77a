/* SPDX-License-Identifier: Apache-2.0 */
// A bundle, as `wakestate bundle make` writes it: taken as a whole, or refused in one line. It checks
// as convert/bundle.py, but for the word file and the operators of the networks, which it has no use for.
import { zipParts } from "./zip.js";

export const SUFFIX = ".wakestate";
const MAX_BYTES = 64 << 20, MAX_FILES = 80, MAX_STATES = 64;
const MODULE = "page.wasm", MANIFEST = "manifest.json", SIGNATURE = "manifest.sig";
const OTHERS = [MANIFEST, SIGNATURE, "model.json", "operating_points.json", MODULE, "verifier.json", "verifier.npz"];
const FIELDS = ["bundle", "word", "phrase", "frontend_hash", "metadata", "thresholds", "detector", "results", "license", "files"];
const LAYOUT = { flags: 0, host: 3, attributes: (0o100644 << 16) >>> 0, time: 0, day: 33 }; // of all its files

/** A value from outside as printable text, cut where it is long. */
function shown(value) {
  const text = (typeof value === "string" ? value : JSON.stringify(value) ?? "nothing").slice(0, 100);
  return text.replaceAll(/[^ -~\p{L}\p{N}]/gu, "\ufffd");
}

function check(right, problem) {
  if (!right) throw new Error(`${problem}. Get it again, or make it with \`wakestate bundle make\`.`);
}

const isTable = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether two JSON values are the same, tables in the same order. */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function json(bytes, name) {
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    JSON.stringify(value); // nested too deeply?
  } catch {
    value = null;
  }
  check(isTable(value), `${name}: is no JSON object`);
  return value;
}

/** The files of the zip, a Map by name: stored ones alone, and not a byte between them. */
function entries(bytes) {
  check(bytes.length <= MAX_BYTES, `is larger than ${MAX_BYTES >> 20} MB`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), files = new Map();
  for (let at = 0; at + 30 <= bytes.length && view.getUint32(at, true) === 0x04034b50;) {
    const start = at + 30 + view.getUint16(at + 26, true), end = start + view.getUint32(at + 18, true);
    check(end <= bytes.length && files.size < MAX_FILES, "is cut off, or holds too many files");
    let name = "";
    for (const code of bytes.subarray(at + 30, start)) name += String.fromCharCode(code);
    check(/^[\w-][\w.-]{0,149}$/.test(name) && !files.has(name), `holds ${shown(name)}, which is no plain file name, or there twice`);
    files.set(name, bytes.subarray(start, end));
    at = end;
  }
  const parts = zipParts([...files], LAYOUT);
  let at = 0;
  const equal = (part) => part.every((byte, i) => byte === bytes[at + i]) && ((at += part.length), true);
  check(files.size > 0 && parts.every(equal) && at === bytes.length, "is no bundle, cut off, or was changed");
  return files;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The public key of a PEM file: { key, name }, the name being the start of its sha256. An Error says what is wrong. */
export async function keyOf(bytes) {
  const hint = "It is made by `openssl pkey -pubout`.";
  const pem = /^-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]{1,9999})-----END PUBLIC KEY-----\s*$/.exec(new TextDecoder().decode(bytes));
  if (!pem) throw new Error(`is no public key. ${hint}`);
  try {
    const der = Uint8Array.from(atob(pem[1].replaceAll(/\s/g, "")), (c) => c.charCodeAt(0));
    const key = await crypto.subtle.importKey("spki", der, "Ed25519", false, ["verify"]);
    return { key, name: (await sha256(der)).slice(0, 16) };
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Error("this browser cannot check ed25519 signatures. `wakestate bundle check --key` can.");
    throw new Error(`is no ed25519 key. ${hint}`);
  }
}

/** Whether there is a signature, and, with a key, whether it is that key's. */
async function signer(files, key) {
  const signature = files.get(SIGNATURE);
  if (!key) return signature ? "unchecked" : "nobody";
  check(signature, "is not signed");
  check(await crypto.subtle.verify("Ed25519", key.key, signature, files.get(MANIFEST)), `is not signed by the key ${key.name}`);
  return key.name;
}

/** Device states of a metadata vocabulary, as words/schema.py makes them: [name, values]. */
function statesOf(metadata) {
  let states = [["", []]];
  for (const [field, values] of Object.entries(metadata)) {
    check(Array.isArray(values) && values.length > 0 && values.every((value) => /^[a-z0-9_]+$/.test(value)) &&
      states.length * values.length <= MAX_STATES, `metadata.${shown(field)}: given ${shown(values)}`);
    states = states.flatMap(([name, all]) =>
      values.map((value) => [`${name}${name && ","}${field}=${value}`, [...all, value]]));
  }
  return states;
}

function checkContents(contents) {
  const texts = ["word", "phrase", "license"];
  check(contents.bundle === 1, `manifest.json: bundle: given ${shown(contents.bundle)}; this page reads 1`);
  check(same(Object.keys(contents).sort(), [...FIELDS].sort()), "manifest.json: other fields than those of a bundle");
  for (const field of FIELDS.slice(1)) {
    const given = contents[field], text = texts.includes(field) || field === "frontend_hash";
    check(text ? typeof given === "string" && given.length <= 300 : isTable(given), `manifest.json: ${field}: given ${shown(given)}`);
  }
  check(/^[a-z][a-z0-9_]*$/.test(contents.word), `manifest.json: word: given ${shown(contents.word)}`);
}

/** The contents and files of a bundle's bytes, signed by `key` where one is given; an Error says what is wrong. */
export async function bundleOf(bytes, key = null) {
  const files = entries(bytes);
  check(files.has("manifest.json") && files.has("model.json"), "holds no manifest.json, or no model.json");
  const contents = json(files.get("manifest.json"), "manifest.json");
  checkContents(contents);
  const signed = await signer(files, key);
  const { word } = contents, states = statesOf(contents.metadata);
  const networks = states.map(([, values]) => `${[word, ...values].join("_")}.tflite`);
  const known = new Set([...OTHERS, `${word}.toml`, ...networks]);
  for (const name of new Set([...files.keys(), ...Object.keys(contents.files)])) {
    check(known.has(name), `holds ${shown(name)}, which no bundle has`);
    const listed = name !== "manifest.json" && name !== "manifest.sig";
    const hash = files.has(name) && listed ? await sha256(files.get(name)) : undefined;
    check(hash === contents.files[name], `manifest.json: files.${shown(name)}: is another file's sha256, or missing`);
  }
  const model = json(files.get("model.json"), "model.json");
  for (const field of ["word", "frontend_hash", "metadata", "thresholds"]) {
    check(same(model[field], contents[field]), `manifest.json: ${field}: model.json has another`);
  }
  check(same(Object.keys(contents.thresholds).sort(), states.map(([name]) => name).sort()), "thresholds: not one for each device state");
  for (const name of [`${word}.toml`, ...networks]) check(files.has(name), `holds no ${shown(name)}`);
  for (const name of networks) {
    check(contents.files[name] === model.files?.[name], `model.json: files.${shown(name)}: is another file's sha256`);
    check(String.fromCharCode(...files.get(name).subarray(4, 8)) === "TFL3", `${shown(name)}: is no .tflite file`);
  }
  check(files.has(MODULE), `holds no ${MODULE}: made with --no-page`);
  return { contents, signed, states: states.map(([name]) => name), module: files.get(MODULE) };
}

/** Checks the facts of the engine in a bundle against what it says. */
export function checkFacts(facts, { contents, states }) {
  const [word] = facts.words;
  const right = facts.words.length === 1 && word.name === contents.word && same(facts.states, states) &&
    same(word.thresholds, states.map((state) => contents.thresholds[state])) &&
    word.smoothing === contents.detector.smoothing_steps &&
    facts.lfbe_hash.toString(16).padStart(8, "0") === contents.frontend_hash.slice(0, 8);
  const sane = facts.rate === 16000 && facts.hop >= 16 && facts.hop <= 512 && facts.window >= facts.hop &&
    facts.window <= 512 && facts.bands >= 8 && facts.bands <= 80 && word?.stride >= 1 && word.stride <= 8 &&
    Number.isFinite(word.scale) && Number.isFinite(word.zero);
  check(right && sane, `${MODULE}: is of another word, states, thresholds or front end`);
}
