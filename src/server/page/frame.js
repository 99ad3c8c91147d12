// What opens and closes around the conversation: the list, the parameters, the export menu; and which colours.
import { saveTheme } from "./store.js";

const $ = (id) => document.getElementById(id);

export function closeSide() {
  document.documentElement.classList.remove("side-shown");
  $("side-open").setAttribute("aria-expanded", "false");
  $("shade").hidden = true;
}

function toggleSide() {
  const narrow = matchMedia("(max-width: 800px)").matches;
  const shown = document.documentElement.classList.toggle(narrow ? "side-shown" : "side-hidden") === narrow;
  $("side-open").setAttribute("aria-expanded", String(shown));
  $("shade").hidden = !(narrow && shown);
  if (narrow && shown) $("new").focus();
}

function togglePanel(shown) {
  $("panel").hidden = !shown;
  $("tune").setAttribute("aria-expanded", String(shown));
  if (shown) $("panel").querySelector("textarea, input:not([hidden])").focus();
  else $("tune").focus();
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const words = { auto: "as the system", light: "light", dark: "dark" };
  $("theme-icon").setAttribute("href", `#i-${theme}`);
  $("theme").setAttribute("aria-label", `Colours: ${words[theme]}`);
  $("theme").title = `Colours: ${words[theme]}`;
}

// What Escape closes, one thing at a time.
export function closeWhatIsOpen() {
  if ($("export").open) {
    $("export").open = false;
    $("export").querySelector("summary").focus();
  } else if (document.documentElement.classList.contains("side-shown")) {
    closeSide();
    $("side-open").focus();
  } else if ($("panel").contains(document.activeElement)) {
    togglePanel(false);
  }
}

export function connectFrame() {
  showTheme(document.documentElement.dataset.theme);
  $("theme").addEventListener("click", () => {
    const themes = ["auto", "light", "dark"];
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % 3];
    saveTheme(next);
    showTheme(next);
  });
  $("side-open").addEventListener("click", toggleSide);
  $("side-close").addEventListener("click", closeSide);
  $("shade").addEventListener("click", closeSide);
  $("tune").addEventListener("click", () => togglePanel($("panel").hidden));
  $("panel-close").addEventListener("click", () => togglePanel(false));
  document.addEventListener("click", (event) => {
    if (!$("export").contains(event.target)) $("export").open = false;
  });
}
