// The page's sentences, in the visitor's language; {names} are filled in.
const sentences = JSON.parse(document.getElementById("strings")?.textContent ?? "{}");

export function say(key, values = {}) {
  return sentences[key].replace(/\{(\w+)\}/g, (_whole, name) => values[name]);
}
