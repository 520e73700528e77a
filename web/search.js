// SPDX-License-Identifier: Apache-2.0
// The search box of the docs. `searchIndex` (search-index.js, written with the pages) is a list of
// [page title, heading, link from the site's root, text]; it is loaded when the box is first used.
"use strict";

const box = document.getElementById("search");
const list = document.getElementById("found");
const root = document.currentScript.dataset.root;
const SHOWN = 12;
const AROUND = 60; // characters of text on each side of what was found

function load() {
  const script = document.createElement("script");
  script.src = root + "search-index.js";
  script.onload = show;
  document.head.append(script);
}

// Where a term is explained, as in the glossary: "Threshold: the lowest score that wakes".
function explained(text, term) {
  const found = new RegExp(`(^|[.;] )${term.replace(/[^\w]/g, "\\$&")}: `, "i").exec(text);
  return found ? found.index + found[1].length : -1;
}

// Every term must be there; one in a heading, or explained, counts more than in the text.
function score([title, heading, , text], terms) {
  let sum = 0;
  for (const term of terms) {
    const inTitle = `${title} ${heading}`.toLowerCase().includes(term);
    const times = text.toLowerCase().split(term).length - 1;
    if (!inTitle && !times) return 0;
    sum += (inTitle ? 20 : 0) + (explained(text, term) >= 0 ? 18 : 0) + Math.min(times, 5);
  }
  return sum;
}

function excerpt(text, term) {
  const there = explained(text, term), at = there >= 0 ? there : text.toLowerCase().indexOf(term);
  const first = at < 0 || there >= 0 ? Math.max(0, at) : Math.max(0, at - AROUND), last = first + 2 * AROUND;
  const from = first ? first + text.slice(first - 1).search(/\s/) : 0; // whole words
  const to = last < text.length ? text.lastIndexOf(" ", last) : text.length;
  return (from ? "… " : "") + text.slice(from, Math.max(to, from)) + (to < text.length ? " …" : "");
}

function show() {
  const terms = box.value.toLowerCase().split(/\s+/).filter((term) => term.length > 1);
  list.replaceChildren();
  list.hidden = terms.length === 0;
  if (list.hidden || typeof searchIndex === "undefined") return;
  const found = searchIndex.map((entry) => [score(entry, terms), entry]).filter(([sum]) => sum);
  found.sort((a, b) => b[0] - a[0]);
  for (const [, [title, heading, href, text]] of found.slice(0, SHOWN)) {
    const link = document.createElement("a");
    link.href = root + href;
    const name = document.createElement("strong");
    name.textContent = heading && heading !== title ? `${title}: ${heading}` : title;
    const line = document.createElement("span");
    line.textContent = excerpt(text, terms[0]);
    link.append(name, line);
    const item = document.createElement("li");
    item.append(link);
    list.append(item);
  }
  if (!found.length) list.append(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
}

box.addEventListener("focus", load, { once: true });
box.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement === document.body) {
    event.preventDefault();
    box.focus();
  }
  if (event.key === "Escape") {
    box.value = "";
    show();
  }
});
