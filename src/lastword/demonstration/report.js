// Pointing at a mark or a label lights that label in both maps; a click on a label holds it.
(() => {
  const figure = document.querySelector(".maps");
  if (!figure) return;
  const marks = [...figure.querySelectorAll(".chart .dot")];
  const buttons = [...figure.querySelectorAll("button")];
  const readout = figure.querySelector(".readout");
  const hint = readout.textContent;
  let held = null;

  const show = (kind, row = null) => {
    for (const mark of marks) {
      mark.classList.toggle("off", kind !== null && mark.dataset.kind !== kind);
      mark.classList.toggle("here", row !== null && mark.dataset.row === row);
    }
    for (const button of buttons) button.classList.toggle("lit", button.dataset.kind === kind);
    const mark = row === null ? null : marks.find((one) => one.dataset.row === row);
    readout.textContent = mark ? mark.querySelector("title").textContent : hint;
  };
  const hold = (kind) => {
    held = held === kind ? null : kind;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.kind === held));
    show(held);
  };

  for (const button of buttons) {
    button.addEventListener("click", () => hold(button.dataset.kind));
    button.addEventListener("pointerenter", () => show(button.dataset.kind));
    button.addEventListener("pointerleave", () => show(held));
  }
  for (const chart of figure.querySelectorAll(".chart")) {
    const own = [...chart.querySelectorAll(".dot")].map((mark) => {
      const { e: x, f: y } = mark.transform.baseVal[0].matrix;
      return { mark, x, y };
    });
    const point = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const far = (one) => Math.hypot(one.x - x, one.y - y);
      const near = own.reduce((best, one) => (far(one) < far(best) ? one : best));
      if (far(near) > 18) show(held);
      else show(held ?? near.mark.dataset.kind, near.mark.dataset.row);
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(held));
  }
})();
