// The keyboard: letters for the tools; on the image arrows move a cell, Space or Enter paints.
import { letterOf } from "darkroom/letters";
import { say } from "darkroom/strings";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_PX = 48;
const ZOOM = 1.25;

export class Keys {
  constructor({ dialog, paper, view, tools, strokes, announce, acts }, signal) {
    this.paper = paper;
    this.view = view;
    this.tools = tools;
    this.strokes = strokes;
    this.announce = announce;
    this.buttons = acts;
    this.cell = null;
    this.holdsSpace = false;
    dialog.addEventListener("keydown", (event) => this.down(event), { signal });
    dialog.addEventListener("keyup", (event) => this.up(event), { signal });
    view.canvas.addEventListener("blur", () => { this.strokes.end(); this.holdsSpace = false; }, { signal });
  }

  get hasCell() { return this.cell !== null; }

  forgetCell() { this.cell = null; }

  down(event) {
    const act = this.acts(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  acts(event) {
    if (event.altKey) return null;
    if (event.ctrlKey || event.metaKey) return this.steps(event);
    const onImage = event.target === this.view.canvas;
    return (onImage && this.onImage(event)) || this.letters()[letterOf(event)];
  }

  steps(event) {
    const letter = letterOf(event);
    if (letter === "z") return event.shiftKey ? this.buttons.redo : this.buttons.undo;
    return letter === "y" ? this.buttons.redo : null;
  }

  letters() {
    const { tools, view } = this;
    return {
      "[": () => this.grow(-1), "]": () => this.grow(1),
      b: () => tools.choose(false), e: () => tools.choose(true), i: this.buttons.invert,
      "+": () => view.zoom(ZOOM), "=": () => view.zoom(ZOOM), "-": () => view.zoom(1 / ZOOM), 0: () => view.fit(),
    };
  }

  grow(sign) {
    this.tools.grow(sign);
    if (this.view.brush) this.view.showBrush({ ...this.view.brush, radius: this.tools.radius() });
  }

  onImage(event) {
    const direction = ARROWS[event.key];
    if (direction) return () => (event.shiftKey ? this.pan(direction) : this.moveCell(direction));
    if (event.key === " " && !this.hasCell) return () => { this.holdsSpace = true; };
    if (event.key === " " || event.key === "Enter") return () => { if (!event.repeat) this.paintCell(); };
    return null;
  }

  pan([across, down]) { this.view.pan(-across * PAN_PX, -down * PAN_PX); }

  // Half a brush at a time, so that cells overlap; the first arrow shows the cell in the middle.
  moveCell([across, down]) {
    const { width, height } = this.paper;
    const step = Math.max(1, Math.round(this.tools.size / 2));
    const at = this.cell ?? { x: width / 2 - across * step, y: height / 2 - down * step };
    const within = (place, most) => Math.min(most - 0.5, Math.max(0.5, place));
    this.cell = { x: within(at.x + across * step, width), y: within(at.y + down * step, height) };
    if (this.strokes.isDrawing) this.strokes.move(this.cell);
    this.showCell();
  }

  paintCell() {
    this.cell ??= { x: this.paper.width / 2, y: this.paper.height / 2 };
    if (!this.strokes.isDrawing) this.strokes.begin(this.cell);
    this.showCell();
  }

  showCell() {
    this.view.showBrush({ ...this.cell, radius: Math.max(0.5, this.tools.radius()), isCell: true });
    this.view.bringIntoView(this.cell);
    const { width, height, values } = this.paper;
    const isOn = values[Math.floor(this.cell.y) * width + Math.floor(this.cell.x)] > 127;
    const [x, y] = [Math.round(100 * this.cell.x / width), Math.round(100 * this.cell.y / height)];
    this.announce(say(isOn ? "mask_cell_on" : "mask_cell_off", { x, y }));
  }

  up(event) {
    if (event.key === " ") this.holdsSpace = false;
    if ((event.key === " " || event.key === "Enter") && this.hasCell) this.strokes.end();
  }
}
