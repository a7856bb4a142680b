"use strict";
// The page works without this: each step is a fragment. This adds keys, the chart, and the cursor in it.
(() => {
  const steps = [...document.querySelectorAll("section.step")];
  const slider = document.getElementById("slider");
  const said = document.getElementById("said");
  const charts = [...document.querySelectorAll("#episode svg.chart")];
  let at = -1;

  function hideDefinition(event) {
    if (event.key !== "Escape") return;
    const term = document.querySelector(".term:is(:hover,:focus-within)");
    if (!term) return;
    term.classList.add("quiet");
    const back = () => term.classList.remove("quiet");
    term.addEventListener("mouseleave", back, { once: true });
    term.addEventListener("focusout", back, { once: true });
  }
  document.addEventListener("keydown", hideDefinition);
  if (!steps.length) return;

  const numbers = steps.map((step) => Number(step.dataset.step));

  function nearest(number) {
    let best = 0;
    numbers.forEach((one, i) => {
      if (Math.abs(one - number) < Math.abs(numbers[best] - number)) best = i;
    });
    return best;
  }

  function asked() {
    const found = /^#step-(\d+)$/.exec(location.hash);
    const i = found ? numbers.indexOf(Number(found[1])) : -1;
    return i >= 0 ? i : Math.max(0, steps.findIndex((step) => step.classList.contains("first")));
  }

  function place(chart) {
    return ["left", "right", "low", "high"].map((name) => Number(chart.dataset[name]));
  }

  function show(i) {
    if (i === at) return;
    if (at >= 0) steps[at].classList.remove("current");
    at = i;
    steps[at].classList.add("current");
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", `step ${numbers[at]}`);
    said.textContent = steps[at].dataset.says;
    for (const chart of charts) {
      const [left, right, low, high] = place(chart);
      const cursor = chart.querySelector(".cursor");
      const x = left + ((right - left) * (numbers[at] - low)) / (high - low);
      cursor.setAttribute("transform", `translate(${x} 0)`);
      cursor.classList.add("on");
    }
  }

  // The address names the step. Keys replace it, so that "back" leaves the page and not each step of the way.
  function go(i, { remember = false } = {}) {
    const next = Math.min(Math.max(i, 0), steps.length - 1);
    show(next);
    const address = `#step-${numbers[next]}`;
    if (location.hash === address) return;
    if (remember) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  const moves = {
    first: () => go(0),
    previous: () => go(at - 1),
    next: () => go(at + 1),
    last: () => go(steps.length - 1),
  };
  const keys = { ArrowLeft: "previous", ArrowRight: "next", Home: "first", End: "last" };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const inside = event.target instanceof Element ? event.target : document.body;
    if (!(event.key in keys) || inside.closest("input, textarea, select, .scroll")) return;
    event.preventDefault();
    moves[keys[event.key]]();
  });
  for (const button of document.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => moves[button.dataset.go]());
  }
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#step-"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const i = numbers.indexOf(Number(link.getAttribute("href").slice(6)));
    if (i < 0) return;
    event.preventDefault();
    go(i, { remember: true });
    if (!link.closest("#episode")) steps[i].scrollIntoView({ block: "nearest" });
  });
  for (const chart of charts) {
    chart.addEventListener("click", (event) => {
      if (event.target.closest("a")) return;
      const box = chart.getBoundingClientRect();
      const x = ((event.clientX - box.left) * chart.viewBox.baseVal.width) / box.width;
      const [left, right, low, high] = place(chart);
      go(nearest(low + ((high - low) * (x - left)) / (right - left)));
    });
  }
  window.addEventListener("popstate", () => show(asked()));
  window.addEventListener("hashchange", () => show(asked()));

  document.documentElement.classList.add("scripted");
  document.getElementById("controls").hidden = false;
  show(asked());
  if (location.hash.startsWith("#step-")) steps[at].scrollIntoView({ block: "nearest" });
})();
