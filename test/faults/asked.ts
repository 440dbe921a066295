/** What a program asks of a depot over HTTP, told as the run of a program: for plays in which only that matters. */
import { Failure } from '../../src/failure.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import type { Ran } from '../harness/program.ts';

/** Does `act` with the depot at `url`, shown as `token` has it. Throws what is no `Failure`. */
export async function asked(
  url: string,
  token: Buffer | null,
  act: (depot: HttpDepot) => Promise<unknown>,
): Promise<Ran> {
  const depot = new HttpDepot({ url, token, insecureHttp: false });
  const ran = { stdout: '', stderr: '', json: [], error: null, peakKiB: 0 };
  try {
    await act(depot);
    return { ...ran, code: 0 };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { ...ran, code: error.kind === 'unable' ? 3 : 1, stderr: `countersign: ${error.message}` };
  } finally {
    depot.close();
  }
}
