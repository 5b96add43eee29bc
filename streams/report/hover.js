"use strict";
// Figures under the pointer. The page is whole without this.
const two = (n) => String(n).padStart(2, "0");
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const clock = (ms) => {
  const d = new Date(ms);
  return `${d.getUTCDate()} ${months[d.getUTCMonth()]}, ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
};
const before = (list, value) => {
  let low = 0, high = list.length - 1, found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) { found = middle; low = middle + 1; } else high = middle - 1;
  }
  return found;
};
for (const box of document.querySelectorAll("[data-hover]")) {
  const d = JSON.parse(box.dataset.hover), out = box.querySelector(".readout");
  const plots = [...box.querySelectorAll(".plot")];
  const hairs = plots.map((plot) => {
    const hair = document.createElement("i");
    hair.className = "hair";
    hair.hidden = true;
    plot.append(hair);
    return hair;
  });
  const idle = "Point at a chart to read its figures.";
  out.hidden = false;
  out.textContent = idle;
  const show = (event) => {
    const place = plots[0].getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - place.left) / place.width));
    const minutes = (share * d.l) / 60000, parts = [`${clock(d.s + share * d.l)} UTC`];
    const i = before(d.t, minutes);
    if (i >= 0) {
      parts.push(d.i[i] === null ? "index unknown" : `index ${d.i[i]} (${d.a[i]}–${d.z[i]})`);
      parts.push(`mood −${d.m[i]}, shocks −${d.k[i]}`);
    }
    const b = before(d.b, minutes / 60);
    const here = b >= 0 && minutes / 60 < d.b[b] + d.w;
    const [negative, neutral, positive] = here ? d.v.map((v) => v[b]) : [0, 0, 0];
    parts.push(`posts: ${negative} negative, ${neutral} neutral, ${positive} positive`);
    out.textContent = parts.join(" · ");
    for (const hair of hairs) { hair.hidden = false; hair.style.left = `${100 * share}%`; }
  };
  const hide = () => {
    out.textContent = idle;
    for (const hair of hairs) hair.hidden = true;
  };
  for (const plot of plots) {
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", hide);
  }
}
