/** What was to be reached, and whether it was: each goal a ratio of figures that were measured side by side. */
import { median } from './measure.ts';
import type { Figures } from './measure.ts';

/** The median of a figure; NaN where it was not measured. */
export type Medians = (name: string) => number;

export interface Goal {
  readonly section: string;
  readonly text: string;
  readonly value: (of: Medians) => number;
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number };
  readonly unit: '×' | 'MB' | '/s' | 'ms' | 'B' | '';
  /** What stands in the way, where it is missed: from profiles, and from what the run itself shows. */
  readonly cause: (of: Medians) => string;
}

export interface Outcome {
  readonly section: string;
  readonly text: string;
  readonly wanted: string;
  readonly value: string;
  readonly verdict: 'met' | 'missed' | 'not measured';
  /** Empty unless it was missed. */
  readonly cause: string;
}

/** Holds figures against one goal. What was not measured is neither met nor missed. */
export function judge(goal: Goal, figures: Figures): Outcome {
  const of: Medians = (name) => median(figures[name]?.values ?? []);
  const value = goal.value(of);
  const [words, met] =
    'atLeast' in goal.wanted
      ? [`at least ${goal.wanted.atLeast}`, value >= goal.wanted.atLeast]
      : [`at most ${goal.wanted.atMost}`, value <= goal.wanted.atMost];
  const verdict = Number.isNaN(value) ? 'not measured' : met ? 'met' : 'missed';
  return {
    section: goal.section,
    text: goal.text,
    wanted: amount(words, goal.unit),
    value: Number.isNaN(value) ? '–' : amount(digits(value), goal.unit),
    verdict,
    cause: verdict === 'missed' ? goal.cause(of) : '',
  };
}

const amount = (text: string, unit: string): string => (unit === '' ? text : `${text} ${unit}`);

/** Three digits, and no exponent. */
export function digits(value: number): string {
  if (value === 0) return '0';
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(decimals, 3) });
}

const MIB_IN_MB = 2 ** 20 / 1e6;
const SIZES = [1, 16, 256, 1024, 2048, 8192];

/** Seconds to sign and publish one file of a build of so many. */
const costOf = (of: Medians, count: number): number =>
  (of(`curves.count.${count}.sign`) + of(`curves.count.${count}.publish`)) / count;

/** What a `sign` takes beside one pass of openssl over a file, where it is missed. */
const passes = (of: Medians, hash: string): string =>
  `curl into openssl, which is the same pass over the same loopback, takes ${digits(of(`large.${hash}.curl into openssl`))} s`;

export const GOALS: readonly Goal[] = [
  {
    section: 'large',
    text: '2 GiB, SHA-256: `sign` against the script',
    value: (of) => of('large.sha256.script') / of('large.sha256.sign'),
    wanted: { atLeast: 10 },
    unit: '×',
    cause: (of) => passes(of, 'sha256'),
  },
  {
    section: 'large',
    text: '2 GiB, SHA-256: `sign` against one pass of openssl',
    value: (of) => of('large.sha256.sign') / of('large.sha256.openssl'),
    wanted: { atMost: 1.2 },
    unit: '×',
    cause: (of) => passes(of, 'sha256'),
  },
  {
    section: 'large',
    text: '2 GiB, SHA-512: `sign` against one pass of openssl',
    value: (of) => of('large.sha512.sign') / of('large.sha512.openssl'),
    wanted: { atMost: 1.2 },
    unit: '×',
    cause: (of) => passes(of, 'sha512'),
  },
  {
    section: 'large',
    text: '2 GiB, SHA-256: to published, against the script',
    value: (of) => of('large.sha256.script') / of('large.sha256.sign and publish'),
    wanted: { atLeast: 5 },
    unit: '×',
    cause: (of) =>
      `publishing takes ${digits(of('large.sha256.publish'))} s: L reads and hashes every byte again`,
  },
  {
    section: 'large',
    text: 'memory of `sign`, whatever the size',
    value: (of) =>
      MIB_IN_MB *
      Math.max(
        of('large.sha256.sign memory'),
        ...SIZES.map((size) => of(`curves.size.${size}.sign memory`)).filter((value) => !Number.isNaN(value)),
      ),
    wanted: { atMost: 120 },
    unit: 'MB',
    cause: (of) =>
      `${digits(MIB_IN_MB * of('large.sha256.sign memory'))} MB for 2 GiB, of which bare node has 45; what is above that are chunks that wait for the garbage collector`,
  },
  {
    section: 'parallel',
    text: 'several artifacts: all cores against one',
    value: (of) => of('parallel.one core.sign') / of('parallel.all cores.sign'),
    wanted: { atLeast: 1.7 },
    unit: '×',
    cause: (of) =>
      `${digits(of('parallel.all cores.sign'))} s on all cores: the threads share the memory bus, and log, records and agent are one after the other`,
  },
  {
    section: 'many',
    text: '10,000 of 4 KiB: sealed to published, against the script over HTTP',
    value: (of) => of('many.sealed to published') / of('many.script'),
    wanted: { atLeast: 25 },
    unit: '×',
    cause: (of) => slowest(of),
  },
  {
    section: 'many',
    text: 'the same, small files travelling together',
    value: (of) => of('many.sealed to published') / of('many.script'),
    wanted: { atLeast: 50 },
    unit: '×',
    cause: (of) => slowest(of),
  },
  ...(
    [
      ['Ed25519', 'many'],
      ['P-256', 'many.nistp256/ecdsa'],
      ['RSA-3072', 'many.rsa3072'],
      ['RSA-4096', 'many.rsa4096'],
    ] as const
  ).map(([name, prefix]): Goal => ({
    section: 'many',
    text: `signing, ${name}: against pipelined PKSIGN of the same agent`,
    value: (of) => of(`${prefix}.signed`) / of(`${prefix}.pksign`),
    wanted: { atLeast: 0.8 },
    unit: '×',
    cause: () =>
      'the rate is over all of `signSeconds`, from the first read to the last signature stored: fetching, hashing and the log are in it',
  })),
  {
    section: 'many',
    text: 'processes that `sign` starts more for 1,000 artifacts than for one',
    value: (of) => of('many.processes.many') - of('many.processes.one'),
    wanted: { atMost: 0 },
    unit: '',
    cause: () => 'something is started for each artifact',
  },
  {
    section: 'curves',
    text: 'cost a file: of 100,000 against the cheapest of 100, 1,000, 10,000',
    value: (of) => costOf(of, 100_000) / Math.min(...[100, 1_000, 10_000].map((count) => costOf(of, count))),
    wanted: { atMost: 1.2 },
    unit: '×',
    cause: (of) =>
      `sign ${digits(of('curves.count.100000.sign'))} s, publish ${digits(of('curves.count.100000.publish'))} s for 100,000`,
  },
  {
    section: 'digest',
    text: 'digest mode: bytes from L to H for each artifact, to sign it',
    value: (of) => of('digest.bytes an artifact'),
    wanted: { atMost: 1024 },
    unit: 'B',
    cause: () => 'its subject in the statement',
  },
  {
    section: 'digest',
    text: 'digest mode: signatures a second, warm',
    value: (of) => of('digest.signed'),
    wanted: { atLeast: 500 },
    unit: '/s',
    cause: (of) => `the agent by itself makes ${digits(of('digest.pksign'))} a second`,
  },
  {
    section: 'digest',
    text: 'digest mode: a cold `sign` of one, beyond bare node',
    value: (of) => (of('digest.cold sign') - of('digest.bare node')) * 1000,
    wanted: { atMost: 100 },
    unit: 'ms',
    cause: () =>
      'a dozen programs, one after the other (strace): gpgv for the approval and the statement, and again before the intent, gpg for the list of secret keys, gpgconf to find the agent, flock; and four log entries, each synced',
  },
  {
    section: 'digest',
    text: 'digest mode: `attest` against the slower of state and upload',
    value: (of) => of('digest.attest') / Math.max(of('digest.state'), of('digest.attest without state')),
    wanted: { atMost: 1.1 },
    unit: '×',
    cause: () => 'two cores serve the state, the hash of the upload on M and on L, and the disk',
  },
  {
    section: 'depot',
    text: 'upload of 2 GiB with hashing, against nginx without',
    value: (of) => of('depot.upload') / of('depot.upload to nginx'),
    wanted: { atMost: 1 },
    unit: '×',
    cause: (of) =>
      `L itself used ${digits(of('depot.upload cpu'))} s of a core; the blob is on the disk, synced, before it is acknowledged, and nginx's is not`,
  },
  {
    section: 'depot',
    text: 'the same, against rsync over ssh',
    value: (of) => of('depot.upload by rsync') / of('depot.upload'),
    wanted: { atLeast: 2 },
    unit: '×',
    cause: (of) =>
      `L itself used ${digits(of('depot.upload cpu'))} s of a core; the blob is on the disk, synced, before it is acknowledged, and rsync's is not`,
  },
  {
    section: 'depot',
    text: 'download of 2 GiB: speed against nginx',
    value: (of) => of('depot.download from nginx') / of('depot.download'),
    wanted: { atLeast: 0.7 },
    unit: '×',
    cause: () =>
      'nginx hands the page cache to the socket (sendfile); Node has no such call, and copies every byte twice',
  },
  {
    section: 'depot',
    text: 'the same, when nginx serves our directory (1.0, within 5 %)',
    value: (of) => of('depot.download from nginx') / of('depot.download of our directory from nginx'),
    wanted: { atLeast: 0.95 },
    unit: '×',
    cause: () => 'it is the same nginx and a plain file: noise',
  },
  {
    section: 'depot',
    text: 'memory of L: 64 uploads at the same time against one',
    value: (of) => of('depot.uploads.64 memory') / of('depot.uploads.1 memory'),
    wanted: { atMost: 1.25 },
    unit: '×',
    cause: (of) =>
      `${digits(of('depot.uploads.1 memory'))} MiB for one, ${digits(of('depot.uploads.64 memory'))} for 64`,
  },
  ...(['json', 'html'] as const).map((kind): Goal => ({
    section: 'depot',
    text: `a page of the list of builds (${kind}): of 100,000 against of 100 (1.0, within 25 %)`,
    value: (of) => of(`depot.list.${kind}.many`) / of(`depot.list.${kind}.few`),
    wanted: { atMost: 1.25 },
    unit: '×',
    cause: (of) =>
      `${digits(of(`depot.list.${kind}.many`))} ms against ${digits(of(`depot.list.${kind}.few`))} ms`,
  })),
  ...(['--help', 'verify, offline'] as const).map((command): Goal => ({
    section: 'start',
    text: `\`${command}\`${command === '--help' ? '' : ', of a small file'}: against bare node`,
    value: (of) => of(`start.${command}`) / of('start.bare node'),
    wanted: { atMost: 1.5 },
    unit: '×',
    cause: () =>
      'V8 reads the whole program, which is one file (compileSourceTextModule: some 40 % of what is added, by --cpu-prof), then come the modules of Node that the verb uses; no process is started',
  })),
];

function slowest(of: Medians): string {
  return `of each run ${digits(of('many.sign'))} s are signing (the agent by itself: ${digits(10_000 / of('many.pksign'))} s), ${digits(of('many.publish'))} s publishing`;
}
