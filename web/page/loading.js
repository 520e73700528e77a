/* SPDX-License-Identifier: Apache-2.0 */
// What the page runs: the words that it was built of, or a bundle that was opened in it.

const CACHE = "wakestate-bundle", KEY = "bundle"; // where a bundle waits until the page is there again
const START_MS = 5000;

/** A worker with the engine of a .wasm, and its facts. An Error where it does not start. */
function started(module) {
  const worker = new Worker("worker.js", { type: "module" });
  return new Promise((done, fail) => {
    const refuse = (why) => { worker.terminate(); fail(new Error(`its engine does not start: ${why}`)); };
    const late = setTimeout(() => refuse("it takes too long"), START_MS);
    worker.onerror = (event) => { event.preventDefault(); clearTimeout(late); refuse(event.message); };
    worker.onmessage = ({ data }) => { clearTimeout(late); worker.onerror = null; done({ worker, facts: data.facts }); };
    worker.postMessage({ type: "load", bytes: module }, [module]);
  });
}

/** The bundle of these bytes, checked, with its engine. An Error says what is wrong. */
async function engineOf(bytes) {
  const { bundleOf, checkFacts } = await import("./bundle.js");
  const bundle = await bundleOf(bytes);
  const engine = await started(bundle.module.slice().buffer);
  try {
    checkFacts(engine.facts, bundle);
  } catch (error) {
    engine.worker.terminate();
    throw error;
  }
  return { ...engine, contents: bundle.contents };
}

async function own() {
  return started(await (await fetch("engine.wasm")).arrayBuffer());
}

async function opened() {
  const [cache, about] = await Promise.all([caches.open(CACHE), fetch("about.json").then((got) => got.json())]);
  const kept = await cache.match(KEY);
  if (!kept) throw new Error("no bundle is open");
  const { worker, facts, contents } = await engineOf(new Uint8Array(await kept.arrayBuffer()));
  const { word: name, phrase, license } = contents;
  const words = [{ name, phrase, label: phrase, sample: null }];
  return { worker, facts, about: { ...about, words, costs: [], bundle: { name, license } } };
}

/** { worker, facts, about, problem }: of the page's address. */
export async function loaded() {
  let problem = "";
  if (location.search === "?bundle") {
    try {
      return await opened();
    } catch (error) {
      problem = `The bundle was not opened: ${error.message}`;
    }
  }
  const [engine, about] = await Promise.all([own(), fetch("about.json").then((got) => got.json())]);
  return { ...engine, about, problem };
}

/** Checks a bundle as a whole and loads the page with it. An Error says what is wrong; then nothing changes. */
export async function openBundle(bytes) {
  if (!globalThis.caches || !crypto.subtle) throw new Error("bundles need this page at https:// or at localhost");
  const { worker } = await engineOf(new Uint8Array(bytes));
  worker.terminate();
  await (await caches.open(CACHE)).put(KEY, new Response(bytes));
  location.assign("?bundle");
}
