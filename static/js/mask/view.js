// What is seen: the image, the mask as a tint over it, and where the brush is; zoomed and moved.
const MOST = 32;
const LEAST_SHARE = 0.5; // of the scale at which everything is in view
// The tint's stripes by the mask's value: one of the two colours is seen on any image.
const STRIPES = [inks(255, 106, 69, 175), inks(19, 17, 16, 130)];

export class View {
  constructor(canvas, image, paper) {
    this.canvas = canvas;
    this.image = image;
    this.paper = paper;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.brush = null;
    this.isFitted = true;
    this.context = canvas.getContext("2d");
    this.layer = Object.assign(document.createElement("canvas"), { width: paper.width, height: paper.height });
    this.stripe = Math.max(2, Math.round(Math.max(paper.width, paper.height) / 72));
    this.tint(paper.whole);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
  }

  leave() { this.observer.disconnect(); }

  resize() {
    this.canvas.width = Math.round(this.canvas.clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(this.canvas.clientHeight * devicePixelRatio);
    if (this.isFitted) this.fit();
    else this.draw();
  }

  get fitScale() {
    const room = 0.94;
    return room * Math.min(this.canvas.clientWidth / this.paper.width, this.canvas.clientHeight / this.paper.height);
  }

  fit() {
    this.scale = this.fitScale;
    this.x = (this.canvas.clientWidth - this.paper.width * this.scale) / 2;
    this.y = (this.canvas.clientHeight - this.paper.height * this.scale) / 2;
    this.isFitted = true;
    this.draw();
  }

  // What is under the point (in the canvas, CSS pixels) stays under it.
  zoom(times, at = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 }) {
    const scale = Math.min(MOST, Math.max(LEAST_SHARE * this.fitScale, this.scale * times));
    const share = scale / this.scale;
    this.x = at.x - (at.x - this.x) * share;
    this.y = at.y - (at.y - this.y) * share;
    this.scale = scale;
    this.isFitted = false;
    this.hold();
  }

  pan(across, down) {
    this.x += across;
    this.y += down;
    this.isFitted = false;
    this.hold();
  }

  // A corner of the image stays in view, whatever is dragged.
  hold() {
    const margin = 48;
    this.x = Math.min(this.canvas.clientWidth - margin, Math.max(margin - this.paper.width * this.scale, this.x));
    this.y = Math.min(this.canvas.clientHeight - margin, Math.max(margin - this.paper.height * this.scale, this.y));
    this.draw();
  }

  // Moves only as far as it takes to see that point of the image.
  bringIntoView({ x, y }) {
    const margin = 32;
    const [left, top] = [this.x + x * this.scale, this.y + y * this.scale];
    const across = Math.min(0, this.canvas.clientWidth - margin - left) + Math.max(0, margin - left);
    const down = Math.min(0, this.canvas.clientHeight - margin - top) + Math.max(0, margin - top);
    if (across || down) this.pan(across, down);
  }

  inCanvas({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  inImage(event) {
    const { x, y } = this.inCanvas(event);
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  // {x, y, radius, isCell}: where the brush is, in pixels of the image; null hides it.
  showBrush(brush) {
    this.brush = brush;
    this.draw();
  }

  tint({ x, y, width, height }) {
    const tinted = new ImageData(width, height);
    const pixels = new Uint32Array(tinted.data.buffer);
    const { values, width: across } = this.paper;
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const value = values[(y + row) * across + x + column];
        pixels[row * width + column] = STRIPES[Math.floor((x + column + y + row) / this.stripe) % 2][value];
      }
    }
    this.layer.getContext("2d").putImageData(tinted, x, y);
  }

  // Once a frame, however often it is asked for.
  draw() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.paint(); });
  }

  paint() {
    const { context, canvas, scale, x, y } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(scale * devicePixelRatio, 0, 0, scale * devicePixelRatio, x * devicePixelRatio, y * devicePixelRatio);
    context.imageSmoothingEnabled = scale < 4;
    context.drawImage(this.image, 0, 0, this.paper.width, this.paper.height);
    context.drawImage(this.layer, 0, 0);
    if (this.brush) this.paintBrush(this.brush);
  }

  // A dark line within a light one is seen on any image.
  paintBrush({ x, y, radius, isCell }) {
    const lines = [{ colour: "rgb(0 0 0 / .75)", thick: 3.5 }, { colour: "#fff", thick: 1.5 }];
    for (const { colour, thick } of lines) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = thick / this.scale;
      this.context.beginPath();
      this.context.arc(x, y, radius, 0, 2 * Math.PI);
      if (isCell) this.context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      this.context.stroke();
    }
  }
}

// A pixel's four bytes as one number, for each value of the mask.
function inks(red, green, blue, alpha) {
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let value = 0; value < 256; value += 1) bytes.set([red, green, blue, value * alpha / 255], 4 * value);
  return new Uint32Array(bytes.buffer);
}
