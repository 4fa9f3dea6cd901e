// Passkeys and security keys: the browser asks its owner, its answer goes into the hidden field.
const ASK = {
  // A new one for this account.
  create: (form) => {
    const { publicKey } = readOptions().creation_options;
    if (form.elements.passwordless.checked) {
      publicKey.authenticatorSelection = { ...publicKey.authenticatorSelection,
        residentKey: "required", requireResidentKey: true, userVerification: "required" };
    }
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) });
  },
  // One of this account's.
  get: () => ask(readOptions().request_options),
  // Any: the passkey says whose it is.
  "sign-in": async (form) => {
    const headers = { Accept: "application/json", "X-Requested-With": "XMLHttpRequest" };
    return ask((await (await fetch(form.action, { headers })).json()).request_options);
  },
};

const readOptions = () => JSON.parse(document.getElementById("passkey-options").textContent);

function ask({ publicKey }) {
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
}

// Browsers give no passkeys to pages without https, nor to those opened by a number.
function isPossible() {
  const byNumber = /^[\d.]+$|:/.test(location.hostname);
  return !byNumber && "parseRequestOptionsFromJSON" in (globalThis.PublicKeyCredential ?? {});
}

// Which of the page's sentences says what went wrong.
const sentenceFor = (error) =>
  ({ NotAllowedError: "givenUp", AbortError: "givenUp", InvalidStateError: "known" })[error.name] ?? "failed";

function start(form) {
  const said = form.querySelector("[data-passkey-said]");
  const tell = (key) => { said.hidden = !key; said.textContent = key ? said.dataset[key] : ""; };
  form.querySelector("button").disabled = !isPossible();
  if (isPossible()) form.hidden = false;
  else tell("impossible");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    try {
      form.elements.credential.value = JSON.stringify(await ASK[form.dataset.passkey](form));
    } catch (error) {
      return tell(sentenceFor(error));
    }
    // The choice stands in the form for the password, and is one for both.
    const kept = document.querySelector("input[type=checkbox][name=remember]");
    if (kept && form.elements.remember) form.elements.remember.value = kept.checked ? "on" : "";
    form.submit();
  });
}

for (const form of document.querySelectorAll("[data-passkey]")) start(form);
