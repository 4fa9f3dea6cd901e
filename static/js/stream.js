// News from the server: one event stream, and polling for as long as the stream is not open. What
// the server answers, or that it does not, is what the page says of the connection.
import { showConnection, stateOf } from "darkroom/connection";

const POLL_MS = 4000;
const SIGNED_OUT_POLL_MS = 15000;
const tell = (state) => { document.documentElement.dataset.stream = state; };

// Returns a function that brings the page level with the server now.
export function listen(url, { heard, resync }) {
  let source;
  let replaced = false;
  let asking = null;
  let state = "well";

  function open() {
    replaced = false;
    source = new EventSource(url);
    // Whatever happened between the page's rendering (or the last stream) and now was missed.
    source.addEventListener("open", () => { tell("open"); check(); });
    source.addEventListener("error", () => { tell("closed"); check(); });
    source.addEventListener("resync", check);
    source.addEventListener("replaced", () => { replaced = true; source.close(); tell("closed"); });
    for (const type of ["image", "progress", "balance", "places"]) {
      source.addEventListener(type, (event) => heard(type, JSON.parse(event.data)));
    }
  }

  // One question at a time: whoever asks meanwhile gets its answer.
  function check() {
    asking ??= ask().finally(() => { asking = null; });
    return asking;
  }

  async function ask() {
    try {
      await resync();
      state = "well";
    } catch (error) {
      state = stateOf(error);
    }
    showConnection(state);
  }

  async function poll() {
    if (source.readyState !== EventSource.OPEN) await check();
    // A refused stream stays closed; a server that answers again gets a new one.
    if (source.readyState === EventSource.CLOSED && !replaced && state === "well") open();
    setTimeout(poll, state === "signed_out" ? SIGNED_OUT_POLL_MS : POLL_MS);
  }

  open();
  setTimeout(poll, POLL_MS);
  addEventListener("online", check);
  addEventListener("offline", check);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    // A newer tab took our stream; whoever looks at this one wants it back.
    if (replaced) open();
    else if (state !== "well") check();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  return check;
}
