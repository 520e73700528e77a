/* SPDX-License-Identifier: Apache-2.0 */
// The page's verdict on bundles: from stdin each with its length before it, uint32; a line of JSON for each.
import { bundleOf } from "../../web/page/bundle.js";

let rest = Buffer.alloc(0);
for await (const piece of process.stdin) {
  rest = Buffer.concat([rest, piece]);
  while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
    const end = 4 + rest.readUInt32LE(0);
    const verdict = await bundleOf(new Uint8Array(rest.subarray(4, end))).then(() => "", (error) => `${error.name}: ${error.message}`);
    process.stdout.write(`${JSON.stringify(verdict)}\n`);
    rest = rest.subarray(end);
  }
}
