// Light and dark: as the system prefers, until the reader switches.

const darkPreferred = matchMedia("(prefers-color-scheme: dark)");
const appearanceListeners = [];

/** The value of a colour of page.css, such as "ink". */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Calls `listener` after every change between light and dark. */
function onAppearance(listener) {
  appearanceListeners.push(listener);
}

function storedAppearance(value) {
  // A page from a file may not be allowed to store anything; then the choice lasts as long as the page.
  try {
    if (value === undefined) return localStorage.getItem("appearance");
    localStorage.setItem("appearance", value);
  } catch { /* nothing is stored */ }
  return null;
}

function setUpAppearance() {
  const root = document.documentElement;
  let chosen = ["light", "dark"].includes(storedAppearance()) ? storedAppearance() : "";
  const button = element("button", { type: "button", id: "appearance", onclick: () => {
    chosen = isDark() ? "light" : "dark";
    storedAppearance(chosen);
    apply();
  } });
  const isDark = () => chosen ? chosen === "dark" : darkPreferred.matches;
  function apply() {
    root.dataset.appearance = isDark() ? "dark" : "light";
    button.textContent = isDark() ? "Light mode" : "Dark mode";
    appearanceListeners.forEach(listener => listener());
  }
  darkPreferred.addEventListener("change", apply);
  document.getElementById("page-tools").append(button);
  apply();
}
setUpAppearance();
