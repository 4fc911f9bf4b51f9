export { createApi, type Api, type ServingApi, type ApiOptions, type ApiRequest, type ApiResponse } from './api.ts';
export type { ServedModel } from './served-model.ts';
export { apiErrorOf } from './failure.ts';
export type { Promises } from './endpoint.ts';
export type { Coalescing } from './coalesce.ts';
