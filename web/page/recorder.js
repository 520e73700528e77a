/* SPDX-License-Identifier: Apache-2.0 */
// Labeled clips as a data folder that `wakestate train --data` reads: docs/training.md.
import { wavOf } from "./wav.js";
import { zipOf } from "./zip.js";

const COLUMNS = ["path", "split", "kind", "label", "speaker", "seconds", "text", "source", "licence"];
const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const plain = (text) => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_").replaceAll(/^_+|_+$/g, "") || "x";

const saying = (phrase, label) => ({ title: `“${phrase}”`, kind: label, label, text: phrase });

/** Of a phrase that the page has no word of. */
export const ownKind = (phrase) => saying(phrase, phrase.toLowerCase());

/** What a clip may be: each word, a phrase that is typed in, other speech, noise. */
export function kinds(words) {
  return [...words.map(({ phrase, label }) => saying(phrase, label)),
    { title: "A phrase of your own", own: true },
    { title: "Other speech", kind: "speech", label: "speech", text: "" },
    { title: "Noise", kind: "noise", label: "noise", text: "" }];
}

/** Rows of manifest.csv and the files: [[name, Uint8Array], ...]. */
export function dataFolder(clips, rate) {
  const rows = [COLUMNS], files = [];
  clips.forEach(({ pcm, kind, speaker, split }, i) => {
    const number = String(i + 1).padStart(4, "0");
    const path = `${split}/${plain(kind.kind)}/${plain(speaker)}_${number}.wav`;
    const seconds = (pcm.length / rate).toFixed(3);
    rows.push([path, split, kind.kind, kind.label, speaker, seconds, kind.text, "recorded in the browser", "own recording"]);
    files.push([path, wavOf(pcm, rate)]);
  });
  const manifest = `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
  return [["manifest.csv", new TextEncoder().encode(manifest)], ...files];
}

export const zipped = (clips, rate) => zipOf(dataFolder(clips, rate));
