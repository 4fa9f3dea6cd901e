// The start image as drawing begins from it: cut to the shape, with the noise of the strength.
const LONGEST = 304;
const context = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

// `level` is what noise.js finds (null: no noise is shown); under a `mask` image only what is
// white gets noise. Cut as the worker cuts: filled and centred.
export function showPreview(canvas, { image, mask, width, height, level }) {
  const scale = LONGEST / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pixels = cut(canvas, image);
  if (level) addNoise(pixels.data, level, mask && cut(canvas, mask).data);
  context(canvas).putImageData(pixels, 0, 0);
}

// True where the image's sides are in another proportion than the request's.
export function isCut(image, width, height) {
  return Math.abs(Math.log(image.naturalWidth / image.naturalHeight / (width / height))) > 0.02;
}

function cut(canvas, image) {
  const { naturalWidth: across, naturalHeight: down } = image;
  const scale = Math.max(canvas.width / across, canvas.height / down);
  const [wide, high] = [across * scale, down * scale];
  context(canvas).drawImage(image, (canvas.width - wide) / 2, (canvas.height - high) / 2, wide, high);
  return context(canvas).getImageData(0, 0, canvas.width, canvas.height);
}

// Every visit shows the same noise, so that only the strength makes a difference to see.
function addNoise(data, { signal, noise }, mask) {
  const normal = normals(7);
  for (let place = 0; place < data.length; place += 4) {
    const part = mask ? mask[place] / 255 : 1;
    for (let channel = 0; channel < 3; channel += 1) {
      const was = data[place + channel];
      const noisy = 127.5 + signal * (was - 127.5) + noise * normal() * 127.5;
      data[place + channel] = was + part * (noisy - was);
    }
  }
}

// Box and Muller 1958, on the generator of Park and Miller.
function normals(seed) {
  let state = seed;
  let spare = null;
  const uniform = () => { state = state * 48271 % 2147483647; return state / 2147483647; };
  return () => {
    if (spare !== null) { const kept = spare; spare = null; return kept; }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
