// The theme: the server reads the cookie, so that the next page comes in the right colours at once.
const YEAR_S = 365 * 24 * 3600;

document.querySelector("[data-themes]")?.addEventListener("change", (event) => {
  const theme = event.target.value;
  const isSystem = theme === "system";
  if (isSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${theme}; path=/; max-age=${isSystem ? 0 : YEAR_S}; samesite=lax${secure}`;
});
