// Draws the curves, again whenever the width or the colours change.
(() => {
  const panels = JSON.parse(document.getElementById("curve-data")?.textContent ?? "[]");
  const place = document.getElementById("curves");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const HEIGHT = 280;
  let plots = [];

  function data(lines) {
    const tables = lines.map((line) => [line.x, line.y]);
    return tables.length > 0 ? uPlot.join(tables) : [[]];
  }

  function draw(isDark) {
    const style = getComputedStyle(document.documentElement);
    const color = (name, printed) => (isDark === dark.matches ? style.getPropertyValue(name).trim() : printed);
    const [ink, line] = [color("--ink", "#222"), color("--line", "#d9d9d9")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    plots.forEach((plot) => plot.destroy());
    place.replaceChildren();
    plots = panels.map((panel) => {
      const box = place.appendChild(document.createElement("div"));
      const series = panel.lines.map((l) => ({
        label: l.name + (l.dashed ? " (validation)" : ""),
        stroke: l.colors[isDark ? 1 : 0],
        width: 2,
        dash: l.dashed ? [6, 4] : undefined,
        spanGaps: true,
        points: { show: l.x.length < 3 },
        value: (_, v) => (v == null ? "\u2013" : v.toPrecision(5)),
      }));
      const options = {
        title: panel.title,
        width: box.clientWidth,
        height: HEIGHT,
        scales: { x: { time: false } },
        axes: [{ ...axis, label: "step" }, { ...axis, size: 60 }],
        series: [{ label: "step" }, ...series],
      };
      return new uPlot(options, data(panel.lines), box);
    });
  }

  function resize() {
    plots.forEach((plot) => plot.setSize({ width: plot.root.parentNode.clientWidth, height: HEIGHT }));
  }

  if (place) {
    draw(dark.matches);
    dark.addEventListener("change", () => draw(dark.matches));
    window.addEventListener("resize", resize);
    // Paper is white.
    window.addEventListener("beforeprint", () => draw(false));
    window.addEventListener("afterprint", () => draw(dark.matches));
  }
})();
