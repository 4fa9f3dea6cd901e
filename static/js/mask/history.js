// What was done can be undone: each change keeps the bytes of the box that it touched, as they were.
const MOST_BYTES = 64 * 1024 * 1024;

export class History {
  constructor(paper) {
    this.paper = paper;
    this.done = [];
    this.undone = [];
    this.before = null;
    this.box = null;
  }

  begin() {
    this.before = this.paper.values.slice();
    this.box = null;
  }

  touch(box) {
    this.box = box && this.box ? union(this.box, box) : box ?? this.box;
  }

  end() {
    if (this.box) {
      this.done.push({ box: this.box, bytes: this.crop(this.before, this.box) });
      this.undone = [];
      this.forget();
    }
    this.before = null;
  }

  // As if what was begun had never been: a second finger came down.
  cancel() {
    this.paper.values.set(this.before);
    this.before = null;
    return this.box;
  }

  undo() { return this.swap(this.done, this.undone); }

  redo() { return this.swap(this.undone, this.done); }

  // The box that changed, or null where there is nothing to do.
  swap(from, onto) {
    const change = from.pop();
    if (!change) return null;
    onto.push({ box: change.box, bytes: this.crop(this.paper.values, change.box) });
    const { x, y, width, height } = change.box;
    for (let row = 0; row < height; row += 1) {
      this.paper.values.set(change.bytes.subarray(row * width, (row + 1) * width), (y + row) * this.paper.width + x);
    }
    return change.box;
  }

  crop(values, { x, y, width, height }) {
    const bytes = new Uint8Array(width * height);
    for (let row = 0; row < height; row += 1) {
      const start = (y + row) * this.paper.width + x;
      bytes.set(values.subarray(start, start + width), row * width);
    }
    return bytes;
  }

  forget() {
    const size = () => this.done.reduce((sum, change) => sum + change.bytes.length, 0);
    while (this.done.length > 1 && size() > MOST_BYTES) this.done.shift();
  }
}

function union(one, other) {
  const x = Math.min(one.x, other.x);
  const y = Math.min(one.y, other.y);
  const right = Math.max(one.x + one.width, other.x + other.width);
  const bottom = Math.max(one.y + one.height, other.y + other.height);
  return { x, y, width: right - x, height: bottom - y };
}
