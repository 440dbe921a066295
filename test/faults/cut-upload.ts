/** A large artifact of which a part is there, as its upload was cut: by itself, so that the calls come in one order. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { Failure } from '../../src/failure.ts';
import { decodeBase64Url } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { asked } from './asked.ts';
import { released } from './released.ts';
import type { Play } from './row.ts';
import { served } from './server.ts';
import type { Theatre } from './theatre.ts';

const LARGE = Buffer.alloc(1_600_000, 'large');
const THERE = 700_000;

/** The play of the depot that gets the rest. Begins with the world as it is. */
export async function cutUpload(theatre: Theatre): Promise<Play> {
  const { world } = theatre;
  const { build, ticket } = await world.approve('1.1');
  const base = await world.place({ 'app-1.1.tar.gz': LARGE });
  mustBe(3, await upload(ticket, world.url, cut));
  return released(theatre.save(), build, '1.1', {
    act: (traced) => served(world, traced, () => upload(ticket, world.url, whole)),
    async again() {
      mustBe(0, await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']));
      mustBe(0, await world.sign());
    },
  });
}

function* whole(): Generator<Buffer> {
  yield LARGE;
}
function* cut(): Generator<Buffer> {
  yield LARGE.subarray(0, THERE);
  throw new Failure('unable', 'cut', 'the link is cut', '');
}

/** As `attest` sends it, once. */
function upload(ticket: string, url: string, bytes: () => Iterable<Buffer>): Promise<Ran> {
  const { build, uploadToken } = parseTicket(readFileSync(ticket, 'utf8'));
  const source = (): Readable => Readable.from(bytes());
  return asked(url, decodeBase64Url(uploadToken, 'token'), (depot) =>
    depot.putBlob(build, sha256Hex(LARGE), LARGE.length, source),
  );
}
