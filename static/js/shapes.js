// Aspect ratios, and the size that a model is asked for at each.
/** @type {[number, number][]} */
export const RATIOS = [[9, 16], [2, 3], [3, 4], [4, 5], [1, 1], [5, 4], [4, 3], [3, 2], [16, 9]];

// What to slide through, narrow to wide: the sizes that the model names, or else the usual ratios.
export function shapesOf(model) {
  if (!model.sizes.length) return RATIOS;
  return [...model.sizes].sort((one, other) => one[0] / one[1] - other[0] / other[1] || one[0] - other[0]);
}

// The model's own number of pixels in another shape, on its grid and within its limits; of a model
// that names its sizes a shape is a size.
export function sizeFor([across, down], model) {
  if (model.sizes.length) return [across, down];
  const area = Number(model.values.width) * Number(model.values.height);
  const ratio = across / down;
  const short = Math.max(Math.sqrt(area * Math.min(ratio, 1 / ratio)), model.min_side_px);
  const long = Math.min(short * Math.max(ratio, 1 / ratio), model.max_side_px);
  const sides = [onGrid(short, model), fitting(onGrid(long, model), onGrid(short, model), model)];
  return ratio < 1 ? sides : sides.reverse();
}

// The place of the nearest shape; of two of one ratio, which only named sizes are, that of the
// nearer size.
export function nearestRatio(width, height, shapes = RATIOS) {
  const far = ([across, down]) => Math.abs(Math.log(width / height / (across / down)));
  const apart = ([across, down]) => (shapes === RATIOS ? 0 : Math.abs(Math.log((width * height) / (across * down))));
  const distances = shapes.map((one) => far(one) + apart(one) / 1000);
  return distances.indexOf(Math.min(...distances));
}

export function ratioText(width, height) {
  const [across, down] = RATIOS[nearestRatio(width, height)];
  const isClose = Math.abs(Math.log(width / height / (across / down))) < 0.035;
  return `${isClose ? `${across} : ${down} · ` : ""}${width} × ${height}`;
}

function onGrid(side, model) {
  const grid = model.side_multiple_px;
  const least = Math.ceil(model.min_side_px / grid) * grid;
  const most = Math.floor(model.max_side_px / grid) * grid;
  return Math.min(most, Math.max(least, Math.round(side / grid) * grid));
}

function fitting(long, short, model) {
  const most = Math.floor(model.max_pixels / short / model.side_multiple_px) * model.side_multiple_px;
  return Math.max(short, Math.min(long, most));
}
