// What a PNG file says of itself, taken over into another.
const SIGNATURE = 8;
// Length, name and checksum of a chunk; IHDR, the first, has 13 bytes between.
const AROUND = 12;
const HEADER = SIGNATURE + AROUND + 13;

/** Puts the text chunks that stand before the pixels of `source`, a PNG `Blob`, into `target`. */
export async function withTextsOf(source, target) {
  const view = new DataView(await source.arrayBuffer());
  const texts = [];
  for (let place = HEADER; place + AROUND <= view.byteLength; ) {
    const size = AROUND + view.getUint32(place);
    const name = String.fromCharCode(...new Uint8Array(view.buffer, place + 4, 4));
    if (name === "IDAT") break;
    if (name === "tEXt" || name === "iTXt") texts.push(source.slice(place, place + size));
    place += size;
  }
  return new Blob([target.slice(0, HEADER), ...texts, target.slice(HEADER)], { type: target.type });
}
