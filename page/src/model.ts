// A recording, and the state of all nodes at any event of it. Events hold changes; what they undo is
// noted when they are first played, so the page goes back as it goes forward.

export type Cell = [term: number, kind: string, text: string];

export interface LogChange { base: number; base_term: number; keep: number; add: Cell[] }

export interface NodeState {
  up: boolean;
  paused: boolean;
  role: string;
  term: number;
  vote: string | null;
  leader: string | null;
  commit: number;
  applied: number;
  snapshot: number;
  member: string | null;
  base: number;
  cells: Cell[];
}

export interface Sent {
  id: number; from: string; to: string; type: string; term: number;
  shape: string; label: string; says: string;
}

export interface Event {
  at: number;
  kind: string;
  text?: string;
  rule?: string;
  nodes?: Record<string, Partial<Omit<NodeState, "base" | "cells">> & { log?: LogChange }>;
  sent?: Sent;
  arrived?: number;
  lost?: number;
  why?: string;
  cut?: [string, string][];
  asked?: { id: number; client: string };
  answered?: number;
}

export interface Recording {
  format: string; version: number; title: string; about: string;
  source: { kind: string; name: string };
  nodes: string[];
  rules: Record<string, { text: string; thesis: string }>;
  events: Event[];
}

/** A message, from the event that sent it to the one that ended it. */
export interface Flight extends Sent {
  first: number; last: number; from_ms: number; to_ms: number; fate: "arrived" | "lost" | "open"; why: string;
}

/** An operation of a client, in the same way. */
export interface Operation { client: string; text: string; first: number; last: number }

const NOTHING: NodeState = {
  up: false, paused: false, role: "follower", term: 0, vote: null, leader: null, commit: 0,
  applied: 0, snapshot: 0, member: null, base: 0, cells: [],
};

export function last(node: NodeState): number {
  return node.base + node.cells.length;
}

export function parse(text: string): Recording {
  const found = JSON.parse(text) as Recording;
  if (found?.format !== "raftzmq recording") throw new Error("This is no recording of raftzmq.");
  if (found.version !== 1) throw new Error(`This page plays recordings of version 1, not ${String(found.version)}.`);
  if (!Array.isArray(found.events) || !Array.isArray(found.nodes)) throw new Error("This recording is damaged.");
  return found;
}

function changed(node: NodeState, change: LogChange): Pick<NodeState, "base" | "cells"> {
  const from = Math.max(0, change.base - node.base);
  const kept = node.base <= change.base ? node.cells.slice(from, Math.max(from, change.keep - node.base)) : [];
  return { base: change.base, cells: [...kept, ...change.add] };
}

/** Text of an event, in words; what messages do is made of the message itself. */
export function words(event: Event, flights: Map<number, Flight>): string {
  if (event.text) return event.text;
  if (event.sent) return `${event.sent.from} → ${event.sent.to}: ${event.sent.says}`;
  const flight = flights.get(event.arrived ?? event.lost ?? -1);
  if (!flight) return "";
  const end = event.lost === undefined ? "arrives" : `is lost: ${event.why ?? ""}`;
  return `${flight.from} → ${flight.to}: “${flight.label}” ${end}`;
}

export class Film {
  readonly flights = new Map<number, Flight>();
  readonly operations: Operation[] = [];
  readonly length: number;
  /** How many events have been played; the state is that after them. */
  index = 0;
  cut: [string, string][] = [];
  readonly state = new Map<string, NodeState>();
  private readonly undo: (() => void)[] = [];

  constructor(readonly recording: Recording) {
    for (const name of recording.nodes) this.state.set(name, NOTHING);
    const asked = new Map<number, Operation>();
    const events = recording.events;
    this.length = events.at(-1)?.at ?? 0;
    events.forEach((event, n) => {
      if (event.sent) {
        this.flights.set(event.sent.id, {
          ...event.sent, first: n, last: events.length, from_ms: event.at, to_ms: this.length + 30, fate: "open", why: "",
        });
      }
      const flight = this.flights.get(event.arrived ?? event.lost ?? -1);
      if (flight) {
        const lost = event.lost !== undefined;
        Object.assign(flight, { last: n, to_ms: event.at, fate: lost ? "lost" : "arrived", why: event.why ?? "" });
      }
      if (event.asked) {
        const operation = { client: event.asked.client, text: event.text ?? "", first: n, last: events.length };
        asked.set(event.asked.id, operation);
        this.operations.push(operation);
      }
      const operation = asked.get(event.answered ?? -1);
      if (operation) operation.last = n;
    });
  }

  get events(): Event[] { return this.recording.events; }

  /** The event that was played last. */
  get now(): Event | undefined { return this.events[this.index - 1]; }

  seek(index: number): void {
    const target = Math.max(0, Math.min(index, this.events.length));
    while (this.index < target) this.forward();
    while (this.index > target) this.undo[--this.index]!();
  }

  /** How many events are over at a time. */
  at(ms: number): number {
    let low = 0, high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle]!.at <= ms) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** What is on its way now, or was lost a moment ago. */
  underway(ms: number): Flight[] {
    const found: Flight[] = [];
    for (const flight of this.flights.values()) {
      if (flight.first >= this.index) break;
      if (flight.last >= this.index || (flight.fate === "lost" && ms - flight.to_ms < 30)) found.push(flight);
    }
    return found;
  }

  private forward(): void {
    const event = this.events[this.index]!;
    const before: [string, NodeState][] = [];
    for (const [name, change] of Object.entries(event.nodes ?? {})) {
      const node = this.state.get(name) ?? NOTHING;
      before.push([name, node]);
      const { log, ...facts } = change;
      this.state.set(name, { ...node, ...facts, ...(log ? changed(node, log) : {}) });
    }
    const cut = this.cut;
    if (event.cut) this.cut = event.cut;
    this.undo[this.index++] = () => {
      for (const [name, node] of before) this.state.set(name, node);
      this.cut = cut;
    };
  }
}
