// Step through sessions and examples. The page is complete without it.
(function () {
  var cards = Array.from(document.querySelectorAll(".card"));
  var hint = document.getElementById("hint");
  var at = -1;

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
