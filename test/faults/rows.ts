/** The rows of the matrix in docs/faults.md, by role. */
import type { Column, Outcome, Row } from './row.ts';

export type Cells = Partial<Record<Column, Outcome>>;

/** A file is written under another name, synced, and gets its own. */
export const kept: Cells = {
  SIGKILL: 'again',
  'write fails': 'exit 3',
  'fsync fails': 'exit 3',
  ENOSPC: 'exit 3',
  EDQUOT: 'exit 3',
  'name fails': 'exit 3',
};
/** A line is added to a file, and synced. */
export const logged: Cells = {
  SIGKILL: 'again',
  'write fails': 'exit 3',
  'fsync fails': 'exit 3',
  ENOSPC: 'exit 3',
  EDQUOT: 'exit 3',
};
export const read: Cells = { SIGKILL: 'again', 'read fails': 'exit 3' };
/** A broken connection is tried again at once. */
export const sent: Cells = { SIGKILL: 'again', 'connection breaks': 'goes on' };
export const connected: Cells = { SIGKILL: 'again', 'connect fails': 'goes on' };

/** Another row of the same kind shows these in `npm test`. */
export const alike = ['write fails', 'name fails', 'ENOSPC', 'EDQUOT'] as const;

const sign = (step: string, at: RegExp, cells: Cells): Row => ({ role: 'sign', step, at, cells });
const alikeTo = (step: string, at: RegExp, cells: Cells): Row => ({ ...sign(step, at, cells), swept: alike });
const entry = (n: number): RegExp => new RegExp(`^(write|fdatasync) H/signer/journal ${n}$`);

export const SIGN: readonly Row[] = [
  sign('project file read', / H\/(countersign\.toml|keys\/\S+) /, read),
  sign('state opened', / H\/signer\/(lock|tmp|log-key|signer-token) /, {
    SIGKILL: 'again',
    'read fails': 'exit 3',
    'write fails': 'exit 3',
    ENOSPC: 'exit 3',
    EDQUOT: 'exit 3',
    'name fails': 'exit 3',
  }),
  alikeTo('journal opened', /^(openat|read|fsync) H\/signer\/journal 1$/, {
    SIGKILL: 'again',
    'read fails': 'exit 3',
    'fsync fails': 'exit 3',
    ENOSPC: 'exit 3',
    EDQUOT: 'exit 3',
  }),
  sign('builds listed', /^connect depot 1$/, connected),
  sign('gpgv asked', / tmp\/countersign-gpgv/, {
    SIGKILL: 'again',
    'write fails': 'exit 3',
    ENOSPC: 'exit 3',
    EDQUOT: 'exit 3',
    'name fails': 'exit 3',
  }),
  sign('approval kept', /^(?!p?read).* H\/signer\/builds\/B\/approval\.json\S* /, kept),
  sign('approval logged', entry(1), logged),
  alikeTo('statement kept', /^(?!p?read).* H\/signer\/builds\/B\/statements\/\S+ /, kept),
  alikeTo('statement logged', entry(2), logged),
  sign('artifacts read', /^writev depot 1$/, sent),
  alikeTo('manifest kept', /^(?!p?read).* H\/signer\/builds\/B\/manifest\.json /, kept),
  alikeTo('intent logged', entry(3), logged),
  sign('signatures made', /H\/signer\/builds\/B\/signatures |^connect agent/, {
    ...logged,
    'read fails': 'exit 3',
    'connect fails': 'goes on',
  }),
  alikeTo('release kept', /^(?!p?read).* H\/signer\/builds\/B\/(signatures\.list|release\.json) /, kept),
  sign('release logged', entry(4), logged),
  alikeTo('checkpoint kept', /^(?!p?read).* H\/signer\/checkpoint /, kept),
  alikeTo('proof kept', /^(?!p?read).* H\/signer\/builds\/B\/release\.proof /, kept),
  sign(
    'records read back',
    /^p?read(64)? H\/signer\/(builds\/(?!B\/signatures )\S+ \d+|checkpoint 1|journal \d+)$/,
    read,
  ),
  sign('log sent', /^writev depot 2$/, sent),
  sign('records and signatures sent', /^writev depot [3-9]$/, sent),
  sign('read as a consumer reads', /^connect depot [2-9]$/, connected),
  alikeTo('settled', / H\/signer\/builds\/B\/settled /, kept),
];

const told: Cells = { ...kept, 'write fails': 'goes on', 'fsync fails': 'goes on', 'name fails': 'goes on' };

/** A build that ends without a signature. What fails once the log has that is done by the next round. */
export const REFUSE: readonly Row[] = [
  alikeTo('refusal: kept', /^(?!p?read)\S+ H\/signer\/builds\/B\/(approval|refusal)\.json\S* /, kept),
  alikeTo('refusal: logged', entry(1), logged),
  alikeTo(
    'refusal: proof kept',
    /^(?!p?read)\S+ H\/signer\/(checkpoint|builds\/B\/(refusal\.proof|settled)) /,
    {
      ...told,
      ENOSPC: 'goes on',
      EDQUOT: 'goes on',
    },
  ),
  alikeTo('refusal: depot told', /^writev depot \d$/, sent),
];

/** The state is taken back from the depot. */
export const RECOVER: readonly Row[] = [
  sign('recover: log asked for', /^connect depot 1$/, connected),
  alikeTo('recover: entries adopted', /^(write|fdatasync) H\/signer\/journal 1$/, logged),
  alikeTo('recover: checkpoint kept', /^(?!p?read)\S+ H\/signer\/checkpoint /, kept),
  alikeTo(
    'recover: records kept',
    /^(?!p?read)\S+ H\/signer\/builds\/B\/(approval|statements|manifest|release|signatures\.list)\S* /,
    kept,
  ),
  alikeTo('recover: build closed', /^(?!p?read)\S+ H\/signer\/builds\/B\/closed /, kept),
  alikeTo('recover: signatures kept', / H\/signer\/builds\/B\/signatures /, {
    ...logged,
    'read fails': 'exit 3',
  }),
];

const attest = (step: string, at: RegExp, cells: Cells): Row => ({ role: 'attest', step, at, cells });

export const ATTEST: readonly Row[] = [
  attest('ticket read', /^p?read(64)? operator\/tickets-\d+\/b1\.ticket /, read),
  attest('approval asked for', /^connect depot 1$/, connected),
  attest('artifacts read', /^p?read(64)? M\/out-/, read),
  attest('statement kept', /^(?!unlink|rmdir)\S+ operator\/tickets-\d+\/b1\.ticket\.pending/, kept),
  attest('private half gone', /^(openat|write|rename|fsync) operator\/tickets-\d+\/b1\.ticket [12]$/, kept),
  attest('artifacts and statement sent', /^(writev depot \d|connect depot [2-9])$/, {
    ...sent,
    ...connected,
  }),
  attest('ticket gone', /^(unlink|rmdir) |^fsync operator\/tickets-\d+\/b1\.ticket 3$/, {
    SIGKILL: 'refuses',
    'fsync fails': 'goes on',
    'name fails': 'exit 3',
  }),
];

const approve = (step: string, at: RegExp, cells: Cells): Row => ({ role: 'approve', step, at, cells });

export const APPROVE: readonly Row[] = [
  approve('project file read', / operator\/(countersign\.toml|keys\/\S+) /, read),
  approve('depot asked', /^connect depot 1$/, connected),
  approve('ticket written', / operator\/tickets\/\S+ /, kept),
  approve('approval sent', /^writev depot \d$/, { ...sent, SIGKILL: 'refuses' }),
];

const init = (step: string, at: RegExp, cells: Cells): Row => ({ role: 'init', step, at, cells });

export const INIT: readonly Row[] = [
  init('keys read', /^pread64 H\/keys\//, read),
  init('keys written', / stick\/H\/keys\//, kept),
  init('state made', / stick\/H\/signer/, { ...kept, SIGKILL: 'refuses' }),
  init('project file written', / stick\/H\/countersign\.toml /, { ...kept, SIGKILL: 'refuses' }),
];

export const VERIFY: readonly Row[] = [
  { role: 'verify', step: 'project file read', at: / operator\/(countersign\.toml|keys\/\S+) /, cells: read },
  { role: 'verify', step: 'release asked for', at: /^connect depot /, cells: connected },
  { role: 'verify', step: 'artifact read', at: / M\/out-/, cells: read },
];

export const STATUS: readonly Row[] = [
  { role: 'status', step: 'project file read', at: / operator\/(countersign\.toml|keys\/\S+) /, cells: read },
  { role: 'status', step: 'depot asked', at: /^connect depot /, cells: connected },
];

const serve = (step: string, at: RegExp, cells: Cells): Row => ({ role: 'serve', step, at, cells });

const servedAlike = (step: string, at: RegExp, cells: Cells): Row => ({
  ...serve(step, at, cells),
  swept: alike,
});

const lookedAt = (step: string, at: RegExp, before: RegExp, cells: Cells): Row => ({
  ...serve(step, at, cells),
  before,
});
const LOG = /^p?read(64)? L\/data\/log\//;
const BUILD = /^p?read(64)? L\/data\/builds\/B\//;
const RECORDS = /^p?read(64)? L\/data\/builds\/B\/(?!blobs\/|signatures\/)/;
const SEALED = /^p?read(64)? L\/data\/builds\/B\/(blobs|signatures)\//;
/** Whoever asked asks again. */
const asked: Cells = { SIGKILL: 'again', 'read fails': 'goes on' };
/** What fails is left for the next time. */
const left = (...columns: readonly Column[]): Cells => ({
  SIGKILL: 'again',
  ...Object.fromEntries(columns.map((column) => [column, 'goes on'])),
});

/** The first word says what the depot is doing: it takes an `approval`, a `statement` with its artifacts, a `release`, the rest of an `upload`; or, at its start, away what need not be kept: a `sweep`. */
export const SERVE: readonly Row[] = [
  serve('approval: project file read', / L\/(countersign\.toml|keys\/\S+) /, read),
  servedAlike('approval: taken', /^(?!p?read).* L\/data\/builds\/B\/approval/, kept),
  serve('approval: answered', /^writev /, sent),
  serve('statement: artifacts taken', /^(?!p?read).* L\/data\/builds\/B\/blobs/, kept),
  servedAlike('statement: taken', /^(?!p?read).* L\/data\/builds\/B\/statements/, kept),
  lookedAt('statement: approval and artifacts asked for', BUILD, /^writev depot /, asked),
  lookedAt('statement: records read again', BUILD, / L\/data\/builds\/B\/statements/, read),
  serve('statement: answered', /^writev /, sent),
  lookedAt('release: log asked for', LOG, /^writev depot /, read),
  lookedAt('release: log read', LOG, / L\/data\/(log\/tile|\.tmp\/replacing)/, read),
  servedAlike('release: log extended', /^(?!p?read).* L\/data\/log\/tile\//, kept),
  servedAlike(
    'release: checkpoint replaced',
    /^(?!p?read).* L\/data\/(log\/checkpoint|\.tmp\/replacing) /,
    kept,
  ),
  servedAlike(
    'release: records taken',
    /^(?!p?read).* L\/data\/builds\/B\/(log-entry\.json|release\.(proof|json)|manifest\.json|signatures\.list) /,
    kept,
  ),
  servedAlike('release: signatures taken', /^(?!p?read).* L\/data\/builds\/B(\/signatures(\/\S*)?)? /, kept),
  lookedAt('release: sent to H', BUILD, /^writev depot /, asked),
  lookedAt('release: records read again', RECORDS, / (L\/data\/builds\/B\/signatures\/|tmp\/)\S+ /, read),
  lookedAt('release: artifacts and signatures verified', SEALED, / tmp\/countersign-gpgv/, read),
  servedAlike('release: gpgv asked', / tmp\/countersign-gpgv/, {
    SIGKILL: 'again',
    'write fails': 'exit 3',
    ENOSPC: 'exit 3',
    EDQUOT: 'exit 3',
    'name fails': 'exit 3',
  }),
  servedAlike('release: put together', /^(?!p?read|rename).* L\/data\/releases\/widget\/1\.0\//, kept),
  serve('release: shown', /^rename (?!L\/data\/log)|^(fsync|mkdir) L\/data\/releases\/widget\/1\.0 /, {
    ...{ SIGKILL: 'again', 'fsync fails': 'exit 3', 'name fails': 'exit 3' },
  }),
  serve('release: read as a consumer reads', /^p?read(64)? L\/data\/releases/, {
    SIGKILL: 'again',
    'read fails': 'goes on',
  }),
  serve('release: answered', /^writev /, sent),
  lookedAt('upload: approval asked for', BUILD, / L\/data\/\.tmp\/B\./, asked),
  serve('upload: pieces are this process’s', / L\/data\/\.tmp\/(pieces|repair) /, {
    SIGKILL: 'again',
    'write fails': 'goes on',
    ENOSPC: 'goes on',
    EDQUOT: 'goes on',
  }),
  servedAlike(
    'upload: gone on with, and named',
    /^(?!p?read).* L\/data\/(\.tmp\/B\.[0-9a-f]{32}\.SHA256|builds\/B\/blobs\S*) /,
    kept,
  ),
  serve('upload: hashed as a whole', /^pread64 L\/data\/\.tmp\/B\.[0-9a-f]{32}\.SHA256 /, read),
  serve('upload: answered', /^writev depot /, sent),
  serve(
    'sweep: log and builds looked at',
    /^p?read(64)? L\/data\/(log|builds)\/\S+ \d+ at start$/,
    left('read fails'),
  ),
  serve(
    'sweep: blobs of a build moved away',
    /^(rename L\/data\/\.tmp\/|fsync L\/data\/builds\/)\S+ \d+ at start$/,
    left('name fails', 'fsync fails'),
  ),
  serve(
    'sweep: blobs of a build dropped',
    /^(unlink|rmdir) L\/data\/\.tmp\/\S+ \d+ at start$/,
    left('name fails'),
  ),
  serve('sweep: one blob dropped', /^unlink L\/data\/builds\/\S+ \d+ at start$/, left('name fails')),
];

/** Each run takes seconds: what was found is looked at twice. What lies in `.aside/` has the time in its name. */
const repair = (step: string, at: RegExp, swept: readonly Column[]): Row => ({
  ...{ role: 'check --repair', step, at, swept },
  cells: { SIGKILL: 'again', 'fsync fails': 'exit 3', 'name fails': 'exit 3' },
});

export const REPAIR: readonly Row[] = [
  repair('moved aside', /^rename L\/data\/\.aside\/|^fsync L\/data(\/builds\/B(\/blobs)?)? \d+$/, [
    'SIGKILL',
    'fsync fails',
  ]),
  repair('linked again', /^(link|fsync) L\/data\/builds\/B\/(blobs\/SHA256|manifest\.json) /, [
    'SIGKILL',
    'fsync fails',
    'name fails',
  ]),
  repair('tile made again', /^(fsync|rename) L\/data\/log\/tile\/0\/000\.p\/4 /, [
    'SIGKILL',
    'fsync fails',
    'name fails',
  ]),
];

/** Code that the depot's own rows try in full. */
const dir = (role: string, step: string, at: RegExp, cells: Cells): Row => ({
  ...{ role, step, at, cells },
  swept: ['read fails', 'fsync fails', ...alike],
});
const shown: Cells = { SIGKILL: 'again', 'fsync fails': 'exit 3', 'name fails': 'exit 3' };
const writes = /^(?!p?read(64)? )\S+ stick\/L/.source;
const reads = /^p?read(64)? stick\/L/.source;

/** A depot that is a directory; `sync` carries `out` to it and `back` from it. */
export const DIRECTORY: readonly Row[] = [
  dir('sync', 'out: depot asked', /^connect depot /, connected),
  dir('sync', 'out: log taken', new RegExp(`${writes}/(log|\\.tmp/replacing)`), kept),
  dir('sync', 'out: records and artifacts taken', new RegExp(`${writes}/builds`), kept),
  dir('sync', 'out: release put together', new RegExp(`${writes}/releases/widget/0\\.9/`), kept),
  dir('sync', 'out: release shown', /^(rename|fsync) stick\/L\/releases\/widget\/0\.9 /, shown),
  dir('sync', 'back: read from the directory', new RegExp(reads), read),
  dir('sync', 'back: sent', /^writev depot /, sent),
  dir('attest --depot DIR', 'approval read', new RegExp(`${reads}/builds/B/approval\\.json 1`), {
    SIGKILL: 'again',
    'read fails': 'goes on',
  }),
  dir('attest --depot DIR', 'artifacts taken', new RegExp(`${writes}/builds/B/blobs`), kept),
  dir('attest --depot DIR', 'statement taken', new RegExp(`${writes}/builds/B/statements`), kept),
  dir('sign --depot DIR', 'records and artifacts read', new RegExp(reads), read),
  dir('sign --depot DIR', 'log taken', new RegExp(`${writes}/(log|\\.tmp/replacing)`), kept),
  dir(
    'sign --depot DIR',
    'records taken',
    new RegExp(`${writes}/builds/B/(log|rel|man|signatures\\.)`),
    kept,
  ),
  dir('sign --depot DIR', 'signatures taken', new RegExp(`${writes}/builds/B/signatures/`), kept),
  dir('sign --depot DIR', 'release put together', new RegExp(`${writes}/releases/widget/1\\.0/`), kept),
  dir('sign --depot DIR', 'release shown', /^(rename|fsync) stick\/L\/releases\/widget\/1\.0 /, shown),
];

/** A disk that is full, as `test/faults/full.test.ts` tries it: the command of `play` meets it, in the work of `role`. */
export interface Disk {
  readonly role: string;
  readonly play: string;
  readonly what: string;
  /** Below the world. */
  readonly place: readonly string[];
  /** Only the whole sweep fills it. */
  readonly swept?: true;
  /** Only the whole sweep fills its table of inodes too. */
  readonly sweptInodes?: true;
}

export const DISKS: readonly Disk[] = [
  { role: 'init', play: 'init', what: 'the new project’s disk', place: ['stick'], sweptInodes: true },
  { role: 'approve', play: 'approve', what: 'the tickets’ disk', place: ['operator'], sweptInodes: true },
  { role: 'attest', play: 'attest', what: 'the ticket’s disk', place: ['operator'] },
  {
    role: 'serve',
    play: 'attest',
    what: 'the depot’s disk, artifacts and statement',
    place: ['L', 'data'],
    sweptInodes: true,
  },
  { role: 'serve', play: 'sign', what: 'the depot’s disk, a release', place: ['L', 'data'] },
  { role: 'sign', play: 'sign', what: 'the state’s disk', place: ['H', 'signer'] },
  { role: 'sign', play: 'sign', what: 'TMPDIR', place: ['tmp'], sweptInodes: true },
  { role: 'sync', play: 'sync', what: 'the other depot’s disk', place: ['stick'], sweptInodes: true },
  {
    role: 'attest --depot DIR',
    play: 'attest --depot DIR',
    what: 'the depot’s disk',
    place: ['stick'],
    sweptInodes: true,
  },
  {
    role: 'sign --depot DIR',
    play: 'sign --depot DIR',
    what: 'the depot’s disk',
    place: ['stick'],
    sweptInodes: true,
  },
];
