"use strict";
const save = document.getElementById("save");
save.hidden = false;
save.addEventListener("click", () => {
  const text = document.getElementById("record").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = save.dataset.name;
  link.click();
  URL.revokeObjectURL(link.href);
});
// A link to a step unfolds it, and paper shows all there is.
const unfold = () => {
  const step = document.getElementById(location.hash.slice(1));
  if (step instanceof HTMLDetailsElement) step.open = true;
};
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
