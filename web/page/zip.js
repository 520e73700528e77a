/* SPDX-License-Identifier: Apache-2.0 */
// A zip file without compression.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Fields as [bytes, value], little-endian. */
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

/** The parts of a zip file of files, [[name, Uint8Array], ...]; `fields` of each: flags, host system,
 * attributes, DOS time and day. */
export function zipParts(files, { flags, host, attributes, time, day }) {
  const parts = [], directory = [];
  let offset = 0, directorySize = 0;
  for (const [name, bytes] of files) {
    const path = new TextEncoder().encode(name);
    const common = [
      [2, 20], [2, flags], [2, 0], [2, time], [2, day],
      [4, crc32(bytes)], [4, bytes.length], [4, bytes.length], [2, path.length], [2, 0],
    ];
    const head = record([4, 0x04034b50], ...common);
    const entry = record([4, 0x02014b50], [2, (host << 8) | 20], ...common, [2, 0], [2, 0], [2, 0], [4, attributes], [4, offset]);
    parts.push(head, path, bytes);
    directory.push(entry, path);
    offset += head.length + path.length + bytes.length;
    directorySize += entry.length + path.length;
  }
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length],
    [4, directorySize], [4, offset], [2, 0]);
  return [...parts, ...directory, end];
}

/** A Blob of files: [[name, Uint8Array], ...]. */
export function zipOf(files, when = new Date()) {
  const time = (when.getHours() << 11) | (when.getMinutes() << 5) | (when.getSeconds() >> 1);
  const day = ((when.getFullYear() - 1980) << 9) | ((when.getMonth() + 1) << 5) | when.getDate();
  const parts = zipParts(files, { flags: 0x0800, host: 0, attributes: 0, time, day });
  return new Blob(parts, { type: "application/zip" });
}
