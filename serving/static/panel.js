// Narrows the panel while a name is typed; without script the form does the same.
const field = document.querySelector(".filter [name=name]");
const said = document.querySelector(".matches");
const original = said.textContent;
field.addEventListener("input", () => {
  const part = field.value.trim().toLocaleLowerCase();
  for (const row of document.querySelectorAll(".panel tbody tr")) {
    row.hidden = !row.querySelector("th").textContent.toLocaleLowerCase().includes(part);
  }
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = !section.querySelector("tbody tr:not([hidden])");
  }
  const left = document.querySelectorAll(".panel tbody tr:not([hidden])").length;
  said.textContent = part ? String(left) : original;
});
