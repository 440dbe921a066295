/** What was to be reached: each goal a ratio of figures that were measured side by side, and what may stand in its way. */
import { digits } from './judge.ts';
import type { Cause, Goal, Medians } from './judge.ts';
import { FULL, bytesText } from './sizes.ts';

const MIB_IN_MB = 2 ** 20 / 1e6;
const LARGE = bytesText(FULL.large);
const MANY = FULL.many.toLocaleString('en');

/** Digits of NaN are `NaN`, so a text that lacks a figure is left out. */
const s = (seconds: number): string => `${digits(seconds)} s`;

/** Seconds of processor time, spread over all cores. */
const spreadOut = (of: Medians, seconds: number): number => seconds / of('parallel.cores');

/** Whatever a release costs that has nothing to fetch and one artifact: log, records, agent. */
const fixed = (of: Medians): number => of('digest.cold signSeconds');

/** The same pass over the same loopback, by programs that others wrote. */
const samePass = (of: Medians, hash: string, allowed: number): Cause => {
  const took = of(`large.${hash}.curl into openssl`);
  return {
    text: `curl into openssl, the same pass over the same loopback, takes ${s(took)}`,
    explains: took - allowed,
  };
};

/** An artifact is named by its SHA-256, whatever hash is signed. */
const named = (of: Medians): Cause => {
  const took = of('large.sha256.openssl');
  return {
    text: `H takes SHA-256 as well, which names the artifact: openssl needs ${s(took)} for it`,
    explains: took,
  };
};

const againstOpenssl = (hash: string): Goal => ({
  section: 'large',
  text: `${LARGE}, ${hash.replace('sha', 'SHA-')}: \`sign\` against one pass of openssl`,
  value: (of) => of(`large.${hash}.sign`) / of(`large.${hash}.openssl`),
  wanted: { atMost: 1.2 },
  unit: '×',
  gap: (of) => of(`large.${hash}.sign`) - 1.2 * of(`large.${hash}.openssl`),
  causes: (of) => [
    samePass(of, hash, 1.2 * of(`large.${hash}.openssl`)),
    ...(hash === 'sha256' ? [] : [named(of)]),
  ],
});

const againstScript = (text: string, times: number): Goal => {
  const allowed = (of: Medians): number => FULL.many / (times * of('many.script'));
  return {
    section: 'many',
    text,
    value: (of) => of('many.sealed to published') / of('many.script'),
    wanted: { atLeast: times },
    unit: '×',
    bound: (of) => ({
      value: of('many.pksign') / of('many.script'),
      text: `the agent by itself makes ${digits(of('many.pksign'))} signatures a second, the script does ${digits(of('many.script'))} files`,
    }),
    gap: (of) => of('many.sign') + of('many.publish') - allowed(of),
    causes: (of) => {
      const [agent, sign, serve] = [FULL.many / of('many.pksign'), of('many.sign cpu'), of('many.depot cpu')];
      return [
        {
          text: `signing takes ${s(of('many.sign'))}, publishing ${s(of('many.publish'))}; the agent by itself takes ${s(agent)}, \`sign\` and \`serve\` ${s(sign + serve)} of a core`,
          explains: spreadOut(of, agent + sign + serve) - allowed(of),
        },
      ];
    },
  };
};

/** Seconds that a small artifact takes to sign, without what each release costs; in digest mode nothing is fetched. */
const each = (of: Medians, mode: 'many' | 'digest', count: number): number =>
  1 / of(`${mode}.signed`) - fixed(of) / count;

const againstAgent = (name: string, prefix: string, count: number): Goal => ({
  section: 'many',
  text: `signing, ${name}: against pipelined PKSIGN of the same agent`,
  value: (of) => of(`${prefix}.signed`) / of(`${prefix}.pksign`),
  wanted: { atLeast: 0.8 },
  unit: '×',
  gap: (of) => count / of(`${prefix}.signed`) - count / (0.8 * of(`${prefix}.pksign`)),
  causes: (of) => {
    const fetching = count * (each(of, 'many', FULL.many) - each(of, 'digest', FULL.digests));
    return [
      {
        text: `one artifact that need not be fetched takes ${s(fixed(of))}, log and records included`,
        explains: fixed(of),
      },
      ...(prefix === 'many' && fetching > 0
        ? [{ text: `fetching all, which digest mode spares, ${s(fetching)}`, explains: fetching }]
        : []),
    ];
  },
});

/** What a write to the disk costs whoever does it: nginx, which does not sync, and a `sync`. */
const written = (of: Medians, allowed: number): Cause => ({
  text: `nginx takes ${s(of('depot.upload to nginx'))}, and a \`sync\` after it ${s(of('depot.upload to nginx, sync'))}: ours has synced what it acknowledges; \`serve\` uses ${s(of('depot.upload cpu'))} of a core`,
  explains: of('depot.upload to nginx') + of('depot.upload to nginx, sync') - allowed,
});

/** What `attest` in digest mode cannot be faster than. */
const slower = (of: Medians): number => Math.max(of('digest.state'), of('digest.attest without state'));

/** Seconds to sign and publish one file of a build of so many. */
const costOf = (of: Medians, count: number): number =>
  (of(`curves.count.${count}.sign`) + of(`curves.count.${count}.publish`)) / count;

/** What V8 does to read our program, by `node --check`; milliseconds. */
const reading = (of: Medians): Cause => {
  const took = of('start.--check') - of('start.bare node');
  return { text: `V8 reads the program (\`node --check\`), ${digits(took)} ms`, explains: took };
};

const start = (figure: string, text: string, more: (of: Medians) => readonly Cause[]): Goal => ({
  section: 'start',
  text: `${text}: against bare node`,
  value: (of) => of(`start.${figure}`) / of('start.bare node'),
  wanted: { atMost: 1.5 },
  unit: '×',
  gap: (of) => of(`start.${figure}`) - 1.5 * of('start.bare node'),
  causes: (of) => [reading(of), ...more(of)],
});

export const GOALS: readonly Goal[] = [
  {
    section: 'large',
    text: `${LARGE}, SHA-256: \`sign\` against the script`,
    value: (of) => of('large.sha256.script') / of('large.sha256.sign'),
    wanted: { atLeast: 10 },
    unit: '×',
    bound: (of) => ({
      value: of('large.sha256.script') / of('large.sha256.openssl'),
      text: `one pass of openssl takes ${s(of('large.sha256.openssl'))}, the script ${s(of('large.sha256.script'))}`,
    }),
    gap: (of) => of('large.sha256.sign') - of('large.sha256.script') / 10,
    causes: (of) => [samePass(of, 'sha256', of('large.sha256.script') / 10)],
  },
  againstOpenssl('sha256'),
  againstOpenssl('sha512'),
  {
    section: 'large',
    text: `${LARGE}, SHA-256: to published, against the script`,
    value: (of) => of('large.sha256.script') / of('large.sha256.sign and publish'),
    wanted: { atLeast: 5 },
    unit: '×',
    bound: (of) => ({
      value: of('large.sha256.script') / (2 * of('large.sha256.openssl')),
      text: `H and L each read all of it, and two passes of openssl take ${s(2 * of('large.sha256.openssl'))}, the script ${s(of('large.sha256.script'))}`,
    }),
    gap: (of) => of('large.sha256.sign and publish') - of('large.sha256.script') / 5,
    causes: (of) => {
      const [pass, again] = [of('large.sha256.curl into openssl'), of('large.sha256.openssl')];
      return [
        {
          text: `signing takes ${s(of('large.sha256.sign'))}, publishing ${s(of('large.sha256.publish'))}; curl into openssl, H's pass, takes ${s(pass)}, and openssl, L's, ${s(again)}`,
          explains: pass + again - of('large.sha256.script') / 5,
        },
      ];
    },
  },
  {
    section: 'large',
    text: 'memory of `sign`, whatever the size',
    value: (of) =>
      MIB_IN_MB *
      Math.max(
        of('large.sha256.sign memory'),
        ...FULL.curves.size
          .map((size) => of(`curves.size.${size}.sign memory`))
          .filter((value) => !Number.isNaN(value)),
      ),
    wanted: { atMost: 120 },
    unit: 'MB',
    causes: (of) => [
      { text: `${digits(MIB_IN_MB * of('large.sha256.sign memory'))} MB for ${LARGE}`, explains: 0 },
      { text: `${digits(MIB_IN_MB * of('digest.cold memory'))} MB where nothing is fetched`, explains: 0 },
    ],
  },
  {
    section: 'parallel',
    text: 'several artifacts: all cores against one',
    value: (of) => of('parallel.one core.sign') / of('parallel.all cores.sign'),
    wanted: { atLeast: 1.7 },
    unit: '×',
    bound: (of) => {
      const gain = of('parallel.one core.openssl') / of('parallel.all cores.openssl');
      return { value: gain, text: `openssl gains ${digits(gain)} × by all cores` };
    },
    gap: (of) => of('parallel.all cores.sign') - of('parallel.one core.sign') / 1.7,
    causes: (of) => {
      const [one, gain] = [
        of('parallel.one core.sign'),
        of('parallel.one core.openssl') / of('parallel.all cores.openssl'),
      ];
      return [
        {
          text: `${s(fixed(of))} of each run are not fetching and hashing (\`signSeconds\` in digest mode), and openssl gains ${digits(gain)} × by all cores`,
          explains: fixed(of) + (one - fixed(of)) / gain - one / 1.7,
        },
      ];
    },
  },
  againstScript(`${MANY} of 4 KiB: sealed to published, against the script over HTTP`, 25),
  againstScript('the same, small files travelling together', 50),
  againstAgent('Ed25519', 'many', FULL.many),
  againstAgent('P-256', 'many.nistp256/ecdsa', FULL.keys['nistp256/ecdsa']),
  againstAgent('RSA-3072', 'many.rsa3072', FULL.keys.rsa3072),
  againstAgent('RSA-4096', 'many.rsa4096', FULL.keys.rsa4096),
  {
    section: 'many',
    text: `processes that \`sign\` starts more for ${FULL.traced.toLocaleString('en')} artifacts than for one`,
    value: (of) => of('many.processes.many') - of('many.processes.one'),
    wanted: { atMost: 0 },
    unit: '',
    causes: (of) => [
      { text: `${of('many.processes.one')} for one, ${of('many.processes.many')} for many`, explains: 0 },
    ],
  },
  {
    section: 'curves',
    text: 'cost a file: of 100,000 against the cheapest of 100, 1,000, 10,000',
    value: (of) => costOf(of, 100_000) / Math.min(...[100, 1_000, 10_000].map((count) => costOf(of, count))),
    wanted: { atMost: 1.2 },
    unit: '×',
    causes: (of) =>
      [10_000, 100_000].map((count) => ({
        text: `sign ${s(of(`curves.count.${count}.sign`))}, publish ${s(of(`curves.count.${count}.publish`))} for ${count.toLocaleString('en')}`,
        explains: 0,
      })),
  },
  {
    section: 'digest',
    text: 'digest mode: bytes from L to H for each artifact, to sign it',
    value: (of) => of('digest.bytes an artifact'),
    wanted: { atMost: 1024 },
    unit: 'B',
    causes: () => [],
  },
  {
    section: 'digest',
    text: 'digest mode: signatures a second, warm',
    value: (of) => of('digest.signed'),
    wanted: { atLeast: 500 },
    unit: '/s',
    bound: (of) => ({
      value: of('digest.pksign'),
      text: `the agent by itself makes ${digits(of('digest.pksign'))} a second`,
    }),
    gap: (of) => FULL.digests / of('digest.signed') - FULL.digests / 500,
    causes: (of) => [
      {
        text: `the agent by itself makes ${digits(of('digest.pksign'))} a second, and one artifact takes ${s(fixed(of))}, log and records included`,
        explains: FULL.digests / of('digest.pksign') + fixed(of) - FULL.digests / 500,
      },
    ],
  },
  {
    section: 'digest',
    text: 'digest mode: a cold `sign` of one, beyond bare node',
    value: (of) => (of('digest.cold sign') - of('digest.bare node')) * 1000,
    wanted: { atMost: 100 },
    unit: 'ms',
    gap: (of) => (of('digest.cold sign') - of('digest.bare node')) * 1000 - 100,
    causes: (of) => {
      // strace counts our own too
      const programs = of('many.processes.one') - 1;
      const synced = 4000 / of('log.append.each');
      return [
        reading(of),
        {
          text: `${programs} programs, ${digits(of('start.gpgv'))} ms each if all are like gpgv`,
          explains: programs * of('start.gpgv'),
        },
        { text: `four log entries, ${digits(synced)} ms`, explains: synced },
      ];
    },
  },
  {
    section: 'digest',
    text: 'digest mode: `attest` against the slower of state and upload',
    value: (of) => of('digest.attest') / slower(of),
    wanted: { atMost: 1.1 },
    unit: '×',
    gap: (of) => of('digest.attest') - 1.1 * slower(of),
    causes: (of) => {
      const busy = of('digest.attest cpu') + of('digest.attest depot cpu');
      return [
        {
          text: `\`attest\` and \`serve\` use ${s(busy)} of a core, of ${of('parallel.cores')}`,
          explains: spreadOut(of, busy) - 1.1 * slower(of),
        },
      ];
    },
  },
  {
    section: 'depot',
    text: `upload of ${LARGE} with hashing, against nginx without`,
    value: (of) => of('depot.upload') / of('depot.upload to nginx'),
    wanted: { atMost: 1 },
    unit: '×',
    gap: (of) => of('depot.upload') - of('depot.upload to nginx'),
    causes: (of) => [written(of, of('depot.upload to nginx'))],
  },
  {
    section: 'depot',
    text: 'the same, against rsync over ssh',
    value: (of) => of('depot.upload by rsync') / of('depot.upload'),
    wanted: { atLeast: 2 },
    unit: '×',
    gap: (of) => of('depot.upload') - of('depot.upload by rsync') / 2,
    causes: (of) => [written(of, of('depot.upload by rsync') / 2)],
  },
  {
    section: 'depot',
    text: `download of ${LARGE}: speed against nginx`,
    value: (of) => of('depot.download from nginx') / of('depot.download'),
    wanted: { atLeast: 0.7 },
    unit: '×',
    gap: (of) => of('depot.download') - of('depot.download from nginx') / 0.7,
    causes: (of) => [
      {
        text: `\`serve\` itself uses ${s(of('depot.download cpu'))} of a core`,
        explains: of('depot.download cpu') - of('depot.download from nginx') / 0.7,
      },
    ],
  },
  {
    section: 'depot',
    text: 'the same, when nginx serves our directory (1.0, within 5 %)',
    value: (of) => of('depot.download from nginx') / of('depot.download of our directory from nginx'),
    wanted: { atLeast: 0.95 },
    unit: '×',
    causes: () => [{ text: 'it is the same nginx and a plain file', explains: 0 }],
  },
  {
    section: 'depot',
    text: 'memory of L: 64 uploads at the same time against one',
    value: (of) => of('depot.uploads.64 memory') / of('depot.uploads.1 memory'),
    wanted: { atMost: 1.25 },
    unit: '×',
    causes: (of) =>
      [1, 8, 64].map((count) => ({
        text: `${digits(of(`depot.uploads.${count} memory`))} MiB for ${count}`,
        explains: 0,
      })),
  },
  ...(['json', 'html'] as const).map((kind): Goal => ({
    section: 'depot',
    text: `a page of the list of builds (${kind}): of 100,000 against of 100 (1.0, within 25 %)`,
    value: (of) => of(`depot.list.${kind}.many`) / of(`depot.list.${kind}.few`),
    wanted: { atMost: 1.25 },
    unit: '×',
    causes: (of) =>
      ['many', 'few'].map((list) => ({
        text: `${digits(of(`depot.list.${kind}.${list}`))} ms for ${list}`,
        explains: 0,
      })),
  })),
  start('--help', '`--help`', () => []),
  start('verify, offline', '`verify`, offline, of a small file', (of) => [
    { text: `gpgv, ${digits(of('start.gpgv'))} ms`, explains: of('start.gpgv') },
  ]),
];
