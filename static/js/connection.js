// What is the matter between this page and the studio: one sentence at a time, or none.
import { announce } from "darkroom/headline";
import { say } from "darkroom/strings";

const bar = document.querySelector("[data-connection]");
let shown = "well";

export function showConnection(state) {
  if (state === shown) return;
  if (state === "well") {
    announce(say("back_again"));
    renewTokens();
  }
  shown = state;
  for (const sentence of bar.querySelectorAll("[data-when]")) sentence.hidden = sentence.dataset.when !== state;
}

// "offline", "away" or "signed_out": what an error of a request says of the connection.
export function stateOf(error) {
  if (error.code === "signed_out") return "signed_out";
  return error.code === "offline" && !navigator.onLine ? "offline" : "away";
}

export const isConnectionError = (error) => ["offline", "signed_out", "unavailable"].includes(error.code);

// Signing in again, in another tab, makes new tokens: the forms of this page take the new one.
function renewTokens() {
  const token = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  if (!token) return;
  for (const field of document.querySelectorAll('[name="csrfmiddlewaretoken"]')) field.value = token;
}
