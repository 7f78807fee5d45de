// Nodes in a ring, and the messages between them.
import { byId, svg, tint } from "./dom";
import { type Film, type Flight, last, type NodeState } from "./model";
import { message } from "./signs";

const RADIUS = 47;

interface Place { x: number; y: number }

/** What a node is, in words: for the ear, and for tests. */
export function described(name: string, node: NodeState): string {
  const where = `term ${node.term}, committed ${node.commit}, applied ${node.applied}, log to ${last(node)}`;
  return `${name}: ${role(node)}, ${where}`;
}

export function role(node: NodeState): string {
  if (!node.up) return "down";
  if (node.paused) return "stands still";
  if (node.member === "learner") return "learner";
  if (node.member === null) return "no member";
  return node.role;
}

export class Ring {
  private readonly root = byId<SVGSVGElement>("ring");
  private readonly places = new Map<string, Place>();
  private readonly links = svg("g", { class: "links", "aria-hidden": "true" });
  private readonly nodes = svg("g");
  private readonly flights = svg("g", { class: "flights", "aria-hidden": "true" });

  constructor(private readonly film: Film) {
    const names = film.recording.nodes;
    const round = names.length > 5 ? 205 : 165;
    const wide = names.length > 5 ? 1.15 : 1.22;
    const xs: number[] = [], ys: number[] = [];
    names.forEach((name, n) => {
      const angle = (2 * Math.PI * n) / names.length - Math.PI / 2;
      const place = { x: round * wide * Math.cos(angle), y: round * Math.sin(angle) };
      if (names.length === 3) place.y *= 0.92;
      this.places.set(name, place);
      xs.push(place.x);
      ys.push(place.y);
    });
    const left = Math.min(...xs) - 78, top = Math.min(...ys) - 98;
    const width = Math.max(...xs) + 78 - left, height = Math.max(...ys) + 96 - top;
    this.root.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
    this.root.replaceChildren(this.links, this.flights, this.nodes);
  }

  /** Draw the state after the last event. */
  state(): void {
    const { film } = this;
    const names = film.recording.nodes;
    const cut = new Set(film.cut.map(([a, b]) => `${a} ${b}`));
    const links: SVGElement[] = [];
    names.forEach((a, n) => {
      for (const b of names.slice(n + 1)) {
        const [p, q] = [this.places.get(a)!, this.places.get(b)!];
        const ways = Number(cut.has(`${a} ${b}`)) + Number(cut.has(`${b} ${a}`));
        links.push(svg("line", { x1: p.x, y1: p.y, x2: q.x, y2: q.y, class: ways ? "cut" : "" }));
        if (ways) {
          const at = `translate(${(p.x + q.x) / 2} ${(p.y + q.y) / 2})`;
          links.push(svg("path", { class: "scissors", d: "M-6-6 6 6M6-6-6 6", transform: at }));
        }
      }
    });
    this.links.replaceChildren(...links);
    this.nodes.replaceChildren(...names.map((name) => this.node(name, film.state.get(name)!)));
  }

  private node(name: string, node: NodeState): SVGElement {
    const { x, y } = this.places.get(name)!;
    const what = role(node);
    const kind = node.up ? (node.paused ? "paused" : what.replace(" ", "-")) : "down";
    const group = svg("g", { class: `node ${kind}`, role: "img", "aria-label": described(name, node), transform: `translate(${x} ${y})` });
    tint(group, node.term);
    if (kind === "leader") group.append(svg("circle", { class: "halo", r: RADIUS + 7 }));
    group.append(
      svg("circle", { class: "body", r: RADIUS }),
      svg("text", { class: "name", y: -12 }, name),
      svg("text", { class: "role", y: 7 }, what),
      svg("text", { class: "term", y: 26 }, `term ${node.term}`),
      // On the outer side, where no messages pass.
      svg("text", { class: "indexes", y: y < 0 ? -RADIUS - 30 : RADIUS + 24 }, `committed ${node.commit}`),
      svg("text", { class: "indexes", y: y < 0 ? -RADIUS - 14 : RADIUS + 40 }, `applied ${node.applied}`),
    );
    return group;
  }

  /** Draw the messages as they are at a time. */
  moment(ms: number): void {
    const underway = this.film.underway(ms);
    this.flights.replaceChildren(...underway.map((flight) => this.flight(flight, ms)));
  }

  private flight(flight: Flight, ms: number): SVGElement {
    const p = this.places.get(flight.from), q = this.places.get(flight.to);
    if (!p || !q) return svg("g");
    const lost = flight.fate === "lost" && flight.last < this.film.index;
    const whole = Math.max(1, flight.to_ms - flight.from_ms);
    let share = Math.min(1, Math.max(0, (ms - flight.from_ms) / whole));
    if (flight.fate === "lost") share = flight.to_ms === flight.from_ms ? Math.min(0.5, 0.25 + (ms - flight.from_ms) / 100) : share * 0.6;
    const length = Math.hypot(q.x - p.x, q.y - p.y);
    const [dx, dy] = [(q.x - p.x) / length, (q.y - p.y) / length];
    const along = RADIUS + 12 + share * (length - 2 * RADIUS - 24);
    // Each way has its own side of the link, so that two that meet do not hide one another.
    const x = p.x + dx * along - dy * 13, y = p.y + dy * along + dx * 13;
    const group = svg("g", { class: lost ? "flight lost" : "flight", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }, message(flight.shape));
    if (lost) group.append(svg("path", { class: "gone", d: "M-11-11 11 11M11-11-11 11" }));
    // Labels stand on the outer side, away from the messages that come the other way.
    const right = -dy > 0.35, left = -dy < -0.35;
    const anchor = right ? "start" : left ? "end" : "middle";
    const text = lost ? `${flight.label}, lost` : flight.label;
    if (flight.shape !== "answer" || lost) {
      group.append(svg("text", { "text-anchor": anchor, x: right ? 15 : left ? -15 : 0, y: right || left ? 4 : dx > 0 ? 23 : -14 }, text));
    }
    return group;
  }
}
