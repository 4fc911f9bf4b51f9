export async function main(argv: readonly string[]): Promise<void> {
  throw new Error(`not yet: ${argv.join(' ')}`);
}
