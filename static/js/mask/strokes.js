// What is done to the mask, step by step, each of which can be undone.
export class Strokes {
  constructor({ paper, history, view, tools, changed }) {
    this.paper = paper;
    this.history = history;
    this.view = view;
    this.tools = tools;
    this.changed = changed;
    this.last = null;
    this.erases = false;
  }

  get isDrawing() { return this.last !== null; }

  // Points are {x, y, pressure} in pixels of the image.
  begin(point, erases = this.tools.erases) {
    this.erases = erases;
    this.history.begin();
    this.last = this.round(point);
    this.ink(this.last, this.last);
  }

  move(point) {
    const next = this.round(point);
    this.ink(this.last, next);
    this.last = next;
  }

  end() {
    if (!this.last) return;
    this.last = null;
    this.history.end();
    this.changed();
  }

  cancel() {
    if (!this.last) return;
    this.last = null;
    this.show(this.history.cancel());
  }

  undo() { return this.turn(this.history.undo()); }

  redo() { return this.turn(this.history.redo()); }

  invert() { this.whole(() => this.paper.invert()); }

  clear() { this.whole(() => this.paper.clear()); }

  round({ x, y, pressure }) {
    return { x, y, radius: Math.max(0.5, this.tools.radius(pressure)) };
  }

  ink(from, to) {
    const box = this.paper.line(from, to, { softness: this.tools.softness, erases: this.erases });
    this.history.touch(box);
    this.show(box);
  }

  whole(work) {
    this.end();
    this.history.begin();
    this.history.touch(work());
    this.history.end();
    this.turn(this.paper.whole);
  }

  turn(box) {
    if (!box) return false;
    this.show(box);
    this.changed();
    return true;
  }

  show(box) {
    if (!box) return;
    this.view.tint(box);
    this.view.draw();
  }
}
