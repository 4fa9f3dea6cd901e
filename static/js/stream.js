// News from the server: one event stream, and polling for as long as the stream is not open. What
// the server answers, or that it does not, is what the page says of the connection.
import { showConnection, stateOf } from "darkroom/connection";

const POLL_MS = 4000;
const SIGNED_OUT_POLL_MS = 15000;
const REOPEN_MS = 20000;
// A stream whose network went away without a word looks open for minutes.
const SURE_FOR_MS = 60000;
const TYPES = ["image", "progress", "balance", "places"];
const tell = (state) => { document.documentElement.dataset.stream = state; };

// What an event is about: two with the same name are an older and a newer word on one thing.
const subject = (type, { id }) => `${type} ${id ?? ""}`;

// Returns a function that brings the page level with the server now. `resync` is given a function
// that says whether an event about the same thing was heard since the question was asked: then
// the event is the newer word, and the answer's is not to be shown.
export function listen(url, { heard, resync }) {
  const heardSinceAsked = new Set();
  let source;
  let replaced = false;
  let asking = false;
  let again = false;
  let askedAt = 0;
  let openedAt = 0;
  let state = "well";

  function open() {
    source?.close();
    replaced = false;
    openedAt = Date.now();
    source = new EventSource(url);
    // Whatever happened between the page's rendering (or the last stream) and now was missed.
    source.addEventListener("open", () => { tell("open"); check(); });
    source.addEventListener("error", () => { tell("closed"); check(); });
    source.addEventListener("resync", check);
    source.addEventListener("replaced", () => { replaced = true; source.close(); tell("closed"); });
    for (const type of TYPES) source.addEventListener(type, (event) => hear(type, JSON.parse(event.data)));
  }

  function hear(type, event) {
    heardSinceAsked.add(subject(type, event));
    heard(type, event);
  }

  // One question at a time; an answer to one that was asked before something happened is not enough.
  async function check() {
    again = true;
    if (asking) return;
    asking = true;
    while (again) {
      again = false;
      await ask();
    }
    asking = false;
  }

  async function ask() {
    const before = state;
    askedAt = Date.now();
    heardSinceAsked.clear();
    try {
      await resync((type, event) => heardSinceAsked.has(subject(type, event)));
      state = "well";
    } catch (error) {
      state = stateOf(error);
    }
    showConnection(state);
    // Whatever the old stream looks like, it belongs to the time before.
    if (state === "well" && before !== "well" && !replaced) open();
  }

  async function poll() {
    const isOpen = source.readyState === EventSource.OPEN;
    const isSure = isOpen && state === "well" && Date.now() - askedAt < SURE_FOR_MS;
    if (!isSure) await check();
    // A refused stream stays closed; a server that answers is asked for a new one now and then.
    const isRefused = source.readyState === EventSource.CLOSED && !replaced && state === "well";
    if (isRefused && Date.now() - openedAt > REOPEN_MS) open();
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
