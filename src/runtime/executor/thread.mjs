// A kernel thread. Plain JavaScript, so that a worker needs no type stripping, which costs tens of megabytes.
import { workerData } from 'node:worker_threads';

const { module, memory, thread } = workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
for (let pass = 0; pass >= 0; ) pass = exports.serve(thread, pass);
