// What is typed survives a reload of this tab, and is never shown to another account.
const SAVE_MS = 200;
let saving;

export function startDraft(form, key) {
  const save = () => sessionStorage.setItem(key, JSON.stringify(read(form)));
  const later = () => { clearTimeout(saving); saving = setTimeout(save, SAVE_MS); };
  document.addEventListener("input", (event) => { if (event.target.form === form) later(); });
  addEventListener("pagehide", save);
  return later;
}

export function restoreDraft(form, key) {
  const draft = JSON.parse(sessionStorage.getItem(key) ?? "{}");
  for (const [name, value] of Object.entries(draft)) write(form.elements[name], value);
}

function read(form) {
  const hidden = ["csrfmiddlewaretoken", "idempotency_key", "quoted_each_ucr"];
  const named = [...form.elements].filter((control) => control.name && !hidden.includes(control.name));
  return Object.fromEntries(named.filter((control) => control.type !== "radio" || control.checked)
    .map((control) => [control.name, control.value]));
}

function write(control, value) {
  if (!control) return;
  const isChoice = control instanceof HTMLSelectElement;
  if (isChoice && ![...control.options].some((option) => option.value === value)) return;
  control.value = value;
}
