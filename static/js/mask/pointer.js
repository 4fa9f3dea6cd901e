// Mouse, pen and fingers: one draws, two (or the space bar, or the middle button) move and zoom.
const WHEEL = 0.0016;
const MIDDLE = 1;
const PEN_ERASER = 32;

export class Pointer {
  constructor({ view, strokes, tools, keys }, signal) {
    this.view = view;
    this.strokes = strokes;
    this.tools = tools;
    this.keys = keys;
    this.fingers = new Map();
    this.panning = null;
    this.pinch = null;
    const heard = { pointerdown: "down", pointermove: "move", pointerup: "up", pointercancel: "up", pointerleave: "left" };
    for (const [type, name] of Object.entries(heard)) view.canvas.addEventListener(type, (event) => this[name](event), { signal });
    view.canvas.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
  }

  down(event) {
    event.preventDefault();
    this.view.canvas.focus({ preventScroll: true });
    this.view.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.view.inCanvas(event));
    if (this.fingers.size === 2) this.startPinch();
    else if (event.button === MIDDLE || this.keys.holdsSpace) this.panning = event.pointerId;
    else if (this.fingers.size === 1 && (event.button === 0 || event.buttons === PEN_ERASER)) this.startStroke(event);
  }

  startStroke(event) {
    this.keys.forgetCell();
    this.strokes.begin(this.point(event), event.buttons === PEN_ERASER || this.tools.erases);
  }

  startPinch() {
    this.strokes.cancel();
    this.panning = null;
    this.pinch = this.spread();
  }

  move(event) {
    const was = this.fingers.get(event.pointerId);
    const now = this.view.inCanvas(event);
    if (was) this.fingers.set(event.pointerId, now);
    if (this.pinch) this.movePinch();
    else if (this.panning === event.pointerId) this.view.pan(now.x - was.x, now.y - was.y);
    else if (this.strokes.isDrawing && was) this.draw(event);
    if (event.pointerType !== "touch" && !this.keys.hasCell) this.view.showBrush({ ...this.view.inImage(event), radius: this.tools.radius() });
  }

  draw(event) {
    const between = event.getCoalescedEvents?.() ?? [];
    for (const moment of between.length ? between : [event]) this.strokes.move(this.point(moment));
  }

  movePinch() {
    const next = this.spread();
    this.view.pan(next.middle.x - this.pinch.middle.x, next.middle.y - this.pinch.middle.y);
    this.view.zoom(next.distance / this.pinch.distance, next.middle);
    this.pinch = next;
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (this.panning === event.pointerId) this.panning = null;
    if (this.fingers.size < 2) this.pinch = null;
    if (!this.fingers.size) this.strokes.end();
  }

  left() {
    if (!this.keys.hasCell) this.view.showBrush(null);
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
    this.view.zoom(Math.exp(-pixels * WHEEL * (event.ctrlKey ? 4 : 1)), this.view.inCanvas(event));
  }

  point(event) {
    const pressure = event.pointerType === "pen" && event.pressure ? event.pressure : 0.5;
    return { ...this.view.inImage(event), pressure };
  }

  spread() {
    const [one, other] = [...this.fingers.values()];
    return {
      middle: { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 },
      distance: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
    };
  }
}
