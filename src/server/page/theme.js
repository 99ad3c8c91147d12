// Which colours: set before the page is drawn, so that nothing flashes. "auto" follows the system.
(() => {
  let stored = "auto";
  try {
    stored = localStorage.getItem("bitnet.theme") || "auto";
  } catch {
    // Storage may be forbidden; then the system decides.
  }
  document.documentElement.dataset.theme = ["auto", "light", "dark"].includes(stored) ? stored : "auto";
})();
