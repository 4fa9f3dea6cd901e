// Requests to our own server: JSON or a fragment comes back, or an ApiError with its sentence.
import { say } from "darkroom/strings";

export class ApiError extends Error {
  constructor(message, { code = "error", field = "" } = {}) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

export const getJson = async (url) => (await ask(url, { headers: { Accept: "application/json" } })).json();
export const getHtml = async (url) => (await ask(url, { headers: { Accept: "text/html" } })).text();

export function postForm(form, body = new FormData(form)) {
  return post(form.action, body);
}

// As URLSearchParams a text keeps its line ends as they are; as FormData each becomes two characters.
export async function post(url, body) {
  const options = { method: "POST", body, headers: { Accept: "application/json" } };
  return (await ask(url, options)).json();
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch {
    throw new ApiError(say("offline"), { code: "offline" });
  }
  if (response.redirected) throw new ApiError(say("signed_out"), { code: "signed_out" });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const error = isJson ? (await response.json()).error : null;
  // A proxy in front of a studio that is down answers in its own words.
  const code = response.status > 500 ? "unavailable" : "error";
  return new ApiError(error?.message ?? say("failed"), error ?? { code });
}
