// Asks the bench anew while somebody changes it; without script the form's button does the same.
const form = document.querySelector("#bench");
const said = document.querySelector("#said");
const WAIT_MS = 400;
let timer, asking = false, again = false;

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT_MS);
});

// One question at a time; what changed meanwhile is asked afterwards, so that the last one counts.
async function ask() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  form.setAttribute("aria-busy", "true");
  const filled = [...new FormData(form)].filter(([, value]) => value !== "");
  const address = `${location.pathname}?${new URLSearchParams(filled)}`;
  try {
    const answer = await fetch(address, {headers: {Accept: "text/html"}});
    if (!answer.ok) throw new Error(answer.status);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    history.replaceState(null, "", address);
  } catch {
    said.textContent = said.dataset.failed;
  }
  form.removeAttribute("aria-busy");
  asking = false;
  if (again) {
    again = false;
    ask();
  }
}

function show(page) {
  const before = document.querySelector("#answer");
  const after = page.querySelector("#answer");
  const typed = before.querySelector("#keep-name")?.value;
  const focused = before.contains(document.activeElement) && document.activeElement.id;
  const open = [...before.querySelectorAll("details[open]")].map(one => one.className);
  before.replaceWith(after);
  for (const one of open) after.querySelector(`details.${one}`)?.setAttribute("open", "");
  const field = after.querySelector("#keep-name");
  if (field && typed) field.value = typed;
  if (focused) document.getElementById(focused)?.focus();
  for (const fault of page.querySelectorAll(".fault")) {
    const own = document.getElementById(fault.id);
    own.textContent = fault.textContent;
    const name = fault.id.replace(/-fault$/, "");
    const input = document.getElementById(name);
    if (input.placeholder !== undefined) input.placeholder = page.getElementById(name).placeholder;
    if (fault.textContent) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  document.querySelector(".reading [name=next]").value = page.querySelector(".reading [name=next]").value;
  said.textContent = after.querySelector(".no-picture") ? said.dataset.refused : said.dataset.done;
}
