// Into a collection: one of those that are there, or a new one.
import { send } from "darkroom/gallery/acts";
import { clear, form } from "darkroom/gallery/selection";
import { toast } from "darkroom/gallery/toast";
import { postForm } from "darkroom/api";

const dialog = document.getElementById("collect");

async function collect(collection) {
  const body = new FormData(form);
  body.set("collection", collection);
  const answer = await send(dialog.dataset.collect, body);
  if (answer) finish(answer);
}

async function make(event) {
  event.preventDefault();
  const wrong = event.target.querySelector("[data-wrong]");
  const body = new FormData(form);
  body.set("name", event.target.elements.name.value);
  try {
    const answer = await postForm(event.target, body);
    event.target.reset();
    wrong.hidden = true;
    dialog.close();
    finish(answer);
  } catch (error) {
    wrong.textContent = error.message;
    wrong.hidden = false;
  }
}

function finish(answer) {
  clear();
  toast(answer.sentence);
}

if (dialog) {
  document.querySelector("[data-open=collect]")?.addEventListener("click", () => {
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => { if (dialog.returnValue) collect(dialog.returnValue); });
  dialog.querySelector("[data-new-collection]").addEventListener("submit", make);
}
