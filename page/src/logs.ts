// Each log as a row of cells; equal indexes stand below one another.
import { byId, html, tint } from "./dom";
import { type Film, last, type NodeState } from "./model";

const NARROW = 34, WIDE = 92, NAME = 84;

export class Logs {
  private readonly root = byId("logs");

  constructor(private readonly film: Film) {}

  state(): void {
    const { film, root } = this;
    const nodes = film.recording.nodes.map((name) => [name, film.state.get(name)!] as const);
    const end = Math.max(1, ...nodes.map(([, node]) => last(node)));
    const room = Math.max(120, root.clientWidth - NAME - 4);
    const fitting = Math.max(1, Math.floor(room / NARROW));
    const first = Math.max(1, end - fitting + 1);
    const count = Math.max(end - first + 1, Math.min(8, fitting));
    const width = Math.min(WIDE, Math.floor(room / count));
    root.style.setProperty("--columns", String(count));
    root.style.setProperty("--cell", `${width}px`);
    root.classList.toggle("texts", width >= 60);
    const head = html("div", { class: "log head", "aria-hidden": "true" }, html("span", { class: "who" }, "index"));
    for (let index = first; index < first + count; index++) head.append(html("span", {}, String(index)));
    root.replaceChildren(head, ...nodes.map(([name, node]) => this.row(name, node, first, count)));
  }

  private row(name: string, node: NodeState, first: number, count: number): HTMLElement {
    const shown = this.words(name, node);
    const row = html("div", { class: `log${node.up ? "" : " down"}${node.role === "leader" && node.up ? " leads" : ""}`, role: "img", "aria-label": shown });
    row.append(html("span", { class: "who" }, name));
    for (let index = first; index < first + count; index++) {
      const cell = node.cells[index - node.base - 1];
      let element: HTMLElement;
      if (index <= node.base) element = html("span", { class: "cell gone", title: `${index}: in the snapshot` });
      else if (!cell) element = html("span", { class: "cell none" });
      else {
        const [term, kind, text] = cell;
        const open = index > node.commit;
        element = html("span", { class: `cell ${kind}${open ? " open" : ""}`, title: `${index}, term ${term}: ${text}` },
          html("b", {}, String(term)), html("i", {}, text));
        tint(element, term);
      }
      if (index === node.commit) element.classList.add("edge");
      row.append(element);
    }
    return row;
  }

  private words(name: string, node: NodeState): string {
    const terms: string[] = [];
    node.cells.forEach(([term], n) => {
      if (n === 0 || node.cells[n - 1]![0] !== term) terms.push(`term ${term} from ${node.base + n + 1}`);
    });
    const what = terms.length > 6 ? [`${terms.length - 6} earlier terms`, ...terms.slice(-6)] : terms;
    const entries = node.cells.length ? `entries ${node.base + 1} to ${last(node)}, ${what.join(", ")}` : "no entries";
    return `Log of ${name}: ${entries}, committed ${node.commit}`;
  }
}
