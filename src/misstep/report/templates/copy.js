"use strict";
// Copy buttons on provenance lines, shared by both pages.
var copyButton = (function () {
  var said = document.getElementById("said");

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

  return function (line) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", "copy the place " + line);
    button.addEventListener("click", function () {
      copy(line).then(
        function () { tell(button, "copied"); },
        function () { tell(button, "select and copy"); });
    });
    return button;
  };
})();

document.querySelectorAll(".origin[data-line]").forEach(function (line) {
  line.appendChild(copyButton(line.dataset.line));
});

// A link to something folded opens the fold.
document.addEventListener("click", function (event) {
  var link = event.target.closest('a[href^="#"]');
  var goal = link && document.getElementById(link.getAttribute("href").slice(1));
  var fold = goal && goal.closest("details");
  if (fold) fold.open = true;
});
