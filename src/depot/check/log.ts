/** The log of a depot: every file of it, and how its tiles are made again. */
import { Failure } from '../../failure.ts';
import { TILE_WIDTH, bundlePath, encodeBundle, isLogPath, tilePath, tileWidth } from '../../tlog/tile.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import type { Tree } from '../../tree/tree.ts';
import { LogReader, depotLog } from '../../tree/log/reader.ts';
import { Findings } from './finding.ts';
import { rebuild } from './ledger.ts';
import { walk } from './walk.ts';

/** What `log verify` found; the codes are its own. */
export interface LogAudit {
  readonly findings: readonly {
    readonly code: string;
    /** The first entry that it is about. */
    readonly index: number | null;
    readonly path: string | null;
    readonly text: string;
  }[];
  /** How many entries there are. */
  readonly size: number;
  /** How many files there are beyond the checkpoint. */
  readonly beyond: number;
}

/** Verifies all of the log, as `log verify` does. Throws refused for a checkpoint that is none, unable(`no-log`). */
export type AuditLog = () => Promise<LogAudit>;

const CHECKPOINT = 'log/checkpoint';

/** What is wrong with `log/`; `isMissed` says whether there must be one. Throws unable('disk'). */
export async function checkLog(
  tree: Tree,
  audit: AuditLog,
  isMissed: () => Promise<boolean>,
): Promise<Findings> {
  const findings = new Findings();
  const files: string[] = [];
  for await (const { path, kind } of walk(tree.directory, 'log')) {
    if (kind !== 'file') findings.add('foreign', 'not-a-file', path, 'it is no regular file');
    else if (!isLogPath(path.slice('log/'.length)))
      findings.add('foreign', 'foreign', path, 'no log has such a file');
    else files.push(path);
  }
  try {
    const { findings: found, beyond, size } = await audit();
    const whole = new Set(files);
    for (const { code, index, path, text } of found) {
      const what = code.endsWith('-missing') ? 'missing' : 'damaged';
      // an entry lies in its bundle
      const bundle = Math.floor((index ?? 0) / TILE_WIDTH);
      const full = `log/${bundlePath(bundle)}`;
      const entries = whole.has(full) ? full : `log/${bundlePath(bundle, tileWidth(0, bundle, size))}`;
      const place = path === null ? (code === 'entry-changed' ? entries : 'log') : `log/${path}`;
      findings.add(what, code, place, text);
    }
    if (beyond > 0)
      findings.add(
        'leftover',
        'beyond',
        'log',
        `${beyond} of its files are beyond the checkpoint: a push that broke off`,
      );
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage') throw error;
    if (error.code === 'no-log') {
      if (files.length > 0 || (await isMissed()))
        findings.add('missing', 'no-log', CHECKPOINT, 'there is no log, and what lies here rests on one');
    } else if (error.kind === 'refused' || error.code === 'too-large')
      findings.add('damaged', error.code, CHECKPOINT, error.message);
    else throw error;
  }
  return findings;
}

/**
 * What these files of the log must be, as far as its entries still say so; null where they are not the log that was
 * signed. Throws unable('disk').
 */
export async function remakeLog(
  tree: Tree,
  trust: LogTrust,
  paths: ReadonlySet<string>,
): Promise<Map<string, Buffer> | null> {
  let head;
  try {
    head = await new LogReader(depotLog(tree), trust).head();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return null;
    throw error;
  }
  if (head === null) return null;
  const made = new Map<string, Buffer>();
  const make = (path: string, bytes: () => Buffer): void => {
    if (paths.has(`log/${path}`)) made.set(`log/${path}`, bytes());
  };
  const whole = await rebuild(tree, head, ({ level, index, hashes }, leaves) => {
    // smaller ones are the beginning of it
    for (let width = 1; width <= hashes.length; width++) {
      make(tilePath(level, index, width), () => Buffer.concat(hashes.slice(0, width)));
      if (level === 0) make(bundlePath(index, width), () => encodeBundle(leaves.slice(0, width)));
    }
  });
  return whole && made.size > 0 ? made : null;
}
