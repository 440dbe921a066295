/**
 * `demo`: the whole loop on this machine. Every role is a process of its own that runs this very program,
 * with directories for hosts, gpg homes of their own, and a depot that listens on loopback.
 */
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unable } from '../failure.ts';
import { run } from '../host/process.ts';
import { makeArtifacts } from './demo-artifacts.ts';
import { DemoHost, freePort, object } from './demo-host.ts';

export interface DemoOptions {
  /** The program's own file. */
  readonly program: string;
  readonly tell: (step: DemoStep) => void;
  /** Size of the large artifact. */
  readonly largeBytes: number;
}

/** One step of the story: who does what, and what came of it. */
export interface DemoStep {
  readonly host: string;
  readonly text: string;
  /** What was run, as a person would type it there; null where no command was. */
  readonly command: string | null;
  /** What it said, where that is worth reading. */
  readonly output?: readonly string[];
}

export interface DemoResult {
  readonly directory: string;
  /** The directory of the release, as the depot serves it. */
  readonly release: string;
  /** Proves the release key's signature of the package with gpgv alone. */
  readonly gpgv: string;
  readonly artifacts: readonly string[];
}

const PROJECT = 'demo';
const VERSION = '1.0.0';

/** Plays the loop. Throws unable `demo-failed`, naming the step; what was made so far stays. */
export async function runDemo({ program, tell, largeBytes }: DemoOptions): Promise<DemoResult> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-demo-'));
  const host = (name: string): Promise<DemoHost> => DemoHost.make(join(directory, name), program);
  const [H, M, L] = [await host('H'), await host('M'), await host('L')];
  const [operator, consumer, W] = [await host('operator'), await host('consumer'), await host('W')];
  // approve would name the checkout that it is called in
  process.chdir(directory);
  try {
    tell({ host: 'H', text: 'the signer holds the release key: a subkey that can only sign', command: null });
    const releaseKey = await makeReleaseKey(H, directory);
    tell({ host: 'operator', text: 'an approver has a key of their own', command: null });
    const approverKey = await operator.makeKey('Ada Approver <ada@example.org>', 'sign');
    await copyFile(join(operator.directory, 'key.asc'), join(H.directory, 'ada.asc'));

    const url = `http://127.0.0.1:${await freePort()}`;
    const ada = join(H.directory, 'ada.asc');
    const init = ['init', '--dir', H.directory, '--project', PROJECT, '--depot', url];
    await H.countersign([...init, '--release-key', releaseKey, '--approver', ada]);
    tell({
      host: 'H',
      text: 'a project file with every public fact, and a log key that stays here',
      command: `countersign init --project ${PROJECT} --depot ${url} --release-key ${releaseKey} --approver ada.asc`,
    });
    await addWitness(H, W);
    tell({
      host: 'W',
      text: 'a witness, on a host of somebody else, cosigns what continues the log that it saw; a release waits for it',
      command: 'countersign witness --state state --name witness.example/w1',
    });
    for (const other of [operator, L, consumer]) await copyProject(H, other);

    const data = join(L.directory, 'data');
    await L.serve(['serve', '--data', data, '--listen', new URL(url).host]);
    tell({
      host: 'L',
      text: `the depot listens on ${url}; it holds no secret`,
      command: 'countersign serve --data data',
    });

    const tickets = join(operator.directory, 'tickets');
    const approve = ['approve', VERSION, '--tickets', tickets, '--yes'];
    const approved = await operator.countersignJson(approve);
    const build = String(approved['build']);
    tell({
      host: 'operator',
      text: `approval of build ${build}, signed by ${short(approverKey)}; the ticket is for the builder alone`,
      command: `countersign approve ${VERSION} --tickets tickets`,
    });

    const ticket = join(M.directory, 'b1.ticket');
    await copyFile(join(tickets, 'b1.ticket'), ticket);
    await rm(join(tickets, 'b1.ticket'));
    const base = join(M.directory, 'out');
    const artifacts = await makeArtifacts(base, dirname(dirname(program)), largeBytes);
    const attested = await M.countersignJson(['attest', '--ticket', ticket, '--base', base, base]);
    tell({
      host: 'M',
      text: `statement ${short(String(attested['statement']))} seals ${artifacts.join(' and ')}; key and ticket are destroyed`,
      command: 'countersign attest --ticket b1.ticket --base out out',
    });
    await rm(base, { recursive: true });

    await H.countersign(['sign', '--once', '--yes']);
    tell({
      host: 'H',
      text: 'approval and statement hold; every artifact read and hashed once, signed through gpg-agent, logged; the log goes to W and L',
      command: 'countersign sign --once',
    });
    tell({
      host: 'L',
      text: 'every signature verified again over the depot’s own bytes; the release is visible, whole',
      command: null,
    });

    const release = join(data, 'releases', PROJECT, VERSION);
    const [artifact = ''] = artifacts;
    for (const name of [artifact, `${artifact}.asc`])
      await download(`${url}/releases/${PROJECT}/${VERSION}/${name}`, join(consumer.directory, name));
    const verdict = await consumer.countersign([
      'verify',
      join(consumer.directory, artifact),
      '--version',
      VERSION,
    ]);
    tell({
      host: 'consumer',
      text: 'the whole chain, from the log to the signature',
      command: `countersign verify ${artifact} --version ${VERSION}`,
      output: verdict.trimEnd().split('\n'),
    });
    const gpgv = await proveByHand(consumer, artifact);
    tell({ host: 'consumer', text: 'and stock gpgv agrees', command: gpgv });
    const log = await consumer.countersign(['log', 'show']);
    tell({
      host: 'anybody',
      text: 'the log of what H did, in the order in which it had to be done',
      command: 'countersign log show',
      output: log.trimEnd().split('\n'),
    });
    return { directory, release, gpgv, artifacts };
  } finally {
    for (const each of [L, W, M, H, operator, consumer]) await each.stop();
  }
}

const short = (digest: string): string => `${digest.slice(0, 16)}…`;

/** Makes the release key elsewhere, and brings H the signing subkey alone: its primary stays offline. */
async function makeReleaseKey(H: DemoHost, directory: string): Promise<string> {
  const offline = await DemoHost.make(join(directory, 'offline'), '');
  try {
    const fingerprint = await offline.makeKey('Demo Release <release@example.org>', 'cert');
    await offline.gpg(['--quick-add-key', fingerprint, 'ed25519', 'sign', 'never']);
    const subkeys = join(offline.directory, 'subkeys.pgp');
    await offline.gpg(['--output', subkeys, '--export-secret-subkeys', fingerprint]);
    await H.gpg(['--import', subkeys]);
    return fingerprint;
  } finally {
    await offline.stop();
    await rm(offline.directory, { recursive: true });
  }
}

async function copyProject(from: DemoHost, to: DemoHost): Promise<void> {
  await copyFile(join(from.directory, 'countersign.toml'), join(to.directory, 'countersign.toml'));
  await cp(join(from.directory, 'keys'), join(to.directory, 'keys'), { recursive: true });
}

/** Starts the witness, for the log of H's project file, and lists it there. */
async function addWitness(H: DemoHost, W: DemoHost): Promise<void> {
  await copyProject(H, W);
  const listen = ['--listen', `127.0.0.1:${await freePort()}`, '--json'];
  const state = ['--state', join(W.directory, 'state'), '--name', 'witness.example/w1'];
  const { key, url } = object(await W.serve(['witness', ...state, ...listen]));
  const file = join(H.directory, 'countersign.toml');
  const toml = (await readFile(file, 'utf8')).replace(/^# (witness-quorum = 1)$/m, '$1');
  const witness = `\n[[witnesses]]\nkey = ${JSON.stringify(key)}\nurl = ${JSON.stringify(url)}\n`;
  await writeFile(file, toml + witness);
}

async function download(url: string, file: string): Promise<void> {
  const response = await fetch(url);
  if (!response.ok) throw unable('demo-failed', `GET ${url}: ${response.status}`);
  await writeFile(file, Buffer.from(await response.arrayBuffer()));
}

/** Runs gpgv over the downloaded artifact; returns the command. */
async function proveByHand(consumer: DemoHost, artifact: string): Promise<string> {
  const file = join(consumer.directory, artifact);
  const args = ['--keyring', join(consumer.directory, 'keys/release.pgp'), `${file}.asc`, file];
  const result = await run('gpgv', args, { timeoutMs: 60_000, maxOutput: 1024 * 1024 });
  if (result.code !== 0) throw unable('demo-failed', `gpgv: ${result.stderr.toString().trim()}`);
  return ['gpgv', ...args].join(' ');
}
