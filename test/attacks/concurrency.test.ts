/**
 * Two at once, of everything, through one depot that serves: whoever comes second finds what the first has done, or is
 * told to wait. And what is ended in the middle, politely, can be done again.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import { PROGRAM } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { freePort, mustBe, World } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import { blobs, forgeApproval, post, putBlob, sign, statementOf, steal } from './forge.ts';
import { entries, expectSigned, verdicts } from './outcome.ts';

let world: World;
let hostile: HostileDepot;
beforeAll(async () => {
  world = await World.make({ approvers: 2 });
  hostile = await HostileDepot.start(world.url);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

const approve = async (version: string, args: readonly string[] = []): Promise<Approved> => {
  const approved = await world.approve(version, args);
  mustBe(0, approved);
  return approved;
};
const codes = (ran: readonly Ran[]): (number | null)[] => ran.map(({ code }) => code).sort();
/** What lies under a published version, whole. */
const published = async (version: string): Promise<string[]> =>
  (await readdir(world.tree('releases/widget', version), { recursive: true })).sort();

describe('two signers', () => {
  test('on one state: one of them waits for another time, and each build is signed once', async () => {
    const builds = [await approve('1.0'), await approve('1.1')];
    for (const { ticket, build } of builds) mustBe(0, await world.attest(ticket, { app: build }));
    const made = world.agent.signatures;
    const ran = await Promise.all([world.sign(), world.sign(), world.sign()]);
    for (const each of ran) {
      if (each.code === 0) continue;
      expect(each.error?.code).toBe('locked');
      expectRefusal(each);
    }
    expect(codes(ran)).toContain(0);
    expect(world.agent.signatures - made).toBe(4);
    for (const { build } of builds)
      expect((await entries(world, build)).join(' ')).toBe('approval statement intent release');
    for (const version of ['1.0', '1.1'])
      mustBe(0, await world.verify([world.tree('releases/widget', version)]));
  });

  test('or three publishers: one release, and everybody is told that it is there', async () => {
    const { ticket, build } = await approve('3.0');
    mustBe(0, await world.attest(ticket, { app: 'app' }));
    hostile.lie(/publish$/, () => ({ status: 500, headers: {}, body: Buffer.alloc(0) }));
    mustBe(3, await world.sign([build, '--depot', hostile.url]));
    await expect(published('3.0')).rejects.toMatchObject({ code: 'ENOENT' });
    const publish = () =>
      rawRequest(world.url, { method: 'POST', path: `/builds/${build}/publish`, body: '' });
    const answers = await Promise.all([publish(), publish(), publish(), world.sign([build])]);
    expect(answers.map((answer) => ('status' in answer ? answer.status : answer.code))).toEqual([
      200, 200, 200, 0,
    ]);
    expect(await published('3.0')).toEqual(
      expect.arrayContaining(['app', 'app.asc', 'countersign/release.proof']),
    );
    mustBe(0, await world.verify([world.tree('releases/widget/3.0')]));
  });
});

describe('two builders', () => {
  /** The same ticket on two machines. */
  async function onTwoMachines(ticket: string, contents: readonly [string, string]): Promise<Ran[]> {
    const copy = world.path('M', 'copy.ticket');
    await writeFile(copy, await readFile(ticket), { mode: 0o600 });
    return Promise.all([
      world.attest(ticket, { app: contents[0] }),
      world.attest(copy, { app: contents[1] }),
    ]);
  }

  test('with one ticket and other files: both are kept, one is told, and H freezes the build', async () => {
    const { ticket, build } = await approve('4.0');
    const ran = await onTwoMachines(ticket, ['one', 'other']);
    expect(codes(ran), ran.map(({ stderr }) => stderr).join()).toEqual([0, 1]);
    expect(ran.find(({ code }) => code === 1)?.error?.code).toBe('statement-not-first');
    const statements = await readdir(world.tree('builds', build, 'statements'));
    expect(statements.filter((name) => name.endsWith('.sig'))).toHaveLength(2);
    const before = await snapshot(world);
    const signed = await world.sign([build]);
    expect(verdicts(signed)).toEqual(['frozen conflict']);
    await expectUntouched(world, before, { answers: [signed], refused: build });
  });

  test('with one ticket and the same files: one release of them', async () => {
    const { ticket, build } = await approve('4.1');
    expect(codes(await onTwoMachines(ticket, ['same', 'same']))).toEqual([0, 1]);
    await expectSigned(world, build, '4.1', { app: 'same' });
  });

  test('with one ticket file: one statement leaves, whoever of them sent it', async () => {
    const { ticket, build } = await approve('4.2');
    const ran = await Promise.all([1, 2, 3].map(() => world.attest(ticket, { app: 'app' })));
    // whoever comes late finds no ticket, whoever finds the other's statement sends that, one that signed too drops it
    for (const { code, stderr } of ran) expect(code, stderr).toBeOneOf([0, 1, 2, 3]);
    expect(codes(ran)).toContain(0);
    for (const each of ran) if (each.code !== 0) expectRefusal(each);
    const statements = await readdir(world.tree('builds', build, 'statements'));
    expect(statements.sort()).toEqual(['b1.dsse.json', 'b1.json', 'b1.json.sig']);
    await expectSigned(world, build, '4.2', { app: 'app' });
  });

  test('twenty builds at once, with the same names: each gets what was its own', async () => {
    const { approval } = await steal(world, await approve('5.0'));
    const held = Array.from({ length: 20 }, (_, at) => {
      const version = approval.version.replace('5.0', `5.1.${at}`) as typeof approval.version;
      return forgeApproval(world, approval, { version });
    });
    const contents = (at: number) => ({ app: `app of ${at}`, 'doc/same': 'the same in all' });
    await Promise.all(
      held.map(async (each, at) => {
        expect((await post(world, each.build, each.files)).status).toBe(201);
        await Promise.all([...blobs(contents(at)).values()].map((bytes) => putBlob(world, each, bytes)));
        const files = sign(each, statementOf(each, contents(at)));
        expect((await post(world, each.build, files, each.token)).status).toBe(201);
      }),
    );
    const ran = await world.sign(held.map(({ build }) => build));
    expect(new Set(verdicts(ran)), ran.stderr).toEqual(new Set(['published undefined']));
    for (const at of held.keys()) {
      const app = world.tree('releases/widget', `5.1.${at}`, 'app');
      expect(await readFile(app, 'utf8')).toBe(`app of ${at}`);
    }
    mustBe(0, await world.verify([world.tree('releases/widget/5.1.7')]));
  }, 180_000);
});

describe('two approvals of one version, at once', () => {
  test('one is built and signed; the other is told that the version is taken', async () => {
    const both = await Promise.all([approve('6.0'), world.approve('6.0', [], { approver: 1 })]);
    for (const { ticket, build } of both) mustBe(0, await world.attest(ticket, { app: build }));
    const ran = await world.sign(both.map(({ build }) => build));
    expect(verdicts(ran).sort()).toEqual(['published undefined', 'refused version-taken']);
    const winner = ran.json.find(({ state }) => state === 'published')?.['build'];
    expect(await readFile(world.tree('releases/widget/6.0/app'), 'utf8')).toBe(winner);
  });

  test('while H signs: what comes meanwhile is for the next round', async () => {
    const first = await approve('6.1');
    mustBe(0, await world.attest(first.ticket, { app: 'first' }));
    let second: Approved | undefined;
    hostile.lie(`/builds/${first.build}/fetch`, async (honest) => {
      second = await approve('6.2');
      mustBe(0, await world.attest(second.ticket, { app: 'second' }));
      return honest();
    });
    const ran = await world.sign([first.build, '--depot', hostile.url]);
    expect(verdicts(ran), ran.stderr).toEqual(['published undefined']);
    await expectSigned(world, second?.build ?? '', '6.2', { app: 'second' });
  });
});

describe('while H reads the artifacts', () => {
  test('the approver goes out of the project file: nothing is signed', async () => {
    const { ticket, build } = await approve('7.0');
    mustBe(0, await world.attest(ticket, { app: 'app' }));
    const file = world.path('H', 'countersign.toml');
    const was = await readFile(file, 'utf8');
    const without = was.replace(/\[\[approvers\]\]\ncertificate = .*\n/, '');
    expect(without).not.toBe(was);
    const before = await snapshot(world);
    hostile.lie(`/builds/${build}/fetch`, async (honest) => {
      await writeFile(file, without);
      return honest();
    });
    const ran = await world.sign([build, '--depot', hostile.url]);
    await writeFile(file, was);
    expect(verdicts(ran), ran.stderr).toEqual(['built approval-waits']);
    await expectUntouched(world, before, { answers: [] });
    expect(await entries(world, build)).not.toContain('intent');
    await expectSigned(world, build, '7.0', { app: 'app' });
  });
});

test('two depots that serve one directory are one: two statements, two publishers, one release', async () => {
  const listen = `127.0.0.1:${await freePort()}`;
  const args = [PROGRAM, 'serve', '--data', world.tree(), '--listen', listen, '--json'];
  const second = spawn(process.execPath, args, {
    cwd: world.path('cwd'),
    env: world.env('L'),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => second.once('exit', resolve));
  try {
    await new Promise((resolve) => createInterface({ input: second.stdout }).once('line', resolve));
    const { ticket, build } = await approve('8.0');
    const copy = world.path('M', 'second.ticket');
    await writeFile(copy, await readFile(ticket), { mode: 0o600 });
    const there = ['--depot', `http://${listen}`];
    const ran = await Promise.all([
      world.attest(ticket, { app: 'app' }),
      world.attest(copy, { app: 'app' }, there),
    ]);
    expect(codes(ran), ran.map(({ stderr }) => stderr).join()).toEqual([0, 1]);
    mustBe(0, await world.sign([build, ...there]));
    const publish = (url: string) =>
      rawRequest(url, { method: 'POST', path: `/builds/${build}/publish`, body: '' });
    for (const answer of await Promise.all([publish(world.url), publish(`http://${listen}`)]))
      expect(answer.status).toBe(200);
    mustBe(0, await world.verify([world.tree('releases/widget/8.0')]));
  } finally {
    second.kill('SIGTERM');
    await ended;
  }
});

describe.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s in the middle', (signal) => {
  /** Runs a command until the hostile depot is asked for something that it never answers, and ends it there. */
  async function ended(host: 'H' | 'M' | 'operator', args: readonly string[], about: RegExp): Promise<Ran> {
    const file = world.path('tmp', 'pid');
    const reached = hostile.hold(about);
    const under = ['sh', '-c', `echo $$ > '${file}'; exec "$@"`, 'sh'];
    const running = world.runOn(host, [...args, '--depot', hostile.url], { under });
    const first = await Promise.race([reached, running]);
    if (first !== undefined) throw new Error(`it was never asked for ${about.source}\n${first.stderr}`);
    process.kill(Number(await readFile(file, 'utf8')), signal);
    const ran = await running;
    hostile.repent();
    await rm(file);
    expect(ran.code, 'not done').not.toBe(0);
    return ran;
  }

  test('of approving, of attesting, of signing: the next run goes on, and there is one of everything', async () => {
    const version = `9.${signal.length}.${signal.charCodeAt(3)}`;
    const tickets = world.path('operator', `tickets-${signal}`);
    const approving = ['approve', version, '--tickets', tickets, '--yes', '--json'];
    await ended('operator', approving, /^\/builds\/[^/]+$/);
    // its ticket may be there, its approval is not: the files say so, and another directory will do
    const { ticket, build } = await approve(version);

    const base = await world.place({ app: version, large: Buffer.alloc(200_000, version) });
    const attesting = ['attest', '--ticket', ticket, '--base', base, base, '--json'];
    // artifacts leave before the seal, so the ticket may be as it was
    await ended('M', attesting, /\/blobs(\/|$)/);
    await ended('M', attesting, new RegExp(`/builds/${build}$`));
    const sealed = await readFile(`${ticket}.pending/statement.json`);
    mustBe(0, await world.runOn('M', attesting));
    expect(await readFile(world.tree('builds', build, 'statements/b1.json'))).toEqual(sealed);

    const made = world.agent.signatures;
    const signing = ['sign', build, '--once', '--yes', '--json'];
    await ended('H', signing, /\/blobs\/|\/fetch$/);
    expect(world.agent.signatures).toBe(made);
    await ended('H', signing, /\/signatures$/);
    await ended('H', signing, /\/publish$/);
    mustBe(0, await world.sign([build]));
    expect(world.agent.signatures - made).toBe(3);
    expect((await entries(world, build)).join(' ')).toBe('approval statement intent release');
    mustBe(0, await world.verify([world.tree('releases/widget', version)]));
  });
});
