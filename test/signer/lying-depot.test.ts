/** An L that lies: reported on every run, never believed, ends nothing, and heals (protocol §1, rule 7). */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refused } from '../../src/failure.ts';
import { approvalFile, approvalSignatureFile } from '../../src/records/paths.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

const large = 'x'.repeat(100_000);
const contents = { 'hello.txt': 'hello', 'large.bin': large };

let scene: Scene;
let build: Build;
beforeEach(async () => {
  scene = await Scene.make();
  build = await scene.approve();
  await scene.attest(build, contents);
});
afterEach(() => scene.close());

/** Signs twice: both times it must be said, exit 1, and neither sign nor refuse. */
async function expectBad(code: string): Promise<void> {
  for (const run of [1, 2])
    expect(await scene.sign(), `run ${run}`).toMatchObject({ exit: 1, result: { outcome: 'bad', code } });
  expect(scene.agent.signatures).toBe(0);
  expect(await scene.logged(build)).not.toMatch(/refusal|intent/);
}

const expectHealed = async (): Promise<void> =>
  expect(await scene.sign()).toMatchObject({ exit: 0, result: { outcome: 'published' } });

describe('artifacts', () => {
  test.each(['hello', large])('wrong bytes of the right size', async (content) => {
    await scene.tamper(build, scene.blob(content), content.replace(/./, '!'));
    await expectBad('artifact-wrong');
    await scene.tamper(build, scene.blob(content), content);
    await expectHealed();
  });

  test.each(['hello', large])('another size', async (content) => {
    await scene.tamper(build, scene.blob(content), `${content}!`);
    await expectBad('artifact-wrong');
  });

  test.each(['hello', large])('none at all', async (content) => {
    await scene.tamper(build, scene.blob(content), null);
    await expectBad('artifact-missing');
    await scene.tamper(build, scene.blob(content), content);
    await expectHealed();
  });

  test('those of two names swapped', async () => {
    await scene.tamper(build, scene.blob('hello'), large);
    await scene.tamper(build, scene.blob(large), 'hello');
    const { result } = await scene.sign();
    expect(result?.text).toMatch(/^hello\.txt: .* \(and 1 more\)$/);
    await expectBad('artifact-wrong');
  });

  test('one that grows or shrinks while it is read', async () => {
    const real = await scene.signerDepot();
    for (const size of [large.length + 1, large.length - 1]) {
      const scan = async (path: string, _size: number, update: (chunk: Buffer) => void) => {
        await real.scan(path, large.length, update);
        return size;
      };
      expect((await scene.sign({ depot: oddDepot(real, { scan }) })).result).toMatchObject({
        ...{ outcome: 'bad', code: 'artifact-wrong', text: `large.bin: it has ${size} bytes, not 100000` },
      });
    }
  });

  test('wrong once is right the second time: an error of the disk or the network is no lie', async () => {
    const real = await scene.signerDepot();
    let reads = 0;
    const scan = async (path: string, size: number, update: (chunk: Buffer) => void) => {
      if (reads++ > 0) return real.scan(path, size, update);
      update(Buffer.alloc(size));
      return size;
    };
    expect((await scene.sign({ depot: oddDepot(real, { scan }) })).result?.outcome).toBe('published');
    expect(reads).toBe(2);
  });

  test('a depot that will not send many together is asked for each', async () => {
    const fetchBlobs = async function* () {
      yield* [];
      throw refused('blob-missing', 'no');
    };
    const depot = oddDepot(await scene.signerDepot(), { fetchBlobs });
    expect((await scene.sign({ depot })).result?.outcome).toBe('published');
  });

  test('that are still wrong when the approval ends: then it is over, and that is what the approvers signed', async () => {
    await scene.tamper(build, scene.blob('hello'), 'hullo');
    await scene.sign();
    scene.pass(5 * 3600);
    expect(await scene.sign()).toMatchObject({ exit: 1, result: { outcome: 'refused', code: 'expired' } });
    expect(await scene.sign()).toMatchObject({ exit: 0, results: [] });
  });
});

describe('records', () => {
  const statement = 'statements/b1.json';

  test('a statement whose signature is not the builder’s', async () => {
    const forged = scene.statement(build, { 'hello.txt': 'hullo' });
    const files = [statement, `${statement}.sig`] as const;
    const before = await Promise.all(files.map((file) => scene.tree.read(`builds/${build.build}/${file}`)));
    await scene.tamper(build, statement, forged.get(statement) ?? '');
    await expectBad('statement-invalid');
    await scene.tamper(build, statement, before[0] ?? null);
    await expectHealed();
  });

  test('a statement without its signature, or one that is too large', async () => {
    await scene.tamper(build, `${statement}.sig`, null);
    await expectBad('statement-invalid');
    await scene.tamper(build, `${statement}.sig`, Buffer.alloc(100_000));
    await expectBad('too-large');
  });

  test('the statement of another build', async () => {
    const other = await scene.approve('2.0');
    for (const [file, bytes] of scene.statement(other, contents)) await scene.tamper(build, file, bytes);
    const { results, exit } = await scene.sign({ named: [build.build] });
    expect({ results, exit }).toMatchObject({
      exit: 1,
      results: [{ outcome: 'bad', code: 'statement-invalid' }],
    });
  });

  test('the statement gone, once the log has it', async () => {
    await scene.sign({ ask: async () => false });
    await scene.tamper(build, statement, null);
    await expectBad('statement-missing');
  });

  test('the statement exchanged for one that nobody signed, once the log has it', async () => {
    await scene.sign({ ask: async () => false });
    const forged = scene.statement(await scene.approve('2.0'), { 'hello.txt': 'hullo' });
    for (const [file, bytes] of forged) await scene.tamper(build, file, bytes);
    expect((await scene.sign({ named: [build.build] })).result).toMatchObject({ code: 'statement-invalid' });
    expect(scene.agent.signatures).toBe(0);
  });

  test('a statement that begins in time and ends too late', async () => {
    const real = await scene.signerDepot();
    const read = async (path: string, max: number) => {
      if (path.endsWith(statement)) scene.pass(5 * 3600);
      return real.read(path, max);
    };
    expect((await scene.sign({ depot: oddDepot(real, { read }) })).result).toMatchObject({
      outcome: 'refused',
      code: 'expired',
    });
    expect(scene.agent.signatures).toBe(0);
  });

  test('an approval that no approver signed', async () => {
    const signature = approvalSignatureFile(scene.ada.certificate.primary.fingerprint);
    await scene.tamper(build, signature, Buffer.from('nonsense'));
    await expectBad('approval-invalid');
    expect(await scene.logged()).toBe('');
  });

  test('a bad signature beside a good one counts for nothing and undoes nothing', async () => {
    const signature = approvalSignatureFile(scene.bob.certificate.primary.fingerprint);
    await scene.tamper(build, signature, Buffer.alloc(100_000, 'x'));
    await expectHealed();
  });

  test('another approval for the build id, once the log has one', async () => {
    await scene.sign({ ask: async () => false });
    const other = await scene.approve('2.0');
    const approval = await scene.tree.read(`builds/${other.build}/${approvalFile}`);
    await scene.tamper(build, approvalFile, approval);
    expect((await scene.sign({ named: [build.build] })).result).toMatchObject({
      outcome: 'bad',
      code: 'build-taken',
    });
    expect(scene.agent.signatures).toBe(0);
  });
});

describe('the rest', () => {
  test('a build that is hidden is not forgotten', async () => {
    await scene.sign({ ask: async () => false });
    const builds = async () => ({ builds: [], next: null });
    const depot = oddDepot(await scene.signerDepot(), { builds });
    expect((await scene.sign({ depot })).result?.outcome).toBe('published');
  });

  test('a release that is shown otherwise than it was signed', async () => {
    const real = scene.depot.as(null);
    const read = async (path: string, max: number) =>
      path.endsWith('SHA256SUMS') ? Buffer.from('others') : real.read(path, max);
    const publicDepot = oddDepot(real, { read });
    for (const run of [1, 2])
      expect(await scene.sign({ publicDepot }), `run ${run}`).toMatchObject({
        exit: 1,
        result: { outcome: 'bad', state: 'signed', code: 'release-differs' },
      });
    expect(scene.agent.signatures).toBe(3);
    await expectHealed();
    expect(scene.agent.signatures).toBe(3);
  });

  test.each([
    ['a signature that is another', 'hello.txt.asc', '-----BEGIN PGP SIGNATURE-----\n'],
    ['a signature that is gone', 'hello.txt.asc', null],
    ['an artifact that is cut', 'large.bin', large.slice(1)],
    ['an artifact that is gone', 'hello.txt', null],
  ])('%s is said', async (_, name, bytes) => {
    expect((await scene.sign()).result?.outcome).toBe('published');
    const path = scene.path(`releases/hello/1.0/${name}`);
    const before = readFileSync(path);
    rmSync(path);
    if (bytes !== null) writeFileSync(path, bytes);
    const named = [build.build];
    expect(await scene.sign({ named })).toMatchObject({
      exit: 1,
      result: { code: 'release-differs', text: expect.stringContaining(name) },
    });
    rmSync(path, { force: true });
    writeFileSync(path, before);
    expect((await scene.sign({ named })).result?.outcome).toBe('published');
  });

  test('a list of builds that never ends', async () => {
    const builds = async () => ({ builds: [], next: build.build });
    const depot = oddDepot(await scene.signerDepot(), { builds });
    await expect(scene.sign({ depot })).rejects.toMatchObject({ kind: 'unable', code: 'depot-listing' });
  });
});
