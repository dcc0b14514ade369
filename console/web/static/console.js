// "/" goes to the page's search box and selects what is there, as in other tools of the desk.
const TEXT = "input:not([type=radio], [type=checkbox], [type=button], [type=submit]), textarea, select, [contenteditable]";
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches(TEXT) || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.querySelector("dialog[open] input[type=search]") ?? document.querySelector("main input[type=search]") ?? document.querySelector("input[type=search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// A menu closes by Escape, and when something else is pressed.
const menus = document.querySelectorAll(".menu");
addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(".menu[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// What a script asks by itself changes no cookie: its answer may arrive after that of the next page.
const ask = (where, options) => fetch(where, { ...options, headers: { "X-Background": "yes" } }).catch(() => null);

// Session items to pick: no more than allowed can be ticked, and with too few the form cannot be sent.
for (const list of document.querySelectorAll(".picks")) {
  const boxes = [...list.querySelectorAll("input[type=checkbox]")];
  const button = list.closest("form").querySelector("[data-needs-picks]");
  const count = () => {
    const picked = boxes.filter((box) => box.checked).length;
    list.querySelector("[data-picked]").textContent = picked;
    for (const box of boxes) box.disabled = "locked" in box.dataset || (!box.checked && picked >= Number(list.dataset.max));
    button.disabled = picked < Number(list.dataset.min) || picked > Number(list.dataset.max);
  };
  list.addEventListener("change", count);
  count();
}

// A window over the page: the browser keeps the focus inside, and Escape goes where Close goes.
for (const dialog of document.querySelectorAll("dialog.window[open]")) {
  dialog.close();
  document.querySelector(".window-shade")?.remove();
  dialog.showModal();
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    const closes = dialog.querySelector("[data-closes]");
    if (closes) closes.click();
    else location.assign(dialog.dataset.close);
  });
  const first = [".is-invalid", "[autofocus]", ".body :is(input:not([type=hidden]), select, textarea, button):enabled", "a"];
  first.map((which) => dialog.querySelector(which)).find(Boolean)?.focus();
}

// The sentence under a payment term follows what is typed.
for (const sentence of document.querySelectorAll("[data-preview]")) {
  const form = sentence.closest("form");
  let later, asked;
  form.addEventListener("input", () => {
    clearTimeout(later);
    asked?.abort();
    later = setTimeout(async () => {
      const typed = new FormData(form);
      for (const name of ["csrf_token", "was"]) typed.delete(name);
      asked = new AbortController();
      const where = `${sentence.dataset.preview}?${new URLSearchParams(typed)}`;
      const answer = await ask(where, { signal: asked.signal });
      if (answer?.ok) sentence.textContent = await answer.text();
    }, 250);
  });
}

// A choice that decides what else the form asks for, or what the page shows: sent by the button beside it, if there is one.
for (const field of document.querySelectorAll("[data-submits]")) {
  field.addEventListener("change", () => field.form.requestSubmit(field.parentElement.querySelector("button[form]")));
}

// What was typed is not lost by a slip: the browser asks before it leaves. Cancel and Close say that it is not wanted.
const typed = new Set();
addEventListener("input", (event) => {
  const form = event.target.form;
  if (form && (form.method === "post" || form.matches(".sign-up")) && !form.closest(".balance, .login, .check-in")) typed.add(form);
});
addEventListener("submit", (event) => typed.delete(event.target));
addEventListener("click", (event) => event.target.closest("dialog header a, form a.btn-quiet") && typed.clear());
addEventListener("beforeunload", (event) => typed.size && event.preventDefault());

// Nothing is sent twice by an impatient second click.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 4000);
  });
}

// After a refusal, the first field that is wrong has the focus, also where the address names a part of the page.
addEventListener("load", () => document.querySelector("main .is-invalid")?.focus());

// What is to be copied is selected as soon as somebody goes there.
for (const field of document.querySelectorAll("[data-selects]")) {
  field.addEventListener("focus", () => field.select());
  if (document.activeElement === field) field.select();
}

// The last usable day follows the chosen item's usual days, until somebody types another one.
for (const day of document.querySelectorAll("[data-usual]")) {
  const usual = JSON.parse(day.dataset.usual);
  const item = day.form.elements.item_id;
  let offered = usual[item.value] ?? "";
  item.addEventListener("change", () => {
    const next = usual[item.value] ?? "";
    if (day.value === offered) day.value = next;
    offered = next;
  });
}

// The browser's own print window, where a page is made for paper.
for (const button of document.querySelectorAll("[data-prints]")) button.addEventListener("click", () => print());

// What changes by itself is asked for again, while somebody looks at it and types nothing there.
const refresh = async () => {
  const part = document.querySelector("[data-refresh]");
  if (!part) return;
  await new Promise((later) => setTimeout(later, 1000 * Number(part.dataset.refresh)));
  if (!document.hidden && !document.querySelector("dialog[open]") && !part.contains(document.activeElement)) {
    const answer = await ask(location.href);
    const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
    const fresh = page?.getElementById(part.id);
    part.classList.toggle("stale", !fresh);
    if (fresh) part.replaceWith(fresh);
  }
  refresh();
};
refresh();
