// Check-in: suggestions while somebody types, and keys. The page works without this, with a page for each step.
(() => {
  const page = document.querySelector(".check-in");
  const box = document.getElementById("who");
  const list = document.getElementById("hits");
  const section = list.closest("section");
  const none = document.getElementById("no-hits");
  const title = document.getElementById("hits-title");
  const CODE = /^m_[a-z2-7]{16}$/i;
  const PAUSE_MS = 120;
  // A scanner's line end follows its last character at once, and is for the box, not for the page behind it.
  const LINE_END_MS = 200;
  let active = -1;
  let shownFor = box.defaultValue.trim();
  let later, asked;

  // Marked for screen readers as a combobox with its list, which only scripts make it.
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": "hits", "aria-expanded": "false" })) box.setAttribute(name, value);
  list.setAttribute("role", "listbox");

  const options = () => [...list.children];
  const choose = (place) => {
    active = place;
    options().forEach((one, at) => one.setAttribute("aria-selected", String(at === place)));
    const one = options()[place];
    if (one) box.setAttribute("aria-activedescendant", one.id);
    else box.removeAttribute("aria-activedescendant");
    one?.scrollIntoView({ block: "nearest" });
  };
  const show = (members, text) => {
    shownFor = text;
    list.replaceChildren(...members.map((member, place) => {
      const one = document.createElement("li");
      Object.assign(one, { id: `hit-${place}`, role: "option" });
      one.dataset.href = member.href;
      for (const part of ["name", "details"]) {
        const words = document.createElement("span");
        words.className = part === "name" ? "item" : part;
        words.textContent = member[part];
        one.append(words, " ");
      }
      return one;
    }));
    title.textContent = text ? title.dataset.found : title.dataset.recent;
    none.hidden = members.length > 0;
    none.children[0].hidden = !text;
    none.children[1].hidden = Boolean(text);
    section.hidden = false;
    box.setAttribute("aria-expanded", String(members.length > 0));
    choose(-1);
  };
  const links = [...list.querySelectorAll("a")];
  const first = links.map((link) => ({ href: link.href, name: link.children[0].textContent, details: link.children[1].textContent }));
  if (!section.hidden) show(first, shownFor);

  const suggest = async () => {
    const text = box.value.trim();
    asked?.abort();
    asked = new AbortController();
    const answer = await ask(`${box.dataset.suggestions}?${new URLSearchParams({ q: text })}`, { signal: asked.signal });
    // The last answer wins: what was typed since has a question of its own.
    if (answer?.ok && text === box.value.trim()) show((await answer.json()).members, text);
  };
  const typed = () => {
    clearTimeout(later);
    asked?.abort();
    if (CODE.test(box.value.trim())) later = setTimeout(() => box.form.requestSubmit(), LINE_END_MS);
    else later = setTimeout(suggest, PAUSE_MS);
  };
  box.addEventListener("input", typed);
  // What was typed before this script was there.
  if (box.value !== box.defaultValue) typed();
  box.form.addEventListener("submit", (event) => {
    clearTimeout(later);
    asked?.abort();
    if (!box.value.trim() && active < 0) event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const one = event.target.closest("[role=option]");
    if (one) location.assign(one.dataset.href);
  });
  box.addEventListener("keydown", (event) => {
    const every = options();
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && every.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose((active + step + every.length + (active < 0 && step < 0 ? 1 : 0)) % every.length);
    } else if (event.key === "Enter") {
      // A chosen one, or the only hit for what stands there; else the server looks, whose list may be newer.
      const only = box.value.trim() && every.length === 1 && shownFor === box.value.trim() ? 0 : -1;
      const one = every[active >= 0 ? active : only];
      if (!one) return;
      event.preventDefault();
      clearTimeout(later);
      location.assign(one.dataset.href);
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !box.value) {
      const undo = document.getElementById("undo");
      if (!undo) return;
      event.preventDefault();
      undo.click();
    }
  });

  const choices = [...page.querySelectorAll(".choice input")];
  const reason = document.getElementById("override_reason");
  const take = (place) => {
    const one = choices[place];
    if (!one) return;
    one.checked = true;
    needs();
    if (reason && "needsReason" in one.dataset) reason.focus();
    else document.getElementById("check-in").focus();
  };
  const needs = () => {
    const one = choices.find((choice) => choice.checked);
    if (reason) reason.closest(".mb-3").hidden = !(one && "needsReason" in one.dataset);
  };
  needs();
  page.addEventListener("change", needs);
  if (reason && !reason.closest(".mb-3").hidden) reason.focus();

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target !== box && document.querySelector(".panel")) return location.assign(page.dataset.start);
    if (event.target.matches(TEXT)) return;
    if (/^[1-9]$/.test(event.key) && choices.length) {
      event.preventDefault();
      take(Number(event.key) - 1);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.id === "check-in" && choices.length > 1) {
      event.preventDefault();
      const here = choices.findIndex((choice) => choice.checked);
      take((here + (event.key === "ArrowDown" ? 1 : -1) + choices.length) % choices.length);
    } else if (/^\p{L}$/u.test(event.key)) {
      // The next person's name or card, while this one's sessions are shown: it goes into the box.
      box.focus();
      box.select();
    }
  });
})();
