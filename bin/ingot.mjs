#!/usr/bin/env node
// Plain JavaScript on purpose: it must run far enough on an old Node to say what is missing.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `error NODE_TOO_OLD: Ingot needs Node 22.18 or newer, this is ${process.version}.\n` +
      `  suggestion: install a newer Node; on linux-x64, "npm ci" brings one and "npm start" or "npx ingot" use it.\n`,
  );
  process.exit(2);
}
const { main } = await import('../src/app/cli/main.ts');
await main(process.argv.slice(2));
