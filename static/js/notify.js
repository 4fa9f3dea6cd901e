// Notifications of finished images: a wish of this browser, off until somebody asks for them.
const KEY = "notify";
const TAG = "finished";

export const isPossible = () => "Notification" in globalThis;
export const isWanted = () => isPossible() && Notification.permission === "granted" && localStorage.getItem(KEY) === "on";

export function setWanted(wanted) {
  if (wanted) localStorage.setItem(KEY, "on");
  else localStorage.removeItem(KEY);
}

// One notification for several images in a row: the newest takes the place of the one before.
export function notify(title, { body = "", icon = "", onClick = null } = {}) {
  const shown = new Notification(title, { body, icon, tag: TAG });
  shown.addEventListener("click", () => {
    globalThis.focus();
    onClick?.();
    shown.close();
  });
}
