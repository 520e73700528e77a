/* SPDX-License-Identifier: Apache-2.0 */
// What the page runs: the words that it was built of, or a bundle that was opened in it.

const CACHE = "wakestate-bundle", KEPT = "bundle", SIGNER = "key"; // where a bundle waits until the page is there again, and whose key signed it
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

function checkPlace() {
  if (!globalThis.caches || !crypto.subtle) throw new Error("bundles need this page at https:// or at localhost");
}

/** The key that bundles must be signed by, { key, name }, or null. */
export async function keptKey() {
  const kept = globalThis.caches && (await (await caches.open(CACHE)).match(SIGNER));
  return kept ? (await import("./bundle.js")).keyOf(await kept.arrayBuffer()) : null;
}

/** From now on bundles must be signed by this public key (PEM): its name. An Error says what is wrong. */
export async function openKey(bytes) {
  checkPlace();
  const { name } = await (await import("./bundle.js")).keyOf(bytes);
  await (await caches.open(CACHE)).put(SIGNER, new Response(bytes));
  return name;
}

export async function forgetKey() {
  await (await caches.open(CACHE)).delete(SIGNER);
}

/** The bundle of these bytes, checked, with its engine. An Error says what is wrong. */
async function engineOf(bytes) {
  const { bundleOf, checkFacts } = await import("./bundle.js");
  const bundle = await bundleOf(bytes, await keptKey());
  const engine = await started(bundle.module.slice().buffer);
  try {
    checkFacts(engine.facts, bundle);
  } catch (error) {
    engine.worker.terminate();
    throw error;
  }
  return { ...engine, contents: bundle.contents, signed: bundle.signed };
}

async function own() {
  return started(await (await fetch("engine.wasm")).arrayBuffer());
}

async function opened() {
  const [cache, about] = await Promise.all([caches.open(CACHE), fetch("about.json").then((got) => got.json())]);
  const kept = await cache.match(KEPT);
  if (!kept) throw new Error("no bundle is open");
  const { worker, facts, contents, signed } = await engineOf(new Uint8Array(await kept.arrayBuffer()));
  const { word: name, phrase, license } = contents;
  const words = [{ name, phrase, label: phrase, sample: null }];
  return { worker, facts, about: { ...about, words, costs: [], bundle: { name, license, signed } } };
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
  checkPlace();
  const { worker } = await engineOf(new Uint8Array(bytes));
  worker.terminate();
  await (await caches.open(CACHE)).put(KEPT, new Response(bytes));
  location.assign("?bundle");
}
