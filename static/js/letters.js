// The Latin letter of a key, whatever the keyboard types: with a Korean layout F types ㄹ.
// A layout of Latin letters keeps its own (the A of an AZERTY keyboard is where it is printed).
const LATIN = /^[ -~]$/;
const LETTER_KEY = /^Key([A-Z])$/;

// The letter, or the key's name in lower case if it has none ("delete", "[").
export function letterOf({ key, code }) {
  const letter = LATIN.test(key) ? null : LETTER_KEY.exec(code);
  return (letter ? letter[1] : key).toLowerCase();
}
