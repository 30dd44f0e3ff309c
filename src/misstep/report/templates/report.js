"use strict";
// Filter, search and step through the pairs. The page is complete without it.
(function () {
  var form = document.getElementById("filter");
  if (!form) return;
  var pairs = Array.from(document.querySelectorAll("article.pair"));
  var texts = pairs.map(function () { return null; });
  var shown = document.getElementById("shown");
  var none = document.getElementById("none");
  var at = -1;

  function fits(pair, i) {
    var source = form.elements.source.value;
    var code = form.elements.code.value;
    var tool = form.elements.tool.value;
    var words = form.elements.q.value.trim().toLowerCase();
    if (source && pair.dataset.source !== source) return false;
    if (code && !JSON.parse(pair.dataset.codes).includes(code)) return false;
    if (tool && !JSON.parse(pair.dataset.tools).includes(tool)) return false;
    if (!words) return true;
    if (texts[i] === null) texts[i] = pair.textContent.toLowerCase();
    return texts[i].includes(words);
  }

  function apply() {
    var count = 0;
    pairs.forEach(function (pair, i) {
      var keep = fits(pair, i);
      pair.hidden = !keep;
      if (keep) count += 1;
    });
    shown.textContent = count + " of " + pairs.length;
    none.hidden = count > 0;
    at = -1;
  }

  function step(by) {
    var visible = pairs.filter(function (pair) { return !pair.hidden; });
    if (!visible.length) return;
    at = Math.min(visible.length - 1, Math.max(0, at + by));
    visible[at].focus({ preventScroll: true });
    visible[at].scrollIntoView({ block: "start" });
  }

  form.addEventListener("input", apply);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") { event.preventDefault(); form.elements.q.focus(); }
  });
  form.hidden = false;
  apply();
})();
