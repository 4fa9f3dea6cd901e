// News from the server: one event stream, and polling for as long as the stream is not open.
const POLL_MS = 4000;
const REOPEN_MS = 20000;
const tell = (state) => { document.documentElement.dataset.stream = state; };

export function listen(url, { heard, resync }) {
  let source;
  let replaced = false;

  function open() {
    replaced = false;
    source = new EventSource(url);
    // Whatever happened between the page's rendering (or the last stream) and now was missed.
    source.addEventListener("open", () => { tell("open"); resync(); });
    source.addEventListener("error", () => tell("closed"));
    source.addEventListener("resync", resync);
    source.addEventListener("replaced", () => { replaced = true; source.close(); tell("closed"); });
    for (const type of ["image", "progress", "balance"]) {
      source.addEventListener(type, (event) => heard(type, JSON.parse(event.data)));
    }
  }

  open();
  setInterval(() => {
    if (source.readyState !== EventSource.OPEN) resync();
  }, POLL_MS);
  setInterval(() => {
    if (source.readyState === EventSource.CLOSED && !replaced) open();
  }, REOPEN_MS);
  document.addEventListener("visibilitychange", () => {
    // A newer tab took our stream; whoever looks at this one wants it back.
    if (!document.hidden && replaced) open();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}
