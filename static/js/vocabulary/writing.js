// Changes in the prompt that its own Ctrl+Z undoes, as if they had been typed.
import { focusInPlace } from "darkroom/standing";

const prompt = document.getElementById("prompt");

// False where the prompt has moved on since it was read: the places are another text's.
export function isSame(read, places) {
  return places.every(([start, end]) => prompt.value.slice(start, end) === read.slice(start, end));
}

// All of the places at once, so that one step back undoes it.
export function replaceAll(places, words) {
  const [from] = places[0];
  const [, to] = places.at(-1);
  let text = "";
  let at = from;
  for (const [start, end] of places) {
    text += prompt.value.slice(at, start) + words;
    at = end;
  }
  write(from, to, text);
}

export function selectWord([start, end]) {
  focusInPlace(prompt);
  prompt.setSelectionRange(start, end);
}

// After what stands at the caret: "a cat" and "dog" become "a cat, dog".
export function addWords(words) {
  const [from, to] = [prompt.selectionStart, prompt.selectionEnd];
  const [before, after] = [prompt.value.slice(0, from), prompt.value.slice(to)];
  const lead = /(^|\s)$/.test(before) ? "" : /[,;]$/.test(before) ? " " : ", ";
  write(from, to, `${lead}${words}${/^\S/.test(after) ? " " : ""}`);
}

function write(from, to, text) {
  focusInPlace(prompt);
  prompt.setSelectionRange(from, to);
  // The one way to change a field's text that its history knows of. It tells of an input, too.
  if (document.execCommand("insertText", false, text)) return;
  prompt.setRangeText(text, from, to, "end");
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
}
