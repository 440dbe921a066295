/**
 * The depot's disk fills in the midst of an upload, by others' doing: whoever sends is told or loses the connection, the
 * depot lives, and with room again it takes the same upload. By curl, which sends on while it is answered.
 */
import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/host/process.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { World, mustBe } from '../harness/world.ts';
import { canMount, SmallDisk } from './room.ts';

const LARGE = Buffer.alloc(20 * 1024 * 1024, 'large');
/** A megabyte: what comes while the disk is being filled. */
const PAGES_LEFT = 256;
const SLOWLY = ['--limit-rate', '6M'];

let world: World;
let disk: SmallDisk;

describe.skipIf(!canMount())('a disk that fills in the midst of an upload:', () => {
  beforeEach(async () => {
    world = await World.make();
    await world.stopServer();
    disk = SmallDisk.over(world.tree());
  });
  afterEach(async () => {
    await world.stopServer();
    disk.close();
    await world.close();
  });

  test.each([
    ['a plain one, no reserve kept', ['--reserve', '1'], []],
    ['a plain one, a reserve kept', [], []],
    ['one that could go on, no reserve kept', ['--reserve', '1'], ['Upload-Complete: ?1']],
    ['one that could go on, a reserve kept', [], ['Upload-Complete: ?1']],
  ])(
    '%s',
    async (_, reserve, headers) => {
      await world.startServer(reserve);
      const { build, ticket } = await world.approve('1.0');
      const base = await world.place({ 'app-1.0.tar.gz': LARGE });
      const send = await upload(build, ticket, headers);

      const sending = send(SLOWLY);
      await sleep(1000);
      disk.leave('bytes', PAGES_LEFT);
      // told why; or cut, which curl says in three ways
      expect(await sending).toBeOneOf(['507 disk-reserve', '500 disk', 'curl: 52', 'curl: 55', 'curl: 56']);
      const alive = await rawRequest(world.url, { path: '/healthz' });
      expect(alive.status, world.serverLog.join('\n')).toBe(200);

      disk.makeRoom();
      expect(await send([])).toBe('201');
      expect((await stat(world.tree('builds', build, 'blobs', sha256))).size).toBe(LARGE.length);
      mustBe(0, await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']));
      mustBe(0, await world.sign());
      expect(await world.stopServer()).toBe(0);
    },
    60_000,
  );
});

const sha256 = createHash('sha256').update(LARGE).digest('hex');

/** What sends the artifact with curl, and these arguments more. */
async function upload(build: string, ticket: string, headers: readonly string[]) {
  const { uploadToken } = parseTicket(await readFile(ticket, 'utf8'));
  const file = world.path('cwd', 'large');
  await writeFile(file, LARGE);
  const said = [`Authorization: Bearer ${uploadToken}`, 'Expect:', ...headers].flatMap((each) => [
    '-H',
    each,
  ]);
  const url = `${world.url}/builds/${build}/blobs/${sha256}`;
  return async (more: readonly string[]): Promise<string> => {
    const args = ['-sS', '-w', '\n%{http_code}', ...more, ...said, '-T', file, url];
    const { code, stdout } = await run('curl', args, { timeoutMs: 30_000, maxOutput: 10_000 });
    const [, body, status] = /^(.*)\n(\d+)$/s.exec(stdout.toString()) ?? [];
    if (status === undefined || status === '000') return `curl: ${code}`;
    return [status, /"code":"([a-z-]+)"/.exec(body ?? '')?.[1]].join(' ').trim();
  };
}
