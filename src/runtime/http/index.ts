export { createApi, type Api, type ApiOptions, type ApiRequest, type ApiResponse } from './api.ts';
export type { ServedModel } from './served-model.ts';
export { apiErrorOf } from './failure.ts';
export type { Coalescing } from './coalesce.ts';
