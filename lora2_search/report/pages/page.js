// Plotly draws fixed colours: give every figure those of the page, again when the scheme changes.
(function () {
  function paint() {
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--soft").trim(), line = style.getPropertyValue("--line").trim();
    document.querySelectorAll(".plotly-graph-div").forEach(function (div) {
      var change = { "font.color": ink };
      Object.keys(div.layout || {}).filter(function (key) { return /^[xy]axis\d*$/.test(key); })
        .forEach(function (key) {
          change[key + ".gridcolor"] = line;
          change[key + ".zerolinecolor"] = line;
          change[key + ".linecolor"] = line;
        });
      Plotly.relayout(div, change);
    });
  }
  window.addEventListener("load", paint);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
})();
