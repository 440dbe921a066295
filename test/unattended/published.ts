/** What a finished build looks like, whichever way its key was reached. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Fingerprint } from '../../src/records/names.ts';
import type { GnupgHome } from '../harness/gnupg.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import type { Build, Ran, Scene } from '../signer/scene.ts';

/** It is published by one set of entries, and gpgv accepts what users download. */
export async function expectPublished(
  scene: Scene,
  release: { readonly home: GnupgHome; readonly key: Fingerprint },
  ran: Ran,
  build: Build,
): Promise<void> {
  expect(ran).toMatchObject({ exit: 0, result: { build: build.build, outcome: 'published' } });
  expect(await scene.logged(build)).toBe('approval statement intent release');
  const file = (name: string): Buffer =>
    readFileSync(scene.path(`releases/hello/${build.approval.version}/${name}`));
  const said = await rawGpgv({
    signature: file('app.tgz.asc'),
    data: [file('app.tgz')],
    keyring: release.home.export(release.key),
  });
  expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
}
