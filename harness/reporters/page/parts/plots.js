"use strict";
// Interactive plots with uPlot: hover for numbers, click a name to hide it, drag to zoom. Static figures stand in without it.
(() => {
  const plots = JSON.parse(document.getElementById("plots-data").textContent);
  const hidden = new Set();
  const drawn = [];
  let strong = ""; // the method under the pointer

  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const steps = {
    count: [[1, ""]],
    seconds: [[1, "s"], [60, "min"], [3600, "h"], [86400, "d"]],
    bytes: [[1, "B"], [1024, "KiB"], [1024 ** 2, "MiB"], [1024 ** 3, "GiB"]],
  };
  function told(value, unit) {
    const [size, name] = steps[unit].findLast(([least]) => value >= least) ?? steps[unit][0];
    return `${number.format(Number((value / size).toPrecision(3)))} ${name}`.trim();
  }

  // Corners of a marker around 0, 0; as in the static figures.
  const star = (n, turn, inner) =>
    Array.from({ length: 2 * n }, (_, i) => [turn + (Math.PI * i) / n, i % 2 ? inner : 1.25]);
  const round = (n, turn) => Array.from({ length: n }, (_, i) => [turn + (2 * Math.PI * i) / n, 1.15]);
  const shapes = {
    s: round(4, Math.PI / 4), "^": round(3, -Math.PI / 2), D: round(4, 0), v: round(3, Math.PI / 2), P: star(4, 0, 0.55),
    X: star(4, Math.PI / 4, 0.55), "<": round(3, Math.PI), ">": round(3, 0), "*": star(5, -Math.PI / 2, 0.5), h: round(6, 0),
  };
  function mark(context, x, y, size, line, edge) {
    context.beginPath();
    if (shapes[line.marker]) {
      for (const [angle, far] of shapes[line.marker]) {
        context.lineTo(x + size * far * Math.cos(angle), y + size * far * Math.sin(angle));
      }
      context.closePath();
    } else context.arc(x, y, size, 0, 2 * Math.PI);
    context.fillStyle = line.colour;
    context.fill();
    context.strokeStyle = edge;
    context.lineWidth = size / 6;
    context.stroke();
  }

  // Methods of one IPC stand a little apart, never near the next IPC.
  function apart(plot) {
    const xs = [...new Set(plot.lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    if (plot.tabs.against !== "ipc") return () => 1;
    const gap = Math.min(Math.log(2.25), ...xs.slice(1).map((x, i) => Math.log(x / xs[i])));
    const half = Math.min(gap / 5, 0.035 * (plot.lines.length - 1));
    return (i) => Math.exp(plot.lines.length > 1 ? half * ((2 * i) / (plot.lines.length - 1) - 1) : 0);
  }

  function splits(plot, low, high) {
    if (plot.tabs.against === "ipc") return [...new Set(plot.lines.flatMap((line) => line.points.map((p) => p[0])))];
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
      found.push(...(high / low > 200 ? [1] : [1, 2, 5]).map((digit) => digit * 10 ** power));
    }
    return found.filter((value) => value >= low && value <= high);
  }

  function draw(plot, place) {
    const shift = apart(plot);
    const spots = plot.lines.map((line, i) => line.points.map((point) => ({ x: point[0] * shift(i), point })));
    const xs = [...new Set(spots.flat().map((spot) => spot.x))].sort((a, b) => a - b);
    const columns = spots.map((own) => {
      const at = new Map(own.map((spot) => [spot.x, spot.point[1]]));
      return xs.map((x) => at.get(x) ?? null);
    });
    const ends = [...spots.flat().map((spot) => spot.point), ...plot.full].flatMap((p) => p.slice(1, 4)).filter((v) => v !== null);
    const [low, high] = [Math.max(0, Math.min(...ends) - 1), Math.min(100, Math.max(...ends) + 1)];
    const look = () => getComputedStyle(place);
    const grid = { stroke: () => look().borderTopColor, width: 1 };
    const isShown = (i) => !hidden.has(plot.lines[i].label);
    const faint = (i) => (strong && strong !== plot.lines[i].label ? 0.2 : 1);

    function paint(u) {
      const { ctx: context, bbox: box } = u;
      const ratio = devicePixelRatio;
      context.save();
      context.beginPath();
      context.rect(box.left, box.top, box.width, box.height);
      context.clip();
      context.setLineDash([6 * ratio, 4 * ratio]);
      for (const [, mean] of plot.full) {
        const y = u.valToPos(mean, "y", true);
        context.strokeStyle = look().color;
        context.lineWidth = ratio;
        context.beginPath();
        context.moveTo(box.left, y);
        context.lineTo(box.left + box.width, y);
        context.stroke();
      }
      context.setLineDash([]);
      plot.lines.forEach((line, i) => {
        if (!isShown(i)) return;
        const at = spots[i].map(({ x, point }) => [u.valToPos(x, "x", true), ...point.slice(1, 4).map((v) => (v === null ? null : u.valToPos(v, "y", true)))]);
        context.strokeStyle = context.fillStyle = line.colour;
        const ranged = at.filter((p) => p[2] !== null);
        if (plot.tabs.against === "training") {
          context.globalAlpha = 0.12 * faint(i);
          context.beginPath();
          for (const p of ranged) context.lineTo(p[0], p[3]);
          for (const p of ranged.toReversed()) context.lineTo(p[0], p[2]);
          context.fill();
        }
        context.globalAlpha = 0.8 * faint(i);
        context.lineWidth = 1.5 * ratio;
        context.beginPath();
        for (const p of at) context.lineTo(p[0], p[1]);
        context.stroke();
        context.globalAlpha = faint(i);
        if (plot.tabs.against !== "training") {
          context.beginPath();
          for (const p of ranged) {
            context.moveTo(p[0], p[2]);
            context.lineTo(p[0], p[3]);
          }
          context.stroke();
        }
        const every = plot.tabs.against === "training" ? Math.ceil(at.length / 8) : 1;
        at.forEach((p, k) => k % every || mark(context, p[0], p[1], 4 * ratio, line, look().color));
      });
      context.restore();
    }

    const chart = new uPlot(
      {
        width: place.clientWidth,
        height: 340,
        legend: { show: false },
        cursor: { points: { show: false }, y: false, x: false, drag: { x: true, y: true, uni: 40 } },
        scales: {
          x: { time: false, distr: plot.log ? 3 : 1, range: (u, a, b) => (plot.log ? [a / 1.2, b * 1.2] : [a, b > a ? b : a + 1]) },
          y: { range: () => [low, high] },
        },
        axes: [
          {
            label: plot.x, labelSize: 22, labelFont: "12px system-ui", font: "12px system-ui", stroke: () => look().color, grid, ticks: grid,
            ...(plot.log && { splits: (u, i, a, b) => splits(plot, a, b), filter: (u, found) => found }),
            values: (u, found) => found.map((value) => told(value, plot.unit)),
          },
          { label: plot.y, labelSize: 22, labelFont: "12px system-ui", font: "12px system-ui", size: 44, stroke: () => look().color, grid, ticks: grid },
        ],
        series: [{}, ...plot.lines.map((line) => ({ label: line.label, paths: () => null, points: { show: false } }))],
        hooks: { draw: [paint] },
      },
      [xs, ...columns],
      place,
    );
    drawn.push(chart);
    hover(plot, chart, spots, isShown);
    return chart;
  }

  // What is nearest to the pointer is named, and drawn alone in full colour in every plot.
  function hover(plot, chart, spots, isShown) {
    const box = document.createElement("div");
    box.className = "told";
    box.hidden = true;
    chart.over.append(box);
    const away = () => {
      box.hidden = true;
      focus("");
    };
    const near = (event) => {
      const inside = chart.over.getBoundingClientRect();
      const [x, y] = [event.clientX - inside.left, event.clientY - inside.top];
      let best = { far: 40 ** 2 };
      spots.forEach((own, i) => {
        for (const spot of isShown(i) ? own : []) {
          const [left, top] = [chart.valToPos(spot.x, "x"), chart.valToPos(spot.point[1], "y")];
          const far = (left - x) ** 2 + (top - y) ** 2;
          if (far < best.far) best = { far, i, spot, left, top };
        }
      });
      if (!best.spot) return away();
      const [value, mean, low, high, runs, ipc] = best.spot.point;
      const where = plot.tabs.against === "training" ? `Epoch ${value}` : `IPC ${ipc}` + (plot.tabs.against === "ipc" ? "" : `, ${told(value, plot.unit)}`);
      const spread = low === null ? "" : `\n${plot.interval}: ${low.toFixed(1)} to ${high.toFixed(1)}`;
      box.textContent = `${plot.lines[best.i].label}\n${where}: ${mean.toFixed(1)} %${spread}\n${runs} ${runs === 1 ? "student" : "students"}`;
      box.hidden = false;
      box.style.left = `${Math.max(0, Math.min(best.left + 12, inside.width - box.offsetWidth))}px`;
      box.style.top = `${best.top > inside.height / 2 ? best.top - box.offsetHeight - 12 : best.top + 12}px`;
      focus(plot.lines[best.i].label);
    };
    chart.over.addEventListener("pointermove", near);
    chart.over.addEventListener("pointerdown", near);
    chart.over.addEventListener("pointerleave", away);
  }

  const again = () => drawn.forEach((chart) => chart.redraw(false));
  function focus(label) {
    if (label !== strong) {
      strong = label;
      again();
    }
  }

  function legend(list) {
    const lines = new Map(plots.flatMap((plot) => plot.lines.map((line) => [line.label, line])));
    for (const [label, line] of lines) {
      const [button, swatch] = [document.createElement("button"), document.createElement("canvas")];
      const ratio = devicePixelRatio;
      swatch.width = swatch.height = 16 * ratio;
      mark(swatch.getContext("2d"), 8 * ratio, 8 * ratio, 5 * ratio, line, "#888888");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(swatch, label);
      button.addEventListener("click", () => {
        if (!hidden.delete(label)) hidden.add(label);
        button.setAttribute("aria-pressed", String(!hidden.has(label)));
        again();
      });
      button.addEventListener("pointerenter", () => focus(label));
      button.addEventListener("pointerleave", () => focus(""));
      list.append(button);
    }
  }

  // A plot is drawn when it is first seen: many stand in tabs that nobody opens.
  const charts = new Map();
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (!target.clientWidth) continue;
      if (!charts.has(target)) charts.set(target, draw(plots[target.dataset.plot], target));
      else charts.get(target).setSize({ width: target.clientWidth, height: 340 });
    }
  });
  document.getElementById("plots").hidden = false;
  legend(document.getElementById("legend"));
  document.querySelectorAll("[data-plot]").forEach((place) => watch.observe(place));
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  const figures = document.getElementById("static");
  if (figures) {
    figures.open = false;
    addEventListener("beforeprint", () => (figures.open = true));
  }
})();
