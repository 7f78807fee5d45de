// The signs of messages and of events: a shape for each, so that colour is never alone.
import { svg } from "./dom";

/** The shape of a message around 0, 0. */
export function message(shape: string): SVGElement {
  const g = svg("g", { class: `sign ${shape}` });
  switch (shape) {
    case "ask": g.append(svg("path", { d: "M0-9 9 0 0 9-9 0Z" }), svg("path", { class: "in", d: "M-2.5-2.2a2.6 2.6 0 1 1 3.6 2.4q-1.1.5-1.1 1.6M0 4.4v.3" })); break;
    case "yes": g.append(svg("circle", { r: 8.5 }), svg("path", { class: "in", d: "M-4 .2-1 3.2 4-2.8" })); break;
    case "no": g.append(svg("circle", { r: 8.5 }), svg("path", { class: "in", d: "M-3-3 3 3M3-3-3 3" })); break;
    case "append": g.append(svg("rect", { x: -11, y: -7.5, width: 22, height: 15, rx: 3 }), svg("path", { class: "in", d: "M-6-2.5H6M-6 2.5H3" })); break;
    case "beat": g.append(svg("circle", { class: "hollow", r: 5 })); break;
    case "answer": g.append(svg("circle", { r: 3.5 })); break;
    case "snapshot": g.append(svg("rect", { x: -9, y: -9, width: 18, height: 18, rx: 2 }), svg("path", { class: "in", d: "M-4.500-3.500h9M-4.500 0h9M-4.500 3.500h9" })); break;
    default: g.append(svg("path", { d: "M-8-8 10 0-8 8-4 0Z" }));
  }
  return g;
}

export const MESSAGES: [shape: string, words: string][] = [
  ["ask", "asks for a vote, or whether there would be one"],
  ["yes", "agrees: a vote, or entries that are on the disk"],
  ["no", "does not agree"],
  ["append", "entries for the log"],
  ["beat", "heartbeat of a leader"],
  ["answer", "answer to a heartbeat"],
  ["snapshot", "part of a snapshot"],
  ["order", "order of a leader: take over, stop"],
];

export const LANES: [kind: string, words: string][] = [
  ["election", "Elections"], ["membership", "Members"], ["snapshot", "Snapshots"], ["fault", "Faults"], ["client", "Clients"],
];

/** The mark of a kind of event around 0, 0. */
export function mark(kind: string): SVGElement {
  const shapes: Record<string, string> = {
    election: "M0-5 5 4-5 4Z", membership: "M-4-4H4V4H-4Z", snapshot: "M0-5 5 0 0 5-5 0Z",
    fault: "M-4-4 4 4M4-4-4 4", client: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", note: "M-5-4H5V2H0L-3 5V2H-5Z",
    vote: "M-4 0-1 3 4-3", log: "M-5-2H5M-5 2H5", conflict: "M-5-2H5M-5 2H5M3-5-3 5", commit: "M-5 3H5M0-5V3",
    apply: "M-3 0H3", compact: "M-5 0H5M-2-3-5 0-2 3", start: "M-3-4.5 5 0-3 4.5Z", message: "M-5 0H4M1-3 4 0 1 3",
  };
  const stroked = ["fault", "vote", "log", "conflict", "commit", "apply", "compact", "message"].includes(kind);
  return svg("path", { class: `mark ${kind}${stroked ? " stroked" : ""}`, d: shapes[kind] ?? shapes.note });
}

const ICONS: Record<string, string> = {
  home: "M6 5v14M19 5 9 12l10 7Z", back: "M16 5 7 12l9 7Z", play: "M8 5l11 7-11 7Z", pause: "M8 5v14M16 5v14",
  next: "M8 5l9 7-9 7Z", end: "M18 5v14M5 5l10 7-10 7Z",
  auto: "M12 4a8 8 0 1 0 0 16ZM12 4a8 8 0 1 1 0 16", light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  dark: "M19 14.500A8 8 0 0 1 9.500 5 8 8 0 1 0 19 14.500Z",
};

export function icon(name: string): SVGElement {
  return svg("svg", { viewBox: "0 0 24 24", class: `icon ${name}`, "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}
