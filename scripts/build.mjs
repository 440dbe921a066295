// Builds the two single-file programs into dist/: countersign.mjs (every verb) and countersign-h.mjs
// (what the signer's host needs, and no more). The metafiles beside them say what went in; a shape
// test reads them. dist/THIRD-PARTY.txt holds the licences of the packages that are inside.
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Without those that Node has loaded anyway before it comes to us. */
const LAZY = builtinModules.filter((name) => !['fs', 'path', 'url', 'util'].includes(name));
const BUILTIN = new RegExp(`^(node:)?(${LAZY.join('|')})$`);

/**
 * Loads each of Node's own modules when something of it is first used: esbuild would import all of them at the top,
 * so http, tls and crypto for a `--help`. `used`: the names that the program imports from each.
 */
const lazyBuiltins = (used) => ({
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: BUILTIN }, ({ path, kind }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'node' },
    );
    onLoad({ filter: /^/, namespace: 'node' }, ({ path }) => ({
      contents: used.has(path)
        ? `let loaded;
          for (const name of ${JSON.stringify([...used.get(path)].sort())})
            Object.defineProperty(exports, name, {
              enumerable: true,
              get: () => (loaded ??= require(${JSON.stringify(path)}))[name],
            });`
        : `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
});

/** The names that a bundle imports from each builtin; from a package that wants a builtin as a whole, nothing. */
function usedBuiltins(text) {
  const used = new Map();
  for (const [, names, path] of text.matchAll(/^import \{([^}]+)\} from "([^"]+)";$/gm)) {
    const each = used.get(path) ?? used.set(path, new Set()).get(path);
    for (const name of names.split(',')) each.add(name.trim().split(' as ')[0]);
  }
  return used;
}

const HEAD = `#!/usr/bin/env node
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);`;

/** Bundles one program; returns the metafile. The file appears whole: a running one is never half-written. */
async function bundle(entry, name) {
  const options = {
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `dist/${name}.mjs`,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // one byte a character: V8 reads it in place
    charset: 'ascii',
    legalComments: 'none',
    define: { COUNTERSIGN_VERSION: JSON.stringify(version) },
    metafile: true,
    write: false,
    logLevel: 'warning',
  };
  const eager = await build(options);
  const plugins = [lazyBuiltins(usedBuiltins(eager.outputFiles[0].text))];
  const result = await build({ ...options, banner: { js: HEAD }, plugins });
  const file = join(dist, `${name}.mjs`);
  replace(file, result.outputFiles[0].contents, 0o755);
  replace(join(dist, `${name}.meta.json`), JSON.stringify(result.metafile, null, 1));
  return result.metafile;
}

function replace(file, contents, mode = 0o644) {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, contents);
  chmodSync(temporary, mode);
  renameSync(temporary, file);
}

/** Directories of the npm packages that a metafile's inputs lie in, sorted. */
function packagesOf(metafile) {
  const found = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^(?:.*\/)?node_modules\/(@[^/]+\/[^/]+|[^/]+)\//.exec(input);
    if (match) found.add(match[0].slice(0, -1));
  }
  return [...found].sort();
}

function thirdParty(directories) {
  const parts = ['Packages inside dist/countersign.mjs, and their licences.\n'];
  for (const directory of directories) {
    const manifest = JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8'));
    const licence = readdirSync(join(root, directory)).find((name) => /^licen[cs]e(\.|$)/i.test(name));
    // A bundle that carries a package without its licence text must not be made.
    if (!licence) throw new Error(`${manifest.name}: no licence file in the package`);
    const text = readFileSync(join(root, directory, licence), 'utf8').trim();
    parts.push(`${manifest.name} ${manifest.version} (${manifest.license})\n\n${text}\n`);
  }
  return parts.join(`\n${'-'.repeat(72)}\n\n`);
}

mkdirSync(dist, { recursive: true });
try {
  await bundle('src/main-h.ts', 'countersign-h');
  const everything = await bundle('src/main.ts', 'countersign');
  replace(join(dist, 'THIRD-PARTY.txt'), thirdParty(packagesOf(everything)));
} catch (error) {
  // esbuild has shown its own errors, with the lines they are about
  if (!('errors' in error)) throw error;
  process.exitCode = 1;
}
