// The marks above the slider: who led when, and what happened.
import { byId, svg, tint } from "./dom";
import type { Film } from "./model";
import { LANES, mark } from "./signs";

const TOP = 10, MARKS_MAX = 700;

/** From when to when somebody led, in the terms of what the nodes themselves believed. */
function eras(film: Film): { from: number; to: number; term: number; name: string }[] {
  const found: { from: number; to: number; term: number; name: string }[] = [];
  const leading = new Map<string, { from: number; to: number; term: number; name: string }>();
  for (const event of film.events) {
    for (const [name, change] of Object.entries(event.nodes ?? {})) {
      if (change.role === undefined) continue;
      const open = leading.get(name);
      if (open) open.to = event.at;
      leading.delete(name);
      if (change.role === "leader") {
        const era = { from: event.at, to: film.length, term: change.term ?? 0, name };
        leading.set(name, era);
        found.push(era);
      }
    }
  }
  return found;
}

export class Lanes {
  private readonly root = byId<SVGSVGElement>("lanes");
  private readonly head = svg("line", { class: "head" });
  private left = 0;
  private width = 1;

  constructor(private readonly film: Film) {
    this.withTerms();
    this.resize();
  }

  /** A leader's term may be older than the change of its role. */
  private withTerms(): void {
    const term = new Map<string, number>();
    for (const event of this.film.events) {
      for (const [name, change] of Object.entries(event.nodes ?? {})) {
        if (change.term !== undefined) term.set(name, change.term);
        if (change.role === "leader") change.term ??= term.get(name);
      }
    }
  }

  x(ms: number): number {
    return this.left + (this.width * ms) / Math.max(1, this.film.length);
  }

  time(x: number): number {
    return Math.round(Math.min(1, Math.max(0, (x - this.left) / this.width)) * this.film.length);
  }

  resize(): void {
    const whole = this.root.parentElement!.clientWidth;
    const narrow = whole < 560;
    this.left = narrow ? 24 : 92;
    this.width = Math.max(50, whole - this.left - 10);
    this.root.closest<HTMLElement>(".player")!.style.setProperty("--gutter", `${this.left}px`);
    const step = narrow ? 12 : 15;
    const height = TOP * 2 + 8 + step * LANES.length;
    this.root.setAttribute("viewBox", `0 0 ${whole} ${height}`);
    this.root.setAttribute("height", String(height));
    const all: SVGElement[] = [];
    for (const era of eras(this.film)) {
      const x = this.x(era.from);
      const width = Math.max(2, this.x(era.to) - x);
      const band = svg("rect", { class: "era", x, y: 2, width, height: 14, rx: 4 }, svg("title", {}, `${era.name} leads term ${era.term}`));
      tint(band, era.term);
      all.push(band);
      const text = `${era.name} · ${era.term}`;
      if (width > text.length * 6.2 + 8) all.push(svg("text", { class: "era-name", x: x + 6, y: 12.8 }, text));
    }
    if (!narrow) all.push(svg("text", { class: "lane", x: 0, y: 13 }, "Leader"));
    LANES.forEach(([kind, words], n) => {
      const y = TOP + 18 + step * n;
      if (narrow) {
        const sign = mark(kind);
        sign.setAttribute("transform", `translate(8 ${y})`);
        all.push(sign);
      } else all.push(svg("text", { class: "lane", x: 0, y: y + 4 }, words));
      all.push(svg("line", { class: "rail", x1: this.left, x2: this.left + this.width, y1: y, y2: y }));
      let events = this.film.events.filter((event) => event.kind === kind || (kind === "fault" && event.kind === "start" && event.at > 0));
      const every = Math.ceil(events.length / MARKS_MAX);
      if (every > 1) events = events.filter((_, m) => m % every === 0);
      for (const event of events) {
        const sign = mark(event.kind);
        sign.setAttribute("transform", `translate(${this.x(event.at).toFixed(1)} ${y})`);
        sign.append(svg("title", {}, event.text ?? ""));
        all.push(sign);
      }
    });
    this.head.setAttribute("y1", "0");
    this.head.setAttribute("y2", String(height));
    this.root.replaceChildren(...all, this.head);
  }

  moment(ms: number): void {
    const x = this.x(ms).toFixed(1);
    this.head.setAttribute("x1", x);
    this.head.setAttribute("x2", x);
  }
}
