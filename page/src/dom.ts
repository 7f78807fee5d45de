// Elements are made here and nowhere else, and all text goes through textContent: whatever a key, a
// value or a name holds, it stays text.

const SVG = "http://www.w3.org/2000/svg";
type Attributes = Record<string, string | number | boolean | undefined>;

function fill<E extends Element>(element: E, attributes: Attributes, inside: (Node | string)[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...inside);
  return element;
}

export function html<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Attributes = {}, ...inside: (Node | string)[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(name), attributes, inside);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  name: K, attributes: Attributes = {}, ...inside: (Node | string)[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, name), attributes, inside);
}

export function byId<E extends Element = HTMLElement>(id: string): E {
  return document.getElementById(id) as unknown as E;
}

/** The hue of a term: neighbours differ much. */
const HUES = [250, 55, 155, 330, 205, 95, 290, 20];

export function tint(element: HTMLElement | SVGElement, term: number): void {
  element.style.setProperty("--hue", String(HUES[term % HUES.length]));
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
