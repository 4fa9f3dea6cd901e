// The mask itself: one byte a pixel, 0 is kept and 255 is redrawn. Boxes are {x, y, width, height}.
export class Paper {
  constructor(width, height, values = new Uint8Array(width * height)) {
    this.width = width;
    this.height = height;
    this.values = values;
  }

  get whole() { return { x: 0, y: 0, width: this.width, height: this.height }; }

  // A line between two {x, y, radius}, round at its ends: the stronger of what was there and what
  // comes stays, so that crossing lines never leave a seam. Answers what it touched, or null.
  line(from, to, { softness, erases }) {
    const box = this.clip(around(from, to));
    if (!box) return null;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const square = dx * dx + dy * dy;
    for (let y = box.y; y < box.y + box.height; y += 1) {
      for (let x = box.x; x < box.x + box.width; x += 1) {
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const along = square ? Math.min(1, Math.max(0, (px * dx + py * dy) / square)) : 0;
        const radius = from.radius + along * (to.radius - from.radius);
        const ink = inkAt(Math.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2), radius, softness);
        if (ink) this.put(y * this.width + x, ink, erases);
      }
    }
    return box;
  }

  put(place, ink, erases) {
    const was = this.values[place];
    this.values[place] = erases ? Math.min(was, 255 - ink) : Math.max(was, ink);
  }

  invert() {
    for (let place = 0; place < this.values.length; place += 1) this.values[place] = 255 - this.values[place];
    return this.whole;
  }

  clear() {
    this.values.fill(0);
    return this.whole;
  }

  // The part that is redrawn, 0 to 1.
  get coverage() {
    let sum = 0;
    for (const value of this.values) sum += value;
    return sum / 255 / this.values.length;
  }

  clip({ left, top, right, bottom }) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.width, Math.ceil(right)) - x;
    const height = Math.min(this.height, Math.ceil(bottom)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }
}

function around(from, to) {
  const reach = Math.max(from.radius, to.radius) + 1;
  return {
    left: Math.min(from.x, to.x) - reach, right: Math.max(from.x, to.x) + reach,
    top: Math.min(from.y, to.y) - reach, bottom: Math.max(from.y, to.y) + reach,
  };
}

// Full inside, then a smooth slope over the soft part; a hard edge is one pixel wide.
function inkAt(distance, radius, softness) {
  const slope = Math.max(1, radius * softness);
  const part = Math.min(1, Math.max(0, (radius - distance) / slope + (slope === 1 ? 0.5 : 0)));
  return Math.round(255 * (slope === 1 ? part : part * part * (3 - 2 * part)));
}
