// Images go up with their progress told; what comes back is {id, url, width_px, height_px, image}.
import { ApiError, postForm } from "darkroom/api";
import { say } from "darkroom/strings";

const form = document.getElementById("composer");
const panel = document.querySelector("[data-start]");
const MEGABYTE = 1024 * 1024;
const MOST_BYTES = 20 * MEGABYTE; // as in webapp/core/decoding.py

export const urlOf = (id) => `${panel.dataset.uploads}${id}/`;

export function uploadImage(file, told) {
  if (file.size > MOST_BYTES) {
    const size = (file.size / MEGABYTE).toFixed(1);
    return Promise.reject(new ApiError(say("start_too_large", { size }), { field: "start" }));
  }
  return send(panel.dataset.uploads, bodyOf({ kind: "start", file }), told);
}

export const uploadMask = (blob) => postForm({ action: panel.dataset.uploads }, bodyOf({ kind: "mask", file: new File([blob], "mask.png", { type: "image/png" }) }));
export const takeImage = (image) => postForm({ action: panel.dataset.fromImage }, bodyOf({ image }));

function bodyOf(values) {
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  return body;
}

// fetch() does not tell how much went up; this old one does.
function send(url, body, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) told(event.loaded / event.total); });
    request.addEventListener("error", () => reject(new ApiError(say("offline"), { code: "offline" })));
    request.addEventListener("load", () => {
      if (request.status === 201) resolve(request.response);
      else reject(refusal(request, url));
    });
    request.send(body);
  });
}

function refusal({ response, responseURL }, url) {
  if (!responseURL.endsWith(url)) return new ApiError(say("signed_out"), { code: "signed_out" });
  return new ApiError(response?.error?.message ?? say("failed"), response?.error ?? {});
}
