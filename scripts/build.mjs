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

/**
 * Node's own modules are loaded when the first module that imports them runs, as the rest of a bundle is: esbuild
 * would import all of them at the top, so http, tls and crypto for a `--help`.
 */
const lazyBuiltins = {
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    const builtin = new RegExp(`^(node:)?(${builtinModules.join('|')})$`);
    onResolve({ filter: builtin }, ({ path, kind }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'builtin' },
    );
    onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
    }));
  },
};
const HEAD = `#!/usr/bin/env node
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);`;

/** Bundles one program; returns the metafile. The file appears whole: a running one is never half-written. */
async function bundle(entry, name) {
  const result = await build({
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
    banner: { js: HEAD },
    plugins: [lazyBuiltins],
    define: { COUNTERSIGN_VERSION: JSON.stringify(version) },
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
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
