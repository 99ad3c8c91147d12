// Which parameters does a request carry? The fields of the panel, kept in the browser; an empty one is left to the server.
import { readSettings, saveSettings } from "./store.js";

const $ = (id) => document.getElementById(id);
export const SAMPLING = ["temperature", "top_p", "top_k", "min_p"];
const NUMBERS = [...SAMPLING, "max_tokens", "seed"];
const ALL = [...NUMBERS, "system"];

// What is filled in and valid: numbers by name, and `system`.
export function settingsFields() {
  const fields = {};
  for (const name of NUMBERS) {
    const input = $(`p-${name}`);
    if (input.value !== "" && input.validity.valid) fields[name] = input.valueAsNumber;
  }
  const system = $("p-system").value.trim();
  if (system) fields.system = system;
  return fields;
}

export function connectSettings() {
  const stored = readSettings();
  for (const name of ALL) {
    const input = $(`p-${name}`);
    if (typeof stored[name] === "string") input.value = stored[name];
    input.addEventListener("input", () => saveSettings(Object.fromEntries(ALL.map((each) => [each, $(`p-${each}`).value]))));
  }
  $("settings").addEventListener("submit", (event) => event.preventDefault());
  $("settings-reset").addEventListener("click", () => {
    for (const name of ALL) $(`p-${name}`).value = "";
    saveSettings({});
  });
}
