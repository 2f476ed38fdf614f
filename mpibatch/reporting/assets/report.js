"use strict";
// Charts in the page's colours, drawn anew when light and dark change; details stay open over a reload.
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const palette = () => dark.matches
    ? { text: "#9aa4b2", line: "#343c49", card: "#1d232d", strong: "#e4e8ee", series: ["#6cb0ff", "#ffb454", "#5ccf7a", "#d2a8ff", "#ff8a80", "#56d4dd", "#e3c46b", "#b0b8c4"] }
    : { text: "#5b6472", line: "#d9dde3", card: "#ffffff", strong: "#1c2330", series: ["#1f6feb", "#b35900", "#1a7f37", "#8250df", "#c62828", "#0a7e8c", "#7d6608", "#57606a"] };
  const stateColours = (colours) => [colours.series[3], colours.series[1], colours.series[0], colours.series[2]];
  const drawn = [];

  function timeline(option, colours) {
    const fill = stateColours(colours);
    const { states, cells, ...rest } = option;
    const series = states.map((state, number) => ({
      name: state, type: "custom", itemStyle: { color: fill[number] }, clip: true, encode: { x: [1, 2], y: 0 },
      data: cells.filter((cell) => cell[3] === number),
      renderItem: (params, api) => {
        const from = api.coord([api.value(1), api.value(0)]), to = api.coord([api.value(2), api.value(0)]);
        const height = Math.max(2, api.size([0, 1])[1] * 0.8);
        const area = params.coordSys;
        const x = Math.max(from[0], area.x), end = Math.min(to[0], area.x + area.width);
        return end <= x ? null : { type: "rect", shape: { x, y: from[1] - height / 2, width: Math.max(end - x, 1), height },
          style: { fill: fill[number], opacity: 0.2 + 0.8 * api.value(4) } };
      },
    }));
    const formatter = (point) => `${rest.yAxis.data[point.value[0]]}: ${states[point.value[3]]}, ` +
      `${Math.round(100 * point.value[4])}% at work, from ${point.value[1]} s to ${point.value[2]} s`;
    return { ...rest, series, tooltip: { trigger: "item", formatter } };
  }

  function axis(given, colours, narrow) {
    const style = { axisLabel: { color: colours.text, hideOverlap: true }, nameTextStyle: { color: colours.text },
      axisLine: { lineStyle: { color: colours.line } }, splitLine: { lineStyle: { color: colours.line } } };
    const one = (each) => ({ ...style, ...each, splitLine: { ...style.splitLine, ...each.splitLine },
      axisLabel: { ...style.axisLabel, ...each.axisLabel }, nameTextStyle: { ...style.nameTextStyle, ...each.nameTextStyle },
      ...(narrow && each.nameLocation !== "middle" ? { name: "" } : {}) });
    return Array.isArray(given) ? given.map(one) : one(given);
  }

  function draw() {
    const colours = palette();
    while (drawn.length) drawn.pop().dispose();
    for (const [id, [kind, title, given]] of Object.entries(data)) {
      const element = document.getElementById(id);
      const narrow = element.clientWidth < 500;
      const option = kind === "timeline" ? timeline(given, colours) : given;
      const chart = echarts.init(element, null, { renderer: "svg" });
      chart.setOption({
        animation: false, color: colours.series, textStyle: { fontFamily: "system-ui, sans-serif" },
        grid: { left: 12, right: 16, top: 40, bottom: 32, containLabel: true },
        legend: option.series.length > 1 ? { top: 0, type: "scroll", textStyle: { color: colours.strong } } : undefined,
        ...option, xAxis: axis(option.xAxis, colours, false), yAxis: axis(option.yAxis, colours, narrow),
        tooltip: { trigger: "axis", confine: true, backgroundColor: colours.card, borderColor: colours.line,
          textStyle: { color: colours.strong }, ...option.tooltip },
      });
      drawn.push(chart);
    }
  }

  draw();
  dark.addEventListener("change", draw);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });

  const key = "open:" + document.title.replace(/:.*/, "") + location.pathname;
  let open = [];
  try { open = JSON.parse(sessionStorage.getItem(key) || "[]"); } catch { /* no storage for files: they close */ }
  for (const details of document.querySelectorAll("details")) {
    details.open = details.open || open.includes(details.id);
    details.addEventListener("toggle", () => {
      const now = [...document.querySelectorAll("details[open]")].map((one) => one.id);
      try { sessionStorage.setItem(key, JSON.stringify(now)); } catch { /* as above */ }
    });
  }
  addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("details")) details.open = true; });
  const reload = Number(document.body.dataset.reload);
  if (reload) setTimeout(() => location.reload(), 1000 * reload);
})();
