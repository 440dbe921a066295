/**
 * One look at a log, by somebody who remembers the last one: is it still the same log, has it grown as it may, and is
 * there anything in it that its project should know?
 */
import { Failure, unable, usage } from '../failure.ts';
import type { Witness } from '../policy/project.ts';
import { Order } from '../policy/order.ts';
import type { LogEntry } from '../records/log-entry.ts';
import { formatDuration } from '../policy/duration.ts';
import type { ProjectName, Timestamp } from '../records/names.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { LogTrust } from '../tlog/proof.ts';
import type { Head, LogReader } from '../tree/log/reader.ts';
import { Content } from './content.ts';
import { readEntry } from './entries.ts';
import { Findings } from './finding.ts';
import type { FindingCode } from './finding.ts';
import { Alarms } from './monitor/alarm.ts';
import type { Alarm } from './monitor/alarm.ts';
import type { Alert, AlertCode, News } from './monitor/alert.ts';
import type { Expected } from './monitor/expected.ts';
import type { Memory } from './monitor/memory.ts';
import { askWitness, forkText } from './monitor/witnesses.ts';
import type { Seen } from './monitor/witnesses.ts';
import { requireHead, witnessesMissing } from './verify.ts';

export interface Watch {
  readonly reader: LogReader;
  readonly trust: LogTrust;
  /** Where the log is. */
  readonly place: string;
  /** Whose log it is. */
  readonly project: ProjectName;
  readonly witnesses: readonly Witness[];
  /** Null on the first pass. */
  readonly memory: Memory | null;
  /** Those of the passes before that nobody has ended yet. */
  readonly alarms: readonly Alarm[];
  /** Null: any release is news. */
  readonly expected: Expected | null;
  /** The age in seconds at which the newest entry is too old; null: any will do. */
  readonly maxAge: number | null;
  /** Whether somebody has seen what was said about entries: it is said once more, and then no longer. */
  readonly seen: boolean;
  readonly now: () => Date;
}

/** What a pass found. */
export interface Pass {
  readonly alerts: readonly Alert[];
  readonly news: readonly News[];
  /** What could not be looked at. */
  readonly blind: readonly Failure[];
  /** Whether so much of it could not that the pass says nothing. */
  readonly blinded: boolean;
  readonly head: Head | null;
  /** What to keep of alarms, by name. */
  readonly alarms: ReadonlyMap<string, Alarm>;
  /** What to remember; null: what was. */
  readonly memory: Memory | null;
}

/** L gets a checkpoint after the witnesses, clocks differ: so long nobody wonders. */
const GRACE_SECONDS = 600;

const ALERTS: Partial<Record<FindingCode, AlertCode>> = { 'entry-order': 'order', 'entry-time': 'time' };

/** Looks once. Throws usage: `expect-missing`; unable where there is no log to look at. */
export async function look(watch: Watch): Promise<Pass> {
  if (watch.memory?.expects === true && watch.expected === null)
    throw usage(
      'expect-missing',
      'this state is of a monitor that expects some releases and no others',
      'give --expect as before (an empty file expects none), or another --state',
    );
  return new Looking(watch).pass();
}

const hadText = ({ checkpoint, order }: Memory): string =>
  `the log had ${checkpoint.size} entries${order.newest === null ? '' : `, up to ${order.newest}`}`;

class Looking {
  readonly #watch: Watch;
  readonly #alerts: Alert[] = [];
  readonly #news: News[] = [];
  readonly #blind: Failure[] = [];
  readonly #alarms: Alarms;
  #blinded = false;

  constructor(watch: Watch) {
    this.#watch = watch;
    this.#alarms = new Alarms(watch.alarms);
  }

  async pass(): Promise<Pass> {
    const { memory, trust } = this.#watch;
    // 1. The head is signed by the log, and goes on from the one that was there before.
    const head = await this.#try(() => this.#head());
    const continues = head && (await this.#try(() => this.#compare(head, memory)));
    // 2. What has come since is what was signed, and as it may be.
    const grown = head && continues === true ? await this.#read(head, memory) : null;
    // 3. It is fresh, and witnessed.
    if (head) await this.#try(() => this.#age(head));
    if (head && head.cosignatures.length < trust.quorum)
      this.#alerts.push({ code: 'witnesses', text: witnessesMissing(head.cosignatures, trust) });
    // 4. The witnesses have seen the same log.
    if (head) await this.#askAll(head);
    return this.#result(head, grown);
  }

  #result(head: Head | null, grown: Pick<Memory, 'seen' | 'order'> | null): Pass {
    const { memory } = this.#watch;
    // nothing that is not of one log is ever remembered over what was, and nothing at all while an alarm stands
    const { all: alarms, kept } = this.#alarms;
    const { place, expected } = this.#watch;
    const here = { place, expects: expected !== null };
    const first = memory ?? (head && { ...head, seen: 0, order: new Order(), ...here });
    return {
      alerts: [...alarms, ...this.#alerts],
      news: this.#news,
      blind: this.#blind,
      blinded: this.#blinded,
      head,
      alarms: kept,
      memory: alarms.length > 0 ? memory : head && grown ? { ...head, ...grown, ...here } : first,
    };
  }

  /** What `work` gives; null where the log does not allow it, which is an alert, or nothing could be read. */
  async #try<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Failure) || error.kind === 'usage') throw error;
      if (error.kind === 'refused') this.#alerts.push({ code: 'damaged', text: error.message });
      else {
        this.#blind.push(error);
        this.#blinded = true;
      }
      return null;
    }
  }

  async #head(): Promise<Head | null> {
    const { reader, memory } = this.#watch;
    const head = memory === null ? await requireHead(reader) : await reader.head();
    if (head === null && memory !== null) {
      this.#requireSamePlace(memory, 'no log');
      this.#alert('rollback', `the log is gone; ${hadText(memory)}`, [memory.note]);
    }
    return head;
  }

  /** Whether the head goes on from what is remembered. */
  async #compare(head: Head, memory: Memory | null): Promise<boolean> {
    if (memory === null) return true;
    const [before, after] = [memory.checkpoint.size, head.checkpoint.size];
    if (after < before) {
      this.#requireSamePlace(memory, `${after} entries`);
      this.#alert('rollback', `${hadText(memory)}, and shows ${after}`, [memory.note, head.note]);
      return false;
    }
    if ((await this.#watch.reader.rootAt(head, before)).equals(memory.checkpoint.root)) return true;
    this.#alert('fork', forkText('this monitor', before, after), [memory.note, head.note]);
    return false;
  }

  /** A mirror may have less than its depot, and proves nothing by that. */
  #requireSamePlace({ place, checkpoint }: Memory, shown: string): void {
    if (place === this.#watch.place) return;
    throw unable(
      'log-behind',
      `${this.#watch.place} shows ${shown}, and this monitor saw ${checkpoint.size} at ${place}`,
      'a mirror that is behind? look again when it has caught up, or give it a --state of its own',
    );
  }

  /** Reads on. Returns up to where nothing need be said again. */
  async #read(head: Head, memory: Memory | null): Promise<Pick<Memory, 'seen' | 'order'>> {
    const from = memory?.seen ?? 0;
    // what is remembered stays as it is, in case none of this may be
    const content = new Content(memory?.order.copy());
    let quiet: Pick<Memory, 'seen' | 'order'> | null = null;
    let next = from;
    await this.#try(async () => {
      for await (const { leaf, index } of this.#watch.reader.entries(head, from)) {
        const findings = new Findings();
        const said = this.#alerts.length;
        content.take(leaf, index, findings, (entry) => {
          this.#judge(entry, index, content.order);
          // what is said again is read again, and so what came before it must be kept as it was
          if (this.#alerts.length > said || findings.count > 0)
            quiet ??= { seen: index, order: content.order.copy() };
        });
        for (const { code, text } of findings.listed) {
          quiet ??= { seen: index, order: content.order.copy() };
          this.#alerts.push({ code: ALERTS[code] ?? 'entry-malformed', text, index });
        }
        next = index + 1;
      }
    });
    const all = { seen: next, order: content.order };
    return this.#watch.seen ? all : (quiet ?? all);
  }

  #judge(entry: LogEntry, index: number, before: Order): void {
    const { expected, project: ours } = this.#watch;
    if (entry.project !== ours) {
      // H refuses what its own approvers meant for another project, and writes nothing else of one
      if (entry.type === 'refusal') return;
      const text = `entry ${index} (${entry.type}) is of project ${entry.project}, in the log of ${ours}`;
      const named = entry.type === 'heartbeat' ? {} : { build: entry.build, version: entry.version };
      this.#alerts.push({ code: 'foreign', text, index, ...named });
      return;
    }
    if (entry.type !== 'release' && entry.type !== 'conflict' && entry.type !== 'revocation') return;
    const { build, project, version, time } = entry;
    const named = { index, time, build, project, version };
    if (entry.type === 'revocation') {
      this.#news.push({ news: before.isReleased(build) ? 'withdrawal' : 'revocation', ...named });
    } else if (entry.type === 'conflict') {
      const text = `builders of ${version}, build ${build}, disagreed after it was decided to sign (entry ${index})`;
      this.#alerts.push({ code: 'conflict', text, index, build, version });
    } else if (expected === null || expected.has(entry)) {
      this.#news.push({ news: 'release', ...named });
    } else {
      const text = `nobody expected the release of ${version}, build ${build}, at ${time} (entry ${index})`;
      this.#alerts.push({ code: 'unexpected-release', text, index, build, version });
    }
  }

  async #age(head: Head): Promise<void> {
    const { maxAge, now } = this.#watch;
    if (maxAge === null) return;
    const newest = await this.#newest(head);
    const age = newest === null ? Infinity : (now().getTime() - timestampDate(newest).getTime()) / 1000;
    // one that is to come would be fresh for ever
    if (age > maxAge || age < -GRACE_SECONDS)
      this.#alerts.push({
        code: 'stale-head',
        text:
          newest === null
            ? 'the log has no entry'
            : `the newest entry of the log is of ${newest}, ${age < 0 ? 'which is to come' : `more than ${formatDuration(maxAge)} ago`}`,
      });
  }

  async #newest(head: Head): Promise<Timestamp | null> {
    const { size } = head.checkpoint;
    if (size === 0) return null;
    for await (const { leaf } of this.#watch.reader.entries(head, size - 1)) return readEntry(leaf).time;
    return null;
  }

  async #askAll(head: Head): Promise<void> {
    const { witnesses, trust } = this.#watch;
    const answers = await Promise.all(witnesses.map((witness) => askWitness(witness, trust)));
    let reached = 0;
    for (const answer of answers) {
      if (answer instanceof Failure) {
        this.#blind.push(answer);
        continue;
      }
      reached += 1;
      if (answer !== null) await this.#try(() => this.#compareWith(answer, head));
    }
    if (reached < trust.quorum) this.#blinded = true;
  }

  async #compareWith({ name, checkpoint, note, time }: Seen, first: Head): Promise<void> {
    const { reader, now } = this.#watch;
    // a witness has it first: it may be here by now
    const head = checkpoint.size > first.checkpoint.size ? ((await reader.head()) ?? first) : first;
    const [seen, shown] = [checkpoint.size, head.checkpoint.size];
    if (seen <= shown) {
      if (!(await reader.rootAt(head, seen)).equals(checkpoint.root))
        this.#alert('fork', forkText(`witness ${name}`, seen, shown), [note, head.note]);
    } else if (time === null || now().getTime() / 1000 - time > GRACE_SECONDS) {
      const at = time === null ? '' : ` at ${timestamp(new Date(time * 1000))}`;
      const text = `the log shows ${shown} entries, but witness ${name} saw ${seen}${at}`;
      this.#alerts.push({ code: 'stale-head', text, evidence: [note, head.note] });
    }
  }

  /** Each is said, and kept, until somebody has looked at it: none may hide another. */
  #alert(code: Alarm['code'], text: string, evidence: readonly string[]): void {
    this.#alarms.add({ code, text, evidence });
  }
}
