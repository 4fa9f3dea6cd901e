// The mask editor: a window over the whole page that answers with what was uploaded, or with null.
import { readPaper, writePng } from "darkroom/mask/files";
import { History } from "darkroom/mask/history";
import { Keys } from "darkroom/mask/keys";
import { Pointer } from "darkroom/mask/pointer";
import { Strokes } from "darkroom/mask/strokes";
import { Tools } from "darkroom/mask/tools";
import { View } from "darkroom/mask/view";
import { say } from "darkroom/strings";

const ZOOM = 1.5;
const dialog = document.querySelector("[data-mask]");
const part = (name) => dialog.querySelector(`[data-mask-${name}]`);
const announce = (sentence) => { part("said").textContent = sentence; };

// `image` and `mask` are loaded images (no mask: an empty one); `upload` takes the PNG.
export function paintMask({ image, mask, upload }) {
  const paper = readPaper(mask, image.naturalWidth, image.naturalHeight);
  dialog.showModal();
  tell("");
  const editor = open(image, paper);
  return new Promise((resolve) => {
    const leaving = new AbortController();
    const { signal } = leaving;
    let made = null;
    wire(editor, signal);
    part("cancel").addEventListener("click", () => dialog.close(), { signal });
    part("done").addEventListener("click", async () => { made ??= await finish(paper, upload, signal); }, { signal });
    dialog.addEventListener("close", () => {
      leaving.abort();
      editor.view.leave();
      resolve(made);
    }, { signal });
  });
}

function open(image, paper) {
  const view = new View(part("view"), image, paper);
  const history = new History(paper);
  const tools = new Tools(dialog, paper);
  const changed = () => showState(paper, history);
  const strokes = new Strokes({ paper, history, view, tools, changed });
  changed();
  view.canvas.focus();
  return { paper, view, history, tools, strokes };
}

function wire(editor, signal) {
  const { paper, view, tools, strokes } = editor;
  const said = (key) => announce(say(key, { share: shareOf(paper) }));
  const acts = {
    undo: () => { if (strokes.undo()) said("mask_undone"); },
    redo: () => { if (strokes.redo()) said("mask_redone"); },
    invert: () => { strokes.invert(); said("mask_inverted"); },
    clear: () => { strokes.clear(); said("mask_cleared"); },
    larger: () => view.zoom(ZOOM),
    smaller: () => view.zoom(1 / ZOOM),
    fit: () => view.fit(),
  };
  for (const [name, act] of Object.entries(acts)) part(name).addEventListener("click", act, { signal });
  for (const name of ["size", "softness"]) part(name).addEventListener("input", () => tools.show(), { signal });
  const keys = new Keys({ dialog, paper, view, tools, strokes, announce, acts }, signal);
  new Pointer({ view, strokes, tools, keys }, signal);
}

const shareOf = (paper) => Number((100 * paper.coverage).toFixed(paper.coverage < 0.1 ? 1 : 0));

function showState(paper, history) {
  part("coverage").textContent = say("mask_covered", { share: shareOf(paper) });
  // Not disabled: a button that loses the focus would take the keys away from the window.
  part("undo").setAttribute("aria-disabled", !history.done.length);
  part("redo").setAttribute("aria-disabled", !history.undone.length);
  tell("");
}

function tell(sentence) {
  part("wrong").textContent = sentence;
  part("wrong").hidden = !sentence;
}

// What was uploaded; null, and the window stays, where it did not work or is on its way already.
async function finish(paper, upload, signal) {
  if (part("done").ariaBusy) return null;
  if (!paper.coverage) {
    tell(say("mask_empty"));
    return null;
  }
  part("done").setAttribute("aria-busy", "true");
  try {
    const made = await upload(await writePng(paper));
    if (!signal.aborted) dialog.close();
    return made;
  } catch (error) {
    if (!signal.aborted) tell(error.message);
    return null;
  } finally {
    part("done").removeAttribute("aria-busy");
  }
}
