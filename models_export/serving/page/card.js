// One photo on the page: its state, the slider between before and after, its download.
import { Hints } from "./hints.js";
import { withTextsOf } from "./png.js";
import { saturated } from "./saturation.js";
import { ColorizeError } from "./server.js";
import { number, text, translate } from "./texts.js";

let cards = 0;

export class Card {
  /** Puts a card for `file`, a `File`, on the page; `onRemove` is called when it goes, `onWait` when
   * it is to be coloured anew. */
  constructor(file, onRemove, onWait) {
    this.file = file;
    this.state = "waiting";
    this.onRemove = onRemove;
    const template = document.getElementById("card");
    this.element = template.content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.element.querySelector(selector);
    this.slider = this.find("img-comparison-slider");
    this.hints = new Hints(this.find(".hints"), file.name, () => {
      this.state = "waiting";
      onWait();
    });
    this.prepare();
    this.show();
  }

  prepare() {
    cards += 1;
    const [colour, gray] = this.element.querySelectorAll("filter");
    colour.id = `saturation-${cards}`;
    gray.id = `gray-${cards}`;
    this.find("[slot=first]").style.filter = `url(#${gray.id})`;
    this.find("[slot=second]").style.filter = `url(#${colour.id})`;
    this.find("h2").textContent = this.file.name;
    this.slider.addEventListener("slide", () => this.showSlider());
    this.find(".saturation").addEventListener("input", () => this.showSaturation());
    this.find(".download").addEventListener("click", () => this.download());
    this.find(".remove").addEventListener("click", () => this.remove());
  }

  /** Says that the photo is being worked on. */
  begin() {
    this.state = "working";
    this.error = null;
    this.started = performance.now();
    this.show();
  }

  /** Shows the coloured photo, a `Blob`; `hintable`: whether its model takes hints. */
  finish(picture, hintable) {
    this.state = "done";
    this.seconds = (performance.now() - this.started) / 1000;
    this.picture = picture;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(picture);
    for (const image of this.slider.querySelectorAll("img")) image.src = this.address;
    this.hints.showPicture(this.address);
    this.find(".hints").hidden = !hintable;
    this.show();
  }

  /** Says what went wrong. */
  fail(error) {
    this.state = "failed";
    this.error = error instanceof ColorizeError ? error : new ColorizeError("failed", error.message);
    this.show();
  }

  /** Writes all that the card says, in the language of the page. */
  show() {
    translate(this.element);
    const name = this.file.name;
    this.find(".remove").setAttribute("aria-label", `${text("remove")}: ${name}`);
    this.find(".download").setAttribute("aria-label", `${text("download")}: ${name}`);
    this.find(".state").textContent = this.stateText();
    this.find(".error").textContent = this.error ? explained(this.error) : "";
    this.find(".error").hidden = !this.error;
    this.find(".result").hidden = !this.picture;
    this.find(".again").disabled = this.state === "waiting" || this.state === "working";
    this.find("[slot=first]").alt = text("picture_before", { name });
    this.find("[slot=second]").alt = text("picture_after", { name });
    this.showSlider();
    this.showSaturation();
    this.hints.show();
  }

  showSlider() {
    const percent = Math.round(this.slider.value ?? 50);
    this.slider.setAttribute("aria-label", text("compare", { name: this.file.name }));
    this.slider.setAttribute("aria-valuenow", percent);
    this.slider.setAttribute("aria-valuetext", text("compared", { percent }));
  }

  showSaturation() {
    this.find("feColorMatrix").setAttribute("values", this.saturation);
    this.find("output").textContent = `${number(100 * this.saturation, 0)}%`;
  }

  stateText() {
    if (this.state === "failed") return "";
    const seconds = this.state === "done" ? number(this.seconds, 1) : "";
    return text(this.state, { seconds });
  }

  get saturation() {
    return Number(this.find(".saturation").value);
  }

  /** Saves what is seen: the server's own file where the colours have been left alone. */
  async download() {
    const link = document.createElement("a");
    try {
      const untouched = this.saturation === 1;
      // Either way the file says that its colours are invented.
      const picture = untouched
        ? this.picture
        : await withTextsOf(this.picture, await saturated(this.picture, this.saturation));
      link.href = URL.createObjectURL(picture);
    } catch (error) {
      this.error = new ColorizeError("not_saved", error.message);
      this.show();
      return;
    }
    link.download = `${this.file.name.replace(/\.[^.]+$/, "")}_colorized.png`;
    link.click();
    // Not at once: the browser reads it after this function has returned.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  remove() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.element.remove();
    this.onRemove(this);
  }
}

function explained(error) {
  const detail = error.detail ? ` ${text("server_says", { detail: error.detail })}` : "";
  return text(error.reason) + detail;
}
