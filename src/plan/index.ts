export { groupErrors, validate } from './validate/validate.ts';
export type { GroupError, ValidationLine } from './validate/validate.ts';
export { validationPicture } from './validate/picture.ts';
