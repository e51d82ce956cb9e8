// Figures are drawn when they come into view, in the colours of the page, and again when the scheme
// changes. Tables are sorted by their headings. To be printed, folded parts are opened and figures
// drawn in the colours of paper; afterwards all is as it was.
(function () {
  var CONFIG = { displayModeBar: false, responsive: true };
  var printing = false, opened = [];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function axes(layout) {
    return Object.keys(layout).filter(function (key) { return /^[xy]axis\d*$/.test(key); });
  }

  function dressed(given) {
    var layout = Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      margin: { l: 60, r: 20, t: 20, b: 50 }, hovermode: "closest"
    }, given);
    layout.font = Object.assign({ family: "system-ui, sans-serif", size: 13 }, layout.font);
    layout.xaxis = layout.xaxis || {};
    layout.yaxis = layout.yaxis || {};
    axes(layout).forEach(function (key) {
      layout[key] = Object.assign({ automargin: true, zeroline: false }, layout[key]);
    });
    return painted(layout);
  }

  function painted(layout) {
    // Before a page is printed its styles are still those of the screen.
    var ink = colour(printing ? "--paper-soft" : "--soft");
    var line = colour(printing ? "--paper-line" : "--line");
    layout.font = Object.assign({}, layout.font, { color: ink });
    axes(layout).forEach(function (key) {
      Object.assign(layout[key], { gridcolor: line, zerolinecolor: line, linecolor: line });
    });
    return layout;
  }

  function draw(div) {
    if (div.drawn || !div.offsetWidth) { return; }
    div.drawn = true;
    var figure = JSON.parse(div.querySelector("script").textContent);
    Plotly.newPlot(div, figure.data, dressed(figure.layout), CONFIG);
    hide(div);
  }

  // A legend hides traces of every figure of what it stands in: a section, or one cell of a grid.
  function scope(key) { return key.closest(".keys").parentElement; }

  function hide(div) {
    var names = {};
    div.closest("section").querySelectorAll(".keys button").forEach(function (key) {
      if (scope(key).contains(div)) {
        names[key.textContent] = key.getAttribute("aria-pressed") === "true";
      }
    });
    var of = div.data.map(function (trace) { return names[trace.legendgroup || trace.name]; });
    if (of.every(function (seen) { return seen === undefined; })) { return; }
    Plotly.restyle(div, { visible: of.map(function (seen) { return seen !== false; }) });
  }

  function press(key) {
    key.setAttribute("aria-pressed", key.getAttribute("aria-pressed") !== "true");
    scope(key).querySelectorAll(".plot").forEach(function (div) {
      if (div.drawn) { hide(div); }
    });
  }

  function everyPlot(act) { document.querySelectorAll(".plot").forEach(act); }

  function relayout(div, size) {
    if (div.drawn) { Plotly.relayout(div, painted(Object.assign({}, div.layout, size))); }
  }

  // Paper is narrower than a window, and its width is known only once it is printed: what fits A4.
  function fitPaper(div) {
    relayout(div, { autosize: false, width: div.closest(".grid") ? 335 : 690 });
  }

  function fitScreen(div) { relayout(div, { autosize: true, width: null }); }

  function paint() { everyPlot(function (div) { relayout(div, {}); }); }

  function watch() {
    if (!window.IntersectionObserver) { return everyPlot(draw); }
    var seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
      });
    }, { rootMargin: "600px" });
    everyPlot(function (div) { seen.observe(div); });
  }

  // A cell's number or its text; null where it says that nothing is known.
  function order(cell) {
    var number = cell.getAttribute("data-order"), text = cell.textContent.trim();
    if (number !== null) { return Number(number); }
    return text === "" || text === "\u2013" ? null : text;
  }

  function rank(value) { return value === null ? 2 : typeof value === "number" ? 0 : 1; }

  function sort(button) {
    var head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
    var place = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
    var rows = Array.prototype.slice.call(body.rows);
    rows.sort(function (a, b) {
      var one = order(a.cells[place]), two = order(b.cells[place]);
      // Words stay behind numbers, and what is not known last, whichever way.
      if (rank(one) !== rank(two)) { return rank(one) - rank(two); }
      return (one < two ? -1 : one > two ? 1 : 0) * (up ? 1 : -1);
    });
    rows.forEach(function (row) { body.appendChild(row); });
    table.querySelectorAll("th[aria-sort]").forEach(function (other) {
      other.setAttribute("aria-sort", "none");
    });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  }

  // A table that is cut says so.
  function cue(div) {
    div.classList.toggle("more", div.scrollWidth - div.clientWidth - div.scrollLeft > 4);
  }

  function cueAll(within) { within.querySelectorAll(".scroll").forEach(cue); }

  window.addEventListener("load", function () {
    watch();
    cueAll(document);
    document.querySelectorAll(".scroll").forEach(function (div) {
      div.addEventListener("scroll", function () { cue(div); }, { passive: true });
    });
    document.querySelectorAll("table.sortable th button").forEach(function (button) {
      button.addEventListener("click", function () { sort(button); });
    });
    document.querySelectorAll(".keys button").forEach(function (key) {
      key.addEventListener("click", function () { press(key); });
    });
    document.querySelectorAll("details").forEach(function (part) {
      part.addEventListener("toggle", function () { cueAll(part); });
    });
  });
  window.addEventListener("resize", function () { cueAll(document); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  window.addEventListener("beforeprint", function () {
    printing = true;
    // The numbers beside figures are not printed.
    opened = Array.from(document.querySelectorAll("details:not(.numbers):not([open])"));
    opened.forEach(function (part) { part.open = true; });
    everyPlot(draw);
    everyPlot(fitPaper);
  });
  window.addEventListener("afterprint", function () {
    printing = false;
    opened.forEach(function (part) { part.open = false; });
    opened = [];
    everyPlot(fitScreen);
  });
})();
