// The switch of the notifications: permission is asked for by a click on it and never otherwise.
import { isPossible, isWanted, notify, setWanted } from "darkroom/notify";

export function startNotifySetting(section) {
  const box = section.querySelector("input");
  const said = section.querySelector("[data-notify-said]");
  box.checked = isWanted();
  box.addEventListener("change", async () => {
    said.textContent = "";
    setWanted(false);
    if (box.checked) said.textContent = section.dataset[await switchOn(section.dataset.sample)];
    box.checked = isWanted();
  });
}

// What came of it: "sample", "denied" or "impossible".
async function switchOn(sample) {
  if (!isPossible()) return "impossible";
  if (await Notification.requestPermission() !== "granted") return "denied";
  try {
    notify(sample);
  } catch {
    // Chrome on Android has the class, but lets no page use it.
    return "impossible";
  }
  setWanted(true);
  return "sample";
}
