/**
 * A signer that watches a depot behind HTTP, and is told what changes: it signs at once, though its interval is a minute.
 * A depot that does not tell, or tells nonsense, gets the rounds that there are anyway.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { Changes } from '../../src/depot/changes.ts';
import { requestListener } from '../../src/depot/routes.ts';
import { Agent } from '../../src/openpgp/agent.ts';
import { newBuildId } from '../../src/records/names.ts';
import type { BuildId } from '../../src/records/names.ts';
import type { Signer, SignerEvent } from '../../src/signer/signer.ts';
import { openState } from '../../src/signer/state.ts';
import { watch } from '../../src/signer/watch.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { until } from '../harness/until.ts';
import { approveMany, sealingScene } from './builders.ts';
import { enrol, newKey } from './enrolling.ts';
import { revoke } from './revoking.ts';
import type { Build, Scene } from './scene.ts';

let scene: Scene;
let site: Site;
beforeEach(async () => {
  scene = await sealingScene();
  site = new Site();
  await site.open();
});
afterEach(async () => {
  await site.close();
  await scene.close();
});

/** Says what it likes to `GET /changes/`, which is asked with this cursor. */
type Lie = (response: ServerResponse, after: string | null) => void;

/** The scene's depot behind HTTP, and what was asked of it. */
class Site {
  lie: Lie | null = null;
  changes = new Changes();
  /** Targets, in order. */
  readonly asked: string[] = [];
  url = '';
  #server: Server | null = null;

  /** Again on the same port, as a process of its own would: it remembers nothing. */
  async open(): Promise<void> {
    this.changes = new Changes();
    const { tree, project, now } = scene;
    scene.depot = GatedDepot.over({ tree, rules: project, now, heard: this.changes.heard });
    const depot = requestListener({
      ...{ project, tree, depot: scene.depot, now, log: () => {}, changes: this.changes },
    });
    const listener: RequestListener = (request, response) => {
      const target = request.url ?? '';
      this.asked.push(target);
      const [path, query = ''] = target.split('?');
      if (this.lie && path === '/changes/') this.lie(response, query.slice('after='.length) || null);
      else depot(request, response);
    };
    this.#server = createServer(listener);
    const port = Number(new URL(this.url || 'http://x:0').port);
    await new Promise<void>((resolve) => this.#server?.listen(port, '127.0.0.1', resolve));
    const address = this.#server.address();
    this.url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#server?.close(resolve));
    this.#server?.closeAllConnections();
    await ended;
  }

  /** How often this was asked. */
  count(target: RegExp): number {
    return this.asked.filter((each) => target.test(each)).length;
  }

  /** Nobody has changed anything for a while, and somebody waits for it. */
  quiet(): Promise<void> {
    return until('it waits to be told', () => this.changes.waiting === 1);
  }
}

const LISTED = /^\/builds\/$/;
const TOLD = /^\/changes\//;
/** Of each round the first thing, and when something has been logged. */
const HEAD = /^\/log\/checkpoint$/;
const nobodys = (): BuildId => newBuildId(new Date(), randomBytes(10));

/** `sign --watch` over the site, with what it said. */
async function startWatch(interval: number, connectAgent: Signer['connectAgent'] = () => Agent.connect()) {
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const said: string[] = [];
  const insecureHttp = false;
  const depot = new HttpDepot({ url: site.url, token: state.token, insecureHttp });
  const publicDepot = new HttpDepot({ url: site.url, token: null, insecureHttp });
  const report = (event: SignerEvent): void => {
    if (event.kind === 'note') said.push(event.text);
    if (event.kind !== 'result') return;
    said.push(`${event.result.build} ${event.result.code ?? event.result.outcome}`);
  };
  const ended = watch(
    {
      ...{ depot, publicDepot, state, keep: null, wait: true, report, now: scene.now },
      loadProject: async () => scene.project,
      connectAgent,
      ask: async () => true,
    },
    { interval, stop: stop.signal },
  );
  const heard = (line: string): Promise<void> => until(line, () => said.includes(line));
  const close = async (): Promise<void> => {
    stop.abort();
    await ended;
    depot.close();
    publicDepot.close();
    await state.close();
  };
  return { said, heard, close };
}

/** Longer than a test may take: what is done sooner was told. */
const NEVER = 3600;

describe('a depot that tells', () => {
  test('has what it seals signed, and what is revoked withdrawn, though no round is due', async () => {
    const signer = await startWatch(NEVER);
    try {
      await site.quiet();
      const listed = site.count(LISTED);
      const build = await scene.approve('1.0');
      await until('its approval is logged', async () => (await scene.logged(build)) === 'approval');
      await scene.attest(build, { 'hello.txt': 'hello' });
      await signer.heard(`${build.build} published`);
      await site.quiet();
      await revoke(scene, build, scene.ada);
      await signer.heard(`${build.build} revoked`);
      await site.quiet();
      expect(site.count(LISTED), 'nothing is listed for it').toBe(listed);
      expect(
        signer.said.filter((line) => line.startsWith(build.build) && line.endsWith('published')),
      ).toHaveLength(1);
    } finally {
      await signer.close();
    }
  });

  test('and is started anew: what came meanwhile is found at once', async () => {
    const signer = await startWatch(NEVER);
    try {
      await site.quiet();
      await site.close();
      const build = await scene.approve();
      await scene.attest(build, { 'hello.txt': 'hello' });
      await site.open();
      await signer.heard(`${build.build} published`);
      await site.quiet();
      const next = await scene.approve('2.0');
      await scene.attest(next, { 'hello.txt': 'hello again' });
      await signer.heard(`${next.build} published`);
      expect(signer.said.filter((line) => line.includes('does not tell'))).toEqual([]);
    } finally {
      await signer.close();
    }
  });

  test('is not listed in each round, and what waits is tried in each', async () => {
    let isLocked = true;
    const signer = await startWatch(0.1, async () => {
      if (isLocked) throw unable('agent-unreachable', 'there is no agent');
      return Agent.connect();
    });
    try {
      await site.quiet();
      const build = await scene.approve();
      await scene.attest(build, { 'hello.txt': 'hello' });
      const why = `${build.build} agent-unreachable`;
      await signer.heard(why);
      for (const other of [nobodys(), nobodys()]) {
        site.changes.heard({ kind: 'changed', build: other });
        await signer.heard(`${other} approval-missing`);
        const rounds = site.count(HEAD);
        await until('a round over all that waits', () => site.count(HEAD) >= rounds + 2);
      }
      expect(
        signer.said.filter((line) => line === why),
        'what lasts is said once',
      ).toHaveLength(1);
      const listed = site.count(LISTED);
      isLocked = false;
      await signer.heard(`${build.build} published`);
      expect(site.count(LISTED)).toBe(listed);
    } finally {
      await signer.close();
    }
  });
});

describe('builders that wait for their key to be taken', () => {
  const sealed = async (versions: readonly string[]): Promise<Build[]> => {
    const builds: Build[] = [];
    for (const version of versions) {
      builds.push(await scene.approve(version));
      await scene.attest(builds.at(-1) as Build, { 'hello.txt': version });
      scene.pass(1);
    }
    return builds;
  };
  const enrolled = async (version: string): Promise<Build> => {
    const build = await approveMany(scene, ['enrol'], 1, { version });
    await enrol(scene, build, 'b1', newKey(build));
    return build;
  };
  /** What the log has of these, in its order. */
  const order = async (of: Readonly<Record<string, Build>>): Promise<string[]> =>
    (await scene.log()).flatMap(({ type, build }) => {
      const [name] = Object.entries(of).find(([, each]) => each.build === build) ?? [];
      return name !== undefined && ['enrolment', 'release'].includes(type) ? [`${name} ${type}`] : [];
    });

  test('come before the builds that are to be signed, though these are older', async () => {
    const [a, b] = (await sealed(['1.0', '1.1'])) as [Build, Build];
    const late = await enrolled('2.0');
    const signer = await startWatch(NEVER);
    try {
      await signer.heard(`${b.build} published`);
      expect(await order({ a, b, late })).toEqual(['late enrolment', 'a release', 'b release']);
    } finally {
      await signer.close();
    }
  });
});

test('a depot that never tells is asked once, and looked at in each round', async () => {
  site.lie = (response) => void response.writeHead(404, { 'content-length': 0 }).end();
  const signer = await startWatch(0.2);
  try {
    await until('rounds', () => site.count(LISTED) >= 3);
    const build = await scene.approve();
    await scene.attest(build, { 'hello.txt': 'hello' });
    await signer.heard(`${build.build} published`);
    expect(site.count(TOLD)).toBe(1);
    expect(signer.said.filter((line) => !line.startsWith(build.build))).toEqual([]);
  } finally {
    await signer.close();
  }
});

const answer = (response: ServerResponse, value: unknown, status = 200): void => {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
};

describe('a depot that does not let it rest: it is asked ever less often, and in each round', () => {
  test.each<[string, Lie]>([
    ['nothing has changed, said at once', (response) => answer(response, { cursor: 'a', builds: [] })],
    ['all has changed', (response) => answer(response, { cursor: 'a', builds: null })],
    ['a build that is nowhere', (response) => answer(response, { cursor: 'a', builds: [nobodys()] })],
    [
      'fifty of them',
      (response) => answer(response, { cursor: 'a', builds: Array.from({ length: 50 }, nobodys) }),
    ],
    ['no answer that is one', (response) => answer(response, 'nonsense')],
    ['the connection breaks', (response) => void response.destroy()],
  ])('%s', async (_, lie) => {
    site.lie = lie;
    const signer = await startWatch(0.5);
    const began = Date.now();
    try {
      const build = await scene.approve();
      await scene.attest(build, { 'hello.txt': 'hello' });
      await signer.heard(`${build.build} published`);
      const listed = site.count(LISTED);
      await until('more rounds', () => site.count(LISTED) >= listed + 3);
      const halves = (Date.now() - began) / 500;
      expect(site.count(TOLD)).toBeLessThan(6 + halves);
      expect(site.count(HEAD)).toBeLessThan(20 + 2 * halves);
    } finally {
      await signer.close();
    }
  });
});

describe('a depot that does not tell any more', () => {
  test.each<[string, Lie, RegExp]>([
    ['nonsense', (response) => answer(response, { cursor: '/', builds: [] }), /not a cursor/],
    [
      'a proxy that gives up',
      (response) => void setTimeout(() => answer(response, {}, 504), 100),
      /status 504/,
    ],
  ])('%s: that is said once, and it is looked at in each round', async (_, lie, why) => {
    const signer = await startWatch(0.2);
    try {
      await site.quiet();
      site.lie = lie;
      site.changes.heard({ kind: 'changed', build: nobodys() });
      await until('that is said', () => signer.said.some((line) => line.includes('does not tell')));
      const build = await scene.approve();
      await scene.attest(build, { 'hello.txt': 'hello' });
      await signer.heard(`${build.build} published`);
      const listed = site.count(LISTED);
      await until('more rounds', () => site.count(LISTED) >= listed + 3);
      const notes = signer.said.filter((line) => line.includes('does not tell'));
      expect(notes).toEqual([expect.stringMatching(why)]);
      expect(notes[0]).toContain('looked at every 0.2 s');
    } finally {
      await signer.close();
    }
  });

  test('hangs: rounds go on, and the end is the end', async () => {
    site.lie = () => {};
    const signer = await startWatch(0.2);
    const build = await scene.approve();
    await scene.attest(build, { 'hello.txt': 'hello' });
    await signer.heard(`${build.build} published`);
    expect(site.count(TOLD)).toBe(1);
    const began = Date.now();
    await signer.close();
    expect(Date.now() - began).toBeLessThan(5000);
  });
});
