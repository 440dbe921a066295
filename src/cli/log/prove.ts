/** `countersign log prove`: the proof of one entry. */
import { decisionOf, proveEntry } from '../../audit/prove.ts';
import { requireHead } from '../../audit/verify.ts';
import { parseDecimal } from '../../tlog/checkpoint.ts';
import { LogReader } from '../../tree/log/reader.ts';
import { command, wrongUse } from '../command.ts';
import { EXIT } from '../exit-status.ts';
import { parseBuildId } from '../values.ts';
import { KEY_FLAG, LOG_FLAG, openSource } from './source.ts';

export { prove as command };

const prove = command({
  name: 'log prove',
  synopsis: 'INDEX|BUILD',
  about: `Writes a proof to standard output that an entry is in the log: a C2SP tlog-proof under the newest checkpoint,
with the entry's exact bytes in its extra line. Whoever has the log's key can check it without the log. Of a build it is
the entry of its release, or of its refusal.`,
  flags: { ...LOG_FLAG, ...KEY_FLAG },
  operands: { min: 1, max: 1 },
  example: [
    'countersign log prove 0 > entry-0.tlog-proof',
    'countersign log prove "$BUILD" > app-1.4.0.tlog-proof',
  ],
  async run({ flags, globals, operands: [operand = ''], terminal }) {
    const index = parseDecimal(operand);
    const build = index === null ? parseBuildId(operand) : null;
    const { files, trust, project } = await openSource('log prove', flags, { globals, terminal });
    try {
      if (build !== null && project === null)
        throw wrongUse('log prove', 'with --log-key only an INDEX is understood');
      const reader = new LogReader(files, trust);
      const head = await requireHead(reader);
      const place = build === null ? (index ?? 0) : await decisionOf(reader, head, build);
      const proof = await proveEntry(reader, head, place);
      terminal.record({ index: place, size: head.checkpoint.size, proof: proof.toString() });
      terminal.file(proof);
      return EXIT.done;
    } finally {
      files.close();
    }
  },
});
