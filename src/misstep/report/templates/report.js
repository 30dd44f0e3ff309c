// Unpack the pairs, draw the rows that are seen; filter, search and step through them.
// Every logged text becomes a text node.
(function () {
  var packed = document.getElementById("packed");
  if (!packed) return;
  var ROW = 60, SLICE = 25;
  var LOOKS = ["", "diff", "mark", "diff mark", "gap"];
  var NAMES = { reasoning: "reasoning", result: "the tool answered", error: "the error said" };
  var root = document.documentElement;
  var form = document.getElementById("filter");
  var browser = document.getElementById("browser");
  var list = document.getElementById("rows");
  var space = document.getElementById("space");
  var detail = document.getElementById("detail");
  var shown = document.getElementById("shown");
  var none = document.getElementById("none");
  var said = document.getElementById("said");
  var shared = [], lines = [], texts = [], names = {}, index = [];
  var view = [], at = -1, turn = 0, waiting = 0;

  function el(tag, look, text) {
    var made = document.createElement(tag);
    if (look) made.className = look;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function unpack(text) {
    var raw = atob(text.trim()), bytes = new Uint8Array(raw.length);
    for (var i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function read(text) {
    text.split("\n").forEach(function (line) {
      if (line[0] === "[") shared.push(line);
      else if (line[0] === "{") lines.push(line);
    });
    var last = JSON.parse(lines.pop());
    names = last.names;
    index = last.pairs;
  }

  function meet(number) {
    if (typeof shared[number] === "string") shared[number] = JSON.parse(shared[number]);
    return shared[number];
  }

  // ---- what fits

  function runsText(runs) {
    return runs.map(function (run) { return typeof run === "string" ? run : run[0]; }).join("");
  }

  function blocksText(blocks) {
    return blocks.map(function (b) { return b[1] + "\n" + runsText(b[2]); }).join("\n");
  }

  function textOf(i) {
    if (texts[i] !== undefined) return texts[i];
    var pair = JSON.parse(lines[i]), entry = index[i];
    var parts = [pair.id, pair.family, blocksText(pair.chosen), blocksText(pair.rejected)];
    pair.tail.forEach(function (n) { parts.push(blocksText(meet(n).slice(1))); });
    pair.evidence.forEach(function (e) { parts.push(e[1]); });
    parts = parts.concat(pair.from, pair.edits, names.sources[entry[2]]);
    entry[0].forEach(function (n) { parts.push(names.codes[n]); });
    entry[1].forEach(function (n) { parts.push(names.tools[n]); });
    texts[i] = parts.join("\n").toLowerCase();
    return texts[i];
  }

  function chosen(name) {
    var value = form.elements[name].value;
    return value === "" ? -1 : Number(value);
  }

  function apply() {
    var mine = turn += 1;
    var words = form.elements.q.value.trim().toLowerCase();
    var code = chosen("code"), tool = chosen("tool"), source = chosen("source");
    var left = [], found = [], next = 0;
    index.forEach(function (entry, i) {
      if (code !== -1 && entry[0].indexOf(code) === -1) return;
      if (tool !== -1 && entry[1].indexOf(tool) === -1) return;
      if (source !== -1 && entry[2] !== source) return;
      left.push(i);
    });
    if (!words) { show(left); return; }
    (function look() { // in slices, so that typing stays smooth
      if (mine !== turn) return;
      var end = performance.now() + SLICE;
      while (next < left.length && performance.now() < end) {
        if (textOf(left[next]).indexOf(words) !== -1) found.push(left[next]);
        next += 1;
      }
      if (next < left.length) setTimeout(look, 0);
      else show(found);
    })();
  }

  function show(found) {
    var kept = at === -1 ? -1 : view[at];
    view = found;
    shown.textContent = view.length.toLocaleString("en") + " of " + index.length.toLocaleString("en");
    none.hidden = view.length > 0;
    browser.hidden = !view.length;
    space.style.height = view.length * ROW + "px";
    root.dataset.shown = String(view.length);
    if (!view.length) { at = -1; return; }
    select(Math.max(0, view.indexOf(kept)), false);
  }

  // ---- the list: only what is seen is there

  function draw() {
    var first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    var last = Math.min(view.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    var rows = document.createDocumentFragment();
    for (var i = first; i < last; i += 1) rows.appendChild(row(i));
    space.replaceChildren(rows);
  }

  function row(position) {
    var number = view[position], entry = index[number];
    var made = el("div", "row");
    made.id = "row-" + position;
    made.style.top = position * ROW + "px";
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(position === at));
    made.setAttribute("aria-posinset", String(position + 1));
    made.setAttribute("aria-setsize", String(view.length));
    made.dataset.position = String(position);
    var head = el("span", "row-head");
    head.appendChild(el("span", "row-number", String(number + 1)));
    entry[0].slice(0, 2).forEach(function (n) {
      head.appendChild(el("span", "row-code", names.codes[n]));
    });
    var where = entry[1].slice(0, 1).map(function (n) { return names.tools[n]; });
    where.push(names.sources[entry[2]]);
    head.appendChild(el("span", "row-where", where.join(" · ")));
    made.appendChild(head);
    made.appendChild(el("span", "row-said", entry[3]));
    return made;
  }

  function reveal() {
    var top = at * ROW, room = list.clientHeight;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + room) list.scrollTop = top + ROW - room;
  }

  function select(position, told) {
    at = Math.min(view.length - 1, Math.max(0, position));
    reveal();
    draw();
    list.setAttribute("aria-activedescendant", "row-" + at);
    draw_pair(view[at]);
    if (!told) return;
    var codes = index[view[at]][0].map(function (n) { return names.codes[n]; });
    said.textContent = "Pair " + (at + 1) + " of " + view.length + ": " + codes.join(", ");
    try { history.replaceState(null, "", "#pair-" + (view[at] + 1)); } catch (e) { return; }
  }

  // ---- one pair

  function runs(into, all) {
    all.forEach(function (run) {
      if (typeof run === "string") { into.appendChild(document.createTextNode(run)); return; }
      var look = LOOKS[run[1]];
      into.appendChild(el(look.indexOf("mark") === -1 ? "span" : "mark", look, run[0]));
    });
    return into;
  }

  function blocks(into, all) {
    if (!all.length) into.appendChild(el("p", "empty", "nothing"));
    all.forEach(function (block) {
      var made = el("div", "block " + block[0]);
      if (block[0] === "call") {
        var name = el("div", "call-name");
        name.appendChild(el("span", "sr", "calls "));
        name.appendChild(block[3] ? el("mark", "mark", block[1]) : document.createTextNode(block[1]));
        made.appendChild(name);
      } else if (block[0] !== "text") made.appendChild(el("div", "call-name", NAMES[block[0]]));
      made.appendChild(block[2].length ? runs(el("pre"), block[2]) : el("p", "empty", "empty"));
      into.appendChild(made);
    });
    return into;
  }

  function prompt(pair) {
    var offered = meet(pair.tools), made = el("details", "prompt");
    made.open = true;
    var head = "Prompt";
    if (pair.earlier) head += ", its end: " + pair.earlier + " earlier messages not shown";
    made.appendChild(el("summary", "", head));
    if (offered.length) {
      var more = offered.length > 12 ? " and " + (offered.length - 12) + " more" : "";
      made.appendChild(el("p", "small", "Tools offered: " + offered.slice(0, 12).join(", ") + more));
    }
    var tail = el("div", "tail");
    tail.tabIndex = 0;
    tail.setAttribute("role", "region");
    tail.setAttribute("aria-label", "End of the prompt");
    pair.tail.forEach(function (n) {
      var message = meet(n), turned = el("div", "turn");
      turned.appendChild(el("div", "role", message[0]));
      turned.appendChild(blocks(el("div"), message.slice(1)));
      tail.appendChild(turned);
    });
    made.appendChild(tail);
    return made;
  }

  function side(word, look, all) {
    var made = el("div", "side " + look);
    made.appendChild(el("h4", "", word));
    return blocks(made, all);
  }

  function chips(head, number, pair) {
    var entry = index[number];
    entry[0].forEach(function (n) { head.appendChild(el("span", "chip bad", names.codes[n])); });
    head.appendChild(el("span", "chip", names.sources[entry[2]]));
    pair.edits.forEach(function (word) { head.appendChild(el("span", "chip", word)); });
  }

  function origin(pair) {
    var parts = [];
    if (pair.from[1]) parts.push("rejected from " + pair.from[1]);
    if (pair.from[0]) parts.push("chosen from " + pair.from[0]);
    if (pair.from[2]) parts.push("prompt of " + pair.from[2]);
    if (pair.id) parts.push("id " + pair.id);
    var line = parts.join(" · "), made = el("p", "origin");
    made.appendChild(el("code", "", line));
    made.appendChild(copyButton(line));
    return made;
  }

  function draw_pair(number) {
    var pair = JSON.parse(lines[number]), head = el("header");
    head.appendChild(el("h3", "", "Pair " + (number + 1)));
    chips(head, number, pair);
    var parts = [head];
    if (pair.evidence.length) {
      var found = el("ul", "evidence");
      pair.evidence.forEach(function (each) {
        var item = el("li");
        if (each[0]) item.appendChild(el("b", "", each[0]));
        item.appendChild(document.createTextNode(" " + each[1]));
        found.appendChild(item);
      });
      parts.push(found);
    }
    if (pair.tail.length) parts.push(prompt(pair));
    var sides = el("div", "sides");
    sides.appendChild(side("Rejected", "rejected", pair.rejected));
    sides.appendChild(side("Chosen", "chosen", pair.chosen));
    parts.push(sides, origin(pair));
    detail.replaceChildren.apply(detail, parts);
    detail.scrollTop = 0;
    var tail = detail.querySelector(".tail");
    if (tail) tail.scrollTop = tail.scrollHeight;
  }

  // ---- what a person does

  function fill(name, kind, places) {
    var counts = names[kind].map(function () { return 0; });
    index.forEach(function (entry) { places(entry).forEach(function (n) { counts[n] += 1; }); });
    counts.map(function (count, n) { return [count, n]; })
      .sort(function (a, b) { return b[0] - a[0]; })
      .forEach(function (each) {
        var option = el("option", "", names[kind][each[1]] + " (" + each[0] + ")");
        option.value = String(each[1]);
        form.elements[name].appendChild(option);
      });
  }

  var MOVES = {
    ArrowDown: function () { return at + 1; }, ArrowUp: function () { return at - 1; },
    PageDown: function () { return at + 8; }, PageUp: function () { return at - 8; },
    Home: function () { return 0; }, End: function () { return view.length - 1; }
  };

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") { event.preventDefault(); form.elements.q.focus(); return; }
    if (!view.length) return;
    if (event.key === "j" || event.key === "k") {
      select(at + (event.key === "j" ? 1 : -1), true);
      var box = browser.getBoundingClientRect();
      if (box.bottom < 120 || box.top > innerHeight - 120) browser.scrollIntoView();
    } else if (event.target === list && MOVES[event.key]) {
      event.preventDefault();
      select(MOVES[event.key](), true);
    }
  }

  function follow() {
    var asked = /^#pair-(\d+)$/.exec(location.hash);
    var position = asked ? view.indexOf(Number(asked[1]) - 1) : -1;
    if (position === -1) return;
    select(position, false);
    browser.scrollIntoView();
  }

  /* What stood above has another height by now. */
  function arrive() {
    var aimed = location.hash && document.getElementById(location.hash.slice(1));
    if (aimed) aimed.scrollIntoView();
  }

  function begin(text) {
    read(text);
    fill("code", "codes", function (entry) { return entry[0]; });
    fill("tool", "tools", function (entry) { return entry[1]; });
    fill("source", "sources", function (entry) { return [entry[2]]; });
    root.classList.add("unpacked");
    form.hidden = false;
    list.addEventListener("scroll", function () {
      if (waiting) return;
      waiting = requestAnimationFrame(function () { waiting = 0; draw(); });
    });
    list.addEventListener("click", function (event) {
      var row = event.target.closest(".row");
      if (row) select(Number(row.dataset.position), true);
    });
    form.addEventListener("input", apply);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    document.addEventListener("keydown", keys);
    addEventListener("resize", draw);
    addEventListener("hashchange", follow);
    apply();
    arrive();
    follow();
  }

  if (typeof DecompressionStream === "undefined") {
    document.getElementById("old").hidden = false;
    return;
  }
  unpack(packed.textContent).then(begin);
})();
