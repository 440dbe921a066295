/** What ends a build for good: only what approvers or a builder validly signed (protocol §1, rule 7). */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { verifyRefusal } from '../../src/policy/release-chain.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { toProjectName } from '../../src/records/names.ts';
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import { endorsement } from '../policy/scene.ts';
import { oddDepot } from './odd-depot.ts';
import { revoke } from './revoking.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const ELSEWHERE = 'this depot serves another project or signer: check the depot and -c';
const contents = { 'hello.txt': 'hello' };

/** The refusal as the depot shows it, by its log proof. */
async function shownRefusal({ build }: Build) {
  const read = async (file: string) => (await scene.tree.read(buildPath(build, file))) ?? Buffer.alloc(0);
  return verifyRefusal(await read('refusal.proof'), await read('refusal.json'), scene.project.log).refusal;
}

/** As `scene.approve()` asks. */
const AGAIN = 'countersign approve 1.0 --max-count 1000 --max-size 1G --max-total 1G --tickets DIR';

describe('an approval', () => {
  test('for a version that another build has is refused, logged and shown to the depot', async () => {
    await scene.attest(await scene.approve(), contents);
    await scene.sign();
    const second = await scene.approve();
    const ran = await scene.sign();
    expect(ran).toMatchObject({
      exit: 1,
      result: { outcome: 'refused', state: 'refused', code: 'version-taken' },
    });
    expect(ran.result?.hint).toBe('hello 1.0 is released: approve another version');
    expect(await scene.logged(second)).toBe('refusal');
    expect((await shownRefusal(second)).reasons).toMatchObject([{ code: 'version-taken' }]);
  });

  test('for a version that another build waits to be sealed for: the hint is what truly helps', async () => {
    const first = await scene.approve();
    await scene.sign();
    const second = await scene.approve();
    const hint = async () => (await scene.sign({ named: [second.build] })).result?.hint;
    const { expires } = first.approval;
    expect(await hint()).toBe(
      `go on with build ${first.build} if you have its ticket, else approve another version, or 1.0 again once that has expired at ${expires}; or free it: countersign revoke ${first.build} --reason TEXT; then: ${AGAIN}`,
    );
    await scene.attest(first, contents);
    await scene.sign({ ask: async () => false });
    expect(await hint()).toMatch(
      new RegExp(`^build ${first.build} is sealed: .*; or free it: countersign revoke ${first.build} `),
    );
    // what the hint says truly helps
    await revoke(scene, first, scene.ada);
    await scene.sign();
    expect(await hint()).toBe(`the way on is a new approval: ${AGAIN}`);
    await scene.attest(await scene.approve(), contents);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('for a version whose build expired meanwhile: a new approval is the way on', async () => {
    await scene.approve();
    await scene.sign();
    const second = await scene.approve();
    await scene.sign();
    scene.pass(5 * 3600);
    const { result } = await scene.sign({ named: [second.build] });
    expect(result).toMatchObject({ code: 'version-taken' });
    expect(result?.hint).toContain('countersign approve 1.0');
    await scene.attest(await scene.approve(), contents);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('for a version whose build was refused before an intent is taken', async () => {
    const frozen = await scene.approve();
    await scene.attest(frozen, contents);
    await scene.attest(frozen, { 'hello.txt': 'hullo' });
    await scene.sign();
    await scene.attest(await scene.approve(), contents);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('that expired before another build took its version does not get it back when the clock goes back', async () => {
    const first = await scene.approve();
    await scene.sign();
    scene.pass(5 * 3600);
    const second = await scene.approve();
    await scene.sign();
    scene.pass(-4.5 * 3600);
    await scene.attest(first, contents);
    await expect(scene.sign({ named: [first.build] })).rejects.toMatchObject({ code: 'clock-behind' });
    expect([scene.agent.signatures, await scene.logged(first)]).toEqual([0, 'approval']);
    scene.pass(4.5 * 3600);
    await scene.attest(second, contents);
    const { results } = await scene.sign();
    expect(results.map(({ build, code }) => [build, code])).toEqual([
      [first.build, 'expired'],
      [second.build, null],
    ]);
  });

  test('with a key that the log has already is refused', async () => {
    const first = await scene.approve('1.0');
    await scene.sign();
    const second = await scene.approve('1.1', { builders: first.approval.builders });
    const { result } = await scene.sign({ named: [second.build] });
    expect(result).toMatchObject({ outcome: 'refused', code: 'key-seen' });
  });

  test('for another project, which a depot that lies has brought here, is refused once and done with', async () => {
    const build = await scene.approve();
    const foreign = encodeApproval({ ...build.approval, project: toProjectName('other', 'test') });
    await scene.tamper(build, approvalFile, foreign);
    await scene.tamper(build, ...endorsement(foreign, scene.ada, scene.now()));
    expect(await scene.sign()).toMatchObject({
      exit: 1,
      result: { outcome: 'refused', code: 'project', hint: ELSEWHERE },
    });
    expect(await scene.sign()).toMatchObject({ exit: 0, results: [] });
  });

  test('for another project, signed by its people alone, ends nothing: perhaps the depot is the wrong one', async () => {
    const ours = await scene.approve();
    const foreign = encodeApproval({ ...ours.approval, project: toProjectName('other', 'test') });
    await scene.tamper(ours, approvalFile, foreign);
    const { result } = await scene.sign({ named: [ours.build] });
    expect(result).toMatchObject({ outcome: 'void', hint: ELSEWHERE });
    expect(await scene.logged()).toBe('');
  });

  test('that asks for more than the policy allows is refused, with every reason', async () => {
    const policy = { ...scene.project.policy, maxBytes: 10, maxLifetime: 60 };
    const build = await scene.approve();
    scene.project = { ...scene.project, policy };
    expect((await scene.sign()).result).toMatchObject({ outcome: 'refused', code: 'policy-limits' });
    expect((await shownRefusal(build)).reasons.map(({ code }) => code)).toEqual([
      'policy-limits',
      'policy-lifetime',
    ]);
  });
});

describe('a statement', () => {
  test('that comes after the approval ended is refused, however it is dated', async () => {
    const build = await scene.approve();
    await scene.sign();
    await scene.attest(build, contents);
    scene.pass(5 * 3600);
    const ran = await scene.sign();
    expect(ran).toMatchObject({ exit: 1, result: { outcome: 'refused', code: 'expired' } });
    expect(await scene.logged(build)).toBe('approval refusal');
    expect(scene.agent.signatures).toBe(0);
  });

  test('that was seen in time is signed afterwards: the log has its time', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await scene.sign({ ask: async () => false });
    expect(await scene.logged(build)).toBe('approval statement');
    scene.pass(5 * 3600);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('that names what was not allowed is refused', async () => {
    // The depot's gate had another policy: the signer's own is what counts.
    const build = await scene.approve();
    await scene.attest(build, { 'hello.txt': 'hello', 'evil.exe': 'evil' });
    scene.project = { ...scene.project, policy: { ...scene.project.policy, patterns: ['*.txt'] } };
    const { result } = await scene.sign();
    expect(result).toMatchObject({ outcome: 'refused', code: 'name-not-allowed' });
    expect(result?.text).toContain('evil.exe');
  });

  test('beside another one with other artifacts freezes the build, and says where they differ', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await scene.attest(build, { 'hello.txt': 'hullo', 'more.txt': 'x' });
    const ran = await scene.sign();
    expect(ran).toMatchObject({ exit: 1, result: { outcome: 'refused', state: 'frozen', code: 'conflict' } });
    const [first, ...table] = (await shownRefusal(build)).reasons;
    expect(first).toMatchObject({
      where: 'statements/b1.json',
      text: 'builder b1 vouched for two different sets of artifacts: its ticket was used twice',
    });
    expect(table.map(({ where }) => where)).toEqual(['hello.txt', 'more.txt']);
    expect(ran.result?.text).toMatch(/used twice \(and 2 more\)$/);
    const look = `both versions: countersign status ${build.build} --fetch DIR; `;
    for (const { result } of [ran, await scene.sign({ named: [build.build] })])
      expect(result?.hint).toBe(`${look}the way on is a new approval: ${AGAIN}`);
    expect(scene.agent.signatures).toBe(0);
  });

  test('that comes when the first one is in the log already freezes it too', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await scene.sign({ ask: async () => false });
    await scene.attest(build, { 'hello.txt': 'hullo' });
    expect((await scene.sign()).result).toMatchObject({ state: 'frozen', code: 'conflict' });
  });

  test('with the same artifacts as the first one is ignored', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await scene.attest(build, contents, 'urn:x:2');
    expect(await scene.tree.size(buildPath(build.build, 'statements/b1.2.json'))).not.toBeNull();
    expect((await scene.sign()).result?.outcome).toBe('published');
  });
});

describe('what is refused stays refused', () => {
  const refused = async (): Promise<Build> => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await scene.attest(build, { 'hello.txt': 'hullo' });
    return build;
  };

  test('and does not count in later runs, unless it is named', async () => {
    const build = await refused();
    await scene.sign();
    expect(await scene.sign()).toMatchObject({ exit: 0, results: [] });
    const named = await scene.sign({ named: [build.build] });
    expect(named).toMatchObject({ exit: 1, result: { outcome: 'decided', state: 'frozen' } });
    expect(await scene.logged()).toBe('approval statement refusal');
  });

  test('also when the depot could not be told: a later run tells it', async () => {
    const build = await refused();
    const submit = () => Promise.reject(unable('network', 'the depot is away'));
    const depot = oddDepot(await scene.signerDepot(), { submit });
    expect(await scene.sign({ depot })).toMatchObject({ exit: 1, result: { code: 'conflict' } });
    expect(await scene.tree.size(buildPath(build.build, 'refusal.json'))).toBeNull();
    expect(await scene.sign({ depot })).toMatchObject({ exit: 3, result: { outcome: 'unfinished' } });
    expect((await scene.sign()).exit).toBe(0);
    expect((await shownRefusal(build)).build).toBe(build.build);
  });
});
