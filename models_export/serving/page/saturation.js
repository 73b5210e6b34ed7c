// Stronger and weaker colours, as the page's SVG filter shows them: in linear light, where a
// colour moves away from the gray of its own luminance, so that L of Lab stays as it is.
// Luminance and gamma of sRGB: IEC 61966-2-1, the weights rounded as in the SVG filter.
const [RED, GREEN, BLUE] = [0.213, 0.715, 0.072];
const STEPS = 4095;
const TO_LINEAR = Float32Array.from({ length: 256 }, (_, value) => toLinear(value / 255));
const FROM_LINEAR = Uint8ClampedArray.from(
  { length: STEPS + 1 },
  (_, step) => 255 * fromLinear(step / STEPS),
);

/** Multiplies the saturation of a picture, a `Blob`; gives a PNG of the same size. */
export async function saturated(picture, factor) {
  const bitmap = await createImageBitmap(picture);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  multiply(image.data, factor);
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function multiply(pixels, factor) {
  const moved = (linear, gray) => {
    const value = gray + factor * (linear - gray);
    return FROM_LINEAR[Math.round(STEPS * Math.min(1, Math.max(0, value)))];
  };
  // No arrays within: phones' photos have twelve million pixels.
  for (let place = 0; place < pixels.length; place += 4) {
    const red = TO_LINEAR[pixels[place]];
    const green = TO_LINEAR[pixels[place + 1]];
    const blue = TO_LINEAR[pixels[place + 2]];
    const gray = RED * red + GREEN * green + BLUE * blue;
    pixels[place] = moved(red, gray);
    pixels[place + 1] = moved(green, gray);
    pixels[place + 2] = moved(blue, gray);
  }
}

function toLinear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value) {
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}
