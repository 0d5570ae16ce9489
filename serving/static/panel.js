// Narrows the panel while a name is typed; without script the form does the same.
const field = document.querySelector(".filter [name=name]");
const said = document.querySelector(".matches");
const original = said.textContent;
function narrow() {
  const part = field.value.trim().toLocaleLowerCase();
  for (const row of document.querySelectorAll(".panel tbody tr")) {
    row.hidden = !row.querySelector("th").textContent.toLocaleLowerCase().includes(part);
  }
  for (const section of document.querySelectorAll(".listed > section")) {
    section.hidden = !section.querySelector("tbody tr:not([hidden])");
  }
  const left = document.querySelectorAll(".panel tbody tr:not([hidden])").length;
  said.textContent = part ? String(left) : original;
}
field.addEventListener("input", narrow);

// Shows what is new, unless somebody is at work in the panel or wants it to stay as it is.
const main = document.querySelector("main");
const hold = document.querySelector(".hold");
hold.hidden = false;
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", hold.getAttribute("aria-pressed") !== "true");
});
setInterval(async () => {
  const held = hold.getAttribute("aria-pressed") === "true";
  if (held || document.hidden || main.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { "Hybridtwin-Unattended": "1" } }).catch(() => null);
  if (answer === null || answer.status >= 500) return; // away: the page says as of when it is
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const parts = document.querySelectorAll("[data-fresh]");
  const anew = fresh.querySelectorAll("[data-fresh]");
  if (anew.length !== parts.length) return location.reload(); // such as to the sign-in
  if (main.contains(document.activeElement)) return;
  parts.forEach((part, index) => part.replaceWith(anew[index]));
  narrow();
}, 1000 * Number(main.dataset.againS));
