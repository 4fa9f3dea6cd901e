// The strength: a number in per cent, a slider, and what they mean for the image.
import { firstLevel, stepsKept } from "darkroom/start/noise";
import { isCut, showPreview } from "darkroom/start/preview";
import { say } from "darkroom/strings";

const SAYS = [[0.15, "least"], [0.35, "little"], [0.6, "half"], [0.8, "much"], [0.96, "most"], [Infinity, "all"]];
const models = JSON.parse(document.getElementById("models").textContent);
const panel = document.querySelector("[data-start]");
const figure = document.getElementById("strength");
const slider = panel.querySelector('[data-drives="strength"]');

export function watchStrength(fields) {
  const read = () => {
    const typed = figure.value.trim();
    // What is no number goes as it was typed, so that the answer can say so.
    fields.strength.value = Number.isFinite(Number(typed)) && typed ? Number(typed) / 100 : typed;
    fields.strength.dispatchEvent(new Event("input", { bubbles: true }));
  };
  figure.addEventListener("input", read);
  slider.addEventListener("input", read);
}

export function showStrength(fields, { start, mask }) {
  const strength = Number(fields.strength.value);
  const [width, height, steps] = ["width", "height", "steps"].map((name) => Number(fields[name].value));
  if (document.activeElement !== figure) figure.value = Math.round(strength * 100);
  slider.value = strength * 100;
  slider.style.setProperty("--at", `${100 * (slider.value - slider.min) / (slider.max - slider.min)}%`);
  if (!(width > 0 && height > 0 && steps > 0 && strength > 0)) return;
  const levels = models[fields.model.value]?.start_levels;
  const level = firstLevel(levels, { steps, strength, sampler: fields.sampler.value });
  const says = sentence(level, stepsKept(levels, steps, strength), steps, Boolean(mask));
  panel.querySelector("[data-start-says]").textContent = says;
  slider.setAttribute("aria-valuetext", `${slider.value} %. ${says}`);
  panel.querySelector("[data-start-cut]").hidden = !isCut(start, width, height);
  showPreview(panel.querySelector("[data-start-preview]"), { image: start, mask: mask || null, width, height, level });
}

function sentence(level, kept, steps, isMasked) {
  if (kept < 1) return say("start_says_none", { steps });
  const drawn = say("start_says_steps", { kept, steps });
  if (!level) return drawn; // no schedule is known: nothing is guessed
  const [, name] = SAYS.find(([most]) => level.share < most);
  return `${say(isMasked ? "start_says_painted" : `start_says_${name}`)} ${drawn}`;
}
