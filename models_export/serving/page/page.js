// The page: takes photos, sends a few of them at once, shows a card for each.
import { Card } from "./card.js";
import { colorize, models, takesHints } from "./server.js";
import { preferredLanguage, setLanguage, text, translate } from "./texts.js";

const AT_ONCE = 2;
const byId = (id) => document.getElementById(id);
const cards = [];

function take(files) {
  for (const file of files) {
    const card = new Card(file, remove, work);
    cards.push(card);
    byId("cards").append(card.element);
  }
  work();
}

function work() {
  showOverall();
  const waiting = cards.filter((card) => card.state === "waiting");
  const free = AT_ONCE - cards.filter((card) => card.state === "working").length;
  for (const card of waiting.slice(0, Math.max(0, free))) workOn(card);
}

async function workOn(card) {
  card.begin();
  try {
    const model = byId("model").value;
    const picture = await colorize(card.file, model, card.hints.rows);
    card.finish(picture, await takesHints(model));
  } catch (error) {
    card.fail(error);
  }
  work();
}

function remove(card) {
  cards.splice(cards.indexOf(card), 1);
  byId("files").focus();
  work();
}

function showOverall() {
  const counted = (state) => cards.filter((card) => card.state === state).length;
  const [done, failed] = [counted("done"), counted("failed")];
  byId("overall").hidden = cards.length === 0;
  byId("overall-text").textContent = text("overall", { done, failed, all: cards.length });
  byId("overall-bar").max = Math.max(1, cards.length);
  byId("overall-bar").value = done + failed;
}

function speak(language, remember) {
  setLanguage(language, remember);
  translate(document);
  document.title = text("title");
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", button.dataset.language === language);
  }
  byId("no-model").textContent = byId("no-model").hidden ? "" : text("no_model");
  for (const card of cards) card.show();
  showOverall();
}

async function findModels() {
  const names = await models().catch(() => []);
  byId("model").replaceChildren(...names.map((name) => new Option(name)));
  byId("models").hidden = names.length < 2;
  byId("no-model").hidden = names.length > 0;
  byId("no-model").textContent = names.length ? "" : text("no_model");
  byId("files").disabled = names.length === 0;
  if (names.length === 0) setTimeout(findModels, 3000);
}

function listen() {
  byId("files").addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = "";
  });
  // Anywhere on the page: a photo dropped beside the box would replace the page.
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop" && !byId("files").disabled) take(event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => {
    if (!byId("files").disabled) take(event.clipboardData.files);
  });
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => speak(button.dataset.language, true));
  }
}

speak(preferredLanguage(), false);
listen();
findModels();
