// What the pages do beyond plain HTML: the tooltip of charts, arrow keys between their columns, and
// what happens when htmx gets no usable answer. Everything here is progressive: without this file
// each page still shows and does all it is for.

"use strict";

// --- Charts --------------------------------------------------------------------------------------
// A column names its row of the chart's data table, so that no figure is sent twice.

function tooltipOf(chart) {
  let tooltip = chart.querySelector(".tooltip");
  if (!tooltip) {
    tooltip = document.createElement("div");
    tooltip.className = "tooltip";
    tooltip.setAttribute("aria-hidden", "true"); // the column's own label and the table say it
    chart.append(tooltip);
  }
  return tooltip;
}

function line(name, amount, colour) {
  const row = document.createElement("p");
  if (colour !== undefined) {
    const swatch = document.createElement("span");
    swatch.className = `swatch c${colour}`;
    row.append(swatch);
  }
  const label = document.createElement("span");
  label.textContent = name;
  const value = document.createElement("b");
  value.textContent = amount;
  row.append(label, value);
  return row;
}

function showTooltip(column) {
  const chart = column.closest(".chart");
  const table = document.getElementById(chart.dataset.table);
  const heads = table.tHead.rows[0].cells;
  const cells = table.tBodies[0].rows[Number(column.dataset.row)].cells;
  const tooltip = tooltipOf(chart);
  const total = cells.length - 1;
  const title = line(cells[0].textContent, cells[total].textContent);
  title.className = "title";
  tooltip.replaceChildren(title);
  // The last series is on top of the stack, so it comes first.
  for (let index = total - 1; index > 0; index -= 1) {
    if (!cells[index].classList.contains("none")) {
      const head = heads[index];
      tooltip.append(line(head.textContent, cells[index].textContent, head.dataset.colour));
    }
  }
  tooltip.hidden = false;
  place(tooltip, chart, column.querySelector(".hit"));
}

// Beside the column, on the side that has room; never outside the chart.
function place(tooltip, chart, hit) {
  const area = chart.getBoundingClientRect();
  const band = hit.getBoundingClientRect();
  const gap = 8;
  const right = band.right - area.left + gap;
  const left = band.left - area.left - gap - tooltip.offsetWidth;
  const highest = Math.max(area.width - tooltip.offsetWidth, 0);
  const x = right <= highest ? right : Math.max(left, 0);
  tooltip.style.left = `${Math.min(x, highest)}px`;
  tooltip.style.top = "0";
}

function hideTooltips() {
  for (const tooltip of document.querySelectorAll(".chart .tooltip")) {
    tooltip.hidden = true;
  }
}

function columnOf(event) {
  return event.target instanceof Element ? event.target.closest(".chart .column") : null;
}

document.addEventListener("pointerover", (event) => {
  const column = columnOf(event);
  if (column) {
    showTooltip(column);
  } else {
    hideTooltips();
  }
});

document.addEventListener("focusin", (event) => {
  const column = columnOf(event);
  if (column) {
    showTooltip(column);
  }
});

document.addEventListener("focusout", (event) => {
  if (columnOf(event)) {
    hideTooltips();
  }
});

// One column at a time is a stop of the Tab key; the arrow keys move it.
const steps = {
  ArrowLeft: (index) => index - 1,
  ArrowRight: (index) => index + 1,
  Home: () => 0,
  End: (_, last) => last,
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    hideTooltips();
    return;
  }
  const column = columnOf(event);
  const step = steps[event.key];
  if (!column || !step || event.altKey || event.ctrlKey || event.metaKey) {
    return;
  }
  event.preventDefault();
  const columns = [...column.parentNode.querySelectorAll(".column")];
  const last = columns.length - 1;
  const next = columns[Math.min(Math.max(step(columns.indexOf(column), last), 0), last)];
  column.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});

// --- Panels that drop down ------------------------------------------------------------------------
// They open and close by themselves; a click elsewhere and the Escape key close them too.

function closeDrops(except) {
  for (const drop of document.querySelectorAll("details.drop[open]")) {
    if (!except || !drop.contains(except)) {
      drop.open = false;
    }
  }
}

document.addEventListener("click", (event) => closeDrops(event.target));

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const drop = document.activeElement.closest("details.drop[open]");
    closeDrops();
    drop?.querySelector("summary").focus();
  }
});

// --- Swaps by htmx -------------------------------------------------------------------------------
// A link or a question that gets an error is opened as a page instead, so that people see what happened. The
// background questions for freshness stay silent.

function openInstead(event) {
  const asked = event.detail.elt;
  if (asked.hasAttribute("href") || asked.matches("form[method=get]")) {
    window.location.assign(event.detail.pathInfo.finalRequestPath);
  }
}

document.addEventListener("htmx:responseError", openInstead);
document.addEventListener("htmx:sendError", openInstead);
