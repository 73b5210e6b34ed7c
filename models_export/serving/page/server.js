// The server, over TensorFlow Serving's REST interface.
const PATIENCE_MS = 120_000;
const HINTED = "colorize_hinted";
// 429 is what TensorFlow Serving's codes make of a body beyond the limit; a full queue is 503.
const REASONS = { 400: "not_a_photo", 429: "too_large", 503: "busy", 504: "too_slow" };

/** What went wrong: `reason` is a key of the texts, `detail` the server's own words, if any. */
export class ColorizeError extends Error {
  constructor(reason, detail = "") {
    super(detail || reason);
    this.reason = reason;
    this.detail = detail;
  }
}

/** Names of the models that colour photos. */
export async function models() {
  const answer = await asked("page/models.json");
  return (await answer.json()).models;
}

/** Whether a model has the signature for hints: exports of before had not. */
export async function takesHints(model) {
  const answer = await asked(`v1/models/${encodeURIComponent(model)}/metadata`);
  return HINTED in (await answer.json()).metadata.signature_def.signature_def;
}

/** Colours a photo, a `File`, with `hints`, rows of x, y, red, green, blue; gives a PNG, a `Blob`. */
export async function colorize(photo, model, hints = []) {
  const image = { b64: await toBase64(photo) };
  const plain = { instances: [image] };
  const hinted = { signature_name: HINTED, instances: [{ image_bytes: image, hints }] };
  const body = JSON.stringify(hints.length ? hinted : plain);
  const answer = await asked(`v1/models/${encodeURIComponent(model)}:predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
  });
  const content = await answer.json();
  return new Blob([fromBase64(content.predictions[0].b64)], { type: "image/png" });
}

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw new ColorizeError(error.name === "TimeoutError" ? "too_slow" : "unreachable");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new ColorizeError(REASONS[answer.status] ?? "failed", told.error);
}

async function toBase64(file) {
  const reader = new FileReader();
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new ColorizeError("not_a_photo", reader.error.message));
    reader.readAsDataURL(file);
  });
}

function fromBase64(encoded) {
  const characters = atob(encoded);
  const bytes = new Uint8Array(characters.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = characters.charCodeAt(place);
  return bytes;
}
