/** Which figures are shown, in which order, and what each is compared with. */

import { bytesText } from './sizes.ts';
import type { Sizes } from './sizes.ts';

export interface Row {
  readonly label: string;
  readonly figure: string;
}

export interface Table {
  readonly section: string;
  readonly title: string;
  /** The figure that the last column divides by. */
  readonly base: string;
  readonly rows: readonly Row[];
}

const number = (value: number): string => value.toLocaleString('en');

const rows = (prefix: string, labels: Readonly<Record<string, string>>): Row[] =>
  Object.entries(labels).map(([figure, label]) => ({ label, figure: `${prefix}.${figure}` }));

const large = (hash: 'sha256' | 'sha512', title: string): Table => ({
  section: 'large',
  title,
  base: `large.${hash}.openssl`,
  rows: [
    ...rows(`large.${hash}`, {
      openssl: `**the floor: openssl dgst -${hash}**`,
      'curl into openssl': 'curl from nginx, into openssl dgst',
      curl: 'the script: curl to a file',
      gpgv: 'the script: gpgv',
      gpg: 'the script: gpg --detach-sign',
      sha256sum: 'the script: sha256sum',
      script: '**the script, whole**',
      sign: '**our `sign`: `signSeconds`**',
      publish: 'our `publishSeconds`',
      'sign and publish': '**ours, to published**',
      command: 'the whole command, its start included',
      'sign cpu': 'processor time of `sign`',
      'depot cpu': 'processor time of `serve`',
      'sign memory': 'memory of `sign`',
      'depot memory': 'memory of `serve`',
      'gpg memory': 'memory of gpg',
    }),
    ...(hash === 'sha256'
      ? rows('large', {
          minisign: 'minisign (BLAKE2b)',
          sqv: 'sqv, verifies only',
          'sqv memory': 'memory of sqv',
        })
      : []),
  ],
});

/** All tables, of a run with such sizes. */
export const tables = (sizes: Sizes): readonly Table[] => [
  large('sha256', `One artifact of ${bytesText(sizes.large)}, SHA-256`),
  large('sha512', `One artifact of ${bytesText(sizes.large)}, SHA-512`),
  {
    section: 'parallel',
    title: `Four artifacts of ${bytesText(sizes.several)}, depot in a directory`,
    base: 'parallel.all cores.sign',
    rows: rows('parallel', {
      'one core.sign': '`signSeconds`, one core',
      'all cores.sign': '`signSeconds`, all cores',
      'one core.publish': '`publishSeconds`, one core',
      'all cores.publish': '`publishSeconds`, all cores',
      'all cores.memory': 'memory of `sign`, all cores',
      'one core.openssl': 'openssl dgst, one file after the other',
      'all cores.openssl': 'openssl dgst, as many at the same time as there are cores',
    }),
  },
  {
    section: 'many',
    title: `${number(sizes.many)} artifacts of 4 KiB`,
    base: 'many.script',
    rows: rows('many', {
      script: `**the script over HTTP, measured on ${sizes.scripted}**`,
      'gpg loop': `gpg --detach-sign in a loop, on ${sizes.scripted}`,
      'gpgv loop': `gpgv in a loop, on ${sizes.scripted}`,
      minisign: 'minisign, one process',
      pksign: '**the agent: pipelined PKSIGN, Ed25519**',
      signed: '**our `sign`: files by `signSeconds`**',
      'sealed to published': '**ours, sealed to published**',
      sign: '`signSeconds`',
      publish: '`publishSeconds`',
      command: 'the whole command',
      attest: '`attest` on M, upload included',
      'sign cpu': 'processor time of `sign`',
      'depot cpu': 'processor time of `serve`',
      'sign memory': 'memory of `sign`',
      'depot memory': 'memory of `serve`',
      'nistp256/ecdsa.pksign': 'the agent: P-256',
      'nistp256/ecdsa.signed': `ours: P-256, ${number(sizes.keys['nistp256/ecdsa'])} files`,
      'rsa3072.pksign': 'the agent: RSA-3072',
      'rsa3072.signed': `ours: RSA-3072, ${number(sizes.keys.rsa3072)} files`,
      'rsa4096.pksign': 'the agent: RSA-4096',
      'rsa4096.signed': `ours: RSA-4096, ${number(sizes.keys.rsa4096)} files`,
      'processes.one': 'programs that `sign` starts for one artifact',
      'processes.many': `programs that \`sign\` starts for ${number(sizes.traced)}`,
    }),
  },
  {
    section: 'digest',
    title: 'Digest mode',
    base: 'digest.bare node',
    rows: rows('digest', {
      'bare node': 'bare node',
      'cold sign': `a cold \`sign\` of one artifact of ${bytesText(sizes.large)}, less \`publishSeconds\``,
      'cold signSeconds': 'its `signSeconds`',
      'cold memory': 'its memory',
      'bytes one': `from L to H, one artifact of ${bytesText(sizes.large)}, log and all records included`,
      'bytes one back': 'the release, read back',
      'bytes an artifact': '**from L to H for each artifact more**',
      'bytes an artifact back': 'its signature and its name, read back',
      signed: `\`sign\` of ${number(sizes.digests)}: files by \`signSeconds\``,
      pksign: 'the agent: pipelined PKSIGN',
      state: `the hash state of ${bytesText(sizes.large)}, alone`,
      'attest without state': `\`attest\` of ${bytesText(sizes.large)} in fetch mode`,
      attest: `\`attest\` of ${bytesText(sizes.large)} in digest mode`,
      'attest cpu': 'processor time of that `attest`',
      'attest depot cpu': 'processor time of `serve` meanwhile',
    }),
  },
  {
    section: 'depot',
    title: `L: ${bytesText(sizes.large)} in and out, the list of builds`,
    base: 'depot.upload to nginx',
    rows: rows('depot', {
      upload: '**upload, hashed and synced**',
      'upload to nginx': '**upload to nginx: WebDAV PUT**',
      'upload to nginx, sync': '`sync` after it',
      'upload by rsync': 'upload by rsync over ssh',
      'upload by rsync, sync': '`sync` after it',
      'upload cpu': 'processor time of `serve`, upload',
      'upload memory': 'memory of `serve`, upload',
      download: '**download**',
      'download cpu': 'processor time of `serve`, download',
      'download from nginx': '**download from nginx**',
      'download of our directory from nginx': 'download of our directory from nginx',
      'uploads.1': `${bytesText(sizes.uploads)} as one upload`,
      'uploads.8': `${bytesText(sizes.uploads)} as 8 uploads at the same time`,
      'uploads.64': `${bytesText(sizes.uploads)} as 64 uploads at the same time`,
      'uploads.1 memory': 'memory of `serve`, one upload',
      'uploads.8 memory': 'memory of `serve`, 8 uploads',
      'uploads.64 memory': 'memory of `serve`, 64 uploads',
      'list.json.few': 'list of 100 builds, JSON',
      'list.json.many': `list of ${number(sizes.listed)} builds, JSON`,
      'list.json.many.first': 'the first time it is asked for',
      'list.html.few': 'list of 100 builds, page',
      'list.html.many': `list of ${number(sizes.listed)} builds, page`,
    }),
  },
  {
    section: 'start',
    title: 'Start',
    base: 'start.bare node',
    rows: rows('start', {
      'gpg --version': '`gpg --version`',
      'bare node': '**bare node, an empty module**',
      gpgv: '`gpgv` of a signature over a small file',
      '--check': '`node --check` of our program: V8 reads it, nothing runs',
      '--help': '**`countersign --help`**',
      'verify, offline': '**`countersign verify` of a small file, release in a directory**',
      'verify, from the depot': 'the same, release and log from a depot',
    }),
  },
  {
    section: 'log',
    title: 'The log',
    base: 'log.append.floor',
    rows: rows('log', {
      'append.floor': 'the floor: write and fdatasync of a line, nothing else',
      'append.each': "H's journal, an fsync each",
      'append.groups': 'entries that are taken together (`sign --recover`), an fsync for each 100',
      ...Object.fromEntries(
        sizes.logs.flatMap((size) => [
          [`verify.${size}`, `whole verification of ${number(size)} entries`],
          [`verify.${size} memory`, 'its memory, at most'],
          [`proof.${size}`, `\`release.proof\` in such a log, without witnesses`],
        ]),
      ),
      entry: 'an entry, on average',
      'entry on disk': "an entry on L's disk, tiles and all",
    }),
  },
];
