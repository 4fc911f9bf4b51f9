// Builds the WebAssembly kernels. None yet.
process.stdout.write('');
