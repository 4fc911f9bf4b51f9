// Property tests draw from one fixed seed, so that a run can be repeated. FC_SEED=N draws others.
import { configureGlobal } from 'fast-check';

configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20261120) });
