/** The rows of what several people, several builders and nonces add: enrolling, endorsing, comparing, taking back. */
import { connected, kept, logged, read, sent } from './rows.ts';
import type { Cells, Disk } from './rows.ts';
import type { Column, Row } from './row.ts';

/** Code that other rows try in full: `npm test` kills it alone. */
const others = [
  ...(['read fails', 'write fails', 'fsync fails', 'ENOSPC', 'EDQUOT', 'name fails'] as const),
  ...(['connection breaks', 'connect fails'] as const),
] satisfies readonly Column[];

const row = (role: string, step: string, at: RegExp, cells: Cells): Row => ({ role, step, at, cells });
const alone = (role: string, step: string, at: RegExp, cells: Cells): Row => ({
  ...row(role, step, at, cells),
  swept: others,
});
const entry = (n: number): RegExp => new RegExp(`^(write|fdatasync) H/signer/journal ${n}$`);
const built = (what: string): RegExp => new RegExp(`^(?!p?read)\\S+ H/signer/builds/B/${what} `);

const ATTEST = 'attest, with a nonce';
const SIGN_ENROL = 'sign, keys of builders';

/** `introduce`: the key goes out, and the receipt is waited for; `build`: it is there; `mac`: the nonce signs. */
export const ENROL: readonly Row[] = [
  alone(ATTEST, 'introduce: key and enrolment kept', / operator\/tickets-\d+\/b1\.ticket\.enrolment/, kept),
  alone(
    ATTEST,
    'introduce: nonce gone',
    /^(openat|write|rename|fsync) operator\/tickets-\d+\/b1\.ticket [12]$/,
    kept,
  ),
  alone(ATTEST, 'introduce: enrolment sent', /^writev depot \d$/, sent),
  alone(ATTEST, 'build: key read', /^pread64 operator\/tickets-\d+\/b1\.ticket\.enrolment/, read),
  alone(
    ATTEST,
    'build: statement kept',
    /^(?!unlink|rmdir)\S+ operator\/tickets-\d+\/b1\.ticket\.pending/,
    kept,
  ),
  row(ATTEST, 'build: key gone', /^(unlink|rmdir|fsync) operator\/tickets-\d+\/b1\.ticket\.enrolment/, {
    ...{ SIGKILL: 'again', 'fsync fails': 'exit 3', 'name fails': 'exit 3' },
  }),
  alone(
    ATTEST,
    'mac: statement kept',
    /^(?!unlink|rmdir)\S+ operator\/tickets-\d+\/b1\.ticket\.pending/,
    kept,
  ),
  alone(
    ATTEST,
    'mac: nonce gone',
    /^(openat|write|rename|fsync) operator\/tickets-\d+\/b1\.ticket [12]$/,
    kept,
  ),
  alone('serve', 'enrolment: taken', /^(?!p?read)\S+ L\/data\/builds\/B\/enrolments/, kept),
  alone('serve', 'receipt: taken', /^(?!p?read)\S+ L\/data\/builds\/B\/enrolments/, kept),
  alone('serve', 'mac: statement taken', /^(?!p?read)\S+ L\/data\/builds\/B\/statements/, kept),
  alone(SIGN_ENROL, 'enrolment kept', built('enrolments/b1\\.json(\\.sig|\\.mac)?'), kept),
  alone(SIGN_ENROL, 'enrolment logged', entry(2), logged),
  alone(SIGN_ENROL, 'log sent', /^writev depot 1$/, sent),
  alone(SIGN_ENROL, 'receipt kept', built('enrolments/b1\\.json\\.receipt'), kept),
  alone(SIGN_ENROL, 'receipt sent', /^writev depot 2$/, sent),
  alone('sync', 'out: enrolment and receipt taken', /^(?!p?read)\S+ stick\/L\/builds\/B\/enrolments/, kept),
];

const REVOKED = 'sign, a build taken back';

export const REVOKE: readonly Row[] = [
  alone('endorse', 'depot asked', /^connect depot 1$/, connected),
  alone('endorse', 'signature sent', /^writev depot \d$/, sent),
  alone('revoke', 'depot asked', /^connect depot 1$/, connected),
  alone('revoke', 'revocation sent', /^writev depot \d$/, sent),
  alone('serve', 'endorsement: taken', /^(?!p?read)\S+ L\/data\/builds\/B\/approval\.json\.FPR\.sig /, kept),
  alone('serve', 'revocation: taken', /^(?!p?read)\S+ L\/data\/builds\/B\/revocations/, kept),
  alone('sync', 'out: revocation taken', /^(?!p?read)\S+ stick\/L\/builds\/B\/revocations/, kept),
  alone(REVOKED, 'before: revocation kept', built('revocations/FPR\\.json\\S*'), kept),
  alone(REVOKED, 'before: revocation logged', entry(2), logged),
  alone(REVOKED, 'before: settled', built('settled'), kept),
  alone(REVOKED, 'before: log sent', /^writev depot 1$/, sent),
  alone(REVOKED, 'between: revocation logged', entry(1), logged),
  row(REVOKED, 'between: signatures gone', / H\/signer\/builds\/B\/signatures /, {
    ...{ SIGKILL: 'again', 'name fails': 'exit 3' },
  }),
  alone(REVOKED, 'between: settled', built('settled'), kept),
  alone(REVOKED, 'after: revocations kept', built('revocations/FPR\\.json\\S*'), kept),
  alone(REVOKED, 'after: revocation logged', entry(1), logged),
  alone(REVOKED, 'after: log sent', /^writev depot 1$/, sent),
];

const SEVERAL = 'sign, several builders';
const ticket = (n: number): RegExp => new RegExp(` operator/tickets/b${n}\\.ticket `);

export const QUORUM: readonly Row[] = [
  alone('approve --builders', 'first ticket written', ticket(1), { ...kept, SIGKILL: 'again' }),
  alone('approve --builders', 'second ticket written', ticket(2), { ...kept, SIGKILL: 'refuses' }),
  alone('approve --builders', 'approval sent', /^writev depot \d$/, { ...sent, SIGKILL: 'refuses' }),
  alone(SEVERAL, 'agreed: second statement kept', built('statements/b2\\S+'), kept),
  alone(SEVERAL, 'agreed: second statement logged', entry(3), logged),
  alone(SEVERAL, 'agreed: intent logged', entry(4), logged),
  alone(SEVERAL, 'frozen: second statement logged', entry(3), logged),
  alone(SEVERAL, 'frozen: refusal kept', built('refusal\\.json'), kept),
  alone(SEVERAL, 'frozen: refusal logged', entry(4), logged),
  alone('status --fetch', 'depot asked', /^connect depot /, connected),
  alone('status --fetch', 'versions written', / stick\/both/, {
    ...{ ...logged, SIGKILL: 'refuses' },
  }),
];

export const TRUST_DISKS: readonly Disk[] = [
  {
    role: ATTEST,
    play: 'introduce',
    what: 'the ticket’s disk, a key',
    place: ['operator'],
    sweptInodes: true,
  },
  { role: ATTEST, play: 'build', what: 'the ticket’s disk, a statement', place: ['operator'], swept: true },
  {
    role: 'serve',
    play: 'introduce',
    what: 'the depot’s disk, an enrolment',
    place: ['L', 'data'],
    swept: true,
  },
  { role: SIGN_ENROL, play: 'sign', what: 'the state’s disk', place: ['H', 'signer'], swept: true },
  { role: REVOKED, play: 'before', what: 'the state’s disk', place: ['H', 'signer'], sweptInodes: true },
  { role: REVOKED, play: 'after', what: 'the state’s disk', place: ['H', 'signer'], swept: true },
  {
    role: 'approve --builders',
    play: 'approve',
    what: 'the tickets’ disk',
    place: ['operator'],
    swept: true,
  },
  { role: SEVERAL, play: 'agreed', what: 'the state’s disk', place: ['H', 'signer'], swept: true },
  { role: 'status --fetch', play: 'fetch', what: 'the versions’ disk', place: ['stick'], sweptInodes: true },
];
