/** Whether gpgv, as a person runs it by hand, says of these files what it says of a good signature. */
import { rawGpgv } from './gpgv.ts';

export async function gpgvAccepts(keyring: Buffer, signature: Buffer, data: Buffer): Promise<boolean> {
  const { code, keywords } = await rawGpgv({ keyring, signature, data: [data] });
  return code === 0 && keywords === 'GOODSIG VALIDSIG';
}
