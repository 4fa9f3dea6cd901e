// How much noise a start image gets at a strength: x_t = signal * x_0 + noise * e, at the first
// time that the strength keeps. Times are spaced as the samplers of diffusers space them.
const samplers = JSON.parse(document.getElementById("samplers").textContent);
const SMALLEST = 1e-5;
const RHO = 7; // Karras et al. 2022, equation 5

// {kept, signal, noise, share}: the steps that are left to draw, the factors, and the noise's part
// of their sum. Null where no step is left, or the model's files don't tell its schedule.
export function firstLevel(levels, { steps, strength, sampler }) {
  const kept = stepsKept(levels, steps, strength);
  if (!levels || kept < 1) return null;
  const { signal, noise } = levels.alpha_bars ? diffused(levels, steps, kept, samplers[sampler] ?? {}) : flowed(levels, steps, kept);
  return { kept, signal, noise, share: noise / (signal + noise) };
}

export function stepsKept(levels, steps, strength) {
  const kept = levels && !levels.alpha_bars ? Math.ceil(steps * strength) : Math.floor(steps * strength);
  return Math.min(steps, kept);
}

function diffused(levels, steps, kept, sampler) {
  const bar = alphaBar(levels, steps, kept, sampler);
  return { signal: Math.sqrt(bar), noise: Math.sqrt(1 - bar) };
}

function flowed({ shift }, steps, kept) {
  const part = kept / steps;
  const noise = shift * part / (1 + (shift - 1) * part);
  return { signal: 1 - noise, noise };
}

function alphaBar(levels, steps, kept, sampler) {
  const part = steps > 1 ? (steps - kept) / (steps - 1) : 0; // 0 at the first step, 1 at the last
  const ends = outerSigmas(levels, steps, sampler);
  if (sampler.sigmas === "karras") return barOf(between(ends, (sigma) => sigma ** (1 / RHO), (root) => root ** RHO, part));
  if (sampler.sigmas === "exponential") return barOf(between(ends, Math.log, Math.exp, part));
  if (sampler.sigmas === "beta") return barOf(between(ends, Number, Number, betaQuantile(part)));
  return barAt(levels, firstTime(levels, steps, kept, sampler));
}

/** @returns {[number, number]} */
function outerSigmas(levels, steps, sampler) {
  if (sampler.from_all_times) return [sigmaOf(levels.alpha_bars.at(-1)), sigmaOf(levels.alpha_bars[0])];
  const sigmaAt = (kept) => sigmaOf(barAt(levels, firstTime(levels, steps, kept, sampler)));
  return [sigmaAt(steps), sigmaAt(1)];
}

function between([most, least], bend, straighten, part) {
  return straighten(bend(most) + part * (bend(least) - bend(most)));
}

// Of Beta(0.6, 0.6), to 0.005: between the arcsine distribution and the uniform one.
const betaQuantile = (part) => 0.75 * Math.sin(Math.PI / 2 * part) ** 2 + 0.25 * part;

const sigmaOf = (bar) => Math.sqrt((1 - bar) / Math.max(bar, SMALLEST));
const barOf = (sigma) => 1 / (1 + sigma ** 2);

function firstTime({ times, spacing, offset }, steps, kept, sampler) {
  const kind = steps === 1 ? "trailing" : spacing || sampler.spacing;
  if (kind === "trailing") return Math.round(times * kept / steps) - 1;
  if (kind === "leading") return (kept - 1) * Math.floor(times / steps) + offset;
  if (sampler.is_solver) return (times - 1) * kept / steps;
  return (times - 1) * (kept - 1) / (steps - 1);
}

function barAt({ alpha_bars: bars, times }, time) {
  const place = Math.min(1, Math.max(0, time / (times - 1))) * (bars.length - 1);
  const before = Math.min(bars.length - 2, Math.floor(place));
  return bars[before] + (place - before) * (bars[before + 1] - bars[before]);
}
