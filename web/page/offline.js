/* SPDX-License-Identifier: Apache-2.0 */
// Keeps a copy of the page, for when there is no network. What the network has comes first.

const CACHE = "wakestate";

addEventListener("install", (event) => event.waitUntil(keep()));
addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

async function keep() {
  const { files } = await (await fetch("about.json")).json();
  const cache = await caches.open(CACHE);
  await cache.addAll(["./", ...files]);
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  try {
    const got = await fetch(request);
    if (kept && got.ok && !new URL(request.url).search) await cache.put(request, got.clone());
    return got;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}
