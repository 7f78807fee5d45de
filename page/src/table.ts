// What happened, in words. Only the rows around this moment are made, however long the recording is.
import { byId, html, seconds, svg } from "./dom";
import { type Film, words } from "./model";
import { mark } from "./signs";

const AROUND = 60;
const FINE = new Set(["message", "apply"]);

export class Table {
  /** The numbers of the events that have a row, which are the steps too. */
  steps: number[] = [];
  private readonly body = byId("rows");
  private readonly scroll = byId("scroll");

  constructor(private readonly film: Film, private readonly go: (index: number) => void) {
    this.choose(false);
    this.body.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("tr[data-event]");
      if (row) this.go(Number(row.dataset.event) + 1);
    });
  }

  /** Whether every message and every entry that is applied is a step. */
  choose(all: boolean): void {
    this.steps = [];
    this.film.events.forEach((event, n) => { if (all || !FINE.has(event.kind)) this.steps.push(n); });
    byId("table").setAttribute("aria-rowcount", String(this.steps.length + 1));
  }

  /** The place among the steps of the last one that is over; -1 before the first. */
  place(): number {
    let low = 0, high = this.steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle]! < this.film.index) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  state(): void {
    const place = this.place();
    const from = Math.max(0, place - AROUND), to = Math.min(this.steps.length, place + AROUND);
    const rows: HTMLElement[] = [];
    for (let n = from; n < to; n++) {
      const number = this.steps[n]!;
      const event = this.film.events[number]!;
      const rule = event.rule ? this.film.recording.rules[event.rule] : undefined;
      const row = html("tr", { "data-event": number, "aria-rowindex": n + 2, class: `of-${event.kind}${n > place ? " later" : ""}` },
        html("td", { class: "time" }, seconds(event.at)),
        html("td", { class: "kind" }, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, mark(event.kind)), html("span", {}, event.kind)),
        html("td", {}, words(event, this.film.flights)),
        html("td", { class: "thesis" }, rule ? `§ ${rule.thesis}` : ""));
      if (n === place) row.setAttribute("aria-current", "step");
      rows.push(row);
    }
    this.body.replaceChildren(...rows);
    const now = this.body.querySelector<HTMLElement>("[aria-current]");
    this.scroll.scrollTop = now ? now.offsetTop - this.scroll.clientHeight * 0.45 : 0;
  }
}
