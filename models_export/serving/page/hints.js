// Colour hints of a photo: points on its picture, each with a colour.
import { number, text, translate } from "./texts.js";

const STEP = 0.02;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Hints {
  /** Works on the card's part for hints; `onColour` is called to have the photo coloured anew. */
  constructor(element, name, onColour) {
    this.element = element;
    this.name = name;
    this.points = [];
    this.find = (selector) => element.querySelector(selector);
    this.board = this.find(".board");
    // Where the keyboard puts the next point.
    this.cursor = [0.5, 0.5];
    this.board.addEventListener("click", (event) => this.clicked(event));
    this.board.addEventListener("keydown", (event) => this.pressed(event));
    this.find(".again").addEventListener("click", onColour);
  }

  /** The points as the server takes them: x, y as shares of the sides, and red, green, blue. */
  get rows() {
    const channels = (colour) => [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
    return this.points.map(({ x, y, colour }) => [x, y, ...channels(colour)]);
  }

  /** Shows the picture, at `address`, that points are put on. */
  showPicture(address) {
    this.find("img").src = address;
  }

  /** Writes all that is said, in the language of the page. */
  show() {
    translate(this.element);
    this.find("img").alt = text("picture_after", { name: this.name });
    this.board.setAttribute("aria-label", text("board", { name: this.name }));
    place(this.find(".cursor"), ...this.cursor);
    for (const marker of this.board.querySelectorAll(".marker")) marker.remove();
    this.find("ol").replaceChildren(...this.points.map((point, index) => this.item(point, index)));
  }

  clicked(event) {
    const box = this.board.getBoundingClientRect();
    const share = (place, start, side) => Math.min(1, Math.max(0, (place - start) / side));
    this.add(share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height));
  }

  pressed(event) {
    if (event.key === "Enter" || event.key === " ") this.add(...this.cursor);
    else if (event.key in ARROWS) this.moveCursor(ARROWS[event.key]);
    else return;
    event.preventDefault();
  }

  moveCursor(steps) {
    this.cursor = this.cursor.map((at, axis) => Math.min(1, Math.max(0, at + STEP * steps[axis])));
    place(this.find(".cursor"), ...this.cursor);
  }

  add(x, y) {
    this.points.push({ x, y, colour: this.find(".next").value });
    this.show();
    this.say("point_added", this.points.length);
  }

  item(point, index) {
    const marker = document.createElement("span");
    marker.className = "marker";
    marker.textContent = index + 1;
    marker.style.backgroundColor = point.colour;
    place(marker, point.x, point.y);
    this.board.append(marker);

    const item = document.createElement("li");
    const colour = document.createElement("input");
    colour.type = "color";
    colour.value = point.colour;
    colour.setAttribute("aria-label", text("point_colour", { number: index + 1 }));
    colour.addEventListener("input", () => {
      point.colour = colour.value;
      marker.style.backgroundColor = colour.value;
    });
    const where = [point.x, point.y].map((share) => `${number(100 * share, 0)}%`).join(" × ");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = text("remove");
    remove.setAttribute("aria-label", text("point_remove", { number: index + 1 }));
    remove.addEventListener("click", () => {
      this.points.splice(index, 1);
      this.show();
      this.board.focus();
      this.say("point_removed", index + 1);
    });
    item.append(colour, ` ${where} `, remove);
    return item;
  }

  say(key, number) {
    this.find(".said").textContent = text(key, { number });
  }
}

function place(element, x, y) {
  element.style.left = `${100 * x}%`;
  element.style.top = `${100 * y}%`;
}
