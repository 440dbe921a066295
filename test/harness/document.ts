/** What a document tells people to type. */
import { readFile } from 'node:fs/promises';

const root = new URL('../../', import.meta.url);

/** The shell blocks of a section, from its heading (level 2) to the next, or those of another kind. Throws if there are none. */
export async function shellBlocks(file: string, heading: string, kind = 'sh'): Promise<string[]> {
  const text = await readFile(new URL(file, root), 'utf8');
  const start = text.indexOf(`\n## ${heading}\n`);
  if (start < 0) throw new Error(`${file} has no section "${heading}"`);
  const end = text.indexOf('\n## ', start + 1);
  const section = text.slice(start, end < 0 ? undefined : end);
  const fence = new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\``, 'gm');
  const blocks = [...section.matchAll(fence)].map((match) => match[1] ?? '');
  if (blocks.length === 0) throw new Error(`${file}, "${heading}", has no commands`);
  return blocks;
}
