// The brush as the controls have it: paints or erases, its size in pixels of the image, its edge.
import { say } from "darkroom/strings";

const SIZES = { least: 1, most: 512 };
const PEN_RANGE = 0.6; // a light touch is a fifth thinner, a firm one thicker

export class Tools {
  constructor(dialog, { width, height }) {
    const control = (name) => dialog.querySelector(`[data-mask-${name}]`);
    this.sizes = control("size");
    this.edges = control("softness");
    this.eraser = control("eraser");
    this.brush = control("brush");
    this.outputs = { size: control("size-text"), softness: control("softness-text") };
    this.resize(Math.max(8, Math.round(Math.max(width, height) / 10)));
    this.brush.checked = true;
    this.show();
  }

  get size() { return this.sizes.valueAsNumber; }

  get softness() { return this.edges.valueAsNumber / 100; }

  get erases() { return this.eraser.checked; }

  // A mouse says 0.5, and so does a finger without a sense of pressure.
  radius(pressure = 0.5) { return this.size / 2 * (1 + PEN_RANGE * (pressure - 0.5)); }

  resize(size) {
    this.sizes.value = Math.min(SIZES.most, Math.max(SIZES.least, size));
    this.show();
  }

  // By about a tenth, and by one pixel at least.
  grow(sign) { this.resize(this.size + sign * Math.max(1, Math.round(this.size / 8))); }

  choose(erases) { (erases ? this.eraser : this.brush).checked = true; }

  show() {
    this.outputs.size.textContent = say("mask_pixels", { size: this.size });
    this.outputs.softness.textContent = say("mask_percent", { share: this.edges.value });
    for (const slider of [this.sizes, this.edges]) {
      slider.style.setProperty("--at", `${100 * (slider.value - slider.min) / (slider.max - slider.min)}%`);
    }
  }
}
