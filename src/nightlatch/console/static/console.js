// What makes the console's pages better; each of them works without it.
"use strict";

// Times in the reader's zone and language.
const written = new Intl.DateTimeFormat(document.documentElement.lang, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
for (const time of document.querySelectorAll("time[datetime]")) {
  const exact = time.querySelector(".exact > span, [data-exact]");
  if (exact) exact.textContent = written.format(new Date(time.dateTime));
}

// Where the entries of the navigation do not fit, the one of this page is seen.
const current = document.querySelector("nav [aria-current=page]");
if (current) current.closest("nav").scrollLeft = current.offsetLeft - 16;

// Copying.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Not over HTTPS, or not permitted: what is selected can be copied all the same.
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    if (!done) return;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// Choosing rows.
for (const form of document.querySelectorAll("form[data-choosing]")) {
  const all = form.querySelector("[data-all]");
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const count = form.querySelector("[data-chosen]");
  const button = form.querySelector("button[type=submit]");
  const show = () => {
    const number = boxes.filter((box) => box.checked).length;
    all.checked = number === boxes.length;
    all.indeterminate = number > 0 && number < boxes.length;
    button.disabled = number === 0;
    const text = number === 1 ? count.dataset.one : count.dataset.many.replace("{n}", String(number));
    count.textContent = number === 0 ? "" : text;
  };
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    show();
  });
  form.addEventListener("change", show);
  addEventListener("pageshow", show);
  show();
}

// A second click does not send a form twice.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") event.preventDefault();
    form.ariaBusy = "true";
  });
}
addEventListener("pageshow", (event) => {
  // Back, after signing out or in: what the browser has kept may be somebody else's.
  if (event.persisted) location.reload();
  for (const form of document.querySelectorAll("form[data-once]")) form.ariaBusy = null;
});
