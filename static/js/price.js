// The price of the batch on the Generate button, and what is left afterwards.
import { formatCredits } from "darkroom/money";
import { say } from "darkroom/strings";

const studio = document.querySelector("[data-studio]");
const after = document.querySelector("[data-after]");
const pill = document.querySelector("[data-balance]");
const each = BigInt(studio.dataset.priceUcr);
let available = BigInt(studio.dataset.availableUcr);

export function showPrice() {
  const count = document.querySelector('[name="count"]:checked')?.value ?? "1";
  const price = each * BigInt(count);
  const lacks = price > available;
  after.textContent = lacks
    ? say("lacking", { amount: formatCredits(price - available) })
    : say("after", { amount: formatCredits(available - price) });
  after.classList.toggle("lacks", lacks);
  for (const button of document.querySelectorAll("[data-go]")) {
    button.querySelector("[data-go-text]").textContent = say("generate", { count });
    button.querySelector("[data-go-price]").textContent = price ? formatCredits(price) : say("free");
  }
}

export function heardBalance(balance) {
  const now = BigInt(balance.available_ucr);
  if (now === available) return;
  available = now;
  pill.textContent = balance.available;
  pulse(pill.closest(".balance"));
  showPrice();
}

function pulse(box) {
  box.classList.toggle("low", available < each);
  box.classList.remove("pulse");
  requestAnimationFrame(() => box.classList.add("pulse"));
}
