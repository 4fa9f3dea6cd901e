// The price of the batch on the Generate button, and what is left afterwards.
import { getJson } from "darkroom/api";
import { formatCredits } from "darkroom/money";
import { say } from "darkroom/strings";

const ASK_AFTER_MS = 200;
const PRICED_BY = ["model", "width", "height", "steps"];
const studio = document.querySelector("[data-studio]");
const form = document.getElementById("composer");
const models = JSON.parse(document.getElementById("models").textContent);
const after = document.querySelector("[data-after]");
const pill = document.querySelector("[data-balance]");
let each = amount(studio.dataset.priceUcr);
let available = BigInt(studio.dataset.availableUcr);
let shownFor = asked();
let asking = null;

// The model, its size or its steps may be others now: a metered price is the server's to say.
export function priceChanged() {
  if (asked() === shownFor) return;
  shownFor = asked();
  const model = models[form.elements.model.value];
  if (!model) return;
  if (model.is_metered) askAgain();
  else settle(amount(model.price_ucr));
}

// The list of prices may be another by now, whatever the model.
export function askAgain() {
  clearTimeout(asking);
  asking = setTimeout(ask, ASK_AFTER_MS);
  showPrice();
}

// Nobody sends what has no price on its button yet.
export const isAskingPrice = () => asking !== null;

export function showPrice() {
  const count = form.elements.count.value || "1";
  const price = each === null || asking !== null ? null : each * BigInt(count);
  form.elements.quoted_each_ucr.value = price === null ? "" : each;
  showAfter(price);
  for (const button of document.querySelectorAll("[data-go]")) {
    button.querySelector("[data-go-text]").textContent = say("generate", { count });
    button.querySelector("[data-go-price]").textContent = worded(price);
  }
  document.querySelector("[data-each]").textContent = price ? say("each", { amount: formatCredits(each) }) : worded(price);
}

export function heardBalance(balance) {
  const now = BigInt(balance.available_ucr);
  if (now === available) return;
  available = now;
  pill.textContent = balance.available;
  pulse(pill.closest(".balance"));
  showPrice();
}

async function ask() {
  const mine = asking;
  const slug = form.elements.model.value;
  try {
    const quote = await getJson(`${studio.dataset.quote}?${asked()}`);
    const isMetered = quote.terms.mode === "metered";
    Object.assign(models[slug], { is_metered: isMetered, price_ucr: isMetered ? null : quote.price_each_ucr });
    if (mine === asking) settle(BigInt(quote.price_each_ucr));
  } catch {
    // A size that is none, or no answer: what is wrong is said when the form is sent.
    if (mine === asking) settle(null);
  }
}

function settle(price) {
  clearTimeout(asking);
  asking = null;
  each = price;
  showPrice();
}

function asked() {
  return new URLSearchParams(PRICED_BY.map((name) => [name, form.elements[name].value])).toString();
}

function amount(text) {
  return text === null || text === "" ? null : BigInt(text);
}

function worded(price) {
  if (price === null) return asking === null ? "–" : "…";
  return price ? formatCredits(price) : say("free");
}

function showAfter(price) {
  const lacks = price !== null && price > available;
  const left = price === null ? null : available - price;
  if (lacks) after.textContent = say("lacking", { amount: formatCredits(-left) });
  else if (left !== null) after.textContent = say("after", { amount: formatCredits(left) });
  else if (asking === null) after.textContent = studio.dataset.priceProblem;
  after.classList.toggle("lacks", lacks || Boolean(studio.dataset.priceProblem));
}

function pulse(box) {
  box.classList.toggle("low", each !== null && available < each);
  box.classList.remove("pulse");
  requestAnimationFrame(() => box.classList.add("pulse"));
}
