/** Real Debian packages, through apt, with lists and caches of their own: the machine's apt is not touched. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const ETC = '/etc/apt';

/** Sources that give source packages too, made from the machine's own. */
function sourcesWithSource(): Map<string, string> {
  const list = join(ETC, 'sources.list');
  const parts = join(ETC, 'sources.list.d');
  const files = [
    ...(existsSync(list) ? [list] : []),
    ...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []),
  ].filter((file) => /\.(?:list|sources)$/.test(file));
  return new Map(
    files.map((file, at) => {
      const text = readFileSync(file, 'utf8');
      return file.endsWith('.sources')
        ? [`${at}.sources`, text.replaceAll(/^Types:.*$/gm, 'Types: deb deb-src')]
        : [`${at}.list`, text.replaceAll(/^deb (.*)$/gm, 'deb $1\ndeb-src $1')];
    }),
  );
}

/** The archive that this machine's packages come from, in another release of Debian. */
function sourceOf(release: string): string {
  const [uri] = [...sourcesWithSource().values()].join('\n').match(/https?:\/\/\S+\/debian\/?(?=\s)/) ?? [];
  if (uri === undefined) throw new Error(`no Debian archive in ${ETC}`);
  return `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${uri} ${release} main\n`;
}

/** An apt-get that works in `into`, and leaves its own files in `scratch`. */
function aptWith(sources: ReadonlyMap<string, string>, into: string, scratch: string) {
  const [etc, state, cache] = ['etc', 'state', 'cache'].map((part) => join(scratch, part));
  mkdirSync(join(etc ?? '', 'sources.list.d'), { recursive: true });
  mkdirSync(join(state ?? '', 'lists', 'partial'), { recursive: true });
  mkdirSync(join(cache ?? '', 'archives', 'partial'), { recursive: true });
  for (const [file, text] of sources) writeFileSync(join(etc ?? '', 'sources.list.d', file), text);
  const options = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(etc ?? '', 'sources.list.d'),
    'Dir::State': state,
    'Dir::Cache': cache,
    'Acquire::Languages': 'none',
    'APT::Update::Error-Mode': 'any',
    'APT::Sandbox::User': 'root',
  };
  return (...args: string[]): void => {
    const settings = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    execFileSync('apt-get', ['-q', ...settings, ...args], { cwd: into, stdio: ['ignore', 'pipe', 'pipe'] });
  };
}

/**
 * Downloads a binary package and its source (`.dsc` and tarballs) into `into`, and leaves apt's own files in `scratch`.
 * Returns the names of what came. Throws with apt's words where that fails.
 */
export function downloadPackage(name: string, into: string, scratch: string): string[] {
  const apt = aptWith(sourcesWithSource(), into, scratch);
  apt('update');
  apt('download', name);
  apt('source', '--download-only', name);
  return readdirSync(into).sort();
}

/**
 * Unpacks a package of another release of Debian into `into`, made if need be, without installing it; for what needs no
 * more than the C library. Throws with apt's words where that fails.
 */
export function unpackPackage(name: string, release: string, into: string, scratch: string): void {
  mkdirSync(into, { recursive: true });
  const apt = aptWith(new Map([['other.list', sourceOf(release)]]), into, scratch);
  apt('update');
  apt('download', name);
  for (const file of readdirSync(into))
    if (file.endsWith('.deb')) execFileSync('dpkg-deb', ['--extract', file, '.'], { cwd: into });
}

/**
 * The directory of a program that a package of Debian 13 brings: where it is installed, or else unpacked below
 * `scratch`, since Debian 12 can run it and has it not.
 */
export function programsOf(name: string, program: string, scratch: string): string {
  const installed = (process.env['PATH'] ?? '')
    .split(delimiter)
    .find((each) => existsSync(join(each, program)));
  if (installed !== undefined) return installed;
  const unpacked = join(scratch, name);
  unpackPackage(name, 'trixie', unpacked, join(scratch, 'apt'));
  return join(unpacked, 'usr', 'bin');
}
