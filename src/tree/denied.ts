import { Failure } from '../failure.ts';
import type { Denied } from '../policy/gate.ts';

/** What the gate said no to, with the HTTP status for it. */
export class DeniedFailure extends Failure {
  readonly status: number;

  constructor({ status, code, message, hint }: Denied) {
    super('refused', code, message, hint);
    this.status = status;
  }
}
