// The page: one moment of the recording, and all that shows it.
import { byId, html, seconds, svg } from "./dom";
import { Lanes } from "./lanes";
import { Logs } from "./logs";
import { Film, parse, words } from "./model";
import { Ring } from "./ring";
import { icon, message, MESSAGES } from "./signs";
import { Table } from "./table";

const SOURCES: Record<string, string> = {
  story: "A story of Raft", world: "A simulated world", cluster: "A recorded cluster", core: "In this browser",
};
const READ_MS = 55, IDLE_MS = 40, IDLE_FASTER = 8;

class Player {
  private ms = 0;
  private playing = false;
  private frame = 0;
  private then = 0;
  private reading = 0;
  private readonly ring: Ring;
  private readonly logs: Logs;
  private readonly lanes: Lanes;
  private readonly table: Table;
  private readonly slider = byId<HTMLInputElement>("time");
  private readonly caption = byId("caption");

  constructor(private readonly film: Film) {
    const { recording } = film;
    document.title = `${recording.title} – raftzmq`;
    byId("source").textContent = SOURCES[recording.source.kind] ?? "raftzmq";
    byId("title").textContent = recording.title;
    byId("about").textContent = recording.about;
    this.ring = new Ring(film);
    this.logs = new Logs(film);
    this.lanes = new Lanes(film);
    this.table = new Table(film, (index) => this.step(index));
    this.table.choose(byId<HTMLInputElement>("details").checked);
    this.slider.max = String(film.length);
    document.body.classList.add("loaded");
    const linked = /^#event=(\d+)$/.exec(location.hash);
    const first = film.events.findIndex((event) => event.at > 0);
    this.show(linked ? Number(linked[1]) : Math.max(1, first < 0 ? 1 : first));
  }

  /** Show the state after so many events, at the time of the last of them. */
  show(index: number, ms?: number): void {
    const before = this.film.index;
    this.film.seek(index);
    this.ms = ms ?? this.film.now?.at ?? 0;
    if (before !== this.film.index || ms === undefined) {
      this.ring.state();
      this.logs.state();
      this.table.state();
      this.say();
    }
    this.moment();
  }

  private moment(): void {
    this.ring.moment(this.ms);
    this.lanes.moment(this.ms);
    this.slider.value = String(Math.round(this.ms));
    const event = this.film.now;
    this.slider.setAttribute("aria-valuetext", `${seconds(this.ms)}: ${event ? words(event, this.film.flights) : "the beginning"}`);
    byId("clock").textContent = `${(this.ms / 1000).toFixed(3)} / ${seconds(this.film.length)}`;
  }

  private say(): void {
    const number = this.table.steps[this.table.place()];
    const event = number === undefined ? undefined : this.film.events[number];
    this.caption.setAttribute("aria-live", this.playing ? "off" : "polite");
    const said: Node[] = [];
    if (event) {
      said.push(html("p", { class: `what of-${event.kind}` }, words(event, this.film.flights)));
      const rule = event.rule ? this.film.recording.rules[event.rule] : undefined;
      if (rule) said.push(html("p", { class: "why" }, rule.text, " ", html("span", { class: "thesis" }, `Thesis § ${rule.thesis}`)));
    } else said.push(html("p", { class: "what" }, "The beginning."));
    this.caption.replaceChildren(...said);
    const waiting = this.film.operations.filter((one) => one.first < this.film.index && one.last >= this.film.index);
    byId("waiting").replaceChildren(...waiting.slice(-4).map((one) => html("li", {}, one.text, html("span", {}, " waits"))));
  }

  /** Stop, and go there. */
  step(index: number): void {
    this.pause();
    this.show(index);
    this.link();
  }

  by(steps: number): void {
    const place = this.table.place();
    const number = this.table.steps[place];
    // Between two steps, one step back leads to the one that is over.
    const between = steps < 0 && number !== undefined && this.film.index > number + 1;
    const target = this.table.steps[place + steps + (between ? 1 : 0)];
    this.step(target === undefined ? (steps < 0 ? 0 : this.film.events.length) : target + 1);
  }

  to(ms: number): void {
    this.pause();
    this.show(this.film.at(ms), ms);
    this.link();
  }

  end(): void { this.step(this.film.events.length); }

  private link(): void {
    try { history.replaceState(null, "", `#event=${this.film.index}`); } catch { /* a page of its own */ }
  }

  toggle(): void { if (this.playing) this.pause(); else this.play(); }

  play(): void {
    if (this.film.index >= this.film.events.length) this.show(0);
    this.set(true);
    this.then = performance.now();
    this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  pause(): void {
    cancelAnimationFrame(this.frame);
    this.set(false);
  }

  private set(playing: boolean): void {
    this.playing = playing;
    this.reading = 0;
    const button = byId("play");
    button.replaceChildren(icon(playing ? "pause" : "play"));
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  private tick(now: number): void {
    const past = Math.min(100, now - this.then);
    this.then = now;
    this.reading = Math.max(0, this.reading - past);
    if (!this.reading) this.advance(past * Number(byId<HTMLSelectElement>("speed").value));
    if (this.playing) this.frame = requestAnimationFrame((later) => this.tick(later));
  }

  private advance(ms: number): void {
    const { film } = this;
    const coming = film.events[film.index];
    if (!coming) { this.pause(); this.link(); return; }
    // Where nothing moves and nothing happens for long, time runs faster.
    const idle = coming.at - this.ms > IDLE_MS && film.underway(this.ms).length === 0;
    let until = this.ms + ms * (idle ? IDLE_FASTER : 1);
    if (idle) until = Math.min(until, coming.at - IDLE_MS / 2);
    let index = film.index;
    while (index < film.events.length && film.events[index]!.at <= until) {
      const event = film.events[index++]!;
      if (event.kind === "note") { // time to read it
        this.reading = 1200 + (event.text ?? "").length * READ_MS;
        until = event.at;
        break;
      }
    }
    this.show(index, Math.min(until, film.length));
  }

  details(all: boolean): void {
    this.table.choose(all);
    this.show(this.film.index);
  }

  resize(): void {
    this.lanes.resize();
    this.logs.state();
    this.moment();
  }

  time(x: number): void { this.to(this.lanes.time(x)); }
}

let player: Player | undefined;

function load(text: string): void {
  player?.pause();
  try {
    player = new Player(new Film(parse(text)));
  } catch (error) {
    byId("caption").replaceChildren(html("p", { class: "what of-fault" }, error instanceof SyntaxError ? "This file is no recording." : (error as Error).message));
  }
}

function key(event: KeyboardEvent): void {
  const at = event.target as Element;
  if (!player || event.ctrlKey || event.metaKey || event.altKey) return;
  if (at.closest("select, summary") || at.matches("input:not([type=range])")) return;
  if (event.key === " " && at.closest("button")) return;
  const what: Record<string, () => void> = {
    ArrowRight: () => player!.by(1), ArrowLeft: () => player!.by(-1), Home: () => player!.step(0), End: () => player!.end(), " ": () => player!.toggle(),
  };
  const action = what[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
}

function colours(): void {
  const button = byId("theme");
  const names = ["auto", "light", "dark"] as const;
  const says = { auto: "as the system says", light: "light", dark: "dark" };
  let now = 0;
  const show = (): void => {
    const name = names[now]!;
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", `Colours: ${says[name]}`);
    button.title = `Colours: ${says[name]}`;
  };
  button.addEventListener("click", () => { now = (now + 1) % names.length; show(); });
  show();
}

function begin(): void {
  for (const name of ["home", "back", "play", "next", "end"]) byId(name).append(icon(name));
  colours();
  byId("legend").append(...MESSAGES.map(([shape, says]) => html("li", {}, svg("svg", { viewBox: "-14 -12 28 24", "aria-hidden": "true" }, message(shape)), says)));
  byId("home").addEventListener("click", () => player?.step(0));
  byId("back").addEventListener("click", () => player?.by(-1));
  byId("play").addEventListener("click", () => player?.toggle());
  byId("next").addEventListener("click", () => player?.by(1));
  byId("end").addEventListener("click", () => player?.end());
  byId("time").addEventListener("input", (event) => player?.to(Number((event.target as HTMLInputElement).value)));
  byId("details").addEventListener("change", (event) => player?.details((event.target as HTMLInputElement).checked));
  const lanes = byId("lanes");
  const seek = (event: PointerEvent): void => player?.time(event.clientX - lanes.getBoundingClientRect().left);
  lanes.addEventListener("pointerdown", (event) => { lanes.setPointerCapture(event.pointerId); seek(event); });
  lanes.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
  document.addEventListener("keydown", key);
  new ResizeObserver(() => player?.resize()).observe(byId("logs"));
  const open = async (file: File | undefined): Promise<void> => { if (file) load(await file.text()); };
  byId("file").addEventListener("change", (event) => void open((event.target as HTMLInputElement).files?.[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => { event.preventDefault(); void open(event.dataTransfer?.files[0]); });
  const text = byId("recording").textContent?.trim();
  if (text) load(text);
  else byId("caption").append(html("p", { class: "what" }, "Open a recording, or drop one here."));
}

begin();
