// Masks as files: an image whose white is redrawn, of the start image's size.
import { Paper } from "darkroom/mask/paper";

// The paper that a mask's image describes; an empty one without an image.
export function readPaper(image, width, height) {
  if (!image) return new Paper(width, height);
  const context = blank(width, height).getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const paper = new Paper(width, height);
  for (let place = 0; place < paper.values.length; place += 1) paper.values[place] = data[4 * place];
  return paper;
}

export function writePng({ width, height, values }) {
  const canvas = blank(width, height);
  const pixels = new ImageData(width, height);
  pixels.data.fill(255);
  for (let place = 0; place < values.length; place += 1) pixels.data.fill(values[place], 4 * place, 4 * place + 3);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}

function blank(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}
