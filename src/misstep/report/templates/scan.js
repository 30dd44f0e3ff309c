"use strict";
// Copy provenance lines, step through sessions and examples. The page is complete without it.
(function () {
  var cards = Array.from(document.querySelectorAll(".card"));
  var hint = document.getElementById("hint");
  var said = document.getElementById("said");
  var at = -1;

  function fallback(text) {
    var area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    document.body.appendChild(area);
    area.select();
    var done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("no clipboard"));
  }

  function copy(text) {
    if (!navigator.clipboard) return fallback(text);
    return navigator.clipboard.writeText(text).catch(function () { return fallback(text); });
  }

  function tell(button, word) {
    button.textContent = word;
    said.textContent = word;
    setTimeout(function () { button.textContent = "copy"; }, 1500);
  }

  document.querySelectorAll(".origin[data-line]").forEach(function (line) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", "copy the place " + line.dataset.line);
    button.addEventListener("click", function () {
      copy(line.dataset.line).then(
        function () { tell(button, "copied"); },
        function () { tell(button, "select and copy"); });
    });
    line.appendChild(button);
  });

  function step(by) {
    if (!cards.length) return;
    at = cards.indexOf(document.activeElement) === -1 ? at : cards.indexOf(document.activeElement);
    at = Math.min(cards.length - 1, Math.max(0, at + by));
    var folded = cards[at].closest("details");
    if (folded) folded.open = true;
    cards[at].focus({ preventScroll: true });
    cards[at].scrollIntoView({ block: "start" });
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });
  if (cards.length) hint.hidden = false;
})();
