// Pointing at a mark or a label highlights that label in both maps; a click on a label keeps it highlighted.
(() => {
  const figure = document.querySelector(".maps");
  if (!figure) return;
  const marks = [...figure.querySelectorAll(".chart .dot")];
  const buttons = [...figure.querySelectorAll("button")];
  const readout = figure.querySelector(".readout");
  const hint = readout.textContent;
  let pinned = null;

  const show = (kind, row = null) => {
    for (const mark of marks) {
      mark.classList.toggle("off", kind !== null && mark.dataset.kind !== kind);
      mark.classList.toggle("here", row !== null && mark.dataset.row === row);
    }
    for (const button of buttons) button.classList.toggle("lit", button.dataset.kind === kind);
    const mark = row === null ? null : marks.find((other) => other.dataset.row === row);
    readout.textContent = mark ? mark.querySelector("title").textContent : hint;
  };
  const pin = (kind) => {
    pinned = pinned === kind ? null : kind;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.kind === pinned));
    show(pinned);
  };

  for (const button of buttons) {
    button.addEventListener("click", () => pin(button.dataset.kind));
    button.addEventListener("pointerenter", () => show(button.dataset.kind));
    button.addEventListener("pointerleave", () => show(pinned));
  }
  for (const chart of figure.querySelectorAll(".chart")) {
    const points = [...chart.querySelectorAll(".dot")].map((mark) => {
      const { e: x, f: y } = mark.transform.baseVal[0].matrix;
      return { mark, x, y };
    });
    const point = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const distance = (p) => Math.hypot(p.x - x, p.y - y);
      const nearest = points.reduce((best, p) => (distance(p) < distance(best) ? p : best));
      if (distance(nearest) > 18) show(pinned);
      else show(pinned ?? nearest.mark.dataset.kind, nearest.mark.dataset.row);
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(pinned));
  }
})();
