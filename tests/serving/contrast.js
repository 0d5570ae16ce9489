// Contrast of every element that has text of its own against the nearest painted ground.
const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const parse = (text) => text.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const found = parse(getComputedStyle(node).backgroundColor);
    if (found.length === 3 || found[3] === 1) return found;
  }
  return [255, 255, 255];
};
return [...document.body.querySelectorAll("*")]
  .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim()))
  .map((node) => {
    const pair = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    return {
      text: node.textContent.trim().slice(0, 40),
      ratio: (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05),
    };
  });
